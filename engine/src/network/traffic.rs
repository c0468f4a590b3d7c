//! How many bytes of content were sent to and received from each peer.

use std::{collections::HashMap, sync::Arc};

use libp2p::PeerId;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

/// Peers to count, at most. Beyond that, those with the least traffic are forgotten.
const MAX_PEERS: usize = 4096;

/// MovedBytes content bytes by peer. A handle: clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    peers: Arc<Mutex<HashMap<PeerId, MovedBytes>>>,
    sent: Counter,
    received: Counter,
}

/// Bytes of content moved, to and from one peer or all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MovedBytes {
    /// Sent to peers.
    pub sent: u64,
    /// Received from peers.
    pub received: u64,
}

impl Traffic {
    /// MovedBytes `bytes` sent to `peer`.
    pub fn sent(&self, peer: PeerId, bytes: u64) {
        self.sent.inc_by(bytes);
        self.update(peer, |counts| counts.sent += bytes);
    }

    /// MovedBytes `bytes` received from `peer`.
    pub fn received(&self, peer: PeerId, bytes: u64) {
        self.received.inc_by(bytes);
        self.update(peer, |counts| counts.received += bytes);
    }

    /// The counts of `peer`.
    #[must_use]
    pub fn of(&self, peer: &PeerId) -> MovedBytes {
        self.peers.lock().get(peer).copied().unwrap_or_default()
    }

    /// The counts of all peers together.
    #[must_use]
    pub fn total(&self) -> MovedBytes {
        MovedBytes {
            sent: self.sent.get(),
            received: self.received.get(),
        }
    }

    /// Bytes sent to all peers.
    pub(super) const fn all_sent(&self) -> &Counter {
        &self.sent
    }

    /// Bytes received from all peers.
    pub(super) const fn all_received(&self) -> &Counter {
        &self.received
    }

    fn update(&self, peer: PeerId, change: impl FnOnce(&mut MovedBytes)) {
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
