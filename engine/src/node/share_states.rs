//! Inspects whether the shares of this node are available: from time to time, and when serving one
//! fails.
//!
//! Records each state in the store, whose feed has it announced or withdrawn, and logs changes. An
//! inspection takes one call of the system for each file and reads none. Files
//! that may have other content go to the queue of files to hash. The watch of a folder handles
//! files that are gone from it.

mod inspect;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    time::{Instant, sleep},
};

pub use self::inspect::{UnavailableShares, inspect_all, unavailable};
use self::inspect::{inspect_path, inspect_shares};
use super::{
    blocking::blocking,
    core::NodeCore,
    scan::{DuePath, Unobserved, scan},
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
/// It is at most twice the pause before: one inspection that waited for a disk says little.
const PAUSE_FACTOR: u32 = 200;

/// Inspects all shares from time to time, for as long as the node runs.
pub(super) async fn keep_states(core: Arc<NodeCore>) -> Outcome {
    let mut pause = MIN_PAUSE;
    loop {
        sleep(pause).await;
        let begun = Instant::now();
        core.inspect_shares().await;
        let enough = begun.elapsed() * PAUSE_FACTOR;
        pause = enough.clamp(MIN_PAUSE, MAX_PAUSE.min(2 * pause));
    }
}

/// Inspects the `doubtful` paths as they come: an inspection of all shares may take long.
pub(super) async fn inspect_doubtful(
    core: Arc<NodeCore>,
    doubtful: Arc<AsyncMutex<mpsc::Receiver<PathBuf>>>,
) -> Outcome {
    let mut doubtful = doubtful.lock().await;
    while let Some(path) = doubtful.recv().await {
        core.inspect_path(path).await;
    }
    Ok(())
}

impl NodeCore {
    /// Inspects all shares.
    pub(super) async fn inspect_shares(&self) {
        let (store, rehash) = (self.store.clone(), self.rehash.clone());
        inspect(move || inspect_shares(&store, &rehash)).await;
    }

    /// Inspects the share at `path`, and the member of shared folders there.
    pub(super) async fn inspect_path(&self, path: PathBuf) {
        let (store, rehash) = (self.store.clone(), self.rehash.clone());
        inspect(move || inspect_path(&store, &rehash, &path)).await;
    }
}

async fn inspect(inspection: impl FnOnce() -> Result<(), DatabaseError> + Send + 'static) {
    if let Ok(Err(error)) = blocking(inspection).await {
        tracing::warn!(%error, "cannot inspect shares: trying again soon");
    }
}

impl NodeCore {
    /// Shares the files of watched folders at places that are no longer excluded.
    pub(super) async fn share_included(&self, places: Vec<Exclusion>) {
        if places.is_empty() {
            return;
        }
        let (store, scope) = (self.store.clone(), self.share_scope());
        let scan_places = move || {
            for Exclusion { path, folder } in places {
                let is_early = false;
                let due = [DuePath { path, is_early }];
                let settling = &mut Settling::default();
                let scanned = scan(&store, &folder, scope, &due, settling, &Unobserved);
                if let Err(error) = scanned {
                    tracing::warn!(
                        folder = %folder.display(), %error, "cannot scan the folder: trying \
                         again later"
                    );
                }
            }
        };
        // It fails only when the node shuts down: then the next start scans the folder.
        let _ = blocking(scan_places).await;
    }
}
