//! The list of downloads from one run of the node to the next: what the last run left, and whether the
//! changes of this one are kept.
//!
//! Owns that a list which cannot be read is never replaced: one that a newer version wrote ends the
//! start with a [`LoadError`], a damaged one is set aside, and where the disk does not give it, nothing
//! is written, and each change that needs it leaves as [`NotKept`].

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use thiserror::Error;
use tokio::task::spawn_blocking;

use super::{
    Download, DownloadState, Followers, Transfers, WaitReason,
    saved_downloads::{self, SavedDownload, Unreadable, VERSION},
    transfers::{Attempt, ListedDownload},
};
use crate::store::{PartialSpec, Store};

/// Whether changes of the list are kept for the next run.
#[derive(Default)]
pub(super) enum ListStorage {
    /// No: this run lasts for one command.
    #[default]
    Nowhere,
    /// Each of them.
    InStore,
    /// No: the list of the last run is there, and could not be read.
    Unread(NotKept),
}

/// The list that is kept, and which changes are in it.
#[derive(Default)]
pub(super) struct ListWriter {
    storage: ListStorage,
    /// The last change that was tried to be written, and what came of that.
    written: u64,
    result: Option<NotKept>,
}

/// The downloads of the last run.
pub struct SavedList {
    list: ListFile,
    /// Those that have a record.
    recorded: Vec<PartialSpec>,
}

enum ListFile {
    Whole(Vec<SavedDownload>),
    Damaged,
    Unread(NotKept),
}

/// The list of downloads does not hold a change, so the next start of the node does not know of it.
#[derive(Clone, Debug, Error)]
pub enum NotKept {
    /// It cannot be written.
    #[error(
        "the list of downloads cannot be written: {}: {source}",
        crate::store::shown(path)
    )]
    Write {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// It must not be replaced.
    #[error(
        "the list of downloads is not replaced, as it could not be read when the node started: {}: \
         {source}",
        crate::store::shown(path)
    )]
    Unread {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl NotKept {
    fn write(path: &Path, source: io::Error) -> Self {
        Self::Write {
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    fn unread(path: &Path, source: io::Error) -> Self {
        Self::Unread {
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    /// A word for programs: it stays the same between versions.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "not-kept"
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let hint = match self {
            Self::Write { source, .. } if is_full(source) => {
                "make room on the disk of the data folder: the next change of any download, such as \
                 `pelago pause` or `pelago resume`, writes the whole list"
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
    "{} has version {version} of the list of downloads, and this Pelago reads versions up to {VERSION}",
    crate::store::shown(path)
)]
pub struct LoadError {
    /// The list.
    pub path: PathBuf,
    /// Its version.
    pub version: u64,
}

impl LoadError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        "run the version of Pelago that wrote it; or move the file away to start without it: what has \
         begun is found again by its records, and is paused"
            .to_owned()
    }
}

impl SavedList {
    /// What the last run left in `store`: its list, and what has a record that the list does not name.
    /// Changes nothing.
    ///
    /// # Errors
    /// [`LoadError`]; the node must not use the store then.
    pub async fn read(store: &Store) -> Result<Self, LoadError> {
        let in_store = store.clone();
        let read = spawn_blocking(move || Self::read_blocking(&in_store)).await;
        read.unwrap_or_else(|error| {
            // The runtime ends, and the node with it.
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
                Ok(kept) => ListFile::Whole(kept),
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

    /// All downloads in their order: the list, then those that only have a record. Those were begun by
    /// commands that ran without a node; but without the list, any of them may have been paused, so all
    /// of them are.
    fn downloads(self) -> Vec<SavedDownload> {
        let (mut found, is_whole) = match self.list {
            ListFile::Whole(kept) => (kept, true),
            ListFile::Damaged | ListFile::Unread(_) => (Vec::new(), false),
        };
        let mut recorded = self.recorded;
        // What was done may have been begun once more, elsewhere.
        let is_recorded = |hash| recorded.iter().any(|spec| spec.descriptor.hash() == hash);
        found.retain(|kept| !kept.is_done() || !is_recorded(kept.hash()));
        recorded.retain(|spec| {
            let hash = spec.descriptor.hash();
            spec.part_of.is_none() && found.iter().all(|kept| kept.hash() != hash)
        });
        recorded.sort_by(|a, b| a.name.cmp(&b.name));
        for spec in recorded {
            let kept = SavedDownload::recorded(spec);
            found.push(if is_whole { kept } else { kept.paused() });
        }
        found
    }
}

impl Transfers {
    /// Resumes the downloads of the last run, lists those that it had paused or that had ended, and
    /// keeps each change for the next run from now on, if the list of the last one could be read or set
    /// aside. Returns those that it resumes.
    pub async fn load(&self, saved: SavedList) -> Vec<Download> {
        let storage = match &saved.list {
            ListFile::Whole(_) => ListStorage::InStore,
            ListFile::Damaged => self.set_list_aside().await,
            ListFile::Unread(why) => {
                tracing::error!(%why, "downloads that have begun are listed as paused");
                ListStorage::Unread(why.clone())
            }
        };
        let is_new = matches!(
            (&saved.list, &storage),
            (ListFile::Damaged, ListStorage::InStore)
        );
        if let ListFile::Whole(kept) = &saved.list {
            let listed: HashSet<_> = kept.iter().map(SavedDownload::hash).collect();
            let store = self.services.store.clone();
            let clear = move || {
                let cleared = store.clear_damaged_records(&listed);
                cleared.and(store.keep_receipts_of(&listed))
            };
            let cleared = spawn_blocking(clear).await;
            if let Ok(Err(error)) = cleared {
                tracing::warn!(%error, "records that nothing needs any more stay");
            }
        }
        let resumed = self.list_saved(saved.downloads());
        self.list_writer.lock().await.storage = storage;
        if is_new {
            // Or the next start would not know that they are paused.
            self.save_or_log().await;
        }
        resumed
    }

    async fn set_list_aside(&self) -> ListStorage {
        let store = self.services.store.clone();
        let aside = spawn_blocking(move || store.set_downloads_aside()).await;
        match aside.map_err(io::Error::other).and_then(|aside| aside) {
            Ok(aside) => {
                let aside = aside.display();
                tracing::error!(
                    "the list of downloads is damaged and was renamed to {aside}: downloads that have \
                     begun are listed as paused, others have to be asked for again"
                );
                ListStorage::InStore
            }
            Err(error) => {
                let why = NotKept::unread(self.services.store.downloads_file(), error);
                tracing::error!(%why, "the list of downloads is damaged, and cannot be set aside");
                ListStorage::Unread(why)
            }
        }
    }

    fn list_saved(&self, saved: Vec<SavedDownload>) -> Vec<Download> {
        let mut downloads = self.lock();
        let mut resumed = Vec::new();
        for kept in saved {
            let (request, is_paused) = (kept.request(), kept.is_paused());
            let mut followers = Followers::default();
            followers.run_detached();
            let download = if kept.is_inactive() {
                Download::inactive(kept.status(), request.seed, request.scopes.clone())
            } else {
                let output = request.output.path().display();
                tracing::info!(hash = %request.hash, %output, "download goes on");
                let mut status = kept.status().resumed();
                if kept.is_waiting() {
                    status.state = DownloadState::Waiting;
                    status.waits = Some(WaitReason::Source {
                        since: Instant::now(),
                        tried: "no peer had it before the node started again".to_owned(),
                    });
                }
                let download = self.spawn(request.clone(), status, None, Attempt::Again);
                resumed.push(download.clone());
                download
            };
            downloads.push(ListedDownload {
                request,
                download,
                followers,
                is_paused,
            });
        }
        resumed
    }

    /// Keeps the list as it is now for the next run. A run for one command keeps none. Changes that wait for
    /// one write are kept by the next one together.
    ///
    /// # Errors
    /// [`NotKept`]; the next change tries it again.
    pub async fn save(&self) -> Result<(), NotKept> {
        let change = self.changes.fetch_add(1, Ordering::AcqRel) + 1;
        // Held until it is written, so that an older list never replaces a newer one.
        let mut writer = self.list_writer.lock().await;
        match &writer.storage {
            ListStorage::Nowhere => return Ok(()),
            ListStorage::Unread(why) => return Err(why.clone()),
            ListStorage::InStore => {}
        }
        if writer.written >= change {
            // A write that began after this change has taken it along.
            return writer.result.clone().map_or(Ok(()), Err);
        }
        writer.written = self.changes.load(Ordering::Acquire);
        self.metrics.list_writes.inc();
        let list = {
            let downloads = self.lock();
            let kept = |entry: &ListedDownload| {
                SavedDownload::new(
                    &entry.request,
                    &entry.download.status.borrow(),
                    entry.is_paused,
                )
            };
            saved_downloads::to_bytes(downloads.iter().filter_map(kept).collect())
        };
        let store = self.services.store.clone();
        let kept = spawn_blocking(move || store.keep_downloads(&list)).await;
        let kept = kept.map_err(io::Error::other).and_then(|kept| kept);
        let kept =
            kept.map_err(|error| NotKept::write(self.services.store.downloads_file(), error));
        writer.result = kept.clone().err();
        kept
    }

    /// The same for a change that nobody waits for.
    pub async fn save_or_log(&self) {
        if let Err(why) = self.save().await {
            tracing::warn!(%why, "the next start does not know how downloads stand");
        }
    }
}
