//! Who listens to what we have of which content: each is told of the others, and what to ask us for.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libp2p::{Multiaddr, PeerId};
use pelago_behaviour::availability::{Has, MAX_PEERS, MAX_RUNS};
use pelago_content::{BlockRanges, Hash, Kind};

use super::spread::Spread;

/// The listeners of all content. A handle: clones share them. As many as there are streams served.
#[derive(Clone, Default)]
pub(super) struct Swarms(Arc<Mutex<HashMap<Hash, Swarm>>>);

#[derive(Default)]
struct Swarm {
    /// Where each listener can be reached, once that is known; how many streams it listens on.
    listeners: HashMap<PeerId, (Option<Multiaddr>, usize)>,
    /// Kept while we have all of a file.
    spread: Option<Spread>,
}

/// One listener's stream, and what it has been told on it.
pub(super) struct Listening {
    swarms: Swarms,
    hash: Hash,
    peer: PeerId,
    told: BlockRanges,
    named: HashSet<PeerId>,
    is_first: bool,
}

impl Swarms {
    /// `peer` listens to what we have of `hash`, until the value is dropped.
    pub(super) fn listen(&self, hash: Hash, peer: PeerId) -> Listening {
        let mut swarms = self.lock();
        let swarm = swarms.entry(hash).or_default();
        swarm.listeners.entry(peer).or_default().1 += 1;
        Listening {
            swarms: self.clone(),
            hash,
            peer,
            told: BlockRanges::new(),
            named: HashSet::from([peer]),
            is_first: true,
        }
    }

    /// Blocks of `hash` were sent to `peer`.
    pub(super) fn sent(&self, hash: &Hash, peer: PeerId, blocks: Range<u64>) {
        if let Some(swarm) = self.lock().get_mut(hash)
            && let Some(spread) = &mut swarm.spread
        {
            spread.sent(peer, blocks);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Hash, Swarm>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listening {
    /// What is listened to.
    pub(super) const fn hash(&self) -> Hash {
        self.hash
    }

    /// Whether it is known where the listener can be reached.
    pub(super) fn is_located(&self) -> bool {
        let swarms = self.swarms.lock();
        let swarm = swarms.get(&self.hash);
        swarm
            .and_then(|swarm| swarm.listeners.get(&self.peer))
            .is_some_and(|(address, _)| address.is_some())
    }

    /// The listener can be reached at `address`, which ends with its id.
    pub(super) fn locate(&self, address: Multiaddr) {
        if let Some(swarm) = self.swarms.lock().get_mut(&self.hash)
            && let Some(listener) = swarm.listeners.get_mut(&self.peer)
        {
            listener.0 = Some(address);
        }
    }

    /// What is new for the listener now that we have `has`, which is cut down to what one update
    /// takes; `None` if nothing is. The first time, something always is.
    pub(super) fn news(&mut self, mut has: Has) -> Option<Has> {
        // What is not here any more is news once it is here again.
        self.told = self.told.intersection(&has.blocks);
        let new = has.blocks.difference(&self.told);
        let is_whole = has.blocks.len() == has.descriptor.geometry().blocks();
        let is_whole_file = is_whole && has.descriptor.kind() == Kind::File;
        has.blocks = new
            .iter()
            .take(MAX_RUNS)
            .fold(BlockRanges::new(), |mut runs, run| {
                runs.insert(run);
                runs
            });
        self.told = self.told.union(&has.blocks);
        let mut swarms = self.swarms.lock();
        let swarm = swarms.entry(self.hash).or_default();
        // Whoever left is forgotten before others are added.
        if self.named.len() > swarm.listeners.len() {
            let listeners = &swarm.listeners;
            self.named.retain(|peer| listeners.contains_key(peer));
        }
        for (peer, (address, _)) in &swarm.listeners {
            if has.peers.len() >= MAX_PEERS {
                break;
            }
            if let Some(address) = address
                && self.named.insert(*peer)
            {
                has.peers.push(address.clone());
            }
        }
        if is_whole_file {
            let blocks = has.descriptor.geometry().blocks();
            let spread = swarm.spread.get_or_insert_with(|| Spread::new(blocks));
            // Alone, a listener may as well go by its own order.
            if swarm.listeners.len() > 1 {
                has.suggested = spread.suggest(self.peer);
            }
        }
        let is_new = !has.blocks.is_empty() || !has.peers.is_empty() || !has.suggested.is_empty();
        (std::mem::take(&mut self.is_first) || is_new).then_some(has)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut swarms = self.swarms.lock();
        let Some(swarm) = swarms.get_mut(&self.hash) else {
            return;
        };
        if let Some(listener) = swarm.listeners.get_mut(&self.peer) {
            listener.1 -= 1;
            if listener.1 == 0 {
                swarm.listeners.remove(&self.peer);
                if let Some(spread) = &mut swarm.spread {
                    spread.left(&self.peer);
                }
            }
        }
        if swarm.listeners.is_empty() {
            swarms.remove(&self.hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use pelago_content::Descriptor;

    use super::*;

    fn has(blocks: Range<u64>) -> Has {
        Has {
            descriptor: Descriptor::new(Kind::File, 100 << 14, [1; 32]).unwrap(),
            name: None,
            blocks: blocks.into(),
            peers: Vec::new(),
            suggested: BlockRanges::new(),
        }
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
            first.news(has(0..0)).is_some(),
            "that there is something to listen to"
        );
        assert_eq!(first.news(has(0..0)), None);
        assert_eq!(first.news(has(0..9)).unwrap().blocks, (0..9).into());
        let second = swarms.listen(hash, b);
        assert_eq!(first.news(has(0..9)), None, "where it is, is not known yet");
        second.locate(address(b));
        assert_eq!(first.news(has(0..12)).unwrap().peers, [address(b)]);
        assert_eq!(first.news(has(0..12)), None);
        drop((first, second));
        assert!(swarms.lock().is_empty());
    }

    #[test]
    fn what_comes_back_is_news() {
        let swarms = Swarms::default();
        let mut listening = swarms.listen(Hash::from_bytes([1; 32]), PeerId::random());
        listening.news(has(0..9)).unwrap();
        assert_eq!(listening.news(has(0..5)), None);
        assert_eq!(listening.news(has(0..9)).unwrap().blocks, (5..9).into());
    }

    #[test]
    fn who_left_is_not_remembered() {
        let (swarms, hash) = (Swarms::default(), Hash::from_bytes([1; 32]));
        let mut listening = swarms.listen(hash, PeerId::random());
        for _ in 0..100 {
            let peer = PeerId::random();
            let other = swarms.listen(hash, peer);
            other.locate(address(peer));
            assert_eq!(listening.news(has(0..0)).unwrap().peers, [address(peer)]);
            assert!(listening.named.len() <= 3, "two listen, and one has left");
        }
    }

    #[test]
    fn what_does_not_fit_one_update_comes_with_the_next() {
        let swarms = Swarms::default();
        let mut listening = swarms.listen(Hash::from_bytes([1; 32]), PeerId::random());
        let mut scattered = has(0..0);
        (0..MAX_RUNS as u64 + 5).for_each(|n| scattered.blocks.insert(2 * n..2 * n + 1));
        let first = listening.news(scattered.clone()).unwrap();
        assert_eq!(first.blocks.runs(), MAX_RUNS);
        let rest = listening.news(scattered.clone()).unwrap();
        assert_eq!(rest.blocks.runs(), 5);
        assert_eq!(listening.news(scattered), None);
    }

    #[test]
    fn a_seed_suggests_something_else_to_each_of_several() {
        let (swarms, hash) = (Swarms::default(), Hash::from_bytes([1; 32]));
        let mut first = swarms.listen(hash, PeerId::random());
        assert!(first.news(has(0..100)).unwrap().suggested.is_empty());
        let mut second = swarms.listen(hash, PeerId::random());
        let to_second = second.news(has(0..100)).unwrap().suggested;
        let to_first = first.news(has(0..100)).unwrap().suggested;
        assert!(!to_second.is_empty() && !to_first.is_empty());
        assert!(to_second.intersection(&to_first).is_empty());
    }
}
