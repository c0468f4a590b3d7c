//! Which addresses of this node peers from elsewhere have used.
//!
//! Only a caller to whose site this node has sent nothing proves an address: a router lets in answers
//! from hosts to which it has passed something. A single caller could name any address, so an
//! address that is not on this machine takes callers from two sites.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use pelago_behaviour::{AddressScope, Prefix, ip_of, is_relayed};

use super::{NatKind, OwnAddress, ReachState};

/// Addresses named by callers to remember, at most; beyond that, one with the fewest callers is
/// forgotten.
const MAX_CALLED: usize = 16;

/// Sites whose callers prove an address.
const PROOFS: usize = 2;

/// Sites that report at which port they see this node, at most.
const MAX_SEEN_BY: usize = 8;

/// The addresses of one node.
#[derive(Default)]
pub(in crate::network) struct OwnAddresses {
    listening: BTreeSet<Multiaddr>,
    /// The addresses that callers used, each with their sites.
    called: BTreeMap<Multiaddr, BTreeSet<Prefix>>,
    /// Whether a caller from elsewhere was here.
    was_called: bool,
    /// Where sites see the packets of this node over QUIC.
    seen: HashMap<Prefix, (IpAddr, u16)>,
}

impl OwnAddresses {
    /// The node listens at `address`.
    pub(in crate::network) fn listens(&mut self, address: &Multiaddr) {
        self.listening.insert(address.clone());
    }

    /// The node does not listen at `address` any more. If the machine has moved, nothing that was
    /// learned elsewhere holds.
    pub(in crate::network) fn listens_no_more(&mut self, address: &Multiaddr, has_moved: bool) {
        self.listening.remove(address);
        if has_moved {
            self.called.clear();
            self.seen.clear();
            self.was_called = false;
        }
    }

    /// A peer at `site`, where nothing of this node went before, has connected to this node, at
    /// `address` as it says.
    pub(in crate::network) fn called(&mut self, site: Prefix, address: &Multiaddr) {
        self.was_called = true;
        if AddressScope::of(address) != Some(AddressScope::Global) || is_relayed(address) {
            return;
        }
        if self.called.len() >= MAX_CALLED && !self.called.contains_key(address) {
            let least = self.called.iter().min_by_key(|(_, sites)| sites.len());
            if let Some(least) = least.map(|(address, _)| address.clone()) {
                self.called.remove(&least);
            }
        }
        let sites = self.called.entry(address.clone()).or_default();
        if sites.len() < PROOFS {
            sites.insert(site);
        }
    }

    /// A peer at `site`, which this node has dialed, sees it at `address`.
    pub(in crate::network) fn seen(&mut self, site: Prefix, address: &Multiaddr) {
        let port = address.iter().find_map(|part| match part {
            Protocol::Udp(port) => Some(port),
            _ => None,
        });
        let (Some(ip), Some(port)) = (ip_of(address), port) else {
            return;
        };
        if self.seen.len() < MAX_SEEN_BY || self.seen.contains_key(&site) {
            self.seen.insert(site, (ip, port));
        }
    }

    /// Where peers from elsewhere reach this node. A machine with a global IPv4 address has no router
    /// that translates; one with a global IPv6 address may have one that lets nothing in.
    pub(in crate::network) fn reachable(&self) -> Vec<OwnAddress> {
        let callers = |address: &Multiaddr| self.called.get(address).map_or(0, BTreeSet::len);
        let is_global = |address: &&Multiaddr| {
            AddressScope::of(address) == Some(AddressScope::Global)
                && (ip_of(address).is_some_and(|ip| ip.is_ipv4()) || callers(address) > 0)
        };
        let on_machine = self.listening.iter().filter(is_global);
        let elsewhere = self
            .called
            .iter()
            .filter(|(address, sites)| !self.listening.contains(*address) && sites.len() >= PROOFS);
        let all = on_machine.chain(elsewhere.map(|(address, _)| address));
        all.map(|address| OwnAddress {
            address: address.clone(),
            is_proven: callers(address) >= PROOFS,
        })
        .collect()
    }

    /// How others reach this node, which has a reservation at a relay or not.
    pub(in crate::network) fn state(&self, has_relay: bool) -> ReachState {
        let reachable = self.reachable();
        let mut beyond = self.listening.iter();
        if reachable.iter().any(|own| own.is_proven) {
            ReachState::Public
        } else if self.was_called || !reachable.is_empty() {
            ReachState::Probable
        } else if has_relay {
            ReachState::Relayed
        } else if beyond.any(|address| AddressScope::of(address) > Some(AddressScope::Loopback)) {
            ReachState::Lan
        } else {
            ReachState::Offline
        }
    }

    /// The kind of the router in front of this node.
    pub(in crate::network) fn nat(&self) -> NatKind {
        let own: BTreeSet<_> = self.listening.iter().filter_map(ip_of).collect();
        let mut seen = self.seen.values().filter(|(ip, _)| ip.is_ipv4());
        let Some(first) = seen.next() else {
            return NatKind::Unknown;
        };
        if own.contains(&first.0) {
            return NatKind::None;
        }
        let others: Vec<_> = seen.collect();
        match others.iter().all(|other| *other == first) {
            false => NatKind::Hard,
            true if others.is_empty() => NatKind::Unknown,
            true => NatKind::Easy,
        }
    }
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;
    use pelago_behaviour::Origin;

    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn site(number: u8) -> Prefix {
        let remote = address(&format!("/ip4/5.{number}.1.1/tcp/1"));
        Origin::new(PeerId::random(), &remote).site().unwrap()
    }

    fn reachable(own: &OwnAddresses) -> Vec<String> {
        let all = own.reachable().into_iter();
        all.map(|own| own.address.to_string()).collect()
    }

    const HOME: &str = "/ip4/192.168.1.5/tcp/8080";
    const FRONT: &str = "/ip4/7.7.7.7/tcp/8080";
    const GLOBAL_V6: &str = "/ip6/2a00:1:2::5/tcp/8080";

    #[test]
    fn a_machine_with_a_global_address_is_public_once_two_sites_have_called() {
        let mut own = OwnAddresses::default();
        assert_eq!(own.state(false), ReachState::Offline);
        own.listens(&address("/ip4/127.0.0.1/tcp/8080"));
        assert_eq!(own.state(false), ReachState::Offline);
        own.listens(&address(FRONT));
        assert_eq!(own.state(false), ReachState::Probable);
        assert_eq!(reachable(&own), [FRONT]);
        own.called(site(1), &address(FRONT));
        own.called(site(1), &address(FRONT));
        assert_eq!(own.state(false), ReachState::Probable, "one site");
        own.called(site(2), &address(FRONT));
        assert_eq!(own.state(false), ReachState::Public);
        own.listens_no_more(&address(FRONT), true);
        assert_eq!(own.state(false), ReachState::Offline);
        assert!(own.reachable().is_empty());
    }

    #[test]
    fn a_global_ipv6_address_may_be_behind_a_firewall() {
        let mut own = OwnAddresses::default();
        own.listens(&address(GLOBAL_V6));
        assert_eq!(own.state(true), ReachState::Relayed);
        own.called(site(1), &address(GLOBAL_V6));
        assert_eq!(own.state(true), ReachState::Probable);
        assert_eq!(reachable(&own), [GLOBAL_V6]);
    }

    #[test]
    fn an_address_on_the_router_takes_callers_from_two_sites() {
        let mut own = OwnAddresses::default();
        own.listens(&address(HOME));
        assert_eq!(own.state(false), ReachState::Lan);
        assert_eq!(own.state(true), ReachState::Relayed);
        own.called(site(1), &address("/ip4/6.6.6.6/tcp/9"));
        own.called(site(2), &address(FRONT));
        assert_eq!(own.state(true), ReachState::Probable, "it lets callers in");
        assert!(reachable(&own).is_empty(), "each could name what it likes");
        own.called(site(3), &address(FRONT));
        assert_eq!(reachable(&own), [FRONT]);
        assert_eq!(own.state(true), ReachState::Public);
    }

    #[test]
    fn what_callers_name_is_bounded() {
        let mut own = OwnAddresses::default();
        own.called(site(1), &address(FRONT));
        own.called(site(2), &address(FRONT));
        for port in 1..100 {
            own.called(site(3), &address(&format!("/ip4/6.6.6.6/tcp/{port}")));
        }
        assert_eq!(own.called.len(), MAX_CALLED);
        assert_eq!(reachable(&own), [FRONT]);
    }

    #[test]
    fn the_same_port_for_all_is_an_easy_router() {
        let mut own = OwnAddresses::default();
        own.listens(&address("/ip4/192.168.1.5/udp/8080/quic-v1"));
        assert_eq!(own.nat(), NatKind::Unknown);
        let seen = |port: u16| address(&format!("/ip4/7.7.7.7/udp/{port}/quic-v1"));
        own.seen(site(1), &seen(9));
        assert_eq!(own.nat(), NatKind::Unknown);
        own.seen(site(2), &address(FRONT));
        assert_eq!(own.nat(), NatKind::Unknown, "TCP shows less");
        own.seen(site(2), &seen(9));
        assert_eq!(own.nat(), NatKind::Easy);
        own.seen(site(2), &seen(10));
        assert_eq!(own.nat(), NatKind::Hard);
        own.listens(&address("/ip4/7.7.7.7/udp/8080/quic-v1"));
        assert_eq!(own.nat(), NatKind::None);
    }
}
