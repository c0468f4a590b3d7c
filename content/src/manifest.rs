//! The manifest of one directory: the content of kind folder.
//!
//! Owns which manifests exist: one in hand is sorted, holds no name twice, and has exactly one
//! encoding (`codec`). Never looks below the directory: that totals are true shows when it is
//! expanded. Never decides what a receiver can hold. Refusals name the entry and leave as a
//! [`ManifestError`].

mod codec;
mod name;

pub use self::name::{
    MAX_NAME_LEN, MAX_TARGET_LEN, NameError, TargetError, check_name, check_target,
};
use crate::{Descriptor, DescriptorError, Hasher, Kind};

/// Bytes of the longest manifest: bounds what a folder costs before anything of it is known.
pub const MAX_MANIFEST_LEN: u64 = 64 << 20;

/// Entries in one manifest, at most. A file's takes 55 bytes and more, so nearly as many fit into
/// the longest manifest; symbolic links take less, and are held to the same.
pub const MAX_MANIFEST_ENTRIES: usize = 1 << 20;

/// The version of manifests written and read here.
pub const MANIFEST_VERSION: u64 = 1;

/// What is in one directory, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    entries: Vec<ManifestEntry>,
}

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

impl Manifest {
    /// The manifest of a directory with these entries, given in any order.
    ///
    /// # Errors
    ///
    /// See [`ManifestError`].
    pub fn new(mut entries: Vec<ManifestEntry>) -> Result<Self, ManifestError> {
        if entries.len() > MAX_MANIFEST_ENTRIES {
            let found = entries.len() as u64;
            return Err(ManifestError::Entries { found });
        }
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        check_names(entries.iter().map(|entry| entry.name.as_str()))?;
        entries.iter().try_for_each(check)?;
        let manifest = Self { entries };
        let found = manifest.encoded_len();
        if found > MAX_MANIFEST_LEN {
            return Err(ManifestError::Length { found });
        }
        Ok(manifest)
    }

    /// Reads a manifest, of which there is exactly one form: whatever differs from what
    /// [`Manifest::to_bytes`] makes of it is refused.
    ///
    /// # Errors
    ///
    /// See [`ManifestError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let found = bytes.len() as u64;
        if found > MAX_MANIFEST_LEN {
            return Err(ManifestError::Length { found });
        }
        let manifest = Self::new(codec::decode(bytes)?)?;
        if manifest.to_bytes() == bytes {
            Ok(manifest)
        } else {
            Err(ManifestError::Form)
        }
    }

    /// The bytes of the manifest: the content that its descriptor describes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(&self.entries)
    }

    /// What is in the directory, sorted bytewise by name.
    pub fn entries(&self) -> &[ManifestEntry] {
        &self.entries
    }

    /// The descriptor of this manifest: what it is as content.
    #[allow(clippy::missing_panics_doc, reason = "it never does")]
    pub fn descriptor(&self) -> Descriptor {
        Self::describe(&self.to_bytes()).expect("the longest manifest is far below 1 PiB")
    }

    /// The entries, taken out.
    pub fn into_entries(self) -> Vec<ManifestEntry> {
        self.entries
    }

    /// The descriptor of a manifest with these bytes.
    ///
    /// # Errors
    ///
    /// [`DescriptorError`] for more bytes than any content has.
    pub fn describe(bytes: &[u8]) -> Result<Descriptor, DescriptorError> {
        let mut hasher = Hasher::new(Kind::Folder);
        hasher.update(bytes);
        hasher.finish()
    }

    fn encoded_len(&self) -> u64 {
        codec::encoded_len(&self.entries)
    }
}

/// Whether what an entry is said to be can be.
fn check(entry: &ManifestEntry) -> Result<(), ManifestError> {
    let name = || entry.name.clone();
    let of_kind = |descriptor: &Descriptor, expected| {
        let found = descriptor.kind();
        if found == expected {
            Ok(())
        } else {
            Err(ManifestError::Kind {
                name: name(),
                expected,
                found,
            })
        }
    };
    match &entry.kind {
        EntryKind::File { descriptor, .. } => of_kind(descriptor, Kind::File),
        EntryKind::Folder { descriptor, .. } => {
            of_kind(descriptor, Kind::Folder)?;
            let found = descriptor.size();
            if found > MAX_MANIFEST_LEN {
                return Err(ManifestError::FolderLength {
                    name: name(),
                    found,
                });
            }
            Ok(())
        }
        EntryKind::Symlink { target } => match check_target(target) {
            Ok(()) => Ok(()),
            Err(source) => Err(ManifestError::Target {
                name: name(),
                source,
            }),
        },
    }
}

/// A name in a refusal, cut off where any name ends.
fn shown(name: &str) -> String {
    name.chars().take(MAX_NAME_LEN).collect()
}

/// Whether one directory may hold all these names, which are sorted: each by itself, and none twice.
///
/// # Errors
///
/// [`ManifestError::Name`] or [`ManifestError::Twice`].
fn check_names<'n>(names: impl Iterator<Item = &'n str>) -> Result<(), ManifestError> {
    let mut before = None;
    for name in names {
        check_name(name).map_err(|source| ManifestError::Name {
            name: shown(name),
            source,
        })?;
        if before == Some(name) {
            let name = name.to_owned();
            return Err(ManifestError::Twice { name });
        }
        before = Some(name);
    }
    Ok(())
}

/// Why something is no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Longer than any manifest.
    #[error("a manifest has at most {MAX_MANIFEST_LEN} bytes, this has {found}")]
    Length {
        /// How many bytes it has.
        found: u64,
    },
    /// More entries than a manifest may have.
    #[error("a manifest has at most {MAX_MANIFEST_ENTRIES} entries, this has {found}")]
    Entries {
        /// How many entries it has.
        found: u64,
    },
    /// Of a version that is not known here.
    #[error("manifests of version {found} are unknown; expected {MANIFEST_VERSION}")]
    Version {
        /// Its version.
        found: u64,
    },
    /// Not built as a manifest is.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Not the one form that there is of it: order, spelling of numbers and lengths, repetition.
    #[error("not in the one form that a manifest has")]
    Form,
    /// An entry has a key that is unknown.
    #[error("entry {number} has the unknown key {key:?}")]
    Key {
        /// Which entry, counted from 1.
        number: usize,
        /// The key.
        key: String,
    },
    /// An entry has a name that it may not have.
    #[error("an entry may not be called {name:?}: {source}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        source: NameError,
    },
    /// A symbolic link has no valid target.
    #[error("the symbolic link {name:?} is refused: {source}")]
    Target {
        /// Its name.
        name: String,
        /// Why.
        source: TargetError,
    },
    /// Two entries have one name.
    #[error("there are two entries called {name:?}")]
    Twice {
        /// The name.
        name: String,
    },
    /// A file's descriptor is that of a folder, or the other way round.
    #[error("{name:?} is said to be a {expected}, and its descriptor is that of a {found}")]
    Kind {
        /// The entry's name.
        name: String,
        /// What the entry is.
        expected: Kind,
        /// What its descriptor says.
        found: Kind,
    },
    /// A descriptor is none.
    #[error("the descriptor of {name:?} is wrong: {source}")]
    Descriptor {
        /// The entry's name.
        name: String,
        /// Why.
        source: DescriptorError,
    },
    /// A sub-folder's manifest would be longer than a manifest may be.
    #[error(
        "the manifest of {name:?} has {found} bytes, over the limit of {MAX_MANIFEST_LEN} bytes"
    )]
    FolderLength {
        /// The entry's name.
        name: String,
        /// How many bytes it is said to have.
        found: u64,
    },
}
