//! The handle to one run of a download, and the report of its end.

use std::{sync::Arc, thread};

use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use super::{
    DownloadState, DownloadStatus, Finished, TransferError, block_sources::BlockSources,
    metrics::Metrics, reading::ReadWindows, waiting::Offer,
};
use crate::store::{Ending, Scopes};

/// The result of a run, shared by all handles.
pub(super) type Outcome = Result<Finished, Arc<TransferError>>;

/// A handle to one run of a download.
#[derive(Clone)]
pub struct Download {
    pub(super) status: watch::Receiver<DownloadStatus>,
    pub(super) outcome: watch::Receiver<Option<Outcome>>,
    pub(super) offers: mpsc::Sender<Offer>,
    /// `None` if nothing runs.
    pub(super) task: Option<AbortHandle>,
    /// Decides whether this run is stopped or comes to its end.
    pub(super) ending: Arc<Ending>,
    pub(super) is_to_seed: bool,
    /// Who may learn of the content, as requested.
    pub(super) scopes: Scopes,
    pub(super) block_sources: BlockSources,
    /// The blocks that readers want.
    pub(super) windows: ReadWindows,
}

/// What a run shares with the [`Download`] handles to it.
#[derive(Clone)]
pub(super) struct Published {
    pub(super) status: watch::Sender<DownloadStatus>,
    pub(super) block_sources: BlockSources,
    /// The blocks that readers want.
    pub(super) windows: ReadWindows,
    /// Decides whether the run is stopped or comes to its end.
    pub(super) ending: Arc<Ending>,
}

/// Reports how a run ended. If its task is aborted, the run is paused.
pub(super) struct EndReporter {
    pub(super) published: Published,
    pub(super) outcome: watch::Sender<Option<Outcome>>,
    /// `None` for a fetch that is only for readers.
    pub(super) metrics: Option<Metrics>,
}

impl EndReporter {
    /// The run has come to its end with `result`. If it was stopped before, it is paused. Returns
    /// the result that counts.
    pub(super) fn unless_stopped(
        &self,
        result: Result<Finished, TransferError>,
    ) -> Result<Finished, TransferError> {
        if self.published.ending.commit() {
            result
        } else {
            Err(TransferError::Paused)
        }
    }

    /// Reports the result of the run.
    pub(super) fn report(&self, result: Result<Finished, TransferError>) {
        if let Some(metrics) = &self.metrics {
            metrics.ended(&result);
        }
        let result = result.map_err(Arc::new);
        self.published.block_sources.end(result.is_ok());
        self.published.status.send_modify(|status| {
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
                // The next run of the node resumes it.
                Err(error)
                    if matches!(**error, TransferError::Paused | TransferError::ShuttingDown) =>
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

impl Drop for EndReporter {
    fn drop(&mut self) {
        if self.outcome.borrow().is_none() {
            // The user did not cause this end, and has to see it.
            let is_fault = thread::panicking();
            self.report(Err(match is_fault {
                true => TransferError::Internal("its task panicked: see the log"),
                false => TransferError::Paused,
            }));
        }
    }
}

impl Download {
    /// A handle to a download that does not run.
    pub(super) fn inactive(status: DownloadStatus, is_to_seed: bool, scopes: Scopes) -> Self {
        let (_, status) = watch::channel(status);
        let (_, outcome) = watch::channel(Some(Err(TransferError::Paused.into())));
        let (offers, _) = mpsc::channel(1);
        Self {
            status,
            outcome,
            offers,
            task: None,
            ending: Arc::default(),
            is_to_seed,
            scopes,
            block_sources: BlockSources::default(),
            windows: ReadWindows::default(),
        }
    }

    /// A handle to the removal of this download, which does not run; and the status of that.
    pub(super) fn removing(&self) -> (Self, watch::Sender<DownloadStatus>) {
        let (sender, status) = watch::channel(DownloadStatus {
            state: DownloadState::Removing,
            waits: None,
            notice: None,
            failure: None,
            ..self.current_status()
        });
        let download = Self {
            status,
            task: None,
            ending: Arc::default(),
            ..self.clone()
        };
        (download, sender)
    }

    /// The status as it changes: at most some ten times a second.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<DownloadStatus> {
        self.status.clone()
    }

    /// Who may learn of the content, as requested. A source that lists the content may have widened
    /// that.
    #[must_use]
    pub const fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Whether the content is to be shared.
    #[must_use]
    pub const fn is_to_seed(&self) -> bool {
        self.is_to_seed
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// Why the download failed or was paused.
    pub async fn finished(&self) -> Result<Finished, Arc<TransferError>> {
        let mut outcome = self.outcome.clone();
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome
                .clone()
                .unwrap_or_else(|| Err(TransferError::Paused.into())),
            Err(_) => Err(TransferError::ShuttingDown.into()),
        }
    }

    /// Waits until the task has ended, with all work of it that cannot be interrupted.
    pub(super) async fn ended(&self) {
        let mut status = self.status.clone();
        while status.changed().await.is_ok() {}
    }

    pub(super) fn current_status(&self) -> DownloadStatus {
        self.status.borrow().clone()
    }

    pub(super) fn state(&self) -> DownloadState {
        self.status.borrow().state
    }

    /// Stops this run. Verified data is kept, and the same request resumes from there. False if it
    /// is too late: the run has failed, or its content is being put in place. If so, nothing is
    /// stopped, and [`Download::finished`] returns the result.
    pub(super) fn stop(&self) -> bool {
        let is_stopped = self.ending.stop();
        if is_stopped && let Some(task) = &self.task {
            task.abort();
        }
        is_stopped
    }

    pub(super) fn is_same_run(&self, other: &Self) -> bool {
        self.status.same_channel(&other.status)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use pelago_content::Hash;

    use super::*;

    /// A run that continues until it is stopped.
    fn run() -> (Download, EndReporter) {
        let status = DownloadStatus::new(Hash::from_bytes([7; 32]), None);
        let mut download = Download::inactive(status.clone(), false, Scopes::default());
        download.task = Some(tokio::spawn(pending::<()>()).abort_handle());
        let (status, outcome) = (watch::channel(status).0, watch::channel(None).0);
        download.outcome = outcome.subscribe();
        let published = Published {
            status,
            block_sources: BlockSources::default(),
            windows: ReadWindows::default(),
            ending: Arc::clone(&download.ending),
        };
        let reporter = EndReporter {
            published,
            outcome,
            metrics: None,
        };
        (download, reporter)
    }

    #[tokio::test]
    async fn a_stopped_run_is_paused_whatever_its_result() {
        let (download, reporter) = run();
        assert!(download.stop() && download.stop());
        let result = reporter.unless_stopped(Err(TransferError::TooManyRead));
        assert!(matches!(result, Err(TransferError::Paused)));
        drop(reporter);
        let end = download.finished().await.unwrap_err();
        assert!(matches!(*end, TransferError::Paused));
    }

    #[tokio::test]
    async fn a_run_that_panics_has_failed_and_says_so() {
        let (download, reporter) = run();
        let task = tokio::spawn(async move {
            let _reporter = reporter;
            panic!("on purpose");
        });
        assert!(task.await.unwrap_err().is_panic());
        let end = download.finished().await.unwrap_err();
        assert!(matches!(*end, TransferError::Internal(_)));
    }

    #[tokio::test]
    async fn a_run_that_has_come_to_its_end_is_not_stopped() {
        let (download, reporter) = run();
        let result = reporter.unless_stopped(Err(TransferError::TooManyRead));
        assert!(!download.stop());
        assert!(!download.task.as_ref().unwrap().is_finished());
        reporter.report(result);
        let end = download.finished().await.unwrap_err();
        assert!(matches!(*end, TransferError::TooManyRead));
    }
}
