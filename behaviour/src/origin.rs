//! Where a peer comes from, as quotas count it, and how far an address reaches.
//!
//! A new peer id costs nothing, an address does. So limits count the prefix of the address from
//! which a peer is connected, and its id only where the address does not identify its owner. Owns
//! both readings of an address; knows no limits.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use libp2p::{Multiaddr, PeerId, core::ConnectedPoint, multiaddr::Protocol};

/// How far an address reaches, the nearest first. An address that embeds another one (IPv4 in
/// IPv6, NAT64, 6to4) reaches as far as that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressScope {
    /// Nowhere: unspecified, multicast, documentation and other addresses that no node has (RFC
    /// 6890).
    Nowhere,
    /// This process or this machine.
    Loopback,
    /// One link.
    LinkLocal,
    /// One organisation or provider: RFC 1918, RFC 6598 and RFC 4193.
    Private,
    /// Everywhere.
    Global,
}

/// As whom limits count a peer.
///
/// A global address counts with its neighbours, as one person can have many of them; a private
/// address counts by itself; a peer on this machine counts by its id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(OriginKind);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum OriginKind {
    /// A global IPv4 address, or the first 64 bits of a global IPv6 address.
    Global(Prefix),
    /// A private address, or one of this link.
    Private(IpAddr),
    /// A peer on this machine, or one whose address does not identify its owner.
    Peer(PeerId),
}

/// The first bits of a global address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Prefix {
    /// An IPv4 prefix with its length in bits.
    V4(Ipv4Addr, u8),
    /// An IPv6 prefix with its length in bits.
    V6(Ipv6Addr, u8),
}

/// The prefix of one host: an IPv4 address, or an IPv6 network (RFC 4291, 2.5.4).
const HOST_BITS: (u8, u8) = (32, 64);

/// The prefix that one customer easily gets: the smallest routed block of IPv4, or a site of IPv6
/// (RFC 6177).
const SITE_BITS: (u8, u8) = (24, 48);

impl AddressScope {
    /// How far this address reaches.
    #[must_use]
    pub fn of_ip(ip: IpAddr) -> Self {
        match embedded(ip) {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    /// How far this address reaches; `None` if it does not begin with an IP address or `/memory`.
    #[must_use]
    pub fn of(address: &Multiaddr) -> Option<Self> {
        match address.iter().next()? {
            Protocol::Memory(_) => Some(Self::Loopback),
            _ => ip_of(address).map(Self::of_ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        match ip.octets() {
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            [100, 64..=127, ..] => Self::Private,
            _ if ip.is_private() => Self::Private,
            [0 | 224..=255, ..] | [192, 0, 0 | 2, _] | [198, 18 | 19, ..] => Self::Nowhere,
            [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => Self::Nowhere,
            _ => Self::Global,
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        match ip.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            [0xfc00..=0xfdff, ..] => Self::Private,
            // Documentation, and addresses that lead through a relay of strangers (Teredo,
            // ORCHID).
            [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x2001, 0..=0x1ff, ..] => {
                Self::Nowhere
            }
            [0x2000..=0x3fff, ..] => Self::Global,
            _ => Self::Nowhere,
        }
    }
}

impl Origin {
    /// The origin of a peer that is connected from `address`.
    #[must_use]
    pub fn new(peer: PeerId, address: &Multiaddr) -> Self {
        let Some(ip) = ip_of(address) else {
            return Self(OriginKind::Peer(peer));
        };
        Self(match AddressScope::of_ip(ip) {
            AddressScope::Global => OriginKind::Global(Prefix::new(ip, HOST_BITS)),
            AddressScope::Private | AddressScope::LinkLocal => OriginKind::Private(embedded(ip)),
            AddressScope::Loopback | AddressScope::Nowhere => OriginKind::Peer(peer),
        })
    }

    /// The network around it, which hosts of one person share. `None` if none is known: then the
    /// origin counts by itself.
    #[must_use]
    pub fn site(&self) -> Option<Prefix> {
        match self.0 {
            OriginKind::Global(Prefix::V4(ip, _)) => Some(Prefix::new(ip.into(), SITE_BITS)),
            OriginKind::Global(Prefix::V6(ip, _)) => Some(Prefix::new(ip.into(), SITE_BITS)),
            OriginKind::Private(_) | OriginKind::Peer(_) => None,
        }
    }

    /// Whether the address identifies its owner. Other origins may be many honest peers, so they
    /// use free capacity until others need it.
    #[must_use]
    pub const fn is_global(&self) -> bool {
        matches!(self.0, OriginKind::Global(_))
    }
}

impl Prefix {
    fn new(ip: IpAddr, (v4, v6): (u8, u8)) -> Self {
        match embedded(ip) {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(v4)).unwrap_or(0);
                Self::V4(Ipv4Addr::from_bits(ip.to_bits() & mask), v4)
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(v6)).unwrap_or(0);
                Self::V6(Ipv6Addr::from_bits(ip.to_bits() & mask), v6)
            }
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            OriginKind::Global(prefix) => write!(f, "{prefix:?}"),
            OriginKind::Private(ip) => write!(f, "{ip}"),
            OriginKind::Peer(peer) => write!(f, "{peer}"),
        }
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(ip, bits) => write!(f, "{ip}/{bits}"),
            Self::V6(ip, bits) => write!(f, "{ip}/{bits}"),
        }
    }
}

/// The address of the peer at the other end of a connection. A peer that comes through a relay has
/// none of its own, and only the near end of the connection names the relay: the address leads
/// through it.
#[must_use]
pub fn remote_address(local: &Multiaddr, remote: &Multiaddr) -> Multiaddr {
    if !is_relayed(local) || is_relayed(remote) {
        return remote.clone();
    }
    remote.iter().fold(local.clone(), Multiaddr::with)
}

/// [`remote_address`] of the connection with these ends.
#[must_use]
pub fn remote_of(endpoint: &ConnectedPoint) -> Multiaddr {
    match endpoint {
        ConnectedPoint::Dialer { address, .. } => address.clone(),
        ConnectedPoint::Listener {
            local_addr,
            send_back_addr,
        } => remote_address(local_addr, send_back_addr),
    }
}

/// Whether the address leads through a relay.
#[must_use]
pub fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// The relay through which the address leads.
#[must_use]
pub fn relay_of(address: &Multiaddr) -> Option<PeerId> {
    let parts = address.iter().zip(address.iter().skip(1));
    parts.into_iter().find_map(|pair| match pair {
        (Protocol::P2p(relay), Protocol::P2pCircuit) => Some(relay),
        _ => None,
    })
}

/// The IP address with which `address` begins.
#[must_use]
pub fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// The IPv4 address that an IPv6 address embeds (RFC 4291, RFC 6052, RFC 3056), or the same
/// address.
fn embedded(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let from = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            from(high, low).into()
        }
        [0x2002, high, low, ..] => from(high, low).into(),
        _ => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(ip: &str) -> AddressScope {
        AddressScope::of_ip(ip.parse().unwrap())
    }

    fn origin(peer: PeerId, address: &str) -> Origin {
        Origin::new(peer, &address.parse().unwrap())
    }

    #[test]
    fn addresses_reach_as_far_as_the_registries_say() {
        use AddressScope::{Global, LinkLocal, Loopback, Nowhere, Private};
        for (ip, expected) in [
            ("127.0.0.1", Loopback),
            ("127.255.1.2", Loopback),
            ("::1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("64:ff9b::7f00:1", Loopback),
            ("2002:7f00:1::", Loopback),
            ("169.254.1.1", LinkLocal),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("10.1.2.3", Private),
            ("172.16.0.1", Private),
            ("172.32.0.1", Global),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("100.128.0.1", Global),
            ("fd00::1", Private),
            ("2002:c0a8:101::1", Private),
            ("0.0.0.0", Nowhere),
            ("0.1.2.3", Nowhere),
            ("224.0.0.1", Nowhere),
            ("255.255.255.255", Nowhere),
            ("192.0.2.1", Nowhere),
            ("198.51.100.1", Nowhere),
            ("203.0.113.9", Nowhere),
            ("198.18.0.1", Nowhere),
            ("::", Nowhere),
            ("ff02::1", Nowhere),
            ("2001:db8::1", Nowhere),
            ("2001::1", Nowhere),
            ("fec0::1", Nowhere),
            ("8.8.8.8", Global),
            ("2a00:1450::1", Global),
            ("2001:4860::1", Global),
        ] {
            assert_eq!(scope(ip), expected, "{ip}");
        }
    }

    #[test]
    fn only_addresses_that_begin_with_an_ip_have_a_scope() {
        let scope = |address: &str| AddressScope::of(&address.parse().unwrap());
        assert_eq!(scope("/ip4/8.8.8.8/tcp/1"), Some(AddressScope::Global));
        assert_eq!(scope("/memory/7"), Some(AddressScope::Loopback));
        assert_eq!(scope("/dns/example.org/tcp/1"), None);
        assert_eq!(AddressScope::of(&Multiaddr::empty()), None);
    }

    #[test]
    fn global_addresses_count_together_and_others_by_themselves() {
        let [a, b] = [PeerId::random(), PeerId::random()];
        // Another id costs nothing.
        assert_eq!(
            origin(a, "/ip4/8.8.8.8/tcp/1"),
            origin(b, "/ip4/8.8.8.8/tcp/2")
        );
        assert_eq!(
            origin(a, "/ip6/2a00:1:2:3::1/tcp/1"),
            origin(b, "/ip6/2a00:1:2:3:ffff::/udp/2/quic-v1")
        );
        assert_eq!(
            origin(a, "/ip4/10.0.0.1/tcp/1"),
            origin(b, "/ip4/10.0.0.1/tcp/1")
        );
        assert_eq!(
            origin(a, "/ip6/::ffff:8.8.8.8/tcp/1"),
            origin(a, "/ip4/8.8.8.8/tcp/1")
        );
        assert_ne!(
            origin(a, "/ip4/8.8.8.8/tcp/1"),
            origin(a, "/ip4/8.8.8.9/tcp/1")
        );
        assert_ne!(
            origin(a, "/ip4/10.0.0.1/tcp/1"),
            origin(a, "/ip4/10.0.0.2/tcp/1")
        );
        for local in ["/ip4/127.0.0.1/tcp/1", "/memory/1", "/ip6/::1/tcp/1"] {
            assert_ne!(origin(a, local), origin(b, local), "{local}");
            assert_eq!(origin(a, local), origin(a, "/memory/2"));
        }
    }

    #[test]
    fn a_peer_that_comes_through_a_relay_counts_as_the_relay() {
        let [peer, relay] = [PeerId::random(), PeerId::random()];
        let through = format!("/ip4/8.8.8.8/tcp/1/p2p/{relay}/p2p-circuit");
        let endpoint = ConnectedPoint::Listener {
            local_addr: through.parse().unwrap(),
            send_back_addr: format!("/p2p/{peer}").parse().unwrap(),
        };
        let remote = remote_of(&endpoint);
        assert_eq!(remote.to_string(), format!("{through}/p2p/{peer}"));
        assert!(is_relayed(&remote));
        assert_eq!(relay_of(&remote), Some(relay));
        let counted = Origin::new(peer, &remote);
        assert_eq!(counted, origin(relay, "/ip4/8.8.8.8/tcp/2"));
        assert_eq!(relay_of(&"/ip4/8.8.8.8/tcp/1".parse().unwrap()), None);
    }

    #[test]
    fn neighbours_are_one_site() {
        let site = |address: &str| origin(PeerId::random(), address).site();
        assert_eq!(site("/ip4/8.8.8.8/tcp/1"), site("/ip4/8.8.8.200/tcp/1"));
        assert_ne!(site("/ip4/8.8.8.8/tcp/1"), site("/ip4/8.8.9.8/tcp/1"));
        assert_eq!(
            site("/ip6/2a00:1:2:3::1/tcp/1"),
            site("/ip6/2a00:1:2:ffff::1/tcp/1")
        );
        assert_ne!(
            site("/ip6/2a00:1:2::1/tcp/1"),
            site("/ip6/2a00:1:3::1/tcp/1")
        );
        for lone in ["/ip4/10.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1", "/memory/1"] {
            assert_eq!(site(lone), None, "{lone}");
        }
        let printed = format!("{:?}", site("/ip4/8.8.8.8/tcp/1").unwrap());
        assert_eq!(printed, "8.8.8.0/24");
    }
}
