//! All downloads of a node: started, joined, listed, paused.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::FutureExt;
use libp2p::PeerId;
use pelago_content::Hash;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::AbortHandle,
};

use super::{
    DownloadError, DownloadState, DownloadStatus, Finished, Request, Settings,
    download::{Room, Task},
};
use crate::{limits::Limits, network::Network, store::Store};

/// Ended downloads that are still listed; the oldest are forgotten first.
const MAX_ENDED: usize = 100;

/// Peers offered to a download that it has not looked at yet, at most.
const OFFERS_QUEUED: usize = 64;

/// The downloads of a node. A handle: clones share them.
#[derive(Clone)]
pub struct Transfers {
    room: Room,
    downloads: Arc<Mutex<BTreeMap<u64, Download>>>,
}

/// How a download ended, for everyone who waits.
type Outcome = Result<Finished, Arc<DownloadError>>;

/// A handle to one download.
#[derive(Clone)]
pub struct Download {
    status: watch::Receiver<DownloadStatus>,
    outcome: watch::Receiver<Option<Outcome>>,
    offers: mpsc::Sender<PeerId>,
    task: AbortHandle,
}

impl Transfers {
    /// Downloads from `network`, as fast as `limits` allow, into what `store` keeps track of.
    #[must_use]
    pub fn new(network: Network, limits: Limits, store: Store, settings: Settings) -> Self {
        let turns = Arc::new(Semaphore::new(settings.max_downloads.max(1)));
        let room = Room {
            network,
            limits,
            store,
            settings,
            turns,
        };
        Self {
            room,
            downloads: Arc::default(),
        }
    }

    /// Starts a download; if one of the same hash is under way, joins that.
    #[must_use]
    pub fn start(&self, request: Request) -> Download {
        let mut downloads = self.lock();
        let same = |download: &&Download| {
            let status = download.status.borrow();
            status.hash == request.hash && !status.state.is_ended()
        };
        if let Some(download) = downloads.values().find(same) {
            return download.clone();
        }
        let download = self.spawn(request);
        let id = downloads.last_key_value().map_or(0, |(id, _)| id + 1);
        downloads.insert(id, download.clone());
        let ended = downloads
            .iter()
            .filter(|(_, d)| d.status.borrow().state.is_ended());
        let ended: Vec<_> = ended.map(|(id, _)| *id).collect();
        for id in ended.iter().take(ended.len().saturating_sub(MAX_ENDED)) {
            downloads.remove(id);
        }
        download
    }

    fn spawn(&self, request: Request) -> Download {
        let (status, status_now) = watch::channel(first_status(&request));
        let (outcome, outcome_now) = watch::channel(None);
        let (offers, offered) = mpsc::channel(OFFERS_QUEUED);
        let room = self.room.clone();
        // Made out here, so that a task which is stopped before it first ran has ended, too.
        let ended = Ended {
            status: status.clone(),
            outcome,
        };
        let run = async move {
            // Never closed.
            let result = match Arc::clone(&room.turns).acquire_owned().await {
                Ok(turn) => Task::new(&room, request, status, offered).run(turn).await,
                Err(_) => Err(DownloadError::ShuttingDown),
            };
            ended.with(result);
        };
        let task = tokio::spawn(run.map(drop)).abort_handle();
        Download {
            status: status_now,
            outcome: outcome_now,
            offers,
            task,
        }
    }

    /// A peer is interested in `hash`, so it may have some of it: if that is being downloaded, the peer
    /// is asked. One too many is passed over.
    pub fn offer(&self, hash: &Hash, peer: PeerId) {
        let downloads = self.lock();
        let same = downloads.values().rev().find(|download| {
            let status = download.status.borrow();
            status.hash == *hash && !status.state.is_ended()
        });
        if let Some(download) = same {
            let _ = download.offers.try_send(peer);
        }
    }

    /// What is known of each download, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<DownloadStatus> {
        self.lock()
            .values()
            .map(|download| download.status.borrow().clone())
            .collect()
    }

    /// Pauses all downloads.
    pub fn pause_all(&self) {
        self.lock().values().for_each(Download::pause);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Download>> {
        self.downloads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells how a download ended; if its task is aborted, that it was paused.
struct Ended {
    status: watch::Sender<DownloadStatus>,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Ended {
    fn with(&self, result: Result<Finished, DownloadError>) {
        let result = result.map_err(Arc::new);
        self.status.send_modify(|status| {
            status.bytes_per_second = 0;
            status.sources = 0;
            status.state = match &result {
                Ok(finished) => {
                    status.path = Some(finished.path.clone());
                    status.size = Some(finished.size);
                    status.verified_bytes = finished.size;
                    DownloadState::Done
                }
                Err(error) if matches!(**error, DownloadError::Paused) => DownloadState::Paused,
                Err(_) => DownloadState::Failed,
            };
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

fn first_status(request: &Request) -> DownloadStatus {
    DownloadStatus {
        hash: request.hash,
        name: request
            .name
            .clone()
            .unwrap_or_else(|| request.hash.to_string()),
        path: None,
        state: DownloadState::Queued,
        size: None,
        verified_bytes: 0,
        bytes_per_second: 0,
        sources: 0,
    }
}

impl Download {
    /// What is known of it, as it changes: some ten times a second at most.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<DownloadStatus> {
        self.status.clone()
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

    /// Stops it. What was verified is kept, and the same request goes on from there.
    pub fn pause(&self) {
        self.task.abort();
    }
}
