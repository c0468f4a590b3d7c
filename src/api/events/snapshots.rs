//! What is, for all streams of events: looked at some times a second while anybody reads one.
//!
//! One task looks, however many streams there are. Each stream compares what it told with the newest
//! snapshot: so nothing queues for a slow one, and what it holds is a snapshot that others may hold, too.

use std::{
    path::Path,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use pelago_content::Hash;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};

use crate::node::{DownloadStatus, FileBeingWritten, ListError, Listed, Node, Peer, Status};

/// How often the node is looked at: people see no difference to more.
pub(super) const INTERVAL: Duration = Duration::from_millis(250);

/// Streams at once, at most. Each costs some 100 KB with all its buffers, and a page needs one.
pub(in crate::api) const MAX_STREAMS: usize = 32;

/// Shares are listed anew after this many times what it took the last time: so a tenth of a thread is
/// spent on that at most, while thousands of files are being shared.
const LISTING_SHARE: u32 = 10;

/// The newest snapshot, and who looks at it.
pub(in crate::api) struct Snapshots {
    node: Node,
    permits: Arc<Semaphore>,
    poller: Mutex<Weak<Poller>>,
}

/// The task that looks; it ends with the last stream.
struct Poller {
    newest: watch::Receiver<Option<Arc<Snapshot>>>,
    task: AbortHandle,
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A place among the streams.
pub(super) struct Subscription {
    newest: watch::Receiver<Option<Arc<Snapshot>>>,
    _poller: Arc<Poller>,
    _permit: OwnedSemaphorePermit,
}

/// What is at one moment.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) status: Option<Status>,
    /// With their places, by hash.
    pub(super) downloads: Vec<(DownloadStatus, u64)>,
    pub(super) shares: Arc<Shares>,
    /// By path.
    pub(super) writing: Vec<FileBeingWritten>,
    /// By id.
    pub(super) peers: Vec<Peer>,
}

/// What is shared at one moment.
#[derive(Debug, Default)]
pub(super) struct Shares {
    revision: Option<u64>,
    /// By name, hash and path: the same content may be shared from several places.
    pub(super) listed: Vec<Listed>,
    /// Where the node is reached, for the links.
    pub(super) peers: Vec<String>,
}

impl Snapshot {
    /// What a stream has told that has told nothing.
    pub(super) fn empty() -> Self {
        Self {
            status: None,
            downloads: Vec::new(),
            shares: Arc::default(),
            writing: Vec::new(),
            peers: Vec::new(),
        }
    }

    /// Whether there is nothing to tell to who knows `other`.
    fn is_like(&self, other: &Self) -> bool {
        same_status(self.status.as_ref(), other.status.as_ref())
            && self.downloads == other.downloads
            && self.peers == other.peers
            && self.writing == other.writing
            && Arc::ptr_eq(&self.shares, &other.shares)
    }
}

/// Whether they say the same, but for the time.
pub(super) fn same_status(one: Option<&Status>, other: Option<&Status>) -> bool {
    let timeless = |status: &Status| Status {
        uptime: Duration::ZERO,
        ..status.clone()
    };
    one.map(timeless) == other.map(timeless)
}

impl Snapshots {
    pub(in crate::api) fn new(node: Node) -> Self {
        Self {
            node,
            permits: Arc::new(Semaphore::new(MAX_STREAMS)),
            poller: Mutex::default(),
        }
    }

    /// A place for a stream, if there is one left.
    pub(super) fn subscribe(&self) -> Option<Subscription> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let mut poller = self.poller.lock();
        let poller = poller.upgrade().unwrap_or_else(|| {
            let (sender, newest) = watch::channel(None);
            let task = tokio::spawn(poll(self.node.clone(), sender)).abort_handle();
            let begun = Arc::new(Poller { newest, task });
            *poller = Arc::downgrade(&begun);
            begun
        });
        Some(Subscription {
            newest: poller.newest.clone(),
            _poller: poller,
            _permit: permit,
        })
    }
}

impl Subscription {
    /// The newest snapshot: none before there is a first. An error if there will be no more.
    pub(super) fn newest(&self) -> Result<Option<Arc<Snapshot>>, Ended> {
        if self.newest.has_changed().is_err() {
            return Err(Ended);
        }
        Ok(self.newest.borrow().clone())
    }

    /// Waits for the first snapshot, or until there will be none.
    pub(super) async fn first(&mut self) {
        // What came of it shows when the newest is asked for.
        drop(self.newest.wait_for(Option::is_some).await);
    }
}

/// The node has ended.
#[derive(Debug)]
pub(super) struct Ended;

async fn poll(node: Node, newest: watch::Sender<Option<Arc<Snapshot>>>) {
    let mut tick = interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shares = Listing::default();
    loop {
        tick.tick().await;
        let Ok(snapshot) = snapshot(&node, &mut shares).await else {
            return;
        };
        let is_new = |before: &Option<Arc<Snapshot>>| {
            before
                .as_ref()
                .is_none_or(|before| !snapshot.is_like(before))
        };
        if is_new(&newest.borrow()) {
            newest.send_replace(Some(Arc::new(snapshot)));
        }
    }
}

async fn snapshot(node: &Node, shares: &mut Listing) -> Result<Snapshot, ListError> {
    let downloads = node.downloads().into_iter().zip(0_u64..);
    let mut downloads: Vec<_> = downloads.collect();
    downloads.sort_by_key(|(download, _): &(DownloadStatus, u64)| download.hash);
    let mut peers = node.peers().await?;
    peers.sort_by_key(|peer| peer.peer_id);
    for peer in &mut peers {
        // Connections come in any order.
        peer.addresses.sort();
    }
    Ok(Snapshot {
        status: Some(node.status().await?),
        downloads,
        shares: shares.renewed(node).await?,
        writing: node.being_written().files,
        peers,
    })
}

/// What is shared, as it was last listed.
#[derive(Default)]
struct Listing {
    shares: Arc<Shares>,
    not_before: Option<Instant>,
}

impl Listing {
    async fn renewed(&mut self, node: &Node) -> Result<Arc<Shares>, ListError> {
        let (revision, peers) = (Some(node.shares_revision()), node.link_peers().await?);
        let is_due = self.not_before.is_none_or(|at| at <= Instant::now());
        let is_new = revision != self.shares.revision || peers != self.shares.peers;
        if is_new && is_due {
            let begun = Instant::now();
            let listed = node.list().await?;
            self.not_before = Some(Instant::now() + begun.elapsed() * LISTING_SHARE);
            self.shares = Arc::new(Shares {
                revision,
                listed,
                peers,
            });
        }
        Ok(Arc::clone(&self.shares))
    }
}

/// What orders shares.
pub(super) fn share_key(listed: &Listed) -> (&str, Hash, Option<&Path>) {
    (&listed.name, listed.hash, listed.path.as_deref())
}
