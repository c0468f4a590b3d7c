//! A handle to one run of a download, and how that tells its end.

use std::sync::Arc;

use libp2p::PeerId;
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use super::{
    DownloadError, DownloadState, DownloadStatus, Finished, metrics::Metrics, origins::Origins,
    reads::Reads,
};

/// How a download ended, for everyone who waits.
pub(super) type Outcome = Result<Finished, Arc<DownloadError>>;

/// A handle to one run of a download.
#[derive(Clone)]
pub struct Download {
    pub(super) status: watch::Receiver<DownloadStatus>,
    pub(super) outcome: watch::Receiver<Option<Outcome>>,
    pub(super) offers: mpsc::Sender<PeerId>,
    /// None if it only rests.
    pub(super) task: Option<AbortHandle>,
    pub(super) is_to_seed: bool,
    pub(super) origins: Origins,
    /// Who reads it meanwhile.
    pub(super) reads: Reads,
}

/// Tells how a download ended; if its task is aborted, that it was paused.
pub(super) struct Ended {
    pub(super) status: watch::Sender<DownloadStatus>,
    pub(super) outcome: watch::Sender<Option<Outcome>>,
    pub(super) origins: Origins,
    /// None for what is no download of anybody's.
    pub(super) metrics: Option<Metrics>,
}

impl Ended {
    /// It has ended with this.
    pub(super) fn with(&self, result: Result<Finished, DownloadError>) {
        if let Some(metrics) = &self.metrics {
            metrics.ended(&result);
        }
        let result = result.map_err(Arc::new);
        self.origins.end(result.is_ok());
        self.status.send_modify(|status| {
            status.bytes_per_second = 0;
            status.sources = 0;
            status.waits = None;
            match &result {
                Ok(finished) => {
                    status.path = Some(finished.path.clone());
                    status.size = Some(finished.size);
                    status.verified_bytes = Some(finished.size);
                    status.state = DownloadState::Done;
                }
                // The next run goes on with what the end of this one cut off.
                Err(error)
                    if matches!(**error, DownloadError::Paused | DownloadError::ShuttingDown) =>
                {
                    status.state = DownloadState::Paused;
                }
                Err(error) => {
                    status.state = DownloadState::Failed;
                    status.failure = Some((&**error).into());
                }
            }
        });
        self.outcome.send_replace(Some(result));
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if self.outcome.borrow().is_none() {
            self.with(Err(DownloadError::Paused));
        }
    }
}

impl Download {
    /// One that nothing is done for.
    pub(super) fn at_rest(status: DownloadStatus, is_to_seed: bool) -> Self {
        let (_, status) = watch::channel(status);
        let (_, outcome) = watch::channel(Some(Err(DownloadError::Paused.into())));
        let (offers, _) = mpsc::channel(1);
        Self {
            status,
            outcome,
            offers,
            task: None,
            is_to_seed,
            origins: Origins::default(),
            reads: Reads::default(),
        }
    }

    /// What is known of it, as it changes: some ten times a second at most.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<DownloadStatus> {
        self.status.clone()
    }

    /// Whether it is to be shared on.
    #[must_use]
    pub const fn is_to_seed(&self) -> bool {
        self.is_to_seed
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Why it ended without its file.
    pub async fn finished(&self) -> Result<Finished, Arc<DownloadError>> {
        let mut outcome = self.outcome.clone();
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome
                .clone()
                .unwrap_or_else(|| Err(DownloadError::Paused.into())),
            Err(_) => Err(DownloadError::ShuttingDown.into()),
        }
    }

    /// Waits until its task is gone, with what that began and cannot be interrupted.
    pub(super) async fn ended(&self) {
        let mut status = self.status.clone();
        while status.changed().await.is_ok() {}
    }

    pub(super) fn state(&self) -> DownloadState {
        self.status.borrow().state
    }

    /// Stops it. What was verified is kept, and the same request goes on from there.
    pub(super) fn stop(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }

    pub(super) fn is_same_run(&self, other: &Self) -> bool {
        self.status.same_channel(&other.status)
    }
}
