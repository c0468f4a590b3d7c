//! Changes of a download in the list: pause, resume, reorder.
//!
//! Each change is saved before it is answered. If it cannot be saved, it takes effect all the same,
//! and the answer is [`ChangeError::NotKept`].

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use pelago_content::Hash;

use super::{
    ChangeError, Download, DownloadState, DownloadStatus, Output, Request, Transfers,
    listed::ListedDownload,
    request::{Attempt, Purpose},
};

/// A position in the order of downloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueuePosition {
    /// Before all others.
    First,
    /// After all others.
    Last,
    /// Directly before this one.
    Before(Hash),
}

impl Transfers {
    /// Stops a download until it is resumed, even over a restart; with `until`, it resumes by itself
    /// then. A paused download stays paused, with the new time.
    ///
    /// # Errors
    /// [`ChangeError::NotListed`]; [`ChangeError::Ended`] if it is done, failed or being removed,
    /// or, after its end, if its content was being put in place; [`ChangeError::NotKept`].
    pub async fn pause(
        &self,
        hash: &Hash,
        until: Option<SystemTime>,
    ) -> Result<DownloadStatus, ChangeError> {
        let download = self.change(hash, |listed| {
            if has_ended(&listed.download) {
                return Err(ChangeError::ended(&listed.download.current_status()));
            }
            listed.is_paused = self.stop(listed);
            listed.resumes_at = until;
            Ok(listed.download.clone())
        })?;
        // A run that is too late to stop comes to its end, which is the answer.
        let _ = download.finished().await;
        if has_ended(&download) {
            return Err(ChangeError::ended(&download.current_status()));
        }
        let status = self.save_change(&download, "paused").await?;
        let listed = self.change(hash, |listed| Ok(listed.current_status()));
        Ok(listed.unwrap_or(status))
    }

    /// The downloads whose time to resume has come.
    pub fn due(&self, now: SystemTime) -> Vec<Hash> {
        let downloads = self.lock();
        let is_due = |listed: &&ListedDownload| {
            let is_paused = listed.download.state() == DownloadState::Paused;
            is_paused && listed.resumes_at.is_some_and(|at| at <= now)
        };
        downloads
            .iter()
            .filter(is_due)
            .map(ListedDownload::hash)
            .collect()
    }

    /// Stops all running downloads until they are resumed, or until a time, and saves that in one
    /// write. Returns
    /// those that are paused by it; the others came to their ends.
    ///
    /// # Errors
    /// [`ChangeError::NotKept`], which names the first; all are paused all the same.
    pub async fn pause_all(
        &self,
        until: Option<SystemTime>,
    ) -> Result<Vec<DownloadStatus>, ChangeError> {
        let stopped: Vec<_> = {
            let mut downloads = self.lock();
            let running = downloads
                .iter_mut()
                .rev()
                .filter(|listed| listed.is_running());
            // In reverse order, so that no waiting download takes the turn of one that was stopped.
            let stop = |listed: &mut ListedDownload| {
                listed.is_paused = self.stop(listed);
                listed.resumes_at = until;
                listed.download.clone()
            };
            running.map(stop).collect()
        };
        for download in &stopped {
            // A run that is too late to stop comes to its end.
            let _ = download.finished().await;
        }
        let paused = stopped.iter().rev().filter(|download| !has_ended(download));
        self.save_changes(paused.map(Download::current_status).collect(), "paused")
            .await
    }

    /// Resumes all downloads that are paused or have failed, and saves that in one write.
    ///
    /// `resumed` is called for each of them.
    ///
    /// # Errors
    /// [`ChangeError::NotKept`], which names the first; all resume all the same.
    pub async fn resume_all(
        &self,
        mut resumed: impl FnMut(&Download),
    ) -> Result<Vec<DownloadStatus>, ChangeError> {
        let all: Vec<_> = {
            let mut downloads = self.lock();
            let is_resumable = |listed: &&mut ListedDownload| {
                let state = listed.download.state();
                matches!(state, DownloadState::Paused | DownloadState::Failed)
            };
            let resting = downloads.iter_mut().filter(is_resumable);
            resting
                .map(|listed| self.resume_listed(listed, None))
                .collect()
        };
        self.arrange();
        all.iter().for_each(&mut resumed);
        self.save_changes(
            all.iter().map(Download::current_status).collect(),
            "resumed",
        )
        .await
    }

    /// Saves a change of all these downloads. Even if there are none, an earlier change may not be
    /// saved yet.
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

    /// Resumes a download that is not done, at another path if there is one. The node runs it.
    fn resume_listed(&self, listed: &mut ListedDownload, at: Option<PathBuf>) -> Download {
        listed.followers.run_detached();
        if !listed.is_running() {
            (listed.is_paused, listed.resumes_at) = (false, None);
            let before = listed.download.clone();
            let mut status = before.current_status();
            listed.request = listed.request.resumed_from(&status);
            if let Some(path) = at {
                status.path = Some(path.clone());
                listed.request.delivery.output = Output::Exactly(path);
            }
            let Request { wanted, delivery } = listed.request.clone();
            let purpose = Purpose::Deliver(Arc::new(delivery), Attempt::Later);
            listed.download = self.spawn(wanted, purpose, status.resumed(), Some(before));
        }
        listed.download.clone()
    }

    /// Resumes a download that was paused or has failed. A running download becomes independent of
    /// its followers. It waits for a source as long as the resumed downloads of the last run do. One
    /// that does not run can get another path, to which its verified data moves. The caller saves the change with [`Transfers::save_change`].
    ///
    /// # Errors
    /// [`ChangeError::NotListed`]; [`ChangeError::Ended`] if it is done or being removed.
    pub fn resume(&self, hash: &Hash, at: Option<PathBuf>) -> Result<Download, ChangeError> {
        let download = self.change(hash, |listed| {
            let state = listed.download.state();
            if matches!(state, DownloadState::Done | DownloadState::Removing) {
                return Err(ChangeError::ended(&listed.download.current_status()));
            }
            Ok(self.resume_listed(listed, at))
        })?;
        self.arrange();
        Ok(download)
    }

    /// Moves a download in the order. The first of those that wait is the next to fetch.
    ///
    /// # Errors
    /// [`ChangeError::NotListed`], for either download; [`ChangeError::NotKept`].
    pub async fn reorder(&self, hash: &Hash, place: QueuePosition) -> Result<(), ChangeError> {
        {
            let mut downloads = self.lock();
            let order = reordered(
                downloads.iter().map(ListedDownload::hash).collect(),
                *hash,
                place,
            )?;
            downloads.sort_by_cached_key(|listed| order.iter().position(|at| *at == listed.hash()));
        }
        self.arrange();
        let download = self.change(hash, |listed| Ok(listed.download.clone()))?;
        self.save_change(&download, "moved").await?;
        Ok(())
    }

    /// Saves a change of a download. `is` says what became of it.
    ///
    /// # Errors
    /// [`ChangeError::NotKept`]; the change takes effect all the same.
    pub async fn save_change(
        &self,
        download: &Download,
        is: &'static str,
    ) -> Result<DownloadStatus, ChangeError> {
        let status = download.current_status();
        match self.save().await {
            Ok(()) => Ok(status),
            Err(why) => Err(ChangeError::NotKept {
                name: status.name,
                is,
                why,
            }),
        }
    }

    /// Sorts the queue into the order of the list.
    fn arrange(&self) {
        let downloads = self.lock();
        self.services
            .queues
            .arrange(downloads.iter().map(ListedDownload::hash));
    }

    /// Changes a download in the list.
    pub(super) fn change<T>(
        &self,
        hash: &Hash,
        change: impl FnOnce(&mut ListedDownload) -> Result<T, ChangeError>,
    ) -> Result<T, ChangeError> {
        let mut downloads = self.lock();
        let listed = downloads.iter_mut().find(|listed| listed.hash() == *hash);
        change(listed.ok_or(ChangeError::NotListed { hash: *hash })?)
    }

    /// Takes this run off the list. A later run of the same download stays.
    pub(super) fn forget(&self, download: &Download) {
        self.lock()
            .retain(|listed| !listed.download.is_same_run(download));
    }
}

/// Whether a run came to its own end, and was not paused, or is being removed.
fn has_ended(download: &Download) -> bool {
    matches!(
        download.state(),
        DownloadState::Done | DownloadState::Failed | DownloadState::Removing
    )
}

/// `order` with `hash` moved to `place`.
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
