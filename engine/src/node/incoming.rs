//! Files that people drop on the page. They are written into the first shared folder, whose watch
//! shares them.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use thiserror::Error;

use super::{CodedError, blocking::blocking};
use crate::{
    network::Closed,
    store::{NewFile, NewFileError},
};

/// The most files that arrive at a time: each keeps a connection busy and the disk writing.
const MAX_INCOMING: usize = 8;

/// How many bytes are gathered before they are written.
const BATCH_LEN: usize = 256 << 10;

/// The paths of the files that are arriving. A handle: clones share the same paths.
#[derive(Clone, Debug, Default)]
pub(super) struct IncomingFiles(Arc<Mutex<HashSet<PathBuf>>>);

/// A file that is arriving. If it is dropped before [`IncomingFile::finish`], the file is removed.
#[derive(Debug)]
pub struct IncomingFile {
    /// `None` while a batch is being written. The permit is released after the file is closed.
    file: Option<(NewFile, IncomingPermit)>,
    gathered: Vec<u8>,
}

/// Permits one file to arrive at a path.
#[derive(Debug)]
pub(super) struct IncomingPermit {
    target: PathBuf,
    incoming: IncomingFiles,
}

impl Drop for IncomingPermit {
    fn drop(&mut self) {
        self.incoming.0.lock().remove(&self.target);
    }
}

/// Why a file was not added.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IncomingError {
    /// The node has no watched folder.
    #[error("this node shares no folder to put a file into")]
    NoFolder,
    /// No file here can have the name.
    #[error("{name:?} is not a valid file name")]
    Name {
        /// The name.
        name: String,
    },
    /// The same file, or too many others, are arriving.
    #[error(
        "{} cannot be added until other files have arrived",
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

impl CodedError for IncomingError {
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

impl IncomingFiles {
    /// As [`IncomingFiles::permit`]; `None` if a file is arriving at this path already.
    pub(super) fn permit_new(
        &self,
        target: &Path,
    ) -> Result<Option<IncomingPermit>, IncomingError> {
        let is_arriving = self.0.lock().contains(target);
        match is_arriving {
            true => Ok(None),
            false => self.permit(target.to_owned()).map(Some),
        }
    }

    pub(super) fn permit(&self, target: PathBuf) -> Result<IncomingPermit, IncomingError> {
        let mut permits = self.0.lock();
        if permits.len() >= MAX_INCOMING || !permits.insert(target.clone()) {
            return Err(IncomingError::Busy { path: target });
        }
        drop(permits);
        Ok(IncomingPermit {
            target,
            incoming: self.clone(),
        })
    }
}

impl IncomingFile {
    pub(super) const fn new(file: NewFile, permit: IncomingPermit) -> Self {
        Self {
            file: Some((file, permit)),
            gathered: Vec::new(),
        }
    }

    /// Appends the next bytes.
    ///
    /// # Errors
    /// See [`IncomingError`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), IncomingError> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= BATCH_LEN {
            self.flush().await?;
        }
        Ok(())
    }

    /// Ends the file, puts it in place, and returns its path.
    ///
    /// # Errors
    /// See [`IncomingError`].
    pub async fn finish(mut self) -> Result<PathBuf, IncomingError> {
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

    async fn flush(&mut self) -> Result<(), IncomingError> {
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
