//! The manifest of one directory: the content of kind folder.
//!
//! Owns which manifests exist: one in hand is sorted, holds no name twice, and has exactly one
//! encoding (`codec`). Never looks below the directory: that totals are true shows when it is
//! expanded. Never decides what a receiver can hold. Refusals name the entry and leave as a
//! [`ManifestError`].

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

/// What is in one directory, sorted by name.
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
