//! Seeds downloads: shares each once it is done. While it runs, the store offers what is verified.

use std::{ops::ControlFlow, sync::Arc};

use crate::{
    duties::Outcome,
    node::{Mode, ShareError, core::NodeCore, shares::hash_unless_known},
    store::{self, NewFolder, NewShare, Origin, Scopes, Store},
    transfer::{Download, Finished, SavedList},
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
    let finished = download.finished().await;
    // The setting may have changed meanwhile.
    let is_to_be = |finished: &Finished| finished.is_shared || core.transfers.seeds();
    let Some(finished) = finished.ok().filter(is_to_be) else {
        return Ok(());
    };
    // Content that was complete before the download is not shared yet.
    if !finished.is_shared {
        let (store, hash) = (core.store.clone(), finished.hash);
        let scopes = download.scopes().clone();
        let share = move || share_complete(&store, finished, scopes);
        match tokio::task::spawn_blocking(share).await? {
            Err(error) if !error.may_pass() => {
                tracing::warn!(%hash, %error, "downloaded, but not seeded");
            }
            shared => shared?,
        }
    }
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
