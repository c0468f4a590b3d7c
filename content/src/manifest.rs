//! The manifest of one directory: the content of kind folder.
//!
//! Owns which manifests are valid: a value is sorted, has no name twice, and has exactly one
//! encoding (`codec`). Never looks below the directory: expanding it shows whether its totals are
//! true. Never decides which names a receiver can store. Invalid manifests result in a
//! [`ManifestError`], which names the entry.

mod codec;
mod entry;
mod error;
mod name;

pub use self::entry::{
    EntryKind, MANIFEST_VERSION, MAX_MANIFEST_ENTRIES, MAX_MANIFEST_LEN, ManifestEntry,
};
pub use self::error::ManifestError;
use self::error::shown;
pub use self::name::{
    MAX_NAME_LEN, MAX_TARGET_LEN, NameError, TargetError, check_name, check_target,
};
use crate::{Descriptor, DescriptorError, Hasher, Kind};

/// The entries of one directory, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    entries: Vec<ManifestEntry>,
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

    /// Parses a manifest. Each manifest has exactly one encoding: bytes that differ from what
    /// [`Manifest::to_bytes`] returns are rejected.
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

    /// The entries, in bytewise order of their names.
    pub fn entries(&self) -> &[ManifestEntry] {
        &self.entries
    }

    /// The descriptor of this manifest as content.
    #[allow(clippy::missing_panics_doc, reason = "it never does")]
    pub fn descriptor(&self) -> Descriptor {
        Self::describe(&self.to_bytes()).expect("the longest manifest is far below 1 PiB")
    }

    /// Returns the entries.
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

/// Checks that the kind and the descriptor of an entry agree.
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

/// Checks sorted names: that each is valid, and none occurs twice.
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
