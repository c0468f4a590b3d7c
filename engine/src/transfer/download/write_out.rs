//! Makes arrived data durable while the rest is fetched: a power cut costs seconds, and the end of
//! the download does not wait for the disk to take everything.

use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::{
    store::WriteError,
    transfer::{TransferError, sink::Sink},
};

/// How long arrived data may stay in memory. Short enough for the last write to take only a moment;
/// a power cut costs what was verified in that time.
const INTERVAL: Duration = Duration::from_secs(2);

/// Writes the data of a download to the disk in the background.
pub(super) struct WriteOut {
    /// When the last write began.
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

    /// Begins a write, if it is time; fails if the last one failed.
    pub(super) async fn tick(
        &mut self,
        sink: Option<&Sink>,
        now: Instant,
    ) -> Result<(), TransferError> {
        if self.running.as_ref().is_some_and(JoinHandle::is_finished) {
            self.ended().await?;
        }
        if self.running.is_none() && now.duration_since(self.began) >= INTERVAL {
            self.began = now;
            self.running = match sink.cloned() {
                Some(Sink::File(partial)) => Some(spawn_blocking(move || partial.write_out())),
                Some(Sink::Folder(folder)) => Some(spawn_blocking(move || folder.write_out())),
                // Manifests are stored when they are complete.
                Some(Sink::Manifests(_)) | None => None,
            };
        }
        Ok(())
    }

    /// Waits until no write is running.
    pub(super) async fn ended(&mut self) -> Result<(), TransferError> {
        match self.running.take() {
            // A write that cannot be joined was ended with the runtime.
            Some(running) => running
                .await
                .unwrap_or(Ok(()))
                .map_err(TransferError::Write),
            None => Ok(()),
        }
    }
}
