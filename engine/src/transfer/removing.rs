//! The removal of a download with its data, as the list knows it.

use tokio::sync::watch;

use super::{ChangeError, DownloadStatus};

/// The outcome of a removal, once it has one: the status of the download before it.
pub(super) type RemovalOutcome = Option<Result<DownloadStatus, ChangeError>>;

/// The removal of a download with its data.
#[derive(Clone)]
pub(super) struct Removal {
    /// Whether the download was done. Then its content is removed, or it stays listed.
    pub(super) of_done: bool,
    outcome: watch::Receiver<RemovalOutcome>,
}

impl Removal {
    /// A removal, and where to report its outcome. Without a reporter, it ends with
    /// [`ChangeError::ShuttingDown`].
    pub(super) fn new(of_done: bool) -> (Self, watch::Sender<RemovalOutcome>) {
        let (report, outcome) = watch::channel(None);
        (Self { of_done, outcome }, report)
    }

    /// Waits for the outcome.
    pub(super) async fn outcome(mut self) -> Result<DownloadStatus, ChangeError> {
        match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(ChangeError::ShuttingDown)),
            Err(_) => Err(ChangeError::ShuttingDown),
        }
    }
}
