//! The end of a download: everything is there and proven.

use std::sync::{Arc, atomic::Ordering};

use super::{Purpose, Task, blocking};
use crate::{
    store::FinishOptions,
    transfer::{Delivered, DownloadError, DownloadState, Finished, sink::Sink},
};

impl Task {
    /// Puts what is complete in its place.
    pub(super) async fn finish(mut self) -> Result<Finished, DownloadError> {
        self.sources.abort_all();
        let Some(content) = self.content.take() else {
            return Err(DownloadError::Internal(
                "finished before anything was fetched",
            ));
        };
        let Purpose::Deliver { ending } = self.purpose else {
            return Err(DownloadError::Internal("finished what is only read"));
        };
        let size = content.wanted_bytes;
        self.status.send_modify(|status| {
            status.state = DownloadState::Finishing;
            status.verified_bytes = Some(size);
            status.waits = None;
        });
        let options = FinishOptions {
            durable: self.request.durable,
            overwrite: self.request.overwrite,
            share: self.request.seed && self.seeds.load(Ordering::Relaxed),
        };
        let (path, is_shared, delivered) = match content.sink {
            Sink::File(partial) => {
                let file = blocking(move || partial.finish(options, &ending)).await??;
                (file.path.clone(), file.is_shared, Delivered::File(file))
            }
            Sink::Folder(folder) => {
                let folder = blocking(move || folder.finish(options, &ending)).await??;
                let (path, is_shared) = (folder.path.clone(), folder.is_shared);
                (path, is_shared, Delivered::Folder(Arc::new(folder)))
            }
            Sink::Manifests(_) => {
                return Err(DownloadError::Internal("finished with its manifests"));
            }
        };
        Ok(Finished {
            hash: self.request.hash,
            name: self.status.borrow().name.clone(),
            path,
            size,
            elapsed: self.started.elapsed(),
            sources: self.sources.useful() as u64,
            resumed_bytes: content.resumed_bytes,
            fetched_bytes: content.fetched_bytes,
            is_shared,
            delivered: Some(delivered),
        })
    }
}
