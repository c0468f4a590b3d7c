//! Decides which addresses are dialed, by their namer. Pure.
//!
//! A peer can name any address, and a node that dials it connects to a machine of the peer's
//! choice. So the scope of the namer bounds the scope of the address: only a peer on this machine
//! names loopback addresses, and only a peer in a private network names private addresses outside
//! our own subnets.

use std::net::IpAddr;

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use thiserror::Error;

use super::Subnets;
use crate::{AddressScope, Origin, ip_of, is_relayed};

#[cfg(test)]
mod tests;

/// Longest address that a peer can name, in bytes: one through a relay has about 130.
pub const MAX_ADDRESS_BYTES: usize = 256;

/// The first port for programs without privileges. Lower ports belong to services of the system.
const FIRST_PORT: u16 = 1024;

/// The port of relays in networks that block others.
const RELAY_PORT: u16 = 443;

/// The namer of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// A person: in the settings, in a command, or in a link that they opened.
    User,
    /// This node was connected there before.
    Reached,
    /// It was recorded, and checked, while the peer was connected.
    Record,
    /// A packet of mDNS from our own link.
    LocalNetwork,
    /// A peer.
    Peer(Namer),
}

/// A peer that names addresses, as its connection describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namer {
    /// How far the address reaches from which the peer is connected.
    pub scope: AddressScope,
    /// As whom quotas count the peer.
    pub origin: Origin,
}

/// Why an address is not dialed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It has more than [`MAX_ADDRESS_BYTES`].
    #[error("the address is longer than {MAX_ADDRESS_BYTES} bytes")]
    TooLong,
    /// It is neither TCP nor QUIC at an IP address.
    #[error("peers may only name IP addresses with a TCP or QUIC port")]
    Form,
    /// Its port belongs to a service of the system.
    #[error("peers may not name ports below {FIRST_PORT}")]
    Port,
    /// Its scope is nearer than that of the peer that named it.
    #[error("the peer that named the address cannot know its network")]
    Scope,
    /// The peer is not in our private network.
    #[error("a short time ago, the peer had no key of this network")]
    Outsider,
    /// It leads through this node itself.
    #[error("the address leads through this node itself")]
    Ourselves,
    /// The number of running dials is at its limit.
    #[error("too many dials to that host, or on behalf of that peer, are running")]
    Busy,
    /// The number of recent failed dials is at its limit.
    #[error("too many dials to that host, or on behalf of that peer, have failed")]
    Spent,
}

impl Namer {
    /// The peer at the other end of a connection.
    #[must_use]
    pub fn new(peer: PeerId, remote: &Multiaddr) -> Self {
        let scope = match AddressScope::of(remote) {
            _ if is_relayed(remote) => AddressScope::Global,
            // No node should have such an address: the strictest bound holds.
            Some(AddressScope::Nowhere) => AddressScope::Global,
            Some(scope) => scope,
            None if is_localhost(remote) => AddressScope::Loopback,
            None => AddressScope::Global,
        };
        Self {
            scope,
            origin: Origin::new(peer, remote),
        }
    }
}

impl NamedBy {
    /// The nearest scope that an address may have.
    const fn bound(&self) -> AddressScope {
        match self {
            Self::User | Self::Reached | Self::Record => AddressScope::Loopback,
            Self::LocalNetwork => AddressScope::LinkLocal,
            Self::Peer(namer) => namer.scope,
        }
    }

    /// Whether a person named the address, or this node was connected there.
    pub(crate) const fn is_trusted(&self) -> bool {
        matches!(self, Self::User | Self::Reached)
    }
}

/// Whether `address` may be dialed, regardless of how often.
///
/// # Errors
/// [`Refusal`].
pub fn check(by: &NamedBy, address: &Multiaddr, subnets: &Subnets) -> Result<(), Refusal> {
    if by.is_trusted() {
        return Ok(());
    }
    if address.len() > MAX_ADDRESS_BYTES {
        return Err(Refusal::TooLong);
    }
    let (scope, is_ours) = match host(address)? {
        None => (AddressScope::Loopback, false),
        Some((ip, port)) => {
            let scope = AddressScope::of_ip(ip);
            let is_relay = port == RELAY_PORT && scope == AddressScope::Global;
            if port < FIRST_PORT && !(is_relay && is_relayed(address)) {
                return Err(Refusal::Port);
            }
            // A link-local address cannot be dialed without the name of an interface (RFC 4291,
            // 2.5.6).
            if matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
                return Err(Refusal::Scope);
            }
            (scope, subnets.contains(ip))
        }
    };
    let is_in_scope = match scope {
        AddressScope::Nowhere => false,
        AddressScope::Global => *by != NamedBy::LocalNetwork,
        scope => scope >= by.bound(),
    };
    match is_in_scope || is_ours {
        true => Ok(()),
        false => Err(Refusal::Scope),
    }
}

/// The IP address and port at the start of an address; `None` for an address in this process.
fn host(address: &Multiaddr) -> Result<Option<(IpAddr, u16)>, Refusal> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        Some(Protocol::Memory(_)) => {
            return parts
                .all(|part| matches!(part, Protocol::P2p(_)))
                .then_some(None)
                .ok_or(Refusal::Form);
        }
        _ => return Err(Refusal::Form),
    };
    let port = match (parts.next(), address.iter().nth(2)) {
        (Some(Protocol::Tcp(port)), _) => port,
        (Some(Protocol::Udp(port)), Some(Protocol::QuicV1)) => {
            parts.next();
            port
        }
        _ => return Err(Refusal::Form),
    };
    let rest: Vec<_> = parts.collect();
    let is_known = matches!(
        rest.as_slice(),
        [] | [Protocol::P2p(_)]
            | [Protocol::P2p(_), Protocol::P2pCircuit]
            | [Protocol::P2p(_), Protocol::P2pCircuit, Protocol::P2p(_)]
    );
    is_known.then_some(Some((ip, port))).ok_or(Refusal::Form)
}

/// Whether this node may tell others that a peer is at `address`, given that it is connected from,
/// or at, `remote`. The IP addresses must be equal; the ports may differ. The IP address behind a
/// name is unknown, and a person chose the name, so any address passes then.
#[must_use]
pub fn is_vouched(remote: &Multiaddr, address: &Multiaddr) -> bool {
    match AddressScope::of(remote) {
        _ if is_relayed(remote) => false,
        None => true,
        Some(_) => ip_of(remote) == ip_of(address),
    }
}

fn is_localhost(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => {
            name.eq_ignore_ascii_case("localhost")
        }
        _ => false,
    }
}
