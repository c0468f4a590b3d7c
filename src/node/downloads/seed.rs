//! Seeds downloads: announces one while it runs, and shares it once it is done.

use std::{ops::ControlFlow, sync::Arc};

use crate::{
    duties::Outcome,
    node::{Mode, ShareError, core::NodeCore, shares::hash_unless_known},
    store::{self, NewFolder, NewShare, Origin, Scopes, Store},
    transfer::{Download, DownloadState, DownloadStatus, Finished, SavedList},
};

impl NodeCore {
    /// Shares a download from where it is stored, once it is done, if the node is long-running and
    /// seeds. Tries again after a failure, such as a full disk.
    pub(in crate::node) fn seed_when_done(self: &Arc<Self>, download: &Download) {
        if self.settings.mode != Mode::LongRunning {
            return;
        }
        let hash = download.status().borrow().hash;
        let (node, download) = (Arc::clone(self), download.clone());
        self.duties
            .run_single(&format!("share-download {hash}"), move || {
                seed(Arc::clone(&node), download.clone())
            });
    }

    /// Resumes the downloads that ran when the node ended.
    pub(in crate::node) async fn resume_downloads(self: &Arc<Self>, saved: SavedList) {
        let resumed = self.transfers.load(saved).await;
        for download in resumed.iter().filter(|download| download.is_to_seed()) {
            self.seed_when_done(download);
        }
    }
}

async fn seed(core: Arc<NodeCore>, download: Download) -> Outcome {
    let mut status = download.status();
    let hash = status.borrow().hash;
    // Others can fetch the blocks that are verified so far. While data of an earlier run is checked
    // again, the number counts what was read.
    let verified = |status: &DownloadStatus| match status.state {
        DownloadState::Checking => 0,
        _ => status.verified_bytes.unwrap_or(0),
    };
    let has_some = |status: &DownloadStatus| verified(status) > 0 || status.state.is_ended();
    if status
        .wait_for(has_some)
        .await
        .is_ok_and(|status| verified(&status) > 0)
        && core.transfers.seeds()
    {
        core.provide_while_downloading(hash).await?;
    }
    let finished = download.finished().await;
    // The setting may have changed meanwhile.
    let is_to_be = |finished: &Finished| finished.is_shared || core.transfers.seeds();
    let Some(finished) = finished.ok().filter(is_to_be) else {
        core.withdraw_if_gone(hash).await;
        return Ok(());
    };
    // Content that was complete before the download is not shared yet.
    if !finished.is_shared {
        let store = core.store.clone();
        let scopes = download.scopes().clone();
        let share = move || share_complete(&store, finished, scopes);
        let shared = tokio::task::spawn_blocking(share).await?;
        if let Err(error) = shared {
            if !error.may_pass() {
                tracing::warn!(%hash, %error, "downloaded, but not seeded");
                core.withdraw_if_gone(hash).await;
                return Ok(());
            }
            return Err(error.into());
        }
    }
    core.provide_if_shared(hash).await;
    Ok(())
}

/// Shares content that was complete before the download, unless it is shared from there already.
fn share_complete(store: &Store, finished: Finished, scopes: Scopes) -> Result<(), ShareError> {
    let path = finished.path;
    let shared = store.share_at(&path).map_err(store::ShareError::from)?;
    if shared.is_some_and(|share| share.hash == finished.hash) {
        return Ok(());
    }
    let (name, origin) = (finished.name, Origin::Downloaded);
    let progress = |_| ControlFlow::Continue(());
    if path.is_dir() {
        let folder = NewFolder {
            path,
            name,
            scopes,
            origin,
        };
        store.share_folder(&folder, &progress)?;
        return Ok(());
    }
    let (descriptor, fingerprint) = hash_unless_known(store, &path, &progress)?;
    let share = NewShare {
        descriptor,
        name,
        path,
        scopes,
        origin,
        fingerprint,
    };
    Ok(store.add_shares(&[share])?)
}
