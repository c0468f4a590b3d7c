//! How many bytes of content were sent to and received from each peer.

use std::{collections::HashMap, sync::Arc};

use libp2p::PeerId;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

/// Peers to count, at most. Beyond that, those with the least traffic are forgotten.
const MAX_PEERS: usize = 4096;

/// Counts content bytes by peer. A handle: clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    peers: Arc<Mutex<HashMap<PeerId, Counts>>>,
    sent: Counter,
    received: Counter,
}

/// Bytes of content moved to and from one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sent to the peer.
    pub sent: u64,
    /// Received from the peer.
    pub received: u64,
}

impl Traffic {
    /// Counts `bytes` sent to `peer`.
    pub fn sent(&self, peer: PeerId, bytes: u64) {
        self.sent.inc_by(bytes);
        self.update(peer, |counts| counts.sent += bytes);
    }

    /// Counts `bytes` received from `peer`.
    pub fn received(&self, peer: PeerId, bytes: u64) {
        self.received.inc_by(bytes);
        self.update(peer, |counts| counts.received += bytes);
    }

    /// The counts of `peer`.
    #[must_use]
    pub fn of(&self, peer: &PeerId) -> Counts {
        self.peers.lock().get(peer).copied().unwrap_or_default()
    }

    /// Bytes sent to all peers.
    pub(super) const fn all_sent(&self) -> &Counter {
        &self.sent
    }

    /// Bytes received from all peers.
    pub(super) const fn all_received(&self) -> &Counter {
        &self.received
    }

    fn update(&self, peer: PeerId, change: impl FnOnce(&mut Counts)) {
        let mut peers = self.peers.lock();
        if peers.len() >= MAX_PEERS && !peers.contains_key(&peer) {
            let least = peers
                .iter()
                .min_by_key(|(_, counts)| counts.sent + counts.received);
            if let Some(least) = least.map(|(peer, _)| *peer) {
                peers.remove(&least);
            }
        }
        change(peers.entry(peer).or_default());
    }
}
