//! The end of a download: all of its content is there and verified.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{Task, blocking};
use crate::{
    access::Completed,
    store::{FinishError, FinishOptions},
    transfer::{DownloadState, Finished, TransferError, sink::Sink, stage::Stage},
};

/// How often content that another program changed is fetched again, before the download fails.
const MAX_ALTERED: u32 = 3;

/// How long pending writes to a file that is opened again may take.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

impl Task {
    /// Puts the complete content in its place. `None` if another program changed some of it: that
    /// is fetched again.
    pub(super) async fn finish(&mut self) -> Result<Option<Finished>, TransferError> {
        self.write_out.ended().await?;
        let Some(mut stage) = self.stage.take() else {
            return Err(TransferError::Internal(
                "finished before anything was fetched",
            ));
        };
        self.report.status.send_modify(|status| {
            status.state = DownloadState::Finishing;
            status.verified_bytes = Some(stage.wanted_bytes);
            status.waits = None;
            status.notice = None;
        });
        match self.put_in_place(&stage.sink).await {
            Ok(is_shared) => {
                self.note_completed(&stage);
                self.supply.sources.abort_all();
                Ok(Some(self.finished(&stage, is_shared)))
            }
            // Verified data was lost before its file was complete, or just now.
            Err(TransferError::Finish(
                FinishError::Altered { path, missing }
                | FinishError::Incomplete {
                    target: path,
                    missing,
                },
            )) if self.altered < MAX_ALTERED => {
                self.supply.holdings = stage.scheduler.take_holdings().into();
                self.altered += 1;
                tracing::warn!(
                    path = %path.display(),
                    missing,
                    "another program changed the content: fetching it again"
                );
                self.fetch_again(stage.sink).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns whether this node shares the content from its place.
    async fn put_in_place(&self, sink: &Sink) -> Result<bool, TransferError> {
        let (delivery, ending) = (self.delivery()?, Arc::clone(&self.ending));
        let options = FinishOptions {
            durable: delivery.durable,
            overwrite: delivery.overwrite,
            share: delivery.seed && self.services.seeds.load(Ordering::Relaxed),
            // A command that runs without a node keeps no list of its downloads.
            receipt: delivery.resume_on_start,
        };
        let store = self.services.store.clone();
        match sink.clone() {
            Sink::File(partial) => {
                let finish = move || partial.finish(&store, options, &ending);
                Ok(blocking(finish).await??.is_shared)
            }
            Sink::Folder(folder) => {
                let finish = move || folder.finish(&store, options, &ending);
                Ok(blocking(finish).await??.is_shared)
            }
            Sink::Manifests(_) => Err(TransferError::Internal("finished with its manifests")),
        }
    }

    /// Lets the sources learn that all of the content is here.
    fn note_completed(&self, stage: &Stage) {
        let blocks = stage.sequence.blocks();
        let descriptor = match &stage.sink {
            Sink::File(partial) => partial.spec().descriptor,
            Sink::Folder(folder) => folder.spec().descriptor,
            Sink::Manifests(_) => return,
        };
        // Of a folder, perhaps only some files were wanted.
        if stage.sink.wanted().len() == blocks {
            self.services.completed.add(Completed {
                descriptor,
                blocks,
                group: self.wanted.group,
                sources: self.supply.sources.roster().useful_peers().collect(),
            });
        }
    }

    fn finished(&self, stage: &Stage, is_shared: bool) -> Finished {
        let status = self.report.status.borrow();
        let copied_bytes = stage.sink.copied_bytes();
        Finished {
            hash: self.wanted.hash,
            name: status.name.clone(),
            path: status.path.clone().unwrap_or_default(),
            size: stage.wanted_bytes,
            elapsed: self.timing.started.elapsed(),
            sources: self.supply.sources.roster().useful() as u64,
            resumed_bytes: stage.resumed_bytes.saturating_sub(copied_bytes),
            copied_bytes,
            fetched_bytes: stage.fetched_bytes,
            is_shared,
            differences: status.differences.as_deref().cloned().unwrap_or_default(),
        }
    }

    /// Fetches what is missing again. A file may have moved, so it is opened again, once nothing is
    /// being written to it.
    async fn fetch_again(&mut self, sink: Sink) -> Result<(), TransferError> {
        let Sink::File(partial) = sink else {
            self.fetch(sink, DownloadState::Downloading);
            return Ok(());
        };
        let spec = partial.spec().clone();
        drop(partial);
        self.supply.sources.restart();
        self.supply.holdings.clear();
        let (store, hash) = (self.services.store.clone(), self.wanted.hash);
        blocking(move || store.is_free_within(&hash, SETTLE_PATIENCE)).await?;
        self.open_file(spec).await
    }
}
