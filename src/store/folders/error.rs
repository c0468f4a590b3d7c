//! Why a directory is no folder, by the path of what is in the way.

use std::{
    io,
    path::{Path, PathBuf},
};

use pelago_content::{MAX_LISTED, ManifestError};

use super::unsupported::{Unsupported, count_of, lines_of};
use crate::store::{HashError, ManifestsError, ShareError, escape::shown};

/// Why a directory was not hashed or shared.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Something is not there, or not any more.
    #[error("{} does not exist", shown(path))]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// Something cannot be looked at.
    #[error("{} cannot be read: {source}", shown(path))]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Entries with content cannot be carried in a folder.
    #[error(
        "{} was not shared: {} cannot be carried{}", shown(path), count_of(*count), lines_of(named, *count)
    )]
    Unsupported {
        /// The directory.
        path: PathBuf,
        /// The first of the entries.
        named: Vec<Unsupported>,
        /// How many there are.
        count: u64,
    },
    /// A directory has more in it than a folder may have.
    #[error("in {}: {source}", shown(path))]
    Entry {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        source: ManifestError,
    },
    /// More than any folder may have.
    #[error("{} has more than {MAX_LISTED} entries or 2^64 bytes", shown(path))]
    TooMuch {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is what this node must keep to itself.
    #[error(
        "{} is the data folder of this node, or lies in it: {}",
        shown(path),
        shown(data)
    )]
    HoldsData {
        /// The directory.
        path: PathBuf,
        /// The data folder.
        data: PathBuf,
    },
    /// It is not the folder that was shared before.
    #[error("{} has changed since it was shared", shown(path))]
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
    /// It cannot be told how the folder was received.
    #[error(
        "what is kept of how {} was received cannot be read: {source}",
        shown(path)
    )]
    Received {
        /// The directory.
        path: PathBuf,
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
    #[error("hashing {} was stopped", shown(path))]
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
