//! Files that people drop on the page: they go into the first shared folder, and the watch does the rest.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use thiserror::Error;

use super::{Node, handle::blocking};
use crate::{
    network::Closed,
    store::{NewFile, NewFileError},
    transfer::sanitised,
};

/// Files that are taken at a time, at most: each keeps a connection busy and the disk writing.
const MAX_ADDITIONS: usize = 8;

/// Bytes that are gathered before they are written.
const BATCH_LEN: usize = 256 << 10;

/// The files that are being taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Additions(Arc<Mutex<HashSet<PathBuf>>>);

/// A file that is being taken. Dropped before its end, nothing of it stays.
#[derive(Debug)]
pub struct Addition {
    /// None while a batch is being written. Its place is free when it is closed.
    file: Option<(NewFile, Place)>,
    gathered: Vec<u8>,
}

/// A place among the files that are being taken.
#[derive(Debug)]
struct Place {
    target: PathBuf,
    additions: Additions,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.additions.lock().remove(&self.target);
    }
}

/// Why a file was not taken.
#[derive(Debug, Error)]
pub enum AddError {
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

impl AddError {
    /// A word for programs: it stays the same between versions.
    #[must_use]
    pub const fn code(&self) -> &'static str {
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

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoFolder => "`pelago start --dir DIR` shares one",
            Self::File(NewFileError::Exists { .. }) => "give it another name",
            Self::File(NewFileError::Full { .. }) => "remove what is not needed",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl Additions {
    fn place(&self, target: PathBuf) -> Result<Place, AddError> {
        let mut places = self.lock();
        if places.len() >= MAX_ADDITIONS || !places.insert(target.clone()) {
            return Err(AddError::Busy { path: target });
        }
        drop(places);
        Ok(Place {
            target,
            additions: self.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.0.lock()
    }
}

impl Node {
    /// Begins to take a file of `len` bytes into the first shared folder, under a name made of `name` as
    /// those of downloads are.
    ///
    /// # Errors
    /// See [`AddError`].
    pub async fn add_file(&self, name: &str, len: u64) -> Result<Addition, AddError> {
        let folders = &self.inner.settings.share_folders;
        let folder = folders.first().ok_or(AddError::NoFolder)?.clone();
        let wrong = || AddError::Name {
            name: name.to_owned(),
        };
        let name = sanitised(name).ok_or_else(wrong)?;
        let place = self.inner.additions.place(folder.join(&name))?;
        let room = self.inner.store.room().clone();
        let file = blocking(move || NewFile::create(&room, &folder, &name, len)).await??;
        Ok(Addition {
            file: Some((file, place)),
            gathered: Vec::new(),
        })
    }
}

impl Addition {
    /// Takes what comes next.
    ///
    /// # Errors
    /// See [`AddError`].
    pub async fn take(&mut self, bytes: &[u8]) -> Result<(), AddError> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= BATCH_LEN {
            self.write().await?;
        }
        Ok(())
    }

    /// All has come: puts it in its place, and returns where that is.
    ///
    /// # Errors
    /// See [`AddError`].
    pub async fn finish(mut self) -> Result<PathBuf, AddError> {
        self.write().await?;
        // It was lost only if the node shut down, which is told.
        let (file, place) = self.file.take().ok_or(Closed)?;
        // The place is taken until it is done, also if nobody waits for that any more.
        let finish = move || {
            let _place = place;
            file.finish()
        };
        Ok(blocking(finish).await??)
    }

    async fn write(&mut self) -> Result<(), AddError> {
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
