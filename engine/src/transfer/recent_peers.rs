//! A bounded set of peers: a new peer id costs nothing, so the memory for peers needs a bound.

use std::collections::{HashSet, VecDeque};

use libp2p::PeerId;

/// The maximum number of peers that are remembered: some 500 KiB, and more than a download meets
/// among honest ones.
pub(super) const MAX_PEERS: usize = 4096;

/// The [`MAX_PEERS`] peers that were added last.
#[derive(Debug, Default)]
pub(super) struct RecentPeers {
    members: HashSet<PeerId>,
    /// In the order of their addition.
    order: VecDeque<PeerId>,
}

impl RecentPeers {
    /// Adds a peer. If there are too many, the peer that was added first is dropped.
    pub(super) fn insert(&mut self, peer: PeerId) {
        if !self.members.insert(peer) {
            return;
        }
        self.order.push_back(peer);
        if self.order.len() > MAX_PEERS
            && let Some(first) = self.order.pop_front()
        {
            self.members.remove(&first);
        }
    }

    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.members.contains(peer)
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// The peers, the newest first.
    pub(super) fn latest(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.order.iter().rev().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_peers_are_remembered_however_many_come() {
        let mut peers = RecentPeers::default();
        let [first, last] = [PeerId::random(), PeerId::random()];
        peers.insert(first);
        for _ in 0..MAX_PEERS - 1 {
            peers.insert(PeerId::random());
        }
        peers.insert(first);
        assert!(peers.contains(&first));
        peers.insert(last);
        assert!(!peers.contains(&first));
        assert!(peers.contains(&last));
        assert_eq!(peers.latest().next(), Some(last));
        assert_eq!(
            (peers.len(), peers.latest().count()),
            (MAX_PEERS, MAX_PEERS)
        );
    }
}
