//! The end of a download: everything is there and proven.

use std::sync::{Arc, atomic::Ordering};

use super::{Purpose, Task, blocking};
use crate::{
    store::{FinishError, FinishOptions},
    transfer::{DownloadError, DownloadState, Finished, sink::Sink, stage::Stage},
};

/// How often what another program changed is fetched again, before the download fails.
const MAX_ALTERED: u32 = 3;

impl Task {
    /// Puts what is complete in its place. None if another program changed some of it: that is fetched
    /// again.
    pub(super) async fn finish(&mut self) -> Result<Option<Finished>, DownloadError> {
        self.write_out.ended().await?;
        let Some(mut stage) = self.stage.take() else {
            return Err(DownloadError::Internal(
                "finished before anything was fetched",
            ));
        };
        self.status.send_modify(|status| {
            status.state = DownloadState::Finishing;
            status.verified_bytes = Some(stage.wanted_bytes);
            status.waits = None;
            status.notice = None;
        });
        match self.put_in_place(&stage.sink).await {
            Ok(is_shared) => {
                self.sources.abort_all();
                Ok(Some(self.finished(&stage, is_shared)))
            }
            // What was verified when it came was found to be lost when its file was whole, or just now.
            Err(DownloadError::Finish(
                FinishError::Altered { path, missing }
                | FinishError::Incomplete {
                    target: path,
                    missing,
                },
            )) if self.altered < MAX_ALTERED => {
                self.holdings = stage.scheduler.take_holdings().into();
                self.altered += 1;
                tracing::warn!(path = %path.display(), missing, "another program changed it: fetching that again");
                self.fetch_again(stage.sink).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns whether it is shared on.
    async fn put_in_place(&self, sink: &Sink) -> Result<bool, DownloadError> {
        let Purpose::Deliver { ending } = &self.purpose else {
            return Err(DownloadError::Internal("finished what is only read"));
        };
        let ending = Arc::clone(ending);
        let options = FinishOptions {
            durable: self.request.durable,
            overwrite: self.request.overwrite,
            share: self.request.seed && self.seeds.load(Ordering::Relaxed),
            // A command that runs without a node keeps no list of what it downloaded.
            receipt: self.request.resume_on_start,
        };
        let store = self.store.clone();
        match sink.clone() {
            Sink::File(partial) => {
                let finish = move || partial.finish(&store, options, &ending);
                Ok(blocking(finish).await??.is_shared)
            }
            Sink::Folder(folder) => {
                let finish = move || folder.finish(&store, options, &ending);
                Ok(blocking(finish).await??.is_shared)
            }
            Sink::Manifests(_) => Err(DownloadError::Internal("finished with its manifests")),
        }
    }

    fn finished(&self, stage: &Stage, is_shared: bool) -> Finished {
        let status = self.status.borrow();
        Finished {
            hash: self.request.hash,
            name: status.name.clone(),
            path: status.path.clone().unwrap_or_default(),
            size: stage.wanted_bytes,
            elapsed: self.started.elapsed(),
            sources: self.sources.useful() as u64,
            resumed_bytes: stage.resumed_bytes,
            fetched_bytes: stage.fetched_bytes,
            is_shared,
            differences: status.differences.as_deref().cloned().unwrap_or_default(),
        }
    }

    /// Goes on with what is missing. A file may not be where it was any more: it is opened anew, once
    /// nothing is written to it.
    async fn fetch_again(&mut self, sink: Sink) -> Result<(), DownloadError> {
        let Sink::File(partial) = sink else {
            self.fetch(sink, DownloadState::Downloading);
            return Ok(());
        };
        let spec = partial.spec().clone();
        drop(partial);
        self.sources.restart();
        self.holdings.clear();
        let (store, hash) = (self.store.clone(), self.request.hash);
        blocking(move || store.is_free_within(&hash, super::SETTLE_PATIENCE)).await?;
        self.open_file(spec).await
    }
}
