//! Sources of a download that are asked no more: they lied, or refused to tell.
//!
//! A new peer id costs nothing, so their number is bounded. One that is forgotten is asked once more, and found out
//! again: that costs a chunk.

use std::collections::{HashSet, VecDeque};

use libp2p::PeerId;

/// Peers that are remembered, at most: sixteen times as many as are asked at a time. The oldest are forgotten.
const MAX_BANNED: usize = 1024;

/// Who is banned.
#[derive(Default)]
pub(super) struct Banned {
    peers: HashSet<PeerId>,
    /// In the order in which they were banned.
    order: VecDeque<PeerId>,
}

impl Banned {
    pub(super) fn insert(&mut self, peer: PeerId) {
        if !self.peers.insert(peer) {
            return;
        }
        self.order.push_back(peer);
        if self.order.len() > MAX_BANNED
            && let Some(oldest) = self.order.pop_front()
        {
            self.peers.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.peers.contains(peer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &PeerId> {
        self.peers.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_there_may_be_are_remembered_the_newest_of_them() {
        let (mut banned, first) = (Banned::default(), PeerId::random());
        banned.insert(first);
        for _ in 0..MAX_BANNED - 1 {
            banned.insert(PeerId::random());
            banned.insert(first);
        }
        assert!(banned.contains(&first));
        let last = PeerId::random();
        banned.insert(last);
        assert!(!banned.contains(&first) && banned.contains(&last));
        assert_eq!(banned.iter().count(), MAX_BANNED);
        assert_eq!(banned.order.len(), MAX_BANNED);
    }
}
