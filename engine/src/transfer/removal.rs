//! Takes downloads off the list: cancels them, removes them, or removes them with their data.
//!
//! A removal of data is decided once, recorded in the list, and then carried out by a task of its
//! own, whether or not its caller waits. If the node ends before, its next run completes it.

use std::{
    cell::Cell,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use pelago_content::Hash;
use tokio::{sync::watch, task::spawn_blocking};

use super::{
    ChangeError, Download, DownloadState, DownloadStatus, Transfers,
    listed::ListedDownload,
    removing::{Removal, RemovalOutcome},
};
use crate::store::{DatabaseError, Origin, Proceed, RemoveError, Share, Store, is_missing};

/// The maximum number of paths in a notice.
const MAX_NAMED: usize = 20;

/// How many entries are removed between two updates of the status: about 100 ms.
const ENTRIES_SHOWN: u64 = 500;

impl Transfers {
    /// Stops a download and takes it off the list, with all its data, including content that the
    /// last run of the node put in place just before it ended, which is no longer shared then.
    /// Content that was at the target before the request stays.
    ///
    /// # Errors
    /// [`ChangeError::NotListed`]; [`ChangeError::Ended`] if it is done, or, after its end, if its
    /// content was being put in place; [`ChangeError::Data`] if something cannot be removed, in
    /// which case the download stays paused; [`ChangeError::Shared`]; [`ChangeError::NotKept`].
    pub async fn cancel(&self, hash: &Hash) -> Result<DownloadStatus, ChangeError> {
        let download = self.change(hash, |listed| {
            if listed.download.state() == DownloadState::Done {
                return Err(ChangeError::ended(&listed.download.current_status()));
            }
            if listed.removal.is_none() {
                listed.is_paused |= self.stop(listed);
            }
            Ok(listed.download.clone())
        })?;
        if download.state() != DownloadState::Removing {
            self.settle(*hash, &download).await;
        }
        let removal = self.change(hash, |listed| {
            let status = listed.download.current_status();
            match status.state {
                DownloadState::Done => Err(ChangeError::ended(&status)),
                _ => self.removal_of(listed),
            }
        })?;
        removal.outcome().await
    }

    /// Takes a download that has ended off the list. Its data stays on the disk, but the record of
    /// an unfinished download is removed.
    ///
    /// # Errors
    /// [`ChangeError::NotListed`]; [`ChangeError::Running`]; [`ChangeError::Data`] if its record
    /// cannot be removed; [`ChangeError::NotKept`].
    pub async fn remove(&self, hash: &Hash) -> Result<DownloadStatus, ChangeError> {
        let download = self.change(hash, |listed| {
            ended(listed)?;
            Ok(listed.download.clone())
        })?;
        let (store, hash) = (self.services.store.clone(), *hash);
        if download.state() == DownloadState::Done {
            let forget = move || {
                forget_receipt(&store, &hash);
                Ok::<_, ChangeError>(())
            };
            blocking(forget).await?;
        } else {
            self.settle(hash, &download).await;
            blocking(move || Ok(store.forget_partial(&hash)?)).await?;
        }
        self.forget(&download);
        self.save_change(&download, "removed from the list").await
    }

    /// Takes a download that has ended off the list, removes what it put on the disk, in this run
    /// of the node or an earlier one, if it is unchanged, and stops sharing that. The notice of the
    /// status names what stays.
    ///
    /// # Errors
    /// [`ChangeError::NotListed`]; [`ChangeError::Running`]; [`ChangeError::NotDownloaded`],
    /// [`ChangeError::Receipt`] and [`ChangeError::Delivered`], in which cases nothing is removed;
    /// [`ChangeError::Data`]; [`ChangeError::Shared`]; [`ChangeError::NotKept`].
    pub async fn remove_with_data(&self, hash: &Hash) -> Result<DownloadStatus, ChangeError> {
        let removal = self.change(hash, |listed| {
            if listed.removal.is_none() {
                ended(listed)?;
            }
            match listed.removal.is_some() || listed.download.state() == DownloadState::Done {
                true => self.removal_of(listed).map(Some),
                false => Ok(None),
            }
        })?;
        match removal {
            Some(removal) => removal.outcome().await,
            None => self.cancel(hash).await,
        }
    }

    /// Resumes the removals that the last run of the node did not complete.
    pub(super) fn resume_removals(&self) {
        let mut downloads = self.lock();
        for listed in &mut *downloads {
            if let Some(Removal { of_done, .. }) = listed.removal {
                let hash = listed.hash();
                tracing::info!(%hash, "the removal of a download resumes");
                self.begin_removal(listed, of_done);
            }
        }
    }

    /// The removal of a download that does not run, which begins now unless it has begun.
    fn removal_of(&self, listed: &mut ListedDownload) -> Result<Removal, ChangeError> {
        if let Some(removal) = &listed.removal {
            return Ok(removal.clone());
        }
        if listed.is_running() {
            let (name, state) = listed.name_and_state();
            return Err(ChangeError::Running { name, state });
        }
        let is_done = listed.download.state() == DownloadState::Done;
        Ok(self.begin_removal(listed, is_done))
    }

    fn begin_removal(&self, listed: &mut ListedDownload, of_done: bool) -> Removal {
        let before = listed.download.clone();
        let (download, status) = before.removing();
        let (removal, report) = Removal::new(of_done);
        listed.download = download.clone();
        listed.removal = Some(removal.clone());
        let transfers = self.clone();
        tokio::spawn(async move {
            let outcome = transfers.carry_out(&download, &before, status, of_done);
            // Without an outcome, the node ends.
            if let Some(outcome) = outcome.await {
                report.send_replace(Some(outcome));
            }
        });
        removal
    }

    /// Removes the data of a download, and takes it off the list. `None` if the node ends before.
    async fn carry_out(
        &self,
        download: &Download,
        before: &Download,
        status: watch::Sender<DownloadStatus>,
        of_done: bool,
    ) -> RemovalOutcome {
        // Before anything is removed. Without it, the next run lists the download as it was.
        self.save_or_log().await;
        let (store, ending) = (self.services.store.clone(), Arc::clone(&download.ending));
        let DownloadStatus {
            hash, name, path, ..
        } = before.current_status();
        let target = path.clone();
        let removed = blocking(move || {
            let all = Cell::new(0_u64);
            let proceed = |entries| {
                let removed = all.get() + entries;
                all.set(removed);
                if entries > 0 && removed.is_multiple_of(ENTRIES_SHOWN) {
                    let notice = format!("{removed} entries are removed");
                    status.send_modify(|status| status.notice = Some(notice));
                }
                match ending.is_stopped() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            };
            match of_done {
                true => remove_done(&store, &hash, (name, target.as_deref()), &proceed),
                false => remove_unfinished(&store, &hash, target.as_deref(), &proceed),
            }
        });
        let removed = removed.await;
        if removed.is_err() && download.ending.is_stopped() {
            return None;
        }
        let outcome = match removed {
            Ok(removed) => {
                self.forget(download);
                let kept = self.save_change(before, "removed").await;
                let notice = stays(&removed.left);
                removed
                    .unshared
                    .and(kept.map(|status| DownloadStatus { notice, ..status }))
            }
            Err(error) => {
                self.keep(download, before);
                self.save_or_log().await;
                Err(error)
            }
        };
        Some(outcome)
    }

    /// Lists a download as it was before a removal that failed.
    fn keep(&self, removing: &Download, before: &Download) {
        let mut downloads = self.lock();
        let same = downloads
            .iter_mut()
            .find(|listed| listed.download.is_same_run(removing));
        if let Some(listed) = same {
            listed.download = before.clone();
            listed.removal = None;
        }
    }
}

/// What a removal did.
struct Removed {
    /// The paths of what stays.
    left: Vec<PathBuf>,
    unshared: Result<(), ChangeError>,
}

/// Removes the data of a download that is not done, and what an earlier attempt of it put in place.
fn remove_unfinished(
    store: &Store,
    hash: &Hash,
    target: Option<&Path>,
    proceed: Proceed<'_>,
) -> Result<Removed, ChangeError> {
    let mut left = store.cancel_partial(hash, target, proceed)?;
    let receipt = store.receipt(hash).map_err(Arc::new)?;
    let receipt = receipt.filter(|receipt| target == Some(receipt.path()));
    let mut unshared = Ok(());
    if let Some(receipt) = receipt {
        match receipt.remove(proceed) {
            Ok(stays) => {
                left.extend(stays);
                unshared = is_removed(store, hash, receipt.path());
            }
            // Some of the files may be in a folder that existed before: they stay.
            Err(RemoveError::Changed { path } | RemoveError::InPlace { path }) => left.push(path),
            Err(error) => return Err(error.into()),
        }
    }
    forget_receipt(store, hash);
    Ok(Removed { left, unshared })
}

/// Removes the content of a download that is done.
fn remove_done(
    store: &Store,
    hash: &Hash,
    (name, path): (String, Option<&Path>),
    proceed: Proceed<'_>,
) -> Result<Removed, ChangeError> {
    let receipt = store.receipt(hash).map_err(Arc::new)?;
    let receipt = receipt.filter(|receipt| path == Some(receipt.path()));
    let left = match (&receipt, path) {
        (Some(receipt), _) => receipt.remove(proceed)?,
        // The last run of the node ended when all of it was removed.
        (None, Some(path)) if is_missing(path) => Vec::new(),
        (None, path) => {
            let path = path.map(Path::to_owned);
            return Err(ChangeError::NotDownloaded { name, path });
        }
    };
    let unshared = path.map_or(Ok(()), |path| is_removed(store, hash, path));
    forget_receipt(store, hash);
    Ok(Removed { left, unshared })
}

/// Forgets what is known of the content at `path`, which is removed, and stops sharing it.
fn is_removed(store: &Store, hash: &Hash, path: &Path) -> Result<(), ChangeError> {
    store.forget_received(path);
    unshare(store, hash, path).map_err(|error| ChangeError::Shared(Arc::new(error)))
}

/// Stops sharing what a download shared at `path`.
fn unshare(store: &Store, hash: &Hash, path: &Path) -> Result<(), DatabaseError> {
    let below = store.shares_under(path, None, usize::MAX)?;
    let at = store.shares_of(hash)?;
    let is_of_it =
        |share: &Share| share.origin == Origin::Downloaded && share.path.starts_with(path);
    let shares = at.into_iter().chain(below).filter(is_of_it);
    let places: Vec<_> = shares.map(|share| (share.hash, share.path)).collect();
    store.remove_shares(&places)?;
    Ok(())
}

/// The next start removes a receipt that stays.
fn forget_receipt(store: &Store, hash: &Hash) {
    if let Err(error) = store.forget_receipt(hash) {
        tracing::debug!(%hash, %error, "the receipt of a download could not be removed");
    }
}

/// Names the paths that stay, because the download did not create them or they were changed since.
fn stays(left: &[PathBuf]) -> Option<String> {
    let (named, unnamed) = left.split_at(left.len().min(MAX_NAMED));
    let named: Vec<_> = named.iter().map(crate::store::shown).collect();
    let more = match unnamed.len() {
        0 => String::new(),
        count => format!(", and {count} more"),
    };
    (!left.is_empty()).then(|| {
        format!(
            "not removed, because changed or not created by the download: {}{more}",
            named.join(", ")
        )
    })
}

/// Refuses a download that has not ended.
fn ended(listed: &ListedDownload) -> Result<(), ChangeError> {
    if listed.is_running() || listed.removal.is_some() {
        let (name, state) = listed.name_and_state();
        return Err(ChangeError::Running { name, state });
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ChangeError> + Send + 'static,
) -> Result<T, ChangeError> {
    let worked = spawn_blocking(work).await;
    worked.unwrap_or(Err(ChangeError::ShuttingDown))
}
