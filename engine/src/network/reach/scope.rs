//! From where an address can be used to reach the machine that it belongs to.

use libp2p::{Multiaddr, multiaddr::Protocol};

/// From where an address can be used, the farthest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// From nowhere: it names no machine (`0.0.0.0`), or is valid only together with the name of a
    /// network interface, which other machines cannot know (`fe80::`, RFC 4291 section 2.5.6).
    Nowhere,
    /// From the machine itself.
    Host,
    /// From other machines, too.
    Beyond,
}

impl Reach {
    /// The reach of `address`: that of its most limited part.
    #[must_use]
    pub fn of(address: &Multiaddr) -> Self {
        let parts = address.iter().map(|part| match part {
            Protocol::Ip4(ip) if ip.is_unspecified() => Self::Nowhere,
            Protocol::Ip6(ip) if ip.is_unspecified() || ip.is_unicast_link_local() => Self::Nowhere,
            Protocol::Ip4(ip) if ip.is_loopback() => Self::Host,
            Protocol::Ip6(ip) if ip.is_loopback() => Self::Host,
            Protocol::Memory(_) => Self::Host,
            _ => Self::Beyond,
        });
        parts.min().unwrap_or(Self::Nowhere)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_as_far_as_they_do() {
        for (address, reach) in [
            ("/ip4/0.0.0.0/tcp/1", Reach::Nowhere),
            ("/ip6/::/udp/1/quic-v1", Reach::Nowhere),
            ("/ip6/fe80::1/tcp/1", Reach::Nowhere),
            ("/ip4/127.0.0.2/tcp/1", Reach::Host),
            ("/ip6/::1/tcp/1", Reach::Host),
            ("/memory/1", Reach::Host),
            ("/ip4/192.168.1.2/udp/1/quic-v1", Reach::Beyond),
            ("/ip6/fd00::2/tcp/1", Reach::Beyond),
            ("/dns/example.org/tcp/1", Reach::Beyond),
        ] {
            assert_eq!(Reach::of(&address.parse().unwrap()), reach, "{address}");
        }
    }
}
