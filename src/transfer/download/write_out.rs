//! What has come is made durable while the rest is fetched: a power cut costs seconds, and the end
//! does not wait for the disk to take all at once.

use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::{
    store::WriteError,
    transfer::{DownloadError, sink::Sink},
};

/// How long what has come may stay in memory. Short enough that what is left at the end is written
/// in a moment; what is verified in that time is what a power cut costs.
const INTERVAL: Duration = Duration::from_secs(2);

/// Writes out what a download has so far.
pub(super) struct WriteOut {
    /// When it began the last time.
    began: Instant,
    running: Option<JoinHandle<Result<(), WriteError>>>,
}

impl WriteOut {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            began: now,
            running: None,
        }
    }

    /// Begins, if it is time; tells what came of the last time.
    pub(super) async fn tick(
        &mut self,
        sink: Option<&Sink>,
        now: Instant,
    ) -> Result<(), DownloadError> {
        if self.running.as_ref().is_some_and(JoinHandle::is_finished) {
            self.ended().await?;
        }
        if self.running.is_none() && now.duration_since(self.began) >= INTERVAL {
            self.began = now;
            self.running = match sink.cloned() {
                Some(Sink::File(partial)) => Some(spawn_blocking(move || partial.write_out())),
                Some(Sink::Folder(folder)) => Some(spawn_blocking(move || folder.write_out())),
                // They are kept when they are whole.
                Some(Sink::Manifests(_)) | None => None,
            };
        }
        Ok(())
    }

    /// Waits until nothing is being written out.
    pub(super) async fn ended(&mut self) -> Result<(), DownloadError> {
        match self.running.take() {
            // It is ended with the runtime only.
            Some(running) => running
                .await
                .unwrap_or(Ok(()))
                .map_err(DownloadError::Write),
            None => Ok(()),
        }
    }
}
