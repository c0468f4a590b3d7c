//! Why a manifest is rejected.

use super::{
    entry::{MANIFEST_VERSION, MAX_MANIFEST_ENTRIES, MAX_MANIFEST_LEN},
    name::{MAX_NAME_LEN, NameError, TargetError},
};
use crate::{DescriptorError, Kind};

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

/// A name in a refusal, cut off where any name ends.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(MAX_NAME_LEN).collect()
}
