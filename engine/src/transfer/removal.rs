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

/// The maximum number of paths in a notice.
const MAX_NAMED: usize = 20;

impl Transfers {
    /// Stops a download and takes it off the list, with all its data, including content that the
    /// last run of the node put in place just before it ended. Returns the path of that, if it was
    /// removed. Content that was at the target before the request stays.
    ///
    /// # Errors
    /// [`ChangeError::NotListed`]; [`ChangeError::Ended`] if it is done, or, after its end, if its
    /// content was being put in place; [`ChangeError::Data`] if something cannot be removed, in
    /// which case the download stays paused; [`ChangeError::NotKept`].
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
            // The download stays paused, in the next run of the node, too.
            self.save_or_log().await;
        }
        let (placed, left) = abandoned?;
        self.forget(&download);
        let status = self.save_change(&download, "cancelled").await?;
        let notice = stays(&left);
        Ok((DownloadStatus { notice, ..status }, placed))
    }

    /// Takes a download that has ended off the list. Its data stays on the disk, but the record of
    /// an unfinished download is removed.
    ///
    /// # Errors
    /// [`ChangeError::NotListed`]; [`ChangeError::Running`]; [`ChangeError::Data`] if its record
    /// cannot be removed; [`ChangeError::NotKept`].
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
        self.save_change(&download, "removed from the list").await
    }

    /// Takes a download that has ended off the list, and removes what it put on the disk, in this
    /// run of the node or an earlier one, if it is unchanged. Returns the path of that, if the
    /// download was done: then the caller saves the change with [`Transfers::save_change`]. Also
    /// returns a notice of what stays.
    ///
    /// # Errors
    /// [`ChangeError::NotListed`]; [`ChangeError::Running`]; [`ChangeError::NotDownloaded`],
    /// [`ChangeError::Receipt`] and [`ChangeError::Delivered`], in which cases nothing is removed;
    /// [`ChangeError::Data`].
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

/// Removes what an earlier attempt of a download put at `target`, and adds to `left` what stays.
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

/// The next start removes a receipt that stays.
fn forget_receipt(store: &Store, hash: &Hash) {
    if let Err(error) = store.forget_receipt(hash) {
        tracing::debug!(%hash, %error, "the receipt of a download could not be removed");
    }
}

/// Names the paths that stay, because the download did not create them or they were changed since.
fn stays(left: &[PathBuf]) -> Option<String> {
    let (named, unnamed) = left.split_at(left.len().min(MAX_NAMED));
    let named: Vec<_> = named
        .iter()
        .map(|path| path.display().to_string())
        .collect();
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
