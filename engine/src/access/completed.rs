//! Downloads that this node has completed, and whether their sources know.
//!
//! A source asks back which blocks its listener has, so as to show its person when the listener has
//! all. A node that does not share a download on no longer offers the content by then. So this table
//! says to whom it may state all the same that it has all of it: to the peers that sent it, which
//! know of the download anyway. It also tells the end of a command how many of them do not know yet.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use libp2p::PeerId;
use parking_lot::Mutex;
use pelago_content::{Descriptor, Hash};
use pelago_groups::GroupId;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Completed downloads that are remembered, at most: a source asks within a second.
const MAX_COMPLETED: usize = 256;

/// Sources of one download that are remembered, at most: those that sent some of it last.
const MAX_SOURCES: usize = 64;

/// How long the end of a command waits for sources to ask. A source asks when it sends the first
/// chunk, and an older version never asks.
const ASK_PATIENCE: Duration = Duration::from_millis(100);

/// How long it waits for sources that have asked, until they have read the answer.
const ANSWER_PATIENCE: Duration = Duration::from_millis(500);

/// A download whose content is in its place.
#[derive(Clone, Debug)]
pub struct Completed {
    /// Kind, size and root of the content.
    pub descriptor: Descriptor,
    /// How many blocks it has, all of which are here.
    pub blocks: u64,
    /// The group in which it was fetched.
    pub group: Option<GroupId>,
    /// The peers that sent some of it, the newest first.
    pub sources: Vec<PeerId>,
}

/// The completed downloads of a node. A handle: clones share them.
#[derive(Clone, Debug, Default)]
pub struct CompletedDownloads(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    /// How often the table has changed.
    changes: watch::Sender<u64>,
    /// How often a download was added.
    additions: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Table {
    /// The oldest first, each with the sources that do not know yet.
    completed: VecDeque<(Completed, HashSet<PeerId>)>,
    /// On how many streams each peer listens to changes of each content: bounded by the streams that
    /// are served.
    listeners: HashMap<(Hash, PeerId), usize>,
}

/// A stream on which a peer listens to what this node has of some content.
#[derive(Debug)]
pub struct Listener {
    downloads: CompletedDownloads,
    key: (Hash, PeerId),
}

impl CompletedDownloads {
    /// A download is complete.
    pub fn add(&self, mut completed: Completed) {
        completed.sources.truncate(MAX_SOURCES);
        let hash = completed.descriptor.hash();
        let unaware = completed.sources.iter().copied().collect();
        self.change(|table| {
            table
                .completed
                .retain(|(old, _)| old.descriptor.hash() != hash);
            table.completed.push_back((completed, unaware));
            if table.completed.len() > MAX_COMPLETED {
                table.completed.pop_front();
            }
        });
        self.0.additions.send_modify(|additions| *additions += 1);
    }

    /// The completed download of `hash`, if `peer` was one of its sources, in the same group.
    #[must_use]
    pub fn for_source(
        &self,
        hash: &Hash,
        peer: &PeerId,
        group: Option<GroupId>,
    ) -> Option<Completed> {
        let table = self.0.table.lock();
        let (completed, _) = table.of(hash)?;
        let may_know = completed.group == group && completed.sources.contains(peer);
        may_know.then(|| completed.clone())
    }

    /// The hash of a completed download with this provider key.
    #[must_use]
    pub fn hash_of_key(&self, key: &[u8; 32]) -> Option<Hash> {
        let table = self.0.table.lock();
        let mut hashes = table.completed.iter().map(|(it, _)| it.descriptor.hash());
        hashes.find(|hash| hash.provider_key() == *key)
    }

    /// How many blocks a completed download of `hash` has.
    #[must_use]
    pub fn blocks(&self, hash: &Hash) -> Option<u64> {
        let table = self.0.table.lock();
        table.of(hash).map(|(completed, _)| completed.blocks)
    }

    /// `peer` listens to what this node has of `hash`, until the value is dropped.
    #[must_use]
    pub fn listen(&self, hash: Hash, peer: PeerId) -> Listener {
        let key = (hash, peer);
        self.change(|table| *table.listeners.entry(key).or_default() += 1);
        Listener {
            downloads: self.clone(),
            key,
        }
    }

    /// Changes with each completed download.
    #[must_use]
    pub fn additions(&self) -> watch::Receiver<u64> {
        self.0.additions.subscribe()
    }

    /// Waits until the sources know, but not for long: an older version does not ask, and a peer may
    /// be gone.
    pub async fn sources_know(&self) {
        let begun = Instant::now();
        let mut changes = self.0.changes.subscribe();
        loop {
            let patience = match self.0.table.lock().unaware() {
                None => return,
                Some(IsListening(true)) => ANSWER_PATIENCE,
                Some(IsListening(false)) => ASK_PATIENCE,
            };
            let until = begun + patience;
            if until <= Instant::now() {
                return;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = sleep_until(until) => {}
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Table)) {
        change(&mut self.0.table.lock());
        self.0.changes.send_modify(|changes| *changes += 1);
    }
}

/// Whether one of the sources that do not know yet listens.
struct IsListening(bool);

impl Table {
    fn of(&self, hash: &Hash) -> Option<&(Completed, HashSet<PeerId>)> {
        let mut completed = self.completed.iter();
        completed.find(|(completed, _)| completed.descriptor.hash() == *hash)
    }

    /// Whether there are sources that do not know yet.
    fn unaware(&self) -> Option<IsListening> {
        let mut unaware = self.completed.iter().flat_map(|(completed, unaware)| {
            let hash = completed.descriptor.hash();
            unaware.iter().map(move |peer| (hash, *peer))
        });
        let listens = |key: &(Hash, PeerId)| self.listeners.contains_key(key);
        let first = unaware.next()?;
        Some(IsListening(
            listens(&first) || unaware.any(|key| listens(&key)),
        ))
    }
}

impl Listener {
    /// The peer has ended the stream after it was sent that this node has `blocks` blocks.
    pub fn has_read(&self, blocks: u64) {
        let (hash, peer) = self.key;
        self.downloads.change(|table| {
            let mut completed = table.completed.iter_mut();
            let this = completed.find(|(completed, _)| {
                completed.descriptor.hash() == hash && completed.blocks == blocks
            });
            if let Some((_, unaware)) = this {
                unaware.remove(&peer);
            }
        });
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.downloads.change(|table| {
            if let Some(streams) = table.listeners.get_mut(&self.key) {
                *streams -= 1;
                if *streams == 0 {
                    table.listeners.remove(&self.key);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use pelago_content::Kind;

    use super::*;

    fn completed(size: u64, sources: &[PeerId], group: Option<GroupId>) -> Completed {
        Completed {
            descriptor: Descriptor::new(Kind::File, size, [7; 32]).unwrap(),
            blocks: 3,
            group,
            sources: sources.to_vec(),
        }
    }

    #[test]
    fn only_sources_in_the_same_group_may_learn_of_a_completed_download() {
        let [source, other] = [(); 2].map(|()| PeerId::random());
        let group = GroupId::from_bytes([1; 32]);
        let downloads = CompletedDownloads::default();
        downloads.add(completed(1, &[source], Some(group)));
        let hash = completed(1, &[], None).descriptor.hash();
        let may_know = |peer, group| downloads.for_source(&hash, peer, group).is_some();
        assert!(may_know(&source, Some(group)));
        assert!(!may_know(&source, None) && !may_know(&other, Some(group)));
        assert_eq!(downloads.hash_of_key(&hash.provider_key()), Some(hash));
        for size in 1..300 {
            downloads.add(completed(size, &[source], None));
            downloads.add(completed(size, &[source], None));
        }
        assert_eq!(downloads.0.table.lock().completed.len(), MAX_COMPLETED);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_sources_that_listen_and_hardly_for_others() {
        let [listens, never_asks] = [(); 2].map(|()| PeerId::random());
        let downloads = CompletedDownloads::default();
        downloads
            .sources_know()
            .now_or_never()
            .expect("nothing was downloaded");
        let hash = completed(1, &[], None).descriptor.hash();
        let listener = downloads.listen(hash, listens);
        downloads.add(completed(1, &[listens, never_asks], None));
        let begun = Instant::now();
        let mut known = Box::pin(downloads.sources_know());
        assert!((&mut known).now_or_never().is_none());
        listener.has_read(2);
        assert!((&mut known).now_or_never().is_none(), "not all of it");
        listener.has_read(3);
        drop(listener);
        known.await;
        assert_eq!(begun.elapsed(), ASK_PATIENCE, "the other never asks");
        let begun = Instant::now();
        let _hangs = downloads.listen(hash, never_asks);
        downloads.sources_know().await;
        assert_eq!(begun.elapsed(), ANSWER_PATIENCE);
        assert_eq!(downloads.0.table.lock().listeners.len(), 1);
    }
}
