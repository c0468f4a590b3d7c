//! The entries of a manifest, and how many there may be.

use crate::Descriptor;

/// Bytes of the longest manifest: bounds what a folder costs before anything of it is known.
pub const MAX_MANIFEST_LEN: u64 = 64 << 20;

/// Entries in one manifest, at most. A file's takes 55 bytes and more, so nearly as many fit into
/// the longest manifest; symbolic links take less, and are held to the same.
pub const MAX_MANIFEST_ENTRIES: usize = 1 << 20;

/// The version of manifests written and read here.
pub const MANIFEST_VERSION: u64 = 1;

/// Something in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestEntry {
    /// One component of a path, as found on disk.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File {
        /// Its content.
        descriptor: Descriptor,
        /// Whether its owner may run it.
        executable: bool,
    },
    /// A directory.
    Folder {
        /// Its manifest.
        descriptor: Descriptor,
        /// Bytes in all files below. A claim until it is expanded.
        bytes: u64,
        /// How many files are below. A claim until it is expanded.
        files: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Its target, as it was found on disk. It may lead anywhere.
        target: String,
    },
}
