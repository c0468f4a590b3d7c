//! What people do with a download in the list: pause, resume, cancel, remove, move.
//!
//! Every change is in the list that is kept before it is answered; if it cannot be kept, it is made all
//! the same, and answered with [`ChangeError::NotKept`].

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use pelago_content::Hash;
use thiserror::Error;
use tokio::task::spawn_blocking;

use super::{
    Download, DownloadState, DownloadStatus, NotKept,
    transfers::{Attempt, ListedDownload, Transfers},
};
use crate::store::{PartialError, RemoveError, Store};

/// Where in the order of downloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueuePosition {
    /// Before all others.
    First,
    /// After all others.
    Last,
    /// Just before this one.
    Before(Hash),
}

/// Paths that are named in a notice, at most.
const MAX_NAMED: usize = 20;

impl Transfers {
    /// Stops a download until it is resumed, also over a restart. One that is paused stays so.
    ///
    /// # Errors
    /// [`ChangeError::NotListed`]; [`ChangeError::Ended`] if it is done or failed, or its content is being
    /// put in place: the answer is given when that has ended; [`ChangeError::NotKept`].
    pub async fn pause(&self, hash: &Hash) -> Result<DownloadStatus, ChangeError> {
        let download = self.change(hash, |entry| {
            if has_ended(&entry.download) {
                return Err(ChangeError::ended(entry));
            }
            entry.is_paused = self.stop(entry);
            Ok(entry.download.clone())
        })?;
        // What is too late to stop is waited for: its end is the answer.
        let _ = download.finished().await;
        if has_ended(&download) {
            return Err(ChangeError::ended_with(&status_of(&download)));
        }
        self.save_change(&download, "paused").await
    }

    /// Stops all downloads that run until they are resumed, and keeps that in one write. Returns those that
    /// are paused by it; the others came to their ends.
    ///
    /// # Errors
    /// [`ChangeError::NotKept`], which names the first; all are paused all the same.
    pub async fn pause_all(&self) -> Result<Vec<DownloadStatus>, ChangeError> {
        let stopped: Vec<_> = {
            let mut downloads = self.lock();
            let running = downloads
                .iter_mut()
                .rev()
                .filter(|entry| entry.is_running());
            // From the last on, so that nobody begins in the place of one that was stopped.
            let stop = |entry: &mut ListedDownload| {
                entry.is_paused = self.stop(entry);
                entry.download.clone()
            };
            running.map(stop).collect()
        };
        for download in &stopped {
            // What is too late to stop comes to its end.
            let _ = download.finished().await;
        }
        let paused = stopped.iter().rev().filter(|download| !has_ended(download));
        self.save_changes(paused.map(status_of).collect(), "paused")
            .await
    }

    /// Goes on with all downloads that are paused or have failed, and keeps that in one write.
    ///
    /// `resumed` is given each of them.
    ///
    /// # Errors
    /// [`ChangeError::NotKept`], which names the first; all go on all the same.
    pub async fn resume_all(
        &self,
        mut resumed: impl FnMut(&Download),
    ) -> Result<Vec<DownloadStatus>, ChangeError> {
        let all: Vec<_> = {
            let mut downloads = self.lock();
            let is_resumable = |entry: &&mut ListedDownload| {
                let state = entry.download.state();
                matches!(state, DownloadState::Paused | DownloadState::Failed)
            };
            let resting = downloads.iter_mut().filter(is_resumable);
            resting.map(|entry| self.resume_entry(entry)).collect()
        };
        self.arrange();
        all.iter().for_each(&mut resumed);
        self.save_changes(all.iter().map(status_of).collect(), "resumed")
            .await
    }

    /// Keeps a change of all these. If there are none, an earlier change, by which they are as they were to
    /// be, may not be kept yet.
    async fn save_changes(
        &self,
        changed: Vec<DownloadStatus>,
        is: &'static str,
    ) -> Result<Vec<DownloadStatus>, ChangeError> {
        match (self.save().await, changed.first()) {
            (Ok(()), _) => Ok(changed),
            (Err(why), Some(first)) => Err(ChangeError::NotKept {
                name: first.name.clone(),
                is,
                why,
            }),
            (Err(why), None) => Err(ChangeError::NoneKept(why)),
        }
    }

    /// Has the node go on with a download that is not done.
    fn resume_entry(&self, entry: &mut ListedDownload) -> Download {
        entry.followers.run_detached();
        if !entry.is_running() {
            entry.is_paused = false;
            let before = entry.download.clone();
            let status = status_of(&before);
            entry.request = entry.request.resumed_from(&status);
            let request = entry.request.clone();
            let (status, before) = (status.resumed(), Some(before));
            entry.download = self.spawn(request, status, before, Attempt::Again);
        }
        entry.download.clone()
    }

    /// Goes on with a download that was paused or has failed; one that runs goes on whoever follows it.
    /// It waits for a source as long as those of the last run do. The caller keeps the change, with
    /// [`Transfers::save_change`].
    ///
    /// # Errors
    /// [`ChangeError::NotListed`]; [`ChangeError::Ended`] if it is done.
    pub fn resume(&self, hash: &Hash) -> Result<Download, ChangeError> {
        let download = self.change(hash, |entry| {
            if entry.download.state() == DownloadState::Done {
                return Err(ChangeError::ended(entry));
            }
            Ok(self.resume_entry(entry))
        })?;
        self.arrange();
        Ok(download)
    }

    /// Stops a download and takes it off the list, with all that is here of it: also what the last run of
    /// the node had put in place just before it ended. Returns where that was, if it was removed. What was
    /// in its place before the download was asked for stays.
    ///
    /// # Errors
    /// [`ChangeError::NotListed`]; [`ChangeError::Ended`] if it is done, or its content is being put in
    /// place: the answer is given when that has ended;
    /// [`ChangeError::Data`] if something cannot be removed: it stays paused then; [`ChangeError::NotKept`].
    pub async fn cancel(
        &self,
        hash: &Hash,
    ) -> Result<(DownloadStatus, Option<PathBuf>), ChangeError> {
        let download = self.change(hash, |entry| {
            if entry.download.state() == DownloadState::Done {
                return Err(ChangeError::ended(entry));
            }
            entry.is_paused |= self.stop(entry);
            Ok(entry.download.clone())
        })?;
        self.settle(*hash, &download).await;
        if download.state() == DownloadState::Done {
            return Err(ChangeError::ended_with(&status_of(&download)));
        }
        let (store, hash, target) = (
            self.services.store.clone(),
            *hash,
            status_of(&download).path,
        );
        let abandon = move || {
            let mut left = store.cancel_partial(&hash, target.as_deref())?;
            let placed = remove_placed(&store, &hash, target.as_deref(), &mut left)?;
            Ok::<_, ChangeError>((placed, left))
        };
        let abandoned = blocking(abandon).await;
        if abandoned.is_err() {
            // It stays paused, also for the next run.
            self.save_or_log().await;
        }
        let (placed, left) = abandoned?;
        self.forget(&download);
        let status = self.save_change(&download, "cancelled").await?;
        let notice = stays(&left);
        Ok((DownloadStatus { notice, ..status }, placed))
    }

    /// Takes a download that has ended off the list. What is on the disk stays, but nothing is known of
    /// it any more if it was not done.
    ///
    /// # Errors
    /// [`ChangeError::NotListed`]; [`ChangeError::Running`]; [`ChangeError::Data`] if its record cannot
    /// be removed; [`ChangeError::NotKept`].
    pub async fn remove(&self, hash: &Hash) -> Result<DownloadStatus, ChangeError> {
        let download = self.change(hash, ended)?;
        let (store, hash) = (self.services.store.clone(), *hash);
        if download.state() == DownloadState::Done {
            let forget = move || {
                forget_receipt(&store, &hash);
                Ok::<_, ChangeError>(())
            };
            blocking(forget).await?;
        } else {
            self.settle(hash, &download).await;
            blocking(move || store.forget_partial(&hash)).await?;
        }
        self.forget(&download);
        self.save_change(&download, "no longer listed").await
    }

    /// Takes a download that has ended off the list, with all that it put on the disk and that is still
    /// what it was, whichever run of the node put it there. Returns where that was, if it was done: then
    /// the caller keeps the change, with [`Transfers::save_change`]; and names what stays.
    ///
    /// # Errors
    /// [`ChangeError::NotListed`]; [`ChangeError::Running`]; [`ChangeError::NotDownloaded`],
    /// [`ChangeError::Receipt`] and [`ChangeError::Delivered`], and nothing is removed; [`ChangeError::Data`].
    pub async fn remove_with_data(
        &self,
        hash: &Hash,
    ) -> Result<(Download, Option<PathBuf>, Option<String>), ChangeError> {
        let download = self.change(hash, ended)?;
        let DownloadStatus {
            name, path, state, ..
        } = status_of(&download);
        if state != DownloadState::Done {
            let (status, placed) = self.cancel(hash).await?;
            return Ok((download, placed, status.notice));
        }
        let (store, hash) = (self.services.store.clone(), *hash);
        let remove = move || {
            let receipt = store.receipt(&hash).map_err(Arc::new)?;
            let receipt = receipt.filter(|receipt| path.as_deref() == Some(receipt.path()));
            let receipt = receipt.ok_or(ChangeError::NotDownloaded { name, path })?;
            let left = receipt.remove()?;
            store.forget_received(receipt.path());
            forget_receipt(&store, &hash);
            Ok::<_, ChangeError>((receipt.path().to_owned(), left))
        };
        let (path, left) = blocking(remove).await?;
        self.forget(&download);
        Ok((download, Some(path), stays(&left)))
    }

    /// Puts a download somewhere else in the order: of those that wait, the first is the next to fetch.
    ///
    /// # Errors
    /// [`ChangeError::NotListed`], of either; [`ChangeError::NotKept`].
    pub async fn reorder(&self, hash: &Hash, place: QueuePosition) -> Result<(), ChangeError> {
        {
            let mut downloads = self.lock();
            let order = reordered(
                downloads.iter().map(ListedDownload::hash).collect(),
                *hash,
                place,
            )?;
            downloads.sort_by_cached_key(|entry| order.iter().position(|at| *at == entry.hash()));
        }
        self.arrange();
        let download = self.change(hash, |entry| Ok(entry.download.clone()))?;
        self.save_change(&download, "moved").await?;
        Ok(())
    }

    /// Keeps a change of a download, which `is` this now.
    ///
    /// # Errors
    /// [`ChangeError::NotKept`]; the change is made all the same.
    pub async fn save_change(
        &self,
        download: &Download,
        is: &'static str,
    ) -> Result<DownloadStatus, ChangeError> {
        let status = status_of(download);
        match self.save().await {
            Ok(()) => Ok(status),
            Err(why) => Err(ChangeError::NotKept {
                name: status.name,
                is,
                why,
            }),
        }
    }

    /// Has those that wait for their turn do so in the order of the list.
    fn arrange(&self) {
        let downloads = self.lock();
        self.services
            .queue
            .arrange(downloads.iter().map(ListedDownload::hash));
    }

    fn change<T>(
        &self,
        hash: &Hash,
        change: impl FnOnce(&mut ListedDownload) -> Result<T, ChangeError>,
    ) -> Result<T, ChangeError> {
        let mut downloads = self.lock();
        let entry = downloads.iter_mut().find(|entry| entry.hash() == *hash);
        change(entry.ok_or(ChangeError::NotListed { hash: *hash })?)
    }

    /// Takes this run off the list; one that was begun since stays.
    fn forget(&self, download: &Download) {
        self.lock()
            .retain(|entry| !entry.download.is_same_run(download));
    }
}

/// Removes what an earlier attempt of a download put at `target`, and adds to `left` what stays of that.
/// Returns the target, if it was removed.
fn remove_placed(
    store: &Store,
    hash: &Hash,
    target: Option<&Path>,
    left: &mut Vec<PathBuf>,
) -> Result<Option<PathBuf>, ChangeError> {
    let receipt = store.receipt(hash).map_err(Arc::new)?;
    let Some(receipt) = receipt.filter(|receipt| target == Some(receipt.path())) else {
        return Ok(None);
    };
    let placed = match receipt.remove() {
        Ok(stays) => {
            left.extend(stays);
            store.forget_received(receipt.path());
            Some(receipt.path().to_owned())
        }
        Err(RemoveError::Changed { path }) => {
            left.push(path);
            None
        }
        Err(RemoveError::InPlace { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    forget_receipt(store, hash);
    Ok(placed)
}

/// A receipt that stays is removed with the next start.
fn forget_receipt(store: &Store, hash: &Hash) {
    if let Err(error) = store.forget_receipt(hash) {
        tracing::debug!(%hash, %error, "the receipt of a download stays");
    }
}

/// Names what was not removed, as it is not what the download made (any more).
fn stays(left: &[PathBuf]) -> Option<String> {
    let shown = left
        .iter()
        .take(MAX_NAMED)
        .map(|path| path.display().to_string());
    let shown = shown.collect::<Vec<_>>().join(", ");
    match left.len() {
        0 => None,
        count @ 1..=MAX_NAMED => Some(format!(
            "{} not what the download made, so {}: {shown}",
            if count == 1 { "this is" } else { "these are" },
            if count == 1 { "it stays" } else { "they stay" },
        )),
        count => Some(format!(
            "these are not what the download made, so they stay: {shown}, and {} more",
            count - MAX_NAMED
        )),
    }
}

fn ended(entry: &mut ListedDownload) -> Result<Download, ChangeError> {
    if entry.is_running() {
        let (name, state) = entry.name_and_state();
        return Err(ChangeError::Running { name, state });
    }
    Ok(entry.download.clone())
}

/// Whether a run came to an end of its own, and was not paused.
fn has_ended(download: &Download) -> bool {
    matches!(
        download.state(),
        DownloadState::Done | DownloadState::Failed
    )
}

fn status_of(download: &Download) -> DownloadStatus {
    download.status().borrow().clone()
}

/// `order` with `hash` in another place.
fn reordered(
    mut order: Vec<Hash>,
    hash: Hash,
    place: QueuePosition,
) -> Result<Vec<Hash>, ChangeError> {
    let at = |order: &[Hash], hash: Hash| {
        let at = order.iter().position(|other| *other == hash);
        at.ok_or(ChangeError::NotListed { hash })
    };
    let from = at(&order, hash)?;
    if place == QueuePosition::Before(hash) {
        return Ok(order);
    }
    order.remove(from);
    let to = match place {
        QueuePosition::First => 0,
        QueuePosition::Last => order.len(),
        QueuePosition::Before(other) => at(&order, other)?,
    };
    order.insert(to, hash);
    Ok(order)
}

async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ChangeError>
where
    ChangeError: From<E>,
{
    match spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(ChangeError::ShuttingDown),
    }
}

impl ListedDownload {
    fn name_and_state(&self) -> (String, DownloadState) {
        let status = self.download.status();
        let status = status.borrow();
        (status.name.clone(), status.state)
    }
}

/// Why a download was not changed as asked.
#[derive(Clone, Debug, Error)]
pub enum ChangeError {
    /// It is not in the list, or not any more.
    #[error("{hash} is not among the downloads")]
    NotListed {
        /// Its hash.
        hash: Hash,
    },
    /// There is nothing to pause, resume or cancel.
    #[error("{name:?} is {} already", state.as_str())]
    Ended {
        /// What it is called.
        name: String,
        /// How it ended.
        state: DownloadState,
    },
    /// Only what has ended is removed.
    #[error("{name:?} has not ended: it is {}", state.as_str())]
    Running {
        /// What it is called.
        name: String,
        /// What it is doing.
        state: DownloadState,
    },
    /// What is in its place was there before, or no record tells what the download put there.
    #[error(
        "{name:?} was there before it was to be downloaded, or Pelago has no record of what it put there: \
         it is not removed"
    )]
    NotDownloaded {
        /// What it is called.
        name: String,
        /// Where it is.
        path: Option<PathBuf>,
    },
    /// The record of what it put in its place cannot be read.
    #[error("the record of what was downloaded cannot be read, so nothing is removed: {0}")]
    Receipt(#[from] Arc<io::Error>),
    /// What is in its place cannot be removed.
    #[error(transparent)]
    Delivered(Arc<RemoveError>),
    /// What is here of it cannot be removed.
    #[error(transparent)]
    Data(Arc<PartialError>),
    /// It was changed as asked, but the next start of the node does not know of it.
    #[error("{name:?} is {is}, but the next start of the node does not know of it: {why}")]
    NotKept {
        /// What it is called.
        name: String,
        /// What became of it.
        is: &'static str,
        /// Why the change is not kept.
        why: NotKept,
    },
    /// Nothing was to be changed, and an earlier change is not kept.
    #[error(transparent)]
    NoneKept(NotKept),
    /// The node shut down.
    #[error("the node is shutting down")]
    ShuttingDown,
}

impl ChangeError {
    fn ended(entry: &ListedDownload) -> Self {
        Self::ended_with(&status_of(&entry.download))
    }

    fn ended_with(status: &DownloadStatus) -> Self {
        Self::Ended {
            name: status.name.clone(),
            state: status.state,
        }
    }

    /// A word for programs: it stays the same between versions.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotListed { .. } => "not-downloading",
            Self::Ended { .. } => "download-ended",
            Self::Running { .. } => "download-running",
            Self::NotDownloaded { .. } => "not-downloaded",
            Self::Receipt(_) | Self::Delivered(_) | Self::Data(_) => "not-removed",
            Self::NotKept { why, .. } | Self::NoneKept(why) => why.code(),
            Self::ShuttingDown => "shutting-down",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotListed { .. } => "`pelago downloads` shows what is",
            Self::Ended {
                state: DownloadState::Failed,
                ..
            } => "`pelago resume` tries it again, `pelago cancel` gives it up",
            Self::Ended { .. } => "`pelago remove` takes it off the list",
            Self::Running { .. } => "`pelago cancel` stops it and removes what is here of it",
            Self::NotDownloaded {
                path: Some(path), ..
            } => {
                let path = path.display();
                return Some(format!(
                    "without --with-data it is only taken off the list; remove {path} yourself"
                ));
            }
            Self::NotDownloaded { .. } | Self::Receipt(_) | Self::Delivered(_) => {
                "without --with-data it is only taken off the list"
            }
            Self::NotKept { why, .. } | Self::NoneKept(why) => return Some(why.hint()),
            Self::Data(_) | Self::ShuttingDown => return None,
        };
        Some(hint.to_owned())
    }
}

impl From<PartialError> for ChangeError {
    fn from(error: PartialError) -> Self {
        Self::Data(Arc::new(error))
    }
}

impl From<RemoveError> for ChangeError {
    fn from(error: RemoveError) -> Self {
        Self::Delivered(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_moved_and_the_others_keep_their_order() {
        let hash = |number| Hash::from_bytes([number; 32]);
        let order = || [1, 2, 3, 4].map(hash).to_vec();
        for (moved, place, expected) in [
            (3, QueuePosition::First, [3, 1, 2, 4]),
            (1, QueuePosition::Last, [2, 3, 4, 1]),
            (4, QueuePosition::Before(hash(2)), [1, 4, 2, 3]),
            (1, QueuePosition::Before(hash(4)), [2, 3, 1, 4]),
            (2, QueuePosition::Before(hash(2)), [1, 2, 3, 4]),
        ] {
            let reordered = reordered(order(), hash(moved), place).unwrap();
            assert_eq!(reordered, expected.map(hash), "{moved} {place:?}");
        }
        for (moved, place) in [
            (9, QueuePosition::First),
            (1, QueuePosition::Before(hash(9))),
        ] {
            let error = reordered(order(), hash(moved), place).unwrap_err();
            assert!(matches!(error, ChangeError::NotListed { .. }), "{error}");
        }
    }
}
