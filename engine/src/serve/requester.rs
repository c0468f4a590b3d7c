//! The peer that makes a request, and how quotas count it: by its site, its host and its id.

use libp2p::PeerId;
use pelago_behaviour::{Origin, Prefix};

/// A peer that makes requests, and where it connects from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Requester {
    pub(super) peer: PeerId,
    pub(super) origin: Origin,
}

/// What a quota counts: a network, a host in it, or a peer on that host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum QuotaKey {
    Site(Prefix),
    /// A host whose address names no network. It counts as a site of its own.
    LoneHost(Origin),
    Host(Origin),
    Peer(PeerId),
}

/// How many levels a quota has: site, host and peer.
pub(super) const LEVELS: usize = 3;

impl Requester {
    /// The keys of the requester, the widest first. Each contains the next one.
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
    /// A new peer at this address.
    pub(super) fn at(address: &str) -> Self {
        let peer = PeerId::random();
        let address = format!("/ip4/{address}/tcp/1").parse().unwrap();
        let origin = Origin::new(peer, &address);
        Self { peer, origin }
    }
}
