//! The errors of turning a directory into a folder.

use std::{
    io,
    path::{Path, PathBuf},
};

use pelago_content::{MAX_LISTED, ManifestError};

use super::unsupported::{Unsupported, count_of, lines_of};
use crate::{HashError, ManifestsError, ShareError, escape::shown};

/// Why a directory was not hashed or shared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A path does not exist.
    #[error("{} does not exist", shown(path))]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A path cannot be inspected.
    #[error("{} cannot be read: {source}", shown(path))]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The folder has entries whose content cannot be carried.
    #[error(
        "{} was not shared: {} cannot be carried{}",
        shown(path),
        count_of(*count),
        lines_of(named, *count)
    )]
    Unsupported {
        /// The directory.
        path: PathBuf,
        /// The first of the entries.
        named: Vec<Unsupported>,
        /// The number of all such entries.
        count: u64,
    },
    /// The entries of a directory are not valid in a manifest.
    #[error("in {}: {source}", shown(path))]
    Entry {
        /// The directory.
        path: PathBuf,
        /// The problem.
        source: ManifestError,
    },
    /// The folder is larger than any folder may be.
    #[error("{} has more than {MAX_LISTED} entries or 2^64 bytes", shown(path))]
    TooMuch {
        /// The directory.
        path: PathBuf,
    },
    /// The directory contains or is the data folder of this node.
    #[error(
        "{} is the data folder of this node, or is stored in it: {}",
        shown(path),
        shown(data)
    )]
    HoldsData {
        /// The directory.
        path: PathBuf,
        /// The data folder.
        data: PathBuf,
    },
    /// The folder has changed since it was shared.
    #[error("{} has changed since it was shared", shown(path))]
    Changed {
        /// The directory.
        path: PathBuf,
    },
    /// The records of unfinished downloads cannot be read.
    #[error("the records of downloads in the data folder cannot be read: {source}")]
    Records {
        /// The error of the operating system.
        source: io::Error,
    },
    /// The record of how the folder was received cannot be read.
    #[error(
        "the record of how {} was received cannot be read: {source}",
        shown(path)
    )]
    Received {
        /// The directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file cannot be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// A manifest cannot be stored.
    #[error(transparent)]
    Manifests(#[from] ManifestsError),
    /// The share cannot be added.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The caller stopped the operation.
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
