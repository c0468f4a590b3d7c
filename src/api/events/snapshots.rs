//! Snapshots of the node for all streams of events, polled while a stream is open.
//!
//! One task polls for all streams. Each stream compares its last snapshot with the newest one, so
//! nothing is queued for a slow client. Streams share the snapshots that they hold.

use std::{
    path::Path,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use libp2p::PeerId;
use parking_lot::Mutex;
use pelago_content::Hash;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{
    api::types::{Group, Join},
    node::{DownloadStatus, FileBeingWritten, ListError, Listed, Node, Peer, Status, UploadStatus},
};

/// How often the node is polled. People notice no delay.
pub(super) const INTERVAL: Duration = Duration::from_millis(250);

/// Open streams, at most. Each costs about 100 KB with its buffers, and a page needs one.
pub(in crate::api) const MAX_STREAMS: usize = 32;

/// The pause between two listings of the shares, in multiples of the duration of the last one. So
/// listing takes at most a tenth of a thread while thousands of files are being shared.
const LISTING_SHARE: u32 = 10;

/// The source of snapshots, shared by all streams.
pub(in crate::api) struct Snapshots {
    node: Node,
    permits: Arc<Semaphore>,
    poller: Mutex<Weak<Poller>>,
}

/// The task that polls. It ends with the last stream.
struct Poller {
    newest: watch::Receiver<Option<Arc<Snapshot>>>,
    task: AbortHandle,
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One of the permitted streams.
pub(super) struct Subscription {
    newest: watch::Receiver<Option<Arc<Snapshot>>>,
    _poller: Arc<Poller>,
    _permit: OwnedSemaphorePermit,
}

/// The state of the node at one moment.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) status: Option<Status>,
    /// Downloads and their positions in the queue, ordered by hash.
    pub(super) downloads: Vec<(DownloadStatus, u64)>,
    /// Ordered by their beginning.
    pub(super) uploads: Vec<UploadStatus>,
    pub(super) shares: Arc<Shares>,
    /// Ordered by path.
    pub(super) writing: Vec<FileBeingWritten>,
    /// Ordered by peer id.
    pub(super) peers: Vec<Peer>,
    /// Ordered by id.
    pub(super) groups: Vec<Group>,
    /// Ordered by group.
    pub(super) joins: Vec<Join>,
}

/// The shares at one moment.
#[derive(Debug, Default)]
pub(super) struct Shares {
    revision: Option<u64>,
    /// Ordered by name, hash and path, as the same content may be shared from several paths.
    pub(super) listed: Vec<Listed>,
    /// The addresses of the node, for links.
    pub(super) peers: Vec<String>,
}

impl Snapshot {
    /// The snapshot that a new stream compares with.
    pub(super) fn empty() -> Self {
        Self {
            status: None,
            downloads: Vec::new(),
            uploads: Vec::new(),
            shares: Arc::default(),
            writing: Vec::new(),
            peers: Vec::new(),
            groups: Vec::new(),
            joins: Vec::new(),
        }
    }

    /// Whether a stream that sent `other` has nothing to send.
    fn equals(&self, other: &Self) -> bool {
        same_status(self.status.as_ref(), other.status.as_ref())
            && self.downloads == other.downloads
            && self.uploads == other.uploads
            && self.peers == other.peers
            && self.groups == other.groups
            && self.joins == other.joins
            && self.writing == other.writing
            && Arc::ptr_eq(&self.shares, &other.shares)
    }
}

/// Whether they are equal apart from the uptime.
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

    /// Begins a stream; `None` if too many are open.
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
    /// The newest snapshot; `None` before the first one.
    ///
    /// # Errors
    ///
    /// [`Ended`] if the node has ended.
    pub(super) fn newest(&self) -> Result<Option<Arc<Snapshot>>, Ended> {
        if self.newest.has_changed().is_err() {
            return Err(Ended);
        }
        Ok(self.newest.borrow().clone())
    }

    /// Waits for the first snapshot, or for the end of the node.
    pub(super) async fn first(&mut self) {
        // `newest` reports the outcome.
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
                .is_none_or(|before| !snapshot.equals(before))
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
        // The order of connections varies.
        peer.addresses.sort();
    }
    // A node without a user has no groups.
    let groups = node.groups().unwrap_or_default().into_iter();
    let mut groups: Vec<_> = groups.map(Group::from).collect();
    groups.sort_by(|one, other| one.id.cmp(&other.id));
    let joins = node.group_joins().unwrap_or_default().into_iter();
    let mut joins: Vec<_> = joins.map(Join::from).collect();
    joins.sort_by(|one, other| one.group.cmp(&other.group));
    Ok(Snapshot {
        status: Some(node.status().await?),
        downloads,
        uploads: node.uploads(),
        shares: shares.renewed(node).await?,
        writing: node.being_written().files,
        peers,
        groups,
        joins,
    })
}

/// The shares as they were listed last.
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

/// The key that orders uploads.
pub(super) fn upload_key(upload: &UploadStatus) -> (u64, Hash, PeerId) {
    (upload.began_unix_ms, upload.hash, upload.peer)
}

/// The key that orders shares.
pub(super) fn share_key(listed: &Listed) -> (&str, Hash, Option<&Path>) {
    (&listed.name, listed.hash, listed.path.as_deref())
}
