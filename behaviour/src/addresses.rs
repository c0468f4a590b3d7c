//! The latest known addresses of peers, which a dial of a peer tries in addition to those that its
//! caller names.
//!
//! Owns one bounded list of addresses for each of a bounded number of peers, with the namer of
//! each address. A newer address comes before an older one and pushes the oldest out, so that a
//! peer that has moved is found at its new address. Never dials, and never judges an address.

use std::collections::HashMap;

use libp2p::{Multiaddr, PeerId};

use crate::dial::NamedBy;

/// Addresses of one peer, at most: a machine with several networks has about ten.
pub const MAX_ADDRESSES: usize = 16;

/// Peers whose addresses are kept, at most. Beyond that, peers that this node never reached are
/// forgotten first, those updated longest ago before others: a new id costs nothing.
const MAX_PEERS: usize = 1024;

/// The addresses of one peer, the newest first.
#[derive(Default)]
struct PeerAddresses {
    addresses: Vec<(Multiaddr, NamedBy)>,
    updated: u64,
}

/// The addresses of peers. Every dial of a peer tries them.
#[derive(Default)]
pub(crate) struct Addresses {
    peers: HashMap<PeerId, PeerAddresses>,
    updates: u64,
}

impl PeerAddresses {
    fn is_reached(&self) -> bool {
        self.addresses.iter().any(|(_, by)| *by == NamedBy::Reached)
    }
}

impl Addresses {
    /// Replaces the addresses of `peer`.
    pub(crate) fn replace(&mut self, peer: PeerId, mut addresses: Vec<(Multiaddr, NamedBy)>) {
        addresses.truncate(MAX_ADDRESSES);
        self.entry(peer).addresses = addresses;
    }

    /// Adds an address at which `peer` was seen now, in front of the others.
    pub(crate) fn add(&mut self, peer: PeerId, address: Multiaddr, by: NamedBy) {
        let known = &mut self.entry(peer).addresses;
        let before = known.iter().find(|(known, _)| *known == address);
        // That this node was connected there is the better evidence.
        let by = before.map_or(by, |(_, before)| match before {
            NamedBy::Reached => NamedBy::Reached,
            _ => by,
        });
        known.retain(|(known, _)| *known != address);
        known.insert(0, (address, by));
        known.truncate(MAX_ADDRESSES);
    }

    /// Removes an address at which `peer` was not seen again.
    pub(crate) fn remove(&mut self, peer: &PeerId, address: &Multiaddr) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.addresses.retain(|(known, _)| known != address);
        }
    }

    /// The addresses of `peer`, the newest first.
    pub(crate) fn of(&self, peer: &PeerId) -> &[(Multiaddr, NamedBy)] {
        self.peers
            .get(peer)
            .map_or(&[], |known| known.addresses.as_slice())
    }

    fn entry(&mut self, peer: PeerId) -> &mut PeerAddresses {
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&peer) {
            let by_use =
                |(_, known): &(&PeerId, &PeerAddresses)| (known.is_reached(), known.updated);
            let oldest = self.peers.iter().min_by_key(by_use);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.peers.remove(&oldest);
            }
        }
        self.updates += 1;
        let known = self.peers.entry(peer).or_default();
        known.updated = self.updates;
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: usize) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()
    }

    fn of(addresses: &Addresses, peer: &PeerId) -> Vec<Multiaddr> {
        let known = addresses.of(peer).iter();
        known.map(|(address, _)| address.clone()).collect()
    }

    const LAN: NamedBy = NamedBy::LocalNetwork;

    #[test]
    fn the_newest_address_comes_first_and_the_oldest_makes_room() {
        let (mut addresses, peer) = (Addresses::default(), PeerId::random());
        for port in 1..=MAX_ADDRESSES + 2 {
            addresses.add(peer, address(port), LAN);
        }
        let known = of(&addresses, &peer);
        assert_eq!(known.len(), MAX_ADDRESSES);
        assert_eq!(known[0], address(MAX_ADDRESSES + 2));
        assert!(!known.contains(&address(2)));
        // An address that is seen again is the newest.
        addresses.add(peer, address(5), LAN);
        assert_eq!(of(&addresses, &peer)[0], address(5));
        assert_eq!(of(&addresses, &peer).len(), MAX_ADDRESSES);
        addresses.remove(&peer, &address(5));
        assert!(!of(&addresses, &peer).contains(&address(5)));
    }

    #[test]
    fn addresses_from_identify_replace_all_others() {
        let (mut addresses, peer) = (Addresses::default(), PeerId::random());
        addresses.add(peer, address(1), LAN);
        addresses.replace(peer, vec![(address(2), LAN), (address(3), LAN)]);
        assert_eq!(of(&addresses, &peer), [address(2), address(3)]);
        let many = (1..=2 * MAX_ADDRESSES).map(|port| (address(port), LAN));
        addresses.replace(peer, many.collect());
        assert_eq!(of(&addresses, &peer).len(), MAX_ADDRESSES);
    }

    #[test]
    fn where_this_node_was_is_remembered_when_others_name_it() {
        let (mut addresses, peer) = (Addresses::default(), PeerId::random());
        addresses.replace(peer, vec![(address(1), NamedBy::Reached)]);
        addresses.add(peer, address(1), LAN);
        assert_eq!(addresses.of(&peer), [(address(1), NamedBy::Reached)]);
    }

    #[test]
    fn peers_are_bounded_and_those_that_were_reached_stay() {
        let (mut addresses, first) = (Addresses::default(), PeerId::random());
        let reached = PeerId::random();
        addresses.add(reached, address(1), NamedBy::Reached);
        addresses.add(first, address(1), LAN);
        (0..MAX_PEERS).for_each(|_| addresses.add(PeerId::random(), address(1), LAN));
        assert_eq!(addresses.peers.len(), MAX_PEERS);
        assert!(addresses.of(&first).is_empty());
        assert_eq!(addresses.of(&reached).len(), 1);
    }
}
