//! Why a directory is no folder, by the path of what is in the way.

use std::{
    io,
    path::{Path, PathBuf},
};

use pelago_content::{MAX_DEPTH, MAX_LISTED, ManifestError, TargetError};

use crate::store::{HashError, ManifestsError, ShareError};

/// Why a directory was not hashed or shared.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Something is not there, or not any more.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// Something cannot be looked at.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A name or the target of a symbolic link is no text.
    #[error("{} has a name or leads to one that is not valid UTF-8", path.display())]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// A directory has entries that cannot be together in a folder, or one that cannot be in any.
    #[error("in {}: {source}", path.display())]
    Entry {
        /// The directory.
        path: PathBuf,
        /// What is wrong, with the name.
        source: ManifestError,
    },
    /// A fifo, socket or device.
    #[error("{} is {found}: a folder has regular files, folders and symbolic links", path.display())]
    Special {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A symbolic link leads to nothing that could be shared with it.
    #[error("{} leads to {}: {source}", path.display(), target.display())]
    Target {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
        /// What is wrong with that.
        source: TargetError,
    },
    /// A symbolic link leads out of what is shared.
    #[error("{} leads out of the folder, to {}", path.display(), target.display())]
    Escapes {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// Directories lie too deep in each other.
    #[error("{} lies deeper than {MAX_DEPTH} levels and is not empty", path.display())]
    TooDeep {
        /// The directory.
        path: PathBuf,
    },
    /// More than any folder may have.
    #[error("{} has more than {MAX_LISTED} entries or 2^64 bytes", path.display())]
    TooMuch {
        /// The directory.
        path: PathBuf,
    },
    /// The directory holds what this node must keep to itself.
    #[error("{} holds the data folder of this node, {}", path.display(), data.display())]
    HoldsData {
        /// The directory.
        path: PathBuf,
        /// The data folder.
        data: PathBuf,
    },
    /// It is not the folder that was shared before.
    #[error("{} has changed since it was shared", path.display())]
    Changed {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be told which files are downloads under way.
    #[error("the records of downloads in the data folder cannot be read: {source}")]
    Records {
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// A manifest cannot be kept.
    #[error(transparent)]
    Manifests(#[from] ManifestsError),
    /// It cannot be written down.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The caller said to stop.
    #[error("hashing {} was stopped", path.display())]
    Stopped {
        /// The directory.
        path: PathBuf,
    },
}

impl FolderError {
    pub(super) fn at(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            _ => Self::Unreadable { path, source },
        }
    }
}
