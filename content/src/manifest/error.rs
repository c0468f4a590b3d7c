//! Why a manifest is rejected.

use super::{
    entry::{MANIFEST_VERSION, MAX_MANIFEST_ENTRIES, MAX_MANIFEST_LEN},
    name::{MAX_NAME_LEN, NameError, TargetError},
};
use crate::{DescriptorError, Kind};

/// Why a manifest is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It exceeds the limit of bytes.
    #[error("a manifest has at most {MAX_MANIFEST_LEN} bytes, this has {found}")]
    Length {
        /// How many bytes it has.
        found: u64,
    },
    /// It exceeds the limit of entries.
    #[error("a manifest has at most {MAX_MANIFEST_ENTRIES} entries, this has {found}")]
    Entries {
        /// How many entries it has.
        found: u64,
    },
    /// Its version is unknown.
    #[error("manifests of version {found} are unknown; expected {MANIFEST_VERSION}")]
    Version {
        /// Its version.
        found: u64,
    },
    /// Its structure is wrong.
    #[error("malformed: {0}")]
    Malformed(String),
    /// It does not have the only valid encoding: order, numbers and lengths, or a repetition.
    #[error("not in the one form that a manifest may have")]
    Form,
    /// An entry has an unknown key.
    #[error("entry {number} has the unknown key {key:?}")]
    Key {
        /// Which entry, counted from 1.
        number: usize,
        /// The key.
        key: String,
    },
    /// The name of an entry is invalid.
    #[error("an entry may not be called {name:?}: {source}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        source: NameError,
    },
    /// The target of a symbolic link is invalid.
    #[error("the symbolic link {name:?} is refused: {source}")]
    Target {
        /// Its name.
        name: String,
        /// Why.
        source: TargetError,
    },
    /// Two entries have the same name.
    #[error("there are two entries called {name:?}")]
    Twice {
        /// The name.
        name: String,
    },
    /// The descriptor of a file is that of a folder, or the other way round.
    #[error("{name:?} is a {expected}, but its descriptor is that of a {found}")]
    Kind {
        /// The entry's name.
        name: String,
        /// What the entry is.
        expected: Kind,
        /// What its descriptor says.
        found: Kind,
    },
    /// The descriptor of an entry is invalid.
    #[error("the descriptor of {name:?} is invalid: {source}")]
    Descriptor {
        /// The entry's name.
        name: String,
        /// Why.
        source: DescriptorError,
    },
    /// The manifest of a sub-folder exceeds the limit.
    #[error(
        "the manifest of {name:?} has {found} bytes, over the limit of {MAX_MANIFEST_LEN} bytes"
    )]
    FolderLength {
        /// The entry's name.
        name: String,
        /// How many bytes its descriptor claims.
        found: u64,
    },
}

/// A name for an error message, truncated to the length of a valid name.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(MAX_NAME_LEN).collect()
}
