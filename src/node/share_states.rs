//! Inspects whether the shares of this node are available: from time to time, and when serving one
//! fails.
//!
//! Acts when a state changes: withdraws what is not available, announces what is available again,
//! and logs both. An inspection takes one call of the system for each file and reads none. Files
//! that may have other content go to the queue of files to hash. The watch of a folder handles
//! files that are gone from it.

mod inspect;

use std::{ops::ControlFlow, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use pelago_content::Hash;
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    time::{Instant, sleep_until},
};

pub use self::inspect::{UnavailableShares, inspect_all, unavailable};
use self::inspect::{inspect_path, inspect_shares};
use super::{
    blocking::blocking,
    core::NodeCore,
    scan::{DuePath, ScanObserver, scan},
    settling::Settling,
};
use crate::{
    duties::Outcome,
    store::{DatabaseError, Exclusion},
};

/// The most paths of files that could not be served and wait for an inspection.
pub(super) const DOUBTFUL_QUEUED: usize = 256;

/// The least and the most time between two inspections of all shares.
const MIN_PAUSE: Duration = Duration::from_secs(2);
const MAX_PAUSE: Duration = Duration::from_secs(600);

/// The pause after an inspection is this many times as long as it took: half a percent of one core.
const PAUSE_FACTOR: u32 = 200;

/// Inspects shares for as long as the node runs: all of them from time to time, and the `doubtful`
/// paths immediately.
pub(super) async fn keep_states(
    core: Arc<NodeCore>,
    doubtful: Arc<AsyncMutex<mpsc::Receiver<PathBuf>>>,
) -> Outcome {
    let mut doubtful = doubtful.lock().await;
    let mut next = Instant::now() + MIN_PAUSE;
    loop {
        tokio::select! {
            path = doubtful.recv() => match path {
                Some(path) => core.inspect_path(path).await,
                None => return Ok(()),
            },
            () = sleep_until(next) => {
                let begun = Instant::now();
                core.inspect_shares().await;
                let pause = begun.elapsed() * PAUSE_FACTOR;
                next = Instant::now() + pause.clamp(MIN_PAUSE, MAX_PAUSE);
            }
        }
    }
}

impl NodeCore {
    /// Inspects all shares.
    pub(super) async fn inspect_shares(&self) {
        let (store, rehash) = (self.store.clone(), self.rehash.clone());
        self.announce_changed(move || inspect_shares(&store, &rehash))
            .await;
    }

    /// Inspects the share at `path`, and the member of shared folders there.
    pub(super) async fn inspect_path(&self, path: PathBuf) {
        let (store, rehash) = (self.store.clone(), self.rehash.clone());
        self.announce_changed(move || inspect_path(&store, &rehash, &path))
            .await;
    }

    /// Announces the hashes that `inspect` finds available again, and withdraws those that are not.
    async fn announce_changed(
        &self,
        inspect: impl FnOnce() -> Result<Vec<Hash>, DatabaseError> + Send + 'static,
    ) {
        match blocking(inspect).await {
            Ok(Ok(changed)) => {
                for hash in changed {
                    self.provide_if_shared(hash).await;
                    self.withdraw_if_gone(hash).await;
                }
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot inspect shares: trying again soon");
            }
            Err(_) => {}
        }
    }
}

/// Collects the hashes that a scan of a watched folder finds, to be announced after it.
#[derive(Default)]
struct Collected(Mutex<Vec<Hash>>);

impl ScanObserver for Collected {
    fn shared(&self, hashes: Vec<Hash>) -> ControlFlow<()> {
        self.0.lock().extend(hashes);
        ControlFlow::Continue(())
    }

    fn gone(&self, hashes: Vec<Hash>) -> ControlFlow<()> {
        self.shared(hashes)
    }

    // The watch of the folder shows which files wait.
    fn waiting(&self, _: &Settling) {}
}

impl NodeCore {
    /// Shares the files of watched folders at places that are no longer excluded.
    pub(super) async fn share_included(&self, places: Vec<Exclusion>) {
        if places.is_empty() {
            return;
        }
        let store = self.store.clone();
        let scan_places = move || {
            let found = Collected::default();
            for Exclusion { path, folder } in places {
                let is_early = false;
                let due = [DuePath { path, is_early }];
                let scanned = scan(&store, &folder, &due, &mut Settling::default(), &found);
                if let Err(error) = scanned {
                    tracing::warn!(
                        folder = %folder.display(), %error, "cannot scan the folder: trying \
                         again later"
                    );
                }
            }
            Ok(found.0.into_inner())
        };
        self.announce_changed(scan_places).await;
    }
}
