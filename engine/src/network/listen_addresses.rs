//! The addresses of this machine at which the node listens, and which changes mean that the
//! machine has moved.

use std::collections::HashMap;
use std::net::IpAddr;

use libp2p::{Multiaddr, multiaddr::Protocol};

use super::Reach;

/// What a new or removed listen address means for the machine's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressChange {
    /// Nothing.
    None,
    /// The machine gained or lost an address that others can reach.
    Network,
}

/// The IP addresses of this machine at which the node listens, with the number of listeners of
/// each.
#[derive(Default)]
pub(super) struct ListenAddresses(HashMap<IpAddr, usize>);

impl ListenAddresses {
    pub(super) fn add(&mut self, address: &Multiaddr) -> AddressChange {
        let Some(ip) = reachable_ip(address) else {
            return AddressChange::None;
        };
        let listeners = self.0.entry(ip).or_default();
        *listeners += 1;
        match listeners {
            1 => AddressChange::Network,
            _ => AddressChange::None,
        }
    }

    pub(super) fn remove(&mut self, address: &Multiaddr) -> AddressChange {
        let Some(ip) = reachable_ip(address) else {
            return AddressChange::None;
        };
        match self.0.get_mut(&ip) {
            Some(2..) => {
                self.0.entry(ip).and_modify(|listeners| *listeners -= 1);
                AddressChange::None
            }
            Some(_) => {
                self.0.remove(&ip);
                AddressChange::Network
            }
            None => AddressChange::None,
        }
    }
}

/// The IP address, if other machines can reach it.
fn reachable_ip(address: &Multiaddr) -> Option<IpAddr> {
    let ip = match address.iter().next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    (Reach::of(address) == Reach::Beyond).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_moved_when_its_last_listener_at_an_address_is_gone() {
        let mut listen_addresses = ListenAddresses::default();
        let address = |text: &str| text.parse::<Multiaddr>().unwrap();
        let [tcp, quic] = ["/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.1/udp/1/quic-v1"].map(address);
        assert_eq!(listen_addresses.add(&tcp), AddressChange::Network);
        assert_eq!(listen_addresses.add(&quic), AddressChange::None);
        assert_eq!(
            listen_addresses.add(&address("/ip4/127.0.0.1/tcp/1")),
            AddressChange::None
        );
        assert_eq!(listen_addresses.remove(&tcp), AddressChange::None);
        assert_eq!(listen_addresses.remove(&quic), AddressChange::Network);
        assert_eq!(listen_addresses.remove(&quic), AddressChange::None);
        assert_eq!(
            listen_addresses.remove(&address("/ip6/::1/tcp/1")),
            AddressChange::None
        );
        assert_eq!(
            listen_addresses.add(&tcp),
            AddressChange::Network,
            "it is back"
        );
    }
}
