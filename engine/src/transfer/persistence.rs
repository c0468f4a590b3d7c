//! Saves the list of downloads for the next run of the node, and loads that of the last run.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use tokio::task::spawn_blocking;

use super::{
    Download, DownloadState, Followers, NotKept, Request, SavedList, Transfers, WaitReason,
    list_file::{ListFile, ListStorage},
    listed::ListedDownload,
    removing::Removal,
    request::{Attempt, Purpose},
    saved_downloads::{self, SavedDownload},
};

impl Transfers {
    /// Resumes the downloads and removals of the last run, and lists those that were paused or had
    /// ended. From now on each change is saved, if the list of the last run could be read or set aside. Returns
    /// the downloads that resume.
    pub async fn load(&self, saved: SavedList) -> Vec<Download> {
        let storage = match &saved.list {
            ListFile::Whole(_) => ListStorage::InStore,
            ListFile::Damaged => self.set_list_aside().await,
            ListFile::Unread(why) => {
                tracing::error!(%why, "unfinished downloads are listed as paused");
                ListStorage::Unread(why.clone())
            }
        };
        let is_new = matches!(
            (&saved.list, &storage),
            (ListFile::Damaged, ListStorage::InStore)
        );
        if let ListFile::Whole(downloads) = &saved.list {
            let listed: HashSet<_> = downloads.iter().map(SavedDownload::hash).collect();
            let store = self.services.store.clone();
            let clear = move || {
                let cleared = store.clear_damaged_records(&listed);
                cleared.and(store.keep_receipts_of(&listed))
            };
            let cleared = spawn_blocking(clear).await;
            if let Ok(Err(error)) = cleared {
                tracing::warn!(%error, "records that are not needed any more could not be removed");
            }
        }
        let resumed = self.list_saved(saved.downloads());
        self.list_writer.lock().await.storage = storage;
        self.resume_removals();
        if is_new {
            // Otherwise the next start would not know that they are paused.
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
                    "the list of downloads is damaged and was renamed to {aside}: unfinished \
                     downloads are listed as paused; those that had not begun must be started again"
                );
                ListStorage::InStore
            }
            Err(error) => {
                let why = NotKept::unread(self.services.store.downloads_file(), error);
                tracing::error!(%why, "the list of downloads is damaged, and cannot be renamed");
                ListStorage::Unread(why)
            }
        }
    }

    fn list_saved(&self, saved: Vec<SavedDownload>) -> Vec<Download> {
        let mut downloads = self.lock();
        let mut resumed = Vec::new();
        for saved in saved {
            let request = saved.request();
            let mut followers = Followers::default();
            followers.run_detached();
            let download = if saved.is_inactive() {
                let delivery = &request.delivery;
                Download::inactive(saved.status(), delivery.seed, delivery.scopes.clone())
            } else {
                let download = self.resume_saved(&saved, &request);
                resumed.push(download.clone());
                download
            };
            downloads.push(ListedDownload {
                request,
                download,
                followers,
                is_paused: saved.is_paused(),
                resumes_at: saved.resumes_at(),
                removal: saved.is_removing().then(|| Removal::new(saved.is_done()).0),
            });
        }
        resumed
    }

    fn resume_saved(&self, saved: &SavedDownload, request: &Request) -> Download {
        let (wanted, delivery) = (request.wanted.clone(), request.delivery.clone());
        let output = delivery.output.path().display();
        tracing::info!(hash = %wanted.hash, %output, "download resumes");
        let mut status = saved.status().resumed();
        if saved.is_waiting() {
            status.state = DownloadState::Waiting;
            status.waits = Some(WaitReason::Source {
                since: Instant::now(),
                tried: "no peer had it before the node restarted".to_owned(),
            });
        }
        let purpose = Purpose::Deliver(Arc::new(delivery), Attempt::Later);
        self.spawn(wanted, purpose, status, None)
    }

    /// Saves the list for the next run of the node. A run for one command saves none. One write
    /// includes all changes that wait for it.
    ///
    /// # Errors
    /// [`NotKept`]; the next change tries again.
    pub async fn save(&self) -> Result<(), NotKept> {
        let change = self.changes.fetch_add(1, Ordering::AcqRel) + 1;
        // Locked until the list is written, so that an older list never replaces a newer one.
        let mut writer = self.list_writer.lock().await;
        match &writer.storage {
            ListStorage::Nowhere => return Ok(()),
            ListStorage::Unread(why) => return Err(why.clone()),
            ListStorage::InStore => {}
        }
        if writer.written >= change {
            // A write that began after this change included it.
            return writer.result.clone().map_or(Ok(()), Err);
        }
        writer.written = self.changes.load(Ordering::Acquire);
        self.metrics.list_writes.inc();
        let list = {
            let downloads = self.lock();
            let saved = |listed: &ListedDownload| {
                let status = listed.download.status.borrow();
                let saved = SavedDownload::new(&listed.request, &status, listed.is_paused)?;
                let saved = saved.resuming_at(listed.resumes_at);
                Some(match &listed.removal {
                    Some(removal) => saved.removing(removal.of_done),
                    None => saved,
                })
            };
            saved_downloads::to_bytes(downloads.iter().filter_map(saved).collect())
        };
        let store = self.services.store.clone();
        let written = spawn_blocking(move || store.keep_downloads(&list)).await;
        let written = written
            .map_err(io::Error::other)
            .and_then(|written| written);
        let path = self.services.store.downloads_file();
        let written = written.map_err(|error| NotKept::write(path, error));
        writer.result = written.clone().err();
        written
    }

    /// Saves the list, and logs a failure, for a change whose caller does not wait.
    pub async fn save_or_log(&self) {
        if let Err(why) = self.save().await {
            tracing::warn!(%why, "the next start of the node does not know of the latest changes");
        }
    }
}
