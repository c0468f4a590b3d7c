//! Files that people drop on the page. They are written into the first shared folder, whose watch
//! shares them.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use thiserror::Error;

use super::{CodedError, blocking::blocking};
use crate::{
    network::Closed,
    store::{NewFile, NewFileError},
};

/// The most uploads at a time: each keeps a connection busy and the disk writing.
const MAX_UPLOADS: usize = 8;

/// How many bytes are gathered before they are written.
const BATCH_LEN: usize = 256 << 10;

/// The paths of the files that are being uploaded. A handle: clones share the same paths.
#[derive(Clone, Debug, Default)]
pub(super) struct Uploads(Arc<Mutex<HashSet<PathBuf>>>);

/// A file that is being uploaded. If it is dropped before [`Upload::finish`], the file is removed.
#[derive(Debug)]
pub struct Upload {
    /// `None` while a batch is being written. The permit is released after the file is closed.
    file: Option<(NewFile, UploadPermit)>,
    gathered: Vec<u8>,
}

/// Permits one upload to a path.
#[derive(Debug)]
pub(super) struct UploadPermit {
    target: PathBuf,
    uploads: Uploads,
}

impl Drop for UploadPermit {
    fn drop(&mut self) {
        self.uploads.0.lock().remove(&self.target);
    }
}

/// Why an upload failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UploadError {
    /// The node has no watched folder.
    #[error("this node shares no folder to put a file into")]
    NoFolder,
    /// No file here can have the name.
    #[error("{name:?} is not a valid file name")]
    Name {
        /// The name.
        name: String,
    },
    /// The same file, or too many others, are being uploaded.
    #[error(
        "{} cannot be uploaded until other uploads are done",
        crate::store::shown(path)
    )]
    Busy {
        /// The path of the file.
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
            Self::File(_) => "not-written",
            Self::Closed(_) => "shutting-down",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoFolder => "share one with `pelago start --dir DIR`",
            Self::File(NewFileError::Exists { .. }) => "choose another name",
            Self::File(NewFileError::Full { .. }) => "free space on the disk",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl Uploads {
    pub(super) fn permit(&self, target: PathBuf) -> Result<UploadPermit, UploadError> {
        let mut permits = self.0.lock();
        if permits.len() >= MAX_UPLOADS || !permits.insert(target.clone()) {
            return Err(UploadError::Busy { path: target });
        }
        drop(permits);
        Ok(UploadPermit {
            target,
            uploads: self.clone(),
        })
    }
}

impl Upload {
    pub(super) const fn new(file: NewFile, permit: UploadPermit) -> Self {
        Self {
            file: Some((file, permit)),
            gathered: Vec::new(),
        }
    }

    /// Appends the next bytes.
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

    /// Ends the file, puts it in place, and returns its path.
    ///
    /// # Errors
    /// See [`UploadError`].
    pub async fn finish(mut self) -> Result<PathBuf, UploadError> {
        self.flush().await?;
        // It is absent only if the node shut down during a write.
        let (file, permit) = self.file.take().ok_or(Closed)?;
        // The permit is held until the file is in place, even if the caller no longer waits.
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
