//! The entries of a manifest, and their limits.

use crate::Descriptor;

/// Bytes of the longest manifest: bounds the cost of a folder before anything of it is known.
pub const MAX_MANIFEST_LEN: u64 = 64 << 20;

/// Entries in one manifest, at most. That of a file takes 55 bytes or more, so nearly as many fit
/// into the longest manifest; symbolic links take less, and have the same limit.
pub const MAX_MANIFEST_ENTRIES: usize = 1 << 20;

/// The version of manifests that this crate writes and reads.
pub const MANIFEST_VERSION: u64 = 1;

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestEntry {
    /// One component of a path, as found on disk.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
}

/// The kind of an entry, with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File {
        /// Its content.
        descriptor: Descriptor,
        /// Whether its owner may execute it.
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
        /// Its target, as found on disk. It may lead anywhere.
        target: String,
    },
}
