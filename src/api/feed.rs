//! What is, for all streams of events: looked at some times a second while anybody reads one.
//!
//! One task looks, however many streams there are. Each stream compares what it told with the newest
//! picture: so nothing queues for a slow one, and what it holds is a picture that others may hold, too.

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
pub(super) const MAX_STREAMS: usize = 32;

/// Shares are listed anew after this many times what it took the last time: so a tenth of a thread is
/// spent on that at most, while thousands of files are being shared.
const LISTING_SHARE: u32 = 10;

/// The newest picture, and who looks at it.
pub(super) struct Feed {
    node: Node,
    places: Arc<Semaphore>,
    looking: Mutex<Weak<Looking>>,
}

/// The task that looks; it ends with the last stream.
struct Looking {
    newest: watch::Receiver<Option<Arc<Picture>>>,
    task: AbortHandle,
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A place among the streams.
pub(super) struct Subscription {
    newest: watch::Receiver<Option<Arc<Picture>>>,
    _looking: Arc<Looking>,
    _place: OwnedSemaphorePermit,
}

/// What is at one moment.
#[derive(Clone, Debug)]
pub(super) struct Picture {
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

impl Picture {
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

impl Feed {
    pub(super) fn new(node: Node) -> Self {
        Self {
            node,
            places: Arc::new(Semaphore::new(MAX_STREAMS)),
            looking: Mutex::default(),
        }
    }

    /// A place for a stream, if there is one left.
    pub(super) fn subscribe(&self) -> Option<Subscription> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let mut looking = self.looking.lock();
        let looking = looking.upgrade().unwrap_or_else(|| {
            let (sender, newest) = watch::channel(None);
            let task = tokio::spawn(look(self.node.clone(), sender)).abort_handle();
            let begun = Arc::new(Looking { newest, task });
            *looking = Arc::downgrade(&begun);
            begun
        });
        Some(Subscription {
            newest: looking.newest.clone(),
            _looking: looking,
            _place: place,
        })
    }
}

impl Subscription {
    /// The newest picture: none before there is a first. An error if there will be no more.
    pub(super) fn newest(&self) -> Result<Option<Arc<Picture>>, Ended> {
        if self.newest.has_changed().is_err() {
            return Err(Ended);
        }
        Ok(self.newest.borrow().clone())
    }

    /// Waits for the first picture, or until there will be none.
    pub(super) async fn first(&mut self) {
        // What came of it shows when the newest is asked for.
        drop(self.newest.wait_for(Option::is_some).await);
    }
}

/// The node has ended.
#[derive(Debug)]
pub(super) struct Ended;

async fn look(node: Node, newest: watch::Sender<Option<Arc<Picture>>>) {
    let mut tick = interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shares = Listing::default();
    loop {
        tick.tick().await;
        let Ok(picture) = picture(&node, &mut shares).await else {
            return;
        };
        let is_new = |before: &Option<Arc<Picture>>| {
            before
                .as_ref()
                .is_none_or(|before| !picture.is_like(before))
        };
        if is_new(&newest.borrow()) {
            newest.send_replace(Some(Arc::new(picture)));
        }
    }
}

async fn picture(node: &Node, shares: &mut Listing) -> Result<Picture, ListError> {
    let downloads = node.downloads().into_iter().zip(0_u64..);
    let mut downloads: Vec<_> = downloads.collect();
    downloads.sort_by_key(|(download, _): &(DownloadStatus, u64)| download.hash);
    let mut peers = node.peers().await?;
    peers.sort_by_key(|peer| peer.peer_id);
    for peer in &mut peers {
        // Connections come in any order.
        peer.addresses.sort();
    }
    Ok(Picture {
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

/// How two lists that are ordered by the same key differ, found one by one.
#[derive(Debug, Default)]
pub(super) struct Difference {
    old: usize,
    new: usize,
}

/// What is in one list, and not so in the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a, T> {
    /// New, or another than before.
    Is(&'a T),
    /// No more.
    Gone(&'a T),
}

impl Difference {
    /// The next difference; none after the last. With `anew`, what is the same as before is told, too.
    pub(super) fn next<'a, T: PartialEq, K: Ord>(
        &mut self,
        old: &'a [T],
        new: &'a [T],
        anew: bool,
        key: impl Fn(&'a T) -> K,
    ) -> Option<Step<'a, T>> {
        loop {
            match (old.get(self.old), new.get(self.new)) {
                (None, None) => return None,
                (Some(gone), None) => {
                    self.old += 1;
                    return Some(Step::Gone(gone));
                }
                (None, Some(is)) => {
                    self.new += 1;
                    return Some(Step::Is(is));
                }
                (Some(before), Some(now)) => match key(before).cmp(&key(now)) {
                    std::cmp::Ordering::Less => {
                        self.old += 1;
                        return Some(Step::Gone(before));
                    }
                    std::cmp::Ordering::Greater => {
                        self.new += 1;
                        return Some(Step::Is(now));
                    }
                    std::cmp::Ordering::Equal => {
                        self.old += 1;
                        self.new += 1;
                        if anew || before != now {
                            return Some(Step::Is(now));
                        }
                    }
                },
            }
        }
    }
}

/// What orders shares.
pub(super) fn share_key(listed: &Listed) -> (&str, Hash, Option<&Path>) {
    (&listed.name, listed.hash, listed.path.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_compared_one_by_one() {
        let (old, new) = (
            [(1, 'a'), (2, 'b'), (4, 'd')],
            [(2, 'x'), (3, 'c'), (4, 'd')],
        );
        let mut difference = Difference::default();
        let steps: Vec<_> =
            std::iter::from_fn(|| difference.next(&old, &new, false, |item| item.0)).collect();
        assert_eq!(
            steps,
            [
                Step::Gone(&(1, 'a')),
                Step::Is(&(2, 'x')),
                Step::Is(&(3, 'c'))
            ]
        );
    }
}
