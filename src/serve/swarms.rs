//! Who listens to what we have of which content: each is told of the others, and what to ask us for.
//!
//! What a listener costs does not grow with what it was told: what is here is kept once for all who are
//! told the same, and listeners are named to each other in the order in which they were located.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use libp2p::{Multiaddr, PeerId};
use parking_lot::{Mutex, MutexGuard};
use pelago_behaviour::availability::{Has, MAX_PEERS, MAX_RUNS};
use pelago_content::{BlockRanges, Hash, Kind};

use super::spread::Spread;
use crate::store::Progress;

/// Pieces of all content that suggestions are made for, at most: some 9 bytes of memory each. Listeners to
/// more go by their own order.
const MAX_PIECES: usize = 1 << 20;

/// The listeners of all content. A handle: clones share them. As many as there are streams served.
#[derive(Clone, Default)]
pub(super) struct Swarms(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    swarms: HashMap<Hash, Swarm>,
    /// Pieces of all spreads.
    pieces: usize,
}

#[derive(Default)]
struct Swarm {
    listeners: HashMap<PeerId, Listener>,
    /// Where listeners can be reached, in the order in which that became known.
    located: BTreeMap<u64, (PeerId, Multiaddr)>,
    /// How many were located so far.
    locations: u64,
    /// Kept while we have all of a file.
    spread: Option<Spread>,
    /// What was here when somebody looked last, and how far that was at least.
    here: Option<(Option<Progress>, Arc<BlockRanges>)>,
}

#[derive(Default)]
struct Listener {
    /// Its place among those located.
    location: Option<u64>,
    /// On how many streams it listens.
    streams: usize,
}

/// One listener's stream, and what it has been told on it.
pub(super) struct Listening {
    swarms: Swarms,
    hash: Hash,
    peer: PeerId,
    told: Arc<BlockRanges>,
    /// What it is being told, and from which block on it was not yet.
    telling: Option<(Arc<BlockRanges>, u64)>,
    /// The first of those located that were not named to it.
    next_location: u64,
    is_first: bool,
}

impl Swarms {
    /// `peer` listens to what we have of `hash`, until the value is dropped.
    pub(super) fn listen(&self, hash: Hash, peer: PeerId) -> Listening {
        let mut inner = self.lock();
        let swarm = inner.swarms.entry(hash).or_default();
        swarm.listeners.entry(peer).or_default().streams += 1;
        Listening {
            swarms: self.clone(),
            hash,
            peer,
            told: Arc::default(),
            telling: None,
            next_location: 0,
            is_first: true,
        }
    }

    /// Blocks of `hash` were sent to `peer`.
    pub(super) fn sent(&self, hash: &Hash, peer: PeerId, blocks: Range<u64>) {
        if let Some(swarm) = self.lock().swarms.get_mut(hash)
            && let Some(spread) = &mut swarm.spread
        {
            spread.sent(peer, blocks);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock()
    }
}

impl Listening {
    /// What is listened to.
    pub(super) const fn hash(&self) -> Hash {
        self.hash
    }

    /// Whether it is known where the listener can be reached.
    pub(super) fn is_located(&self) -> bool {
        let inner = self.swarms.lock();
        let swarm = inner.swarms.get(&self.hash);
        swarm
            .and_then(|swarm| swarm.listeners.get(&self.peer))
            .is_some_and(|listener| listener.location.is_some())
    }

    /// The listener can be reached at `address`, which ends with its id.
    pub(super) fn locate(&self, address: Multiaddr) {
        if let Some(swarm) = self.swarms.lock().swarms.get_mut(&self.hash)
            && let Some(listener) = swarm.listeners.get_mut(&self.peer)
        {
            let location = *listener.location.get_or_insert(swarm.locations);
            swarm.locations = swarm.locations.max(location + 1);
            swarm.located.insert(location, (self.peer, address));
        }
    }

    /// `blocks` are here, by a look that came after `progress` was seen: one copy is kept for all who listen.
    pub(super) fn share(
        &self,
        blocks: BlockRanges,
        progress: Option<Progress>,
    ) -> Arc<BlockRanges> {
        let mut inner = self.swarms.lock();
        let swarm = inner.swarms.entry(self.hash).or_default();
        match &mut swarm.here {
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
    pub(super) fn here(&self, progress: Progress) -> Option<Arc<BlockRanges>> {
        let inner = self.swarms.lock();
        let (seen, here) = inner.swarms.get(&self.hash)?.here.as_ref()?;
        (*seen == Some(progress)).then(|| Arc::clone(here))
    }

    /// What is new for the listener now that `here` are the blocks we have: as much of that as one update
    /// takes, with the rest of what `has` says; `None` if nothing is. The first time, something always is.
    pub(super) fn news(&mut self, has: &Has, here: &Arc<BlockRanges>) -> Option<Has> {
        let blocks = self.new_blocks(here);
        let whole = has.descriptor.geometry().blocks();
        let is_whole_file = here.len() == whole && has.descriptor.kind() == Kind::File;
        let mut inner = self.swarms.lock();
        let Inner { swarms, pieces } = &mut *inner;
        let swarm = swarms.entry(self.hash).or_default();
        let mut peers = Vec::new();
        for (location, (peer, address)) in swarm.located.range(self.next_location..) {
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
            if swarm.spread.is_none() && *pieces + Spread::pieces_of(whole) <= MAX_PIECES {
                *pieces += Spread::pieces_of(whole);
                swarm.spread = Some(Spread::new(whole));
            }
            // Alone, a listener may as well go by its own order.
            if swarm.listeners.len() > 1
                && let Some(spread) = &mut swarm.spread
            {
                suggested = spread.suggest(self.peer);
            }
        }
        let is_new = !blocks.is_empty() || !peers.is_empty() || !suggested.is_empty();
        (std::mem::take(&mut self.is_first) || is_new).then(|| Has {
            blocks,
            peers,
            suggested,
            ..has.clone()
        })
    }

    /// Blocks of `here` that it was not told, as many as one update takes.
    fn new_blocks(&mut self, here: &Arc<BlockRanges>) -> BlockRanges {
        let is_told = Arc::ptr_eq(&self.told, here);
        if self.telling.is_none() && !is_told {
            self.telling = Some((Arc::clone(here), 0));
        }
        let Some((telling, from)) = &mut self.telling else {
            return BlockRanges::new();
        };
        // What is not here any more is news once it is here again: it is no part of what is told now.
        let runs = telling.within(*from..u64::MAX);
        let new: BlockRanges = runs
            .flat_map(|run| self.told.gaps(run))
            .take(MAX_RUNS)
            .collect();
        match new.last().filter(|_| new.runs() == MAX_RUNS) {
            Some(last) => *from = last + 1,
            None => {
                self.told = Arc::clone(telling);
                self.telling = None;
            }
        }
        new
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut inner = self.swarms.lock();
        let Inner { swarms, pieces } = &mut *inner;
        let Some(swarm) = swarms.get_mut(&self.hash) else {
            return;
        };
        if let Some(listener) = swarm.listeners.get_mut(&self.peer) {
            listener.streams -= 1;
            if listener.streams == 0 {
                if let Some(location) = listener.location {
                    swarm.located.remove(&location);
                }
                swarm.listeners.remove(&self.peer);
                if let Some(spread) = &mut swarm.spread {
                    spread.left(&self.peer);
                }
            }
        }
        if swarm.listeners.is_empty() {
            if let Some(spread) = &swarm.spread {
                *pieces -= spread.pieces();
            }
            swarms.remove(&self.hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use pelago_content::Descriptor;

    use super::*;

    /// What is new for one who listens to a file of 100 blocks, of which these are here.
    fn news(listening: &mut Listening, here: impl Into<BlockRanges>) -> Option<Has> {
        let descriptor = Descriptor::new(Kind::File, 100 << 14, [1; 32]).unwrap();
        let here = listening.share(here.into(), None);
        listening.news(&Has::nothing_of(descriptor), &here)
    }

    fn address(peer: PeerId) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/1/p2p/{peer}").parse().unwrap()
    }

    #[test]
    fn listeners_are_told_what_is_new_and_of_each_other_once() {
        let (swarms, hash) = (Swarms::default(), Hash::from_bytes([1; 32]));
        let [a, b] = [PeerId::random(), PeerId::random()];
        let mut first = swarms.listen(hash, a);
        assert!(
            news(&mut first, 0..0).is_some(),
            "that there is something to listen to"
        );
        assert_eq!(news(&mut first, 0..0), None);
        assert_eq!(news(&mut first, 0..9).unwrap().blocks, (0..9).into());
        let mut second = swarms.listen(hash, b);
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
        assert!(swarms.lock().swarms.is_empty());
    }

    #[test]
    fn what_comes_back_is_news() {
        let swarms = Swarms::default();
        let mut listening = swarms.listen(Hash::from_bytes([1; 32]), PeerId::random());
        news(&mut listening, 0..9).unwrap();
        assert_eq!(news(&mut listening, 0..5), None);
        assert_eq!(news(&mut listening, 0..9).unwrap().blocks, (5..9).into());
    }

    #[test]
    fn those_who_left_are_not_named_and_those_who_came_back_are_again() {
        let (swarms, hash) = (Swarms::default(), Hash::from_bytes([1; 32]));
        let mut listening = swarms.listen(hash, PeerId::random());
        news(&mut listening, 0..0);
        let peer = PeerId::random();
        for _ in 0..100 {
            let other = swarms.listen(hash, peer);
            other.locate(address(peer));
            assert_eq!(news(&mut listening, 0..0).unwrap().peers, [address(peer)]);
        }
        let gone = swarms.listen(hash, peer);
        gone.locate(address(peer));
        drop(gone);
        assert_eq!(news(&mut listening, 0..0), None);
        assert!(swarms.lock().swarms[&hash].located.is_empty());
    }

    #[test]
    fn more_listeners_than_fit_one_update_are_named_in_the_next() {
        let (swarms, hash) = (Swarms::default(), Hash::from_bytes([1; 32]));
        let mut listening = swarms.listen(hash, PeerId::random());
        let others: Vec<_> = (0..MAX_PEERS + 1)
            .map(|_| {
                let peer = PeerId::random();
                let other = swarms.listen(hash, peer);
                other.locate(address(peer));
                other
            })
            .collect();
        assert_eq!(news(&mut listening, 0..0).unwrap().peers.len(), MAX_PEERS);
        assert_eq!(news(&mut listening, 0..0).unwrap().peers.len(), 1);
        assert_eq!(news(&mut listening, 0..0), None);
        drop(others);
    }

    #[test]
    fn what_does_not_fit_one_update_comes_with_the_next() {
        let swarms = Swarms::default();
        let mut listening = swarms.listen(Hash::from_bytes([1; 32]), PeerId::random());
        let scattered: BlockRanges = (0..MAX_RUNS as u64 + 5).map(|n| 2 * n..2 * n + 1).collect();
        let first = news(&mut listening, scattered.clone()).unwrap();
        assert_eq!(first.blocks.runs(), MAX_RUNS);
        let rest = news(&mut listening, scattered.clone()).unwrap();
        assert_eq!(rest.blocks.runs(), 5);
        assert_eq!(news(&mut listening, scattered), None);
    }

    #[test]
    fn a_thousand_listeners_keep_what_is_here_once() {
        let (swarms, hash) = (Swarms::default(), Hash::from_bytes([1; 32]));
        let listen = |_| {
            let mut listening = swarms.listen(hash, PeerId::random());
            for here in [0..10, 0..20] {
                news(&mut listening, here);
            }
            listening
        };
        let listening: Vec<_> = (0..1000).map(listen).collect();
        let here: Vec<BlockRanges> = vec![(0..10).into(), (0..30).into()];
        for (n, mut one) in listening.into_iter().enumerate() {
            news(&mut one, here[n % 2].clone());
            let told = Arc::clone(&one.told);
            assert_eq!(*told, here[n % 2]);
            // With the swarm and this one.
            assert!(Arc::strong_count(&told) <= 3);
        }
    }

    #[test]
    fn suggestions_are_made_for_so_many_pieces_and_no_more() {
        let swarms = Swarms::default();
        let large = Descriptor::new(Kind::File, 1 << 40, [1; 32]).unwrap();
        let blocks = large.geometry().blocks();
        let listen = |n: u8| {
            let mut listening = swarms.listen(Hash::from_bytes([n; 32]), PeerId::random());
            let here = listening.share((0..blocks).into(), None);
            listening.news(&Has::nothing_of(large), &here).unwrap();
            listening
        };
        let listening: Vec<_> = (0..100).map(listen).collect();
        assert!((1 << 19..=MAX_PIECES).contains(&swarms.lock().pieces));
        drop(listening);
        assert_eq!(swarms.lock().pieces, 0);
    }

    #[test]
    fn what_another_found_is_enough_if_it_looked_after_the_news() {
        let (swarms, hash) = (Swarms::default(), Hash::from_bytes([1; 32]));
        let [one, other] = [(); 2].map(|()| swarms.listen(hash, PeerId::random()));
        let before = Progress::default();
        let now = Progress {
            blocks: 1,
            ..before
        };
        one.share((0..1).into(), None);
        assert_eq!(other.here(before), None);
        let shared = one.share((0..1).into(), Some(before));
        assert_eq!(other.here(before), Some(shared));
        assert_eq!(other.here(now), None);
    }

    #[test]
    fn a_seed_suggests_something_else_to_each_of_several() {
        let (swarms, hash) = (Swarms::default(), Hash::from_bytes([1; 32]));
        let mut first = swarms.listen(hash, PeerId::random());
        assert!(news(&mut first, 0..100).unwrap().suggested.is_empty());
        let mut second = swarms.listen(hash, PeerId::random());
        let to_second = news(&mut second, 0..100).unwrap().suggested;
        let to_first = news(&mut first, 0..100).unwrap().suggested;
        assert!(!to_second.is_empty() && !to_first.is_empty());
        assert!(to_second.intersection(&to_first).is_empty());
    }
}
