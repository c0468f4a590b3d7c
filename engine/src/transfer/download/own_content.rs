//! Content that is here already: at its target, or in a share of this node. It needs no peer.

use std::time::Instant;

use super::{Task, blocking};
use crate::{
    store::PartialError,
    transfer::{DownloadState, Finished, TransferError, request::Delivery},
};

impl Task {
    /// Takes the content that is here already. Returns the finished download, if that is all of it.
    pub(super) async fn take_own_content(&mut self) -> Result<Option<Finished>, TransferError> {
        let Some(delivery) = self.purpose.delivery().cloned() else {
            return Ok(None);
        };
        let (store, wanted) = (self.services.store.clone(), self.wanted.clone());
        let counts = blocking(move || wanted.is_offered_here(&store)).await?;
        let counts = counts.map_err(PartialError::from)?;
        if counts
            && delivery.in_place
            && let Some(finished) = self.whole_share(&delivery).await?
        {
            return Ok(Some(finished));
        }
        let fixed = self.fixed_target(&delivery).await?;
        let (store, hash, target) = (self.services.store.clone(), self.wanted.hash, fixed.clone());
        let find = move || {
            let is_there = target.is_some_and(|target| target.is_file());
            let shared = store.offered(&hash)?.filter(|_| counts);
            Ok::<_, PartialError>((is_there, shared.map(|(descriptor, _)| descriptor)))
        };
        let (is_there, shared) = blocking(find).await??;
        if is_there || shared.is_some() {
            // Hashing and copying take as much of the disk as a download does.
            self.wait_for_turn().await;
        }
        if let Some(path) = fixed
            && let Some(finished) = self.existing_content(&delivery, path).await?
        {
            return Ok(Some(finished));
        }
        let Some(descriptor) = shared else {
            return Ok(None);
        };
        let store = self.services.store.clone();
        let name = blocking(move || store.name_of(&hash, |_| true)).await?;
        self.described = Some((descriptor, name.map_err(PartialError::from)?));
        self.advance().await
    }

    /// The finished download, if a share of this node has all of the content: its result is where
    /// that is.
    async fn whole_share(&self, delivery: &Delivery) -> Result<Option<Finished>, TransferError> {
        let (store, hash) = (self.services.store.clone(), self.wanted.hash);
        let whole = blocking(move || store.whole(&hash)).await?;
        let whole = whole.map_err(PartialError::from)?.into_iter();
        // Of several, the one where the download would be.
        let folder = Some(delivery.output.path().as_path());
        let Some(whole) = whole.min_by_key(|place| place.path.parent() != folder) else {
            return Ok(None);
        };
        let finished = Finished {
            is_shared: true,
            ..self.already_there(&whole.path, whole.size)
        };
        self.report
            .status
            .send_modify(|status| status.name.clone_from(&finished.name));
        Ok(Some(finished))
    }

    async fn wait_for_turn(&mut self) {
        self.report
            .status
            .send_modify(|status| status.state = DownloadState::Queued);
        let turn = self.timing.turn().await;
        self.timing.take(turn, Instant::now());
        self.report.begin();
    }
}
