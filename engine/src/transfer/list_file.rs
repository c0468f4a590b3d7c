//! The saved list of downloads: what the last run of the node left, and how this run writes it.
//!
//! A list that cannot be read is never replaced. A list of a newer version ends the start with a
//! [`LoadError`]; a damaged one is renamed; if the disk does not return it, nothing is written, and
//! each change that should be saved fails with [`NotKept`].

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;
use tokio::task::spawn_blocking;

use super::saved_downloads::{self, SavedDownload, Unreadable, VERSION};
use crate::store::{PartialSpec, Store};

/// Where changes of the list are saved.
#[derive(Default)]
pub(super) enum ListStorage {
    /// Nowhere: this run lasts for one command.
    #[default]
    Nowhere,
    /// In the data folder.
    InStore,
    /// Nowhere: the list of the last run exists and could not be read.
    Unread(NotKept),
}

/// Writes the list, and knows which changes are in it.
#[derive(Default)]
pub(super) struct ListWriter {
    pub(super) storage: ListStorage,
    /// The last change that a write included, and the outcome of that write.
    pub(super) written: u64,
    pub(super) result: Option<NotKept>,
}

/// The downloads of the last run.
pub struct SavedList {
    pub(super) list: ListFile,
    /// The downloads that have a record.
    recorded: Vec<PartialSpec>,
}

/// What the file of the list contains.
pub(super) enum ListFile {
    Whole(Vec<SavedDownload>),
    Damaged,
    Unread(NotKept),
}

/// The saved list of downloads lacks a change, so the next start of the node does not know of it.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum NotKept {
    /// The list cannot be written.
    #[error(
        "the list of downloads cannot be written: {}: {source}",
        crate::store::shown(path)
    )]
    Write {
        /// Its file.
        path: PathBuf,
        /// The error of the system.
        source: Arc<io::Error>,
    },
    /// The list must not be replaced.
    #[error(
        "the list of downloads is not replaced, as it could not be read when the node started: {}: \
         {source}",
        crate::store::shown(path)
    )]
    Unread {
        /// Its file.
        path: PathBuf,
        /// The error of the system.
        source: Arc<io::Error>,
    },
}

impl NotKept {
    pub(super) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write {
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    pub(super) fn unread(path: &Path, source: io::Error) -> Self {
        Self::Unread {
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    /// A code for programs. It stays the same between versions.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "not-kept"
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let hint = match self {
            Self::Write { source, .. } if is_full(source) => {
                "free space on the disk of the data folder: the next change of any download, such \
                 as `pelago pause` or `pelago resume`, writes the whole list"
            }
            Self::Write { .. } => {
                "make the data folder writable: the next change of any download, such as `pelago \
                 pause` or `pelago resume`, writes the whole list"
            }
            Self::Unread { .. } => {
                "make the file readable, or move it away, then start the node again"
            }
        };
        hint.to_owned()
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// A newer version of Pelago wrote the list of downloads.
#[derive(Debug, Error)]
#[error(
    "{} has version {version} of the list of downloads, and this Pelago reads versions up to \
     {VERSION}",
    crate::store::shown(path)
)]
pub struct LoadError {
    /// The file of the list.
    pub path: PathBuf,
    /// The version of the list.
    pub version: u64,
}

impl LoadError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        "run the version of Pelago that wrote it; or move the file away to start without it: \
         unfinished downloads are found by their records, and listed as paused"
            .to_owned()
    }
}

impl SavedList {
    /// Reads what the last run left in `store`: its list, and the records that the list does not
    /// name. Changes nothing.
    ///
    /// # Errors
    /// [`LoadError`]; the node must not use the store then.
    pub async fn read(store: &Store) -> Result<Self, LoadError> {
        let in_store = store.clone();
        let read = spawn_blocking(move || Self::read_blocking(&in_store)).await;
        read.unwrap_or_else(|error| {
            // The runtime shuts down, and the node with it.
            let list = ListFile::Unread(NotKept::unread(store.downloads_file(), error.into()));
            let recorded = Vec::new();
            Ok(Self { list, recorded })
        })
    }

    fn read_blocking(store: &Store) -> Result<Self, LoadError> {
        let path = store.downloads_file();
        let list = match store.kept_downloads() {
            Ok(None) => ListFile::Whole(Vec::new()),
            Ok(Some(bytes)) => match saved_downloads::from_bytes(&bytes) {
                Ok(saved) => ListFile::Whole(saved),
                Err(Unreadable::Damaged) => ListFile::Damaged,
                Err(Unreadable::Newer { version }) => {
                    let path = path.to_owned();
                    return Err(LoadError { path, version });
                }
            },
            Err(error) => ListFile::Unread(NotKept::unread(path, error)),
        };
        let recorded = store.partials().unwrap_or_else(|error| {
            tracing::error!(%error, "the records of downloads cannot be read");
            Vec::new()
        });
        Ok(Self { list, recorded })
    }

    /// All downloads in their order: those of the list, then those that only have a record.
    /// Commands that ran without a node began the latter. But without the list, the user may have
    /// paused any of them, so all of them are paused.
    pub(super) fn downloads(self) -> Vec<SavedDownload> {
        let (mut downloads, is_whole) = match self.list {
            ListFile::Whole(saved) => (saved, true),
            ListFile::Damaged | ListFile::Unread(_) => (Vec::new(), false),
        };
        let mut recorded = self.recorded;
        // A finished download may have been started again, with another target.
        let is_recorded = |hash| recorded.iter().any(|spec| spec.descriptor.hash() == hash);
        downloads.retain(|saved| !saved.is_done() || !is_recorded(saved.hash()));
        recorded.retain(|spec| {
            let hash = spec.descriptor.hash();
            spec.part_of.is_none() && downloads.iter().all(|saved| saved.hash() != hash)
        });
        recorded.sort_by(|a, b| a.name.cmp(&b.name));
        for spec in recorded {
            let saved = SavedDownload::recorded(spec);
            downloads.push(if is_whole { saved } else { saved.paused() });
        }
        downloads
    }
}
