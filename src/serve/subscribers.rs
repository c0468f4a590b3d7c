//! Who listens to what we have of which content: each is reported of the others, and what to ask us for.
//!
//! What a subscriber costs does not grow with what it was reported: what is here is kept once for all who are
//! reported the same, and subscribers are named to each other in the order in which they were located.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use libp2p::{Multiaddr, PeerId};
use parking_lot::{Mutex, MutexGuard};
use pelago_behaviour::availability::{Availability, MAX_PEERS, MAX_RUNS};
use pelago_content::{BlockRanges, Hash, Kind};

use super::suggest::Suggestions;
use crate::store::Progress;

/// Pieces of all content that suggestions are made for, at most: some 9 bytes of memory each. Listeners to
/// more go by their own order.
const MAX_PIECES: usize = 1 << 20;

/// The subscribers of all content. A handle: clones share them. As many as there are streams served.
#[derive(Clone, Default)]
pub(super) struct Subscribers(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    by_hash: HashMap<Hash, ContentSubscribers>,
    /// Pieces of all suggestions.
    pieces: usize,
}

#[derive(Default)]
struct ContentSubscribers {
    subscribers: HashMap<PeerId, Subscriber>,
    /// Where subscribers can be reached, in the order in which that became known.
    located: BTreeMap<u64, (PeerId, Multiaddr)>,
    /// How many were located so far.
    locations: u64,
    /// Kept while we have all of a file.
    suggestions: Option<Suggestions>,
    /// What was here when somebody looked last, and how far that was at least.
    here: Option<(Option<Progress>, Arc<BlockRanges>)>,
}

#[derive(Default)]
struct Subscriber {
    /// Its place among those located.
    location: Option<u64>,
    /// On how many streams it listens.
    streams: usize,
}

/// One subscriber's stream, and what it has been reported on it.
pub(super) struct Subscription {
    subscribers: Subscribers,
    hash: Hash,
    peer: PeerId,
    reported: Arc<BlockRanges>,
    /// What it is being reported, and from which block on it was not yet.
    reporting: Option<(Arc<BlockRanges>, u64)>,
    /// The first of those located that were not named to it.
    next_location: u64,
    is_first: bool,
}

impl Subscribers {
    /// `peer` listens to what we have of `hash`, until the value is dropped.
    pub(super) fn subscribe(&self, hash: Hash, peer: PeerId) -> Subscription {
        let mut shared = self.lock();
        let content = shared.by_hash.entry(hash).or_default();
        content.subscribers.entry(peer).or_default().streams += 1;
        Subscription {
            subscribers: self.clone(),
            hash,
            peer,
            reported: Arc::default(),
            reporting: None,
            next_location: 0,
            is_first: true,
        }
    }

    /// Blocks of `hash` were sent to `peer`.
    pub(super) fn record_sent(&self, hash: &Hash, peer: PeerId, blocks: Range<u64>) {
        if let Some(content) = self.lock().by_hash.get_mut(hash)
            && let Some(suggestions) = &mut content.suggestions
        {
            suggestions.record_sent(peer, blocks);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock()
    }
}

impl Subscription {
    /// What is listened to.
    pub(super) const fn hash(&self) -> Hash {
        self.hash
    }

    /// Whether it is known where the subscriber can be reached.
    pub(super) fn is_located(&self) -> bool {
        let shared = self.subscribers.lock();
        let content = shared.by_hash.get(&self.hash);
        content
            .and_then(|content| content.subscribers.get(&self.peer))
            .is_some_and(|subscriber| subscriber.location.is_some())
    }

    /// The subscriber can be reached at `address`, which ends with its id.
    pub(super) fn locate(&self, address: Multiaddr) {
        if let Some(content) = self.subscribers.lock().by_hash.get_mut(&self.hash)
            && let Some(subscriber) = content.subscribers.get_mut(&self.peer)
        {
            let location = *subscriber.location.get_or_insert(content.locations);
            content.locations = content.locations.max(location + 1);
            content.located.insert(location, (self.peer, address));
        }
    }

    /// `blocks` are here, by a look that came after `progress` was seen: one copy is kept for all who subscribe.
    pub(super) fn set_blocks(
        &self,
        blocks: BlockRanges,
        progress: Option<Progress>,
    ) -> Arc<BlockRanges> {
        let mut shared = self.subscribers.lock();
        let content = shared.by_hash.entry(self.hash).or_default();
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

    /// What was here when somebody looked after `progress` was seen; none if nobody did.
    pub(super) fn blocks_at(&self, progress: Progress) -> Option<Arc<BlockRanges>> {
        let shared = self.subscribers.lock();
        let (seen, here) = shared.by_hash.get(&self.hash)?.here.as_ref()?;
        (*seen == Some(progress)).then(|| Arc::clone(here))
    }

    /// What is new for the subscriber now that `here` are the blocks we have: as much of that as one update
    /// takes, with the rest of what `has` says; `None` if nothing is. The first time, something always is.
    pub(super) fn next_update(
        &mut self,
        has: &Availability,
        here: &Arc<BlockRanges>,
    ) -> Option<Availability> {
        let blocks = self.new_blocks(here);
        let whole = has.descriptor.geometry().blocks();
        let is_whole_file = here.len() == whole && has.descriptor.kind() == Kind::File;
        let mut shared = self.subscribers.lock();
        let Shared { by_hash, pieces } = &mut *shared;
        let content = by_hash.entry(self.hash).or_default();
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
                content.suggestions = Some(Suggestions::new(whole));
            }
            // Alone, a subscriber may as well go by its own order.
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

    /// Blocks of `here` that it was not reported, as many as one update takes.
    fn new_blocks(&mut self, here: &Arc<BlockRanges>) -> BlockRanges {
        let is_reported = Arc::ptr_eq(&self.reported, here);
        if self.reporting.is_none() && !is_reported {
            self.reporting = Some((Arc::clone(here), 0));
        }
        let Some((reporting, from)) = &mut self.reporting else {
            return BlockRanges::new();
        };
        // What is not here any more is news once it is here again: it is no part of what is reported now.
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
        let mut shared = self.subscribers.lock();
        let Shared { by_hash, pieces } = &mut *shared;
        let Some(content) = by_hash.get_mut(&self.hash) else {
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
            by_hash.remove(&self.hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use pelago_content::Descriptor;

    use super::*;

    /// What is new for one who listens to a file of 100 blocks, of which these are here.
    fn news(subscription: &mut Subscription, here: impl Into<BlockRanges>) -> Option<Availability> {
        let descriptor = Descriptor::new(Kind::File, 100 << 14, [1; 32]).unwrap();
        let here = subscription.set_blocks(here.into(), None);
        subscription.next_update(&Availability::none(descriptor), &here)
    }

    fn address(peer: PeerId) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/1/p2p/{peer}").parse().unwrap()
    }

    #[test]
    fn listeners_are_told_what_is_new_and_of_each_other_once() {
        let (subscribers, hash) = (Subscribers::default(), Hash::from_bytes([1; 32]));
        let [a, b] = [PeerId::random(), PeerId::random()];
        let mut first = subscribers.subscribe(hash, a);
        assert!(
            news(&mut first, 0..0).is_some(),
            "that there is something to subscribe to"
        );
        assert_eq!(news(&mut first, 0..0), None);
        assert_eq!(news(&mut first, 0..9).unwrap().blocks, (0..9).into());
        let mut second = subscribers.subscribe(hash, b);
        assert_eq!(
            news(&mut first, 0..9),
            None,
            "where it is, is not known yet"
        );
        second.locate(address(b));
        assert_eq!(news(&mut first, 0..12).unwrap().peers, [address(b)]);
        assert_eq!(news(&mut first, 0..12), None);
        assert_eq!(news(&mut second, 0..12).unwrap().peers, [], "not itself");
        drop((first, second));
        assert!(subscribers.lock().by_hash.is_empty());
    }

    #[test]
    fn what_comes_back_is_news() {
        let subscribers = Subscribers::default();
        let mut subscription = subscribers.subscribe(Hash::from_bytes([1; 32]), PeerId::random());
        news(&mut subscription, 0..9).unwrap();
        assert_eq!(news(&mut subscription, 0..5), None);
        assert_eq!(news(&mut subscription, 0..9).unwrap().blocks, (5..9).into());
    }

    #[test]
    fn those_who_left_are_not_named_and_those_who_came_back_are_again() {
        let (subscribers, hash) = (Subscribers::default(), Hash::from_bytes([1; 32]));
        let mut subscription = subscribers.subscribe(hash, PeerId::random());
        news(&mut subscription, 0..0);
        let peer = PeerId::random();
        for _ in 0..100 {
            let other = subscribers.subscribe(hash, peer);
            other.locate(address(peer));
            assert_eq!(
                news(&mut subscription, 0..0).unwrap().peers,
                [address(peer)]
            );
        }
        let gone = subscribers.subscribe(hash, peer);
        gone.locate(address(peer));
        drop(gone);
        assert_eq!(news(&mut subscription, 0..0), None);
        assert!(subscribers.lock().by_hash[&hash].located.is_empty());
    }

    #[test]
    fn more_listeners_than_fit_one_update_are_named_in_the_next() {
        let (subscribers, hash) = (Subscribers::default(), Hash::from_bytes([1; 32]));
        let mut subscription = subscribers.subscribe(hash, PeerId::random());
        let others: Vec<_> = (0..MAX_PEERS + 1)
            .map(|_| {
                let peer = PeerId::random();
                let other = subscribers.subscribe(hash, peer);
                other.locate(address(peer));
                other
            })
            .collect();
        assert_eq!(
            news(&mut subscription, 0..0).unwrap().peers.len(),
            MAX_PEERS
        );
        assert_eq!(news(&mut subscription, 0..0).unwrap().peers.len(), 1);
        assert_eq!(news(&mut subscription, 0..0), None);
        drop(others);
    }

    #[test]
    fn what_does_not_fit_one_update_comes_with_the_next() {
        let subscribers = Subscribers::default();
        let mut subscription = subscribers.subscribe(Hash::from_bytes([1; 32]), PeerId::random());
        let scattered: BlockRanges = (0..MAX_RUNS as u64 + 5).map(|n| 2 * n..2 * n + 1).collect();
        let first = news(&mut subscription, scattered.clone()).unwrap();
        assert_eq!(first.blocks.runs(), MAX_RUNS);
        let rest = news(&mut subscription, scattered.clone()).unwrap();
        assert_eq!(rest.blocks.runs(), 5);
        assert_eq!(news(&mut subscription, scattered), None);
    }

    #[test]
    fn a_thousand_listeners_keep_what_is_here_once() {
        let (subscribers, hash) = (Subscribers::default(), Hash::from_bytes([1; 32]));
        let subscribe = |_| {
            let mut subscription = subscribers.subscribe(hash, PeerId::random());
            for here in [0..10, 0..20] {
                news(&mut subscription, here);
            }
            subscription
        };
        let subscription: Vec<_> = (0..1000).map(subscribe).collect();
        let here: Vec<BlockRanges> = vec![(0..10).into(), (0..30).into()];
        for (n, mut one) in subscription.into_iter().enumerate() {
            news(&mut one, here[n % 2].clone());
            let reported = Arc::clone(&one.reported);
            assert_eq!(*reported, here[n % 2]);
            // With the content and this one.
            assert!(Arc::strong_count(&reported) <= 3);
        }
    }

    #[test]
    fn suggestions_are_made_for_so_many_pieces_and_no_more() {
        let subscribers = Subscribers::default();
        let large = Descriptor::new(Kind::File, 1 << 40, [1; 32]).unwrap();
        let blocks = large.geometry().blocks();
        let subscribe = |n: u8| {
            let mut subscription =
                subscribers.subscribe(Hash::from_bytes([n; 32]), PeerId::random());
            let here = subscription.set_blocks((0..blocks).into(), None);
            subscription
                .next_update(&Availability::none(large), &here)
                .unwrap();
            subscription
        };
        let subscription: Vec<_> = (0..100).map(subscribe).collect();
        assert!((1 << 19..=MAX_PIECES).contains(&subscribers.lock().pieces));
        drop(subscription);
        assert_eq!(subscribers.lock().pieces, 0);
    }

    #[test]
    fn what_another_found_is_enough_if_it_looked_after_the_news() {
        let (subscribers, hash) = (Subscribers::default(), Hash::from_bytes([1; 32]));
        let [one, other] = [(); 2].map(|()| subscribers.subscribe(hash, PeerId::random()));
        let before = Progress::default();
        let now = Progress {
            blocks: 1,
            ..before
        };
        one.set_blocks((0..1).into(), None);
        assert_eq!(other.blocks_at(before), None);
        let shared = one.set_blocks((0..1).into(), Some(before));
        assert_eq!(other.blocks_at(before), Some(shared));
        assert_eq!(other.blocks_at(now), None);
    }

    #[test]
    fn a_seed_suggests_something_else_to_each_of_several() {
        let (subscribers, hash) = (Subscribers::default(), Hash::from_bytes([1; 32]));
        let mut first = subscribers.subscribe(hash, PeerId::random());
        assert!(news(&mut first, 0..100).unwrap().suggested.is_empty());
        let mut second = subscribers.subscribe(hash, PeerId::random());
        let to_second = news(&mut second, 0..100).unwrap().suggested;
        let to_first = news(&mut first, 0..100).unwrap().suggested;
        assert!(!to_second.is_empty() && !to_first.is_empty());
        assert!(to_second.intersection(&to_first).is_empty());
    }
}
