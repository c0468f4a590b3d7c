//! Files that people drop on the page: they go into the first shared folder, and the watch does the rest.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use thiserror::Error;

use super::{CodedError, blocking::blocking};
use crate::{
    network::Closed,
    store::{NewFile, NewFileError},
};

/// Files that are taken at a time, at most: each keeps a connection busy and the disk writing.
const MAX_UPLOADS: usize = 8;

/// Bytes that are gathered before they are written.
const BATCH_LEN: usize = 256 << 10;

/// The files that are being taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Uploads(Arc<Mutex<HashSet<PathBuf>>>);

/// A file that is being taken. Dropped before its end, nothing of it stays.
#[derive(Debug)]
pub struct Upload {
    /// None while a batch is being written. Its permit is free when it is closed.
    file: Option<(NewFile, UploadPermit)>,
    gathered: Vec<u8>,
}

/// A permit among the files that are being taken.
#[derive(Debug)]
pub(super) struct UploadPermit {
    target: PathBuf,
    uploads: Uploads,
}

impl Drop for UploadPermit {
    fn drop(&mut self) {
        self.uploads.lock().remove(&self.target);
    }
}

/// Why a file was not taken.
#[derive(Debug, Error)]
pub enum UploadError {
    /// The node shares no folder.
    #[error("this node shares no folder that a file could be put into")]
    NoFolder,
    /// The name is none that a file here can have.
    #[error("{name:?} is no name for a file")]
    Name {
        /// The name.
        name: String,
    },
    /// The same file, or too many others, are being taken.
    #[error(
        "{} has to wait until others that are being taken are done",
        crate::store::shown(path)
    )]
    Busy {
        /// Where it was to be.
        path: PathBuf,
    },
    /// See [`NewFileError`].
    #[error(transparent)]
    File(#[from] NewFileError),
    /// The node shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl CodedError for UploadError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoFolder => "no-shared-folder",
            Self::Name { .. } => "bad-name",
            Self::Busy { .. } => "too-many-files",
            Self::File(NewFileError::Exists { .. }) => "target-exists",
            Self::File(NewFileError::Full { .. }) => "disk-full",
            Self::File(NewFileError::Write { .. }) => "not-written",
            Self::Closed(_) => "shutting-down",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoFolder => "`pelago start --dir DIR` shares one",
            Self::File(NewFileError::Exists { .. }) => "give it another name",
            Self::File(NewFileError::Full { .. }) => "remove what is not needed",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl Uploads {
    pub(super) fn permit(&self, target: PathBuf) -> Result<UploadPermit, UploadError> {
        let mut permits = self.lock();
        if permits.len() >= MAX_UPLOADS || !permits.insert(target.clone()) {
            return Err(UploadError::Busy { path: target });
        }
        drop(permits);
        Ok(UploadPermit {
            target,
            uploads: self.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.0.lock()
    }
}

impl Upload {
    pub(super) const fn new(file: NewFile, permit: UploadPermit) -> Self {
        Self {
            file: Some((file, permit)),
            gathered: Vec::new(),
        }
    }

    /// Takes what comes next.
    ///
    /// # Errors
    /// See [`UploadError`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= BATCH_LEN {
            self.flush().await?;
        }
        Ok(())
    }

    /// All has come: puts it in its permit, and returns where that is.
    ///
    /// # Errors
    /// See [`UploadError`].
    pub async fn finish(mut self) -> Result<PathBuf, UploadError> {
        self.flush().await?;
        // It was lost only if the node shut down, which is told.
        let (file, permit) = self.file.take().ok_or(Closed)?;
        // The permit is taken until it is done, also if nobody waits for that any more.
        let finish = move || {
            let _place = permit;
            file.finish()
        };
        Ok(blocking(finish).await??)
    }

    async fn flush(&mut self) -> Result<(), UploadError> {
        let mut file = self.file.take().ok_or(Closed)?;
        let gathered = std::mem::take(&mut self.gathered);
        let write = move || {
            file.0.write(&gathered)?;
            Ok::<_, NewFileError>((file, gathered))
        };
        let (file, mut gathered) = blocking(write).await??;
        gathered.clear();
        (self.file, self.gathered) = (Some(file), gathered);
        Ok(())
    }
}
