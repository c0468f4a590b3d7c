//! Who asks for something, and as what quotas count it: by its site, its host and its id, in this order.

use libp2p::PeerId;
use pelago_behaviour::{Origin, Prefix};

/// A peer that asks, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Requester {
    pub(super) peer: PeerId,
    pub(super) origin: Origin,
}

/// What a quota counts: a network, a host in it, or a peer on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum QuotaKey {
    Site(Prefix),
    /// Counts as a site of its own: its address tells of no network.
    LoneHost(Origin),
    Host(Origin),
    Peer(PeerId),
}

/// How many levels there are.
pub(super) const LEVELS: usize = 3;

impl Requester {
    /// What it counts as, the widest first. Each belongs to the one before it.
    pub(super) fn keys(&self) -> [QuotaKey; LEVELS] {
        let site = self.origin.site();
        [
            site.map_or(QuotaKey::LoneHost(self.origin), QuotaKey::Site),
            QuotaKey::Host(self.origin),
            QuotaKey::Peer(self.peer),
        ]
    }
}

#[cfg(test)]
impl Requester {
    /// Another peer at this address.
    pub(super) fn at(address: &str) -> Self {
        let peer = PeerId::random();
        let address = format!("/ip4/{address}/tcp/1").parse().unwrap();
        let origin = Origin::new(peer, &address);
        Self { peer, origin }
    }
}
