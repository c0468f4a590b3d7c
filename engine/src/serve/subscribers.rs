//! The subscribers to each content in each scope: which updates each one gets, and which blocks to suggest to
//! it.
//!
//! The cost of a subscriber does not grow with the number of blocks it knows of: subscribers that
//! know the same blocks share one copy, and subscribers are named to each other in the order in
//! which their addresses became known.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use libp2p::{Multiaddr, PeerId};
use parking_lot::Mutex;
use pelago_behaviour::availability::{Availability, MAX_PEERS, MAX_RUNS};
use pelago_content::{BlockRanges, Hash, Kind};
use pelago_groups::GroupId;

use super::suggest::Suggestions;
use crate::store::Progress;

/// Pieces for which suggestions are made, at most, over all content: some 9 bytes of memory each.
/// Subscribers to further content use their own order.
const MAX_PIECES: usize = 1 << 20;

/// The subscribers to all content: at most one for each stream that is served. A handle: clones
/// share them.
#[derive(Clone, Default)]
pub(super) struct Subscribers(Arc<Mutex<Shared>>);

/// Some content, and the group in which its subscribers asked for it: those of one scope are not named
/// in another.
type Listened = (Hash, Option<GroupId>);

#[derive(Default)]
struct Shared {
    by_content: BTreeMap<Listened, ContentSubscribers>,
    /// Pieces of all suggestions.
    pieces: usize,
}

#[derive(Default)]
struct ContentSubscribers {
    subscribers: HashMap<PeerId, Subscriber>,
    /// Addresses of subscribers, in the order in which they became known.
    located: BTreeMap<u64, (PeerId, Multiaddr)>,
    /// How many addresses became known so far.
    locations: u64,
    /// Kept while this node has all of a file.
    suggestions: Option<Suggestions>,
    /// The blocks at the last look at the store, and the progress that was seen before that look.
    here: Option<(Option<Progress>, Arc<BlockRanges>)>,
}

#[derive(Default)]
struct Subscriber {
    /// Its key in `located`.
    location: Option<u64>,
    /// On how many streams it is subscribed.
    streams: usize,
}

/// One stream of a subscriber, and what was reported on it.
pub(super) struct Subscription {
    subscribers: Subscribers,
    content: Listened,
    peer: PeerId,
    reported: Arc<BlockRanges>,
    /// The blocks that are being reported, and the first one that was not reported yet.
    reporting: Option<(Arc<BlockRanges>, u64)>,
    /// The first address in `located` that was not sent to it.
    next_location: u64,
    is_first: bool,
}

impl Subscribers {
    /// Subscribes `peer` to `hash`, within `group` or outside groups, until the value is dropped.
    pub(super) fn subscribe(
        &self,
        hash: Hash,
        group: Option<GroupId>,
        peer: PeerId,
    ) -> Subscription {
        let mut shared = self.0.lock();
        let content = (hash, group);
        let subscribers = shared.by_content.entry(content).or_default();
        subscribers.subscribers.entry(peer).or_default().streams += 1;
        Subscription {
            subscribers: self.clone(),
            content,
            peer,
            reported: Arc::default(),
            reporting: None,
            next_location: 0,
            is_first: true,
        }
    }

    /// Records that blocks of `hash` were sent to `peer`.
    pub(super) fn record_sent(&self, hash: &Hash, peer: PeerId, blocks: Range<u64>) {
        let mut shared = self.0.lock();
        // Group ids sort from no group to the greatest.
        let all = (*hash, None)..=(*hash, Some(GroupId::from_bytes([0xff; 32])));
        for (_, content) in shared.by_content.range_mut(all) {
            if let Some(suggestions) = &mut content.suggestions {
                suggestions.record_sent(peer, blocks.clone());
            }
        }
    }
}

impl Subscription {
    /// The content of the subscription.
    pub(super) const fn hash(&self) -> Hash {
        self.content.0
    }

    /// Whether the address of the subscriber is known.
    pub(super) fn is_located(&self) -> bool {
        let shared = self.subscribers.0.lock();
        let content = shared.by_content.get(&self.content);
        content
            .and_then(|content| content.subscribers.get(&self.peer))
            .is_some_and(|subscriber| subscriber.location.is_some())
    }

    /// Sets the address of the subscriber, which ends with its id.
    pub(super) fn locate(&self, address: Multiaddr) {
        if let Some(content) = self.subscribers.0.lock().by_content.get_mut(&self.content)
            && let Some(subscriber) = content.subscribers.get_mut(&self.peer)
        {
            let location = *subscriber.location.get_or_insert(content.locations);
            content.locations = content.locations.max(location + 1);
            content.located.insert(location, (self.peer, address));
        }
    }

    /// Stores the blocks found by a look that came after `progress` was seen: all subscribers
    /// share one copy.
    pub(super) fn set_blocks(
        &self,
        blocks: BlockRanges,
        progress: Option<Progress>,
    ) -> Arc<BlockRanges> {
        let mut shared = self.subscribers.0.lock();
        let content = shared.by_content.entry(self.content).or_default();
        match &mut content.here {
            Some((seen, here)) if **here == blocks => {
                *seen = progress;
                Arc::clone(here)
            }
            here => {
                let blocks = Arc::new(blocks);
                *here = Some((progress, Arc::clone(&blocks)));
                blocks
            }
        }
    }

    /// The blocks found by a look that came after `progress` was seen; `None` if there was none.
    pub(super) fn blocks_at(&self, progress: Progress) -> Option<Arc<BlockRanges>> {
        let shared = self.subscribers.0.lock();
        let (seen, here) = shared.by_content.get(&self.content)?.here.as_ref()?;
        (*seen == Some(progress)).then(|| Arc::clone(here))
    }

    /// The next update for the subscriber, now that this node has the blocks `here`: as many new
    /// blocks as one update takes, with the other fields of `has`; `None` if nothing is new. The
    /// first call always returns an update.
    pub(super) fn next_update(
        &mut self,
        has: &Availability,
        here: &Arc<BlockRanges>,
    ) -> Option<Availability> {
        let blocks = self.new_blocks(here);
        let whole = has.descriptor.geometry().blocks();
        let is_whole_file = here.len() == whole && has.descriptor.kind() == Kind::File;
        let mut shared = self.subscribers.0.lock();
        let Shared { by_content, pieces } = &mut *shared;
        let content = by_content.entry(self.content).or_default();
        let mut peers = Vec::new();
        for (location, (peer, address)) in content.located.range(self.next_location..) {
            if peers.len() >= MAX_PEERS {
                break;
            }
            self.next_location = location + 1;
            if *peer != self.peer {
                peers.push(address.clone());
            }
        }
        let mut suggested = BlockRanges::new();
        if is_whole_file {
            if content.suggestions.is_none()
                && *pieces + Suggestions::pieces_of(whole) <= MAX_PIECES
            {
                *pieces += Suggestions::pieces_of(whole);
                content.suggestions = Some(Suggestions::new(whole, rand::random()));
            }
            // A single subscriber may as well use its own order.
            if content.subscribers.len() > 1
                && let Some(suggestions) = &mut content.suggestions
            {
                suggested = suggestions.suggest(self.peer);
            }
        }
        let is_new = !blocks.is_empty() || !peers.is_empty() || !suggested.is_empty();
        (std::mem::take(&mut self.is_first) || is_new).then(|| Availability {
            blocks,
            peers,
            suggested,
            ..has.clone()
        })
    }

    /// Whether all of these blocks were reported.
    pub(super) fn has_reported(&self, here: &Arc<BlockRanges>) -> bool {
        self.reporting.is_none() && self.reported == *here
    }

    /// Blocks of `here` that were not reported, as many as one update takes.
    fn new_blocks(&mut self, here: &Arc<BlockRanges>) -> BlockRanges {
        let is_reported = Arc::ptr_eq(&self.reported, here);
        if self.reporting.is_none() && !is_reported {
            self.reporting = Some((Arc::clone(here), 0));
        }
        let Some((reporting, from)) = &mut self.reporting else {
            return BlockRanges::new();
        };
        // Blocks that are gone are reported again once they are back, so they are not among the
        // reported ones.
        let runs = reporting.within(*from..u64::MAX);
        let new: BlockRanges = runs
            .flat_map(|run| self.reported.gaps(run))
            .take(MAX_RUNS)
            .collect();
        match new.last().filter(|_| new.runs() == MAX_RUNS) {
            Some(last) => *from = last + 1,
            None => {
                self.reported = Arc::clone(reporting);
                self.reporting = None;
            }
        }
        new
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut shared = self.subscribers.0.lock();
        let Shared { by_content, pieces } = &mut *shared;
        let Some(content) = by_content.get_mut(&self.content) else {
            return;
        };
        if let Some(subscriber) = content.subscribers.get_mut(&self.peer) {
            subscriber.streams -= 1;
            if subscriber.streams == 0 {
                if let Some(location) = subscriber.location {
                    content.located.remove(&location);
                }
                content.subscribers.remove(&self.peer);
                if let Some(suggestions) = &mut content.suggestions {
                    suggestions.remove(&self.peer);
                }
            }
        }
        if content.subscribers.is_empty() {
            if let Some(suggestions) = &content.suggestions {
                *pieces -= suggestions.pieces();
            }
            by_content.remove(&self.content);
        }
    }
}

#[cfg(test)]
mod tests;
