//! The end of an API whose program executes itself again: the calls in progress are answered first.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

/// How long the last calls may take. The one that causes the end is complete except for its bytes.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// Ends the API.
pub(super) struct Ending(watch::Sender<bool>);

/// Whether the API has to end. Its server drops the last clone once its calls are complete.
#[derive(Clone)]
pub(super) struct Ended(watch::Receiver<bool>);

impl Ending {
    pub(super) fn new() -> (Self, Ended) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Ended(receiver))
    }

    /// Lets the API end, and waits until its calls are complete.
    pub(super) async fn end(self) {
        self.0.send_replace(true);
        if timeout(LAST_CALLS, self.0.closed()).await.is_err() {
            tracing::debug!("calls of the API were cut off");
        }
    }
}

impl Ended {
    /// Waits until the API has to end.
    pub(super) async fn wait(mut self) {
        if self.0.wait_for(|has_ended| *has_ended).await.is_err() {
            // Only aborting the server ends it, then.
            std::future::pending::<()>().await;
        }
    }
}
