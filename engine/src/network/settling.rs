//! Whether a search has come to its end: all dials, introductions and look-ups that it began have
//! ended, so that waiting longer finds nothing by itself.

use std::time::{Duration, Instant};

use tokio::{sync::watch, task::AbortHandle, time::sleep};

use super::Network;

/// How long a search lasts at least: nodes on the local network answer within that time.
const MIN_SEARCH: Duration = Duration::from_secs(3);

/// How long nothing has to be under way: what one step finds begins the next one.
const QUIET: Duration = Duration::from_millis(500);

/// Time between two looks at the network.
const INTERVAL: Duration = Duration::from_millis(100);

/// Follows a search, which begins now, until this is dropped.
pub struct Settling {
    is_settled: watch::Receiver<bool>,
    task: AbortHandle,
}

impl Settling {
    /// Whether nothing of the search is under way any more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        *self.is_settled.borrow()
    }

    /// Waits until nothing of the search, if one is followed, is under way any more. Cancel-safe.
    pub async fn settled(followed: &mut Option<Self>) {
        if let Some(search) = followed
            && search.is_settled.wait_for(|is| *is).await.is_ok()
        {
            return;
        }
        // There is none, or the network has shut down, which ends the search in another way.
        std::future::pending::<()>().await;
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Network {
    /// Follows a search that begins now.
    #[must_use]
    pub fn settling(&self) -> Settling {
        let (sender, is_settled) = watch::channel(false);
        let task = tokio::spawn(follow(self.clone(), sender)).abort_handle();
        Settling { is_settled, task }
    }
}

async fn follow(network: Network, settled: watch::Sender<bool>) {
    let begun = Instant::now();
    let mut quiet_since = None;
    while let Ok(is_quiet) = network.is_quiet().await {
        let now = Instant::now();
        quiet_since = is_quiet.then(|| quiet_since.unwrap_or(now));
        let is_long = |since: Instant| now - since >= QUIET;
        let is_over = now - begun >= MIN_SEARCH && quiet_since.is_some_and(is_long);
        settled.send_replace(is_over);
        sleep(INTERVAL).await;
    }
}
