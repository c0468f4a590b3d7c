//! The end of what was downloaded, when nobody wants it any more: only what is still as the download left
//! it is removed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::Finished;
use crate::store::Fingerprint;

impl Finished {
    /// Removes the file, if it was not changed since.
    ///
    /// # Errors
    ///
    /// [`RemoveError::Changed`], [`RemoveError::Io`].
    pub fn remove(&self) -> Result<(), RemoveError> {
        check_unchanged(&self.path, &self.fingerprint)?;
        unless_gone(&self.path, fs::remove_file(&self.path))
    }
}

/// Refuses a file that is another than it was. One that is gone is none.
pub(super) fn check_unchanged(path: &Path, before: &Fingerprint) -> Result<(), RemoveError> {
    match path.symlink_metadata() {
        Ok(now) if Fingerprint::new(&now) == *before => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(RemoveError::Changed {
            path: path.to_owned(),
        }),
        Err(source) => Err(RemoveError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// What came of removing something that may have been gone already.
pub(super) fn unless_gone(path: &Path, removed: io::Result<()>) -> Result<(), RemoveError> {
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(RemoveError::Io {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// Why what was downloaded was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// Somebody wrote to a file: nothing was removed.
    #[error("{} was changed since it was downloaded: it is not removed", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The folder was there before: what in it was downloaded is not told from what was not.
    #[error("{} was there before the download: it is not removed", path.display())]
    InPlace {
        /// The folder.
        path: PathBuf,
    },
    /// The system said no; what can be removed is.
    #[error("{} cannot be removed: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
