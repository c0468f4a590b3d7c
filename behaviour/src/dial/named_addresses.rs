//! The addresses of peers as other peers name them. Pure.
//!
//! Owns a bounded list for each namer. A namer that exceeds its bound loses its own oldest entry;
//! when all lists together exceed theirs, the longest list loses its oldest entry.

use std::collections::{HashMap, VecDeque};

use libp2p::{Multiaddr, PeerId};

use super::Namer;
use crate::Origin;

/// Peers that one namer may name, at most; beyond that, the oldest are forgotten. This is enough
/// for a few answers of the DHT, with up to 40 peers each.
const MAX_PEERS_PER_NAMER: usize = 256;

/// Peers of all namers, at most: about 500 bytes each with addresses, 2 MiB in total.
const MAX_PEERS: usize = 4096;

/// Addresses of one peer by one namer, at most: TCP and QUIC over IPv4 and IPv6.
pub(crate) const MAX_ADDRESSES_PER_NAME: usize = 4;

struct NamedPeer {
    peer: PeerId,
    namer: Namer,
    addresses: Vec<Multiaddr>,
}

/// The addresses that peers named of others.
#[derive(Default)]
pub(crate) struct NamedAddresses {
    names: HashMap<Origin, VecDeque<NamedPeer>>,
    count: usize,
}

impl NamedAddresses {
    /// Records `addresses` of `peer`, which replace what `namer` named before. The caller has
    /// checked them.
    pub(crate) fn add(&mut self, namer: Namer, peer: PeerId, addresses: Vec<Multiaddr>) {
        if addresses.is_empty() {
            return;
        }
        let names = self.names.entry(namer.origin).or_default();
        let before = names.len();
        names.retain(|name| name.peer != peer);
        if names.len() >= MAX_PEERS_PER_NAMER {
            names.pop_front();
        }
        names.push_back(NamedPeer {
            peer,
            namer,
            addresses,
        });
        self.count = self.count + names.len() - before;
        if self.count > MAX_PEERS {
            self.forget_one();
        }
    }

    /// The addresses that others named of `peer`, each with its namer.
    pub(crate) fn of(&self, peer: &PeerId) -> Vec<(Multiaddr, Namer)> {
        let names = self.names.values().flatten();
        let of_peer = names.filter(|name| name.peer == *peer);
        of_peer
            .flat_map(|name| {
                let addresses = name.addresses.iter();
                addresses.map(|address| (address.clone(), name.namer))
            })
            .collect()
    }

    fn forget_one(&mut self) {
        let most = self.names.iter().max_by_key(|(_, names)| names.len());
        let Some(origin) = most.map(|(origin, _)| *origin) else {
            return;
        };
        if let Some(names) = self.names.get_mut(&origin) {
            self.count -= usize::from(names.pop_front().is_some());
            if names.is_empty() {
                self.names.remove(&origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namer(n: usize) -> Namer {
        let remote = format!("/ip4/11.{}.{}.1/tcp/1", n / 250, n % 250);
        Namer::new(PeerId::random(), &remote.parse().unwrap())
    }

    fn address(port: usize) -> Vec<Multiaddr> {
        vec![format!("/ip4/12.0.0.1/tcp/{port}").parse().unwrap()]
    }

    #[test]
    fn each_namer_has_its_own_word_on_a_peer_and_the_latest_counts() {
        let (mut named_addresses, peer) = (NamedAddresses::default(), PeerId::random());
        let [first, second] = [namer(1), namer(2)];
        named_addresses.add(first, peer, address(1));
        named_addresses.add(second, peer, address(2));
        named_addresses.add(first, peer, address(3));
        let mut ports: Vec<_> = named_addresses.of(&peer).into_iter().collect();
        ports.sort_by_key(|(address, _)| address.to_string());
        let expected = [
            (address(2).remove(0), second),
            (address(3).remove(0), first),
        ];
        assert_eq!(ports, expected);
        assert!(named_addresses.of(&PeerId::random()).is_empty());
    }

    #[test]
    fn a_namer_of_many_pushes_out_its_own_names_only() {
        let (mut named_addresses, peer) = (NamedAddresses::default(), PeerId::random());
        named_addresses.add(namer(1), peer, address(1));
        for port in 0..10_000 {
            named_addresses.add(namer(2), PeerId::random(), address(port));
        }
        assert_eq!(named_addresses.count, MAX_PEERS_PER_NAMER + 1);
        assert_eq!(named_addresses.of(&peer).len(), 1);
    }

    #[test]
    fn all_lists_together_are_bounded_and_short_ones_are_kept() {
        let (mut named_addresses, peer) = (NamedAddresses::default(), PeerId::random());
        named_addresses.add(namer(0), peer, address(1));
        for n in 1..100 {
            for port in 0..100 {
                named_addresses.add(namer(n), PeerId::random(), address(port));
            }
        }
        assert_eq!(named_addresses.count, MAX_PEERS);
        let counted: usize = named_addresses.names.values().map(VecDeque::len).sum();
        assert_eq!(counted, MAX_PEERS);
        assert_eq!(named_addresses.of(&peer).len(), 1);
    }
}
