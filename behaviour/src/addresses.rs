//! Where peers can be reached, by the latest evidence: what a dial of a peer tries beside the addresses
//! that its caller names.
//!
//! Owns one bounded list of addresses for each of a bounded number of peers. A newer address comes before
//! an older one and pushes the oldest out, so that a peer that has moved is found at its new address.
//! Never dials, and never judges an address.

use std::{
    collections::HashMap,
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};

/// Addresses of one peer, at most: a machine with several networks has about ten.
pub const MAX_ADDRESSES: usize = 16;

/// Peers whose addresses are kept, at most; those that were updated longest ago are forgotten first.
const MAX_PEERS: usize = 1024;

/// The addresses of one peer, the newest first.
#[derive(Default)]
struct Entry {
    addresses: Vec<Multiaddr>,
    updated: u64,
}

/// The addresses of peers; every dial of a peer tries those that are known of it.
#[derive(Default)]
pub struct Addresses {
    peers: HashMap<PeerId, Entry>,
    updates: u64,
}

impl Addresses {
    /// Replaces what is known of `peer` with what the peer says of itself.
    pub fn replace(&mut self, peer: PeerId, mut addresses: Vec<Multiaddr>) {
        addresses.truncate(MAX_ADDRESSES);
        self.entry(peer).addresses = addresses;
    }

    /// Adds an address at which `peer` was seen now, in front of those that are known.
    pub fn add(&mut self, peer: PeerId, address: Multiaddr) {
        let known = &mut self.entry(peer).addresses;
        known.retain(|known| *known != address);
        known.insert(0, address);
        known.truncate(MAX_ADDRESSES);
    }

    /// Removes an address at which `peer` is not seen any more.
    pub fn remove(&mut self, peer: &PeerId, address: &Multiaddr) {
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.addresses.retain(|known| known != address);
        }
    }

    /// What is known of `peer`, the newest first.
    #[must_use]
    pub fn of(&self, peer: &PeerId) -> &[Multiaddr] {
        self.peers
            .get(peer)
            .map_or(&[], |entry| entry.addresses.as_slice())
    }

    fn entry(&mut self, peer: PeerId) -> &mut Entry {
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&peer) {
            let oldest = self.peers.iter().min_by_key(|(_, entry)| entry.updated);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.peers.remove(&oldest);
            }
        }
        self.updates += 1;
        let entry = self.peers.entry(peer).or_default();
        entry.updated = self.updates;
        entry
    }
}

impl NetworkBehaviour for Addresses {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        Ok(peer.map_or_else(Vec::new, |peer| self.of(&peer).to_vec()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: usize) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn the_newest_address_comes_first_and_the_oldest_makes_room() {
        let (mut addresses, peer) = (Addresses::default(), PeerId::random());
        for port in 1..=MAX_ADDRESSES + 2 {
            addresses.add(peer, address(port));
        }
        let known = addresses.of(&peer);
        assert_eq!(known.len(), MAX_ADDRESSES);
        assert_eq!(known[0], address(MAX_ADDRESSES + 2));
        assert!(!known.contains(&address(2)));
        // An address that is seen again is the newest.
        addresses.add(peer, address(5));
        assert_eq!(addresses.of(&peer)[0], address(5));
        assert_eq!(addresses.of(&peer).len(), MAX_ADDRESSES);
        addresses.remove(&peer, &address(5));
        assert!(!addresses.of(&peer).contains(&address(5)));
    }

    #[test]
    fn what_a_peer_says_replaces_all_that_was_known() {
        let (mut addresses, peer) = (Addresses::default(), PeerId::random());
        addresses.add(peer, address(1));
        addresses.replace(peer, vec![address(2), address(3)]);
        assert_eq!(addresses.of(&peer), [address(2), address(3)]);
        let many = (1..=2 * MAX_ADDRESSES).map(address).collect();
        addresses.replace(peer, many);
        assert_eq!(addresses.of(&peer).len(), MAX_ADDRESSES);
    }

    #[test]
    fn peers_are_bounded() {
        let (mut addresses, first) = (Addresses::default(), PeerId::random());
        addresses.add(first, address(1));
        (0..MAX_PEERS).for_each(|_| addresses.add(PeerId::random(), address(1)));
        assert_eq!(addresses.peers.len(), MAX_PEERS);
        assert!(addresses.of(&first).is_empty());
    }
}
