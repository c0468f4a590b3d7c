//! Takes downloads off the list: cancels them, removes them, or removes them with their data.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use pelago_content::Hash;
use tokio::task::spawn_blocking;

use super::{
    ChangeError, Download, DownloadState, DownloadStatus, Transfers, listed::ListedDownload,
};
use crate::store::{RemoveError, Store};

/// Paths that are named in a notice, at most.
const MAX_NAMED: usize = 20;

impl Transfers {
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
        let download = self.change(hash, |listed| {
            if listed.download.state() == DownloadState::Done {
                return Err(ChangeError::ended(&listed.download.current_status()));
            }
            listed.is_paused |= self.stop(listed);
            Ok(listed.download.clone())
        })?;
        self.settle(*hash, &download).await;
        if download.state() == DownloadState::Done {
            return Err(ChangeError::ended(&download.current_status()));
        }
        let (store, hash, target) = (
            self.services.store.clone(),
            *hash,
            download.current_status().path,
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
        } = download.current_status();
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

fn ended(listed: &mut ListedDownload) -> Result<Download, ChangeError> {
    if listed.is_running() {
        let (name, state) = listed.name_and_state();
        return Err(ChangeError::Running { name, state });
    }
    Ok(listed.download.clone())
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
