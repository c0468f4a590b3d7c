//! Files to descriptors, on all cores, in constant memory.

use super::{Fingerprint, Store, TreeError};
use pelago_content::Descriptor;
use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// A file that was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// Kind, size and root.
    pub descriptor: Descriptor,
    /// The file as it was then.
    pub fingerprint: Fingerprint,
}

/// Hashes a file without keeping its tree.
///
/// # Errors
///
/// See [`HashError`].
pub fn hash_file(
    path: &Path,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Hashed, HashError> {
    let _ = (path, progress);
    todo!()
}

impl Store {
    /// Hashes a file to be shared, and keeps its tree.
    ///
    /// # Errors
    ///
    /// See [`HashError`].
    pub fn hash_file(
        &self,
        path: &Path,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<Hashed, HashError> {
        hash_file(path, progress)
    }
}

/// Why a file has no descriptor.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// There is no such file.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A folder, fifo, socket or device.
    #[error("{} is {found}: only regular files have a hash", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The file grew, shrank or was written while it was read.
    #[error("{} changed while it was hashed: try again when nothing writes to it", path.display())]
    Changed {
        /// The path.
        path: PathBuf,
    },
    /// The file cannot be opened or read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// More than 1 PiB.
    #[error("{} has {size} bytes, more than content may have", path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// Its size, in bytes.
        size: u64,
    },
    /// Its tree cannot be kept.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The caller said to stop.
    #[error("hashing {} was stopped", path.display())]
    Stopped {
        /// The path.
        path: PathBuf,
    },
}
