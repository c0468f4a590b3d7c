//! The text forms of a peer's address: a multiaddr, or host and port.

use std::{fmt, net::IpAddr, str::FromStr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use thiserror::Error;

/// The address of a peer, with the peer's id if it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddress {
    /// Without the peer's id at its end.
    address: Multiaddr,
    peer: Option<PeerId>,
}

/// Text that is not a valid peer address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{text:?} is not a valid peer address ({reason}): use host:port, such as 192.168.1.5:8080, \
     or a multiaddr, such as /ip4/192.168.1.5/tcp/8080"
)]
pub struct InvalidAddress {
    text: String,
    reason: String,
}

impl PeerAddress {
    /// The address without the peer's id.
    #[must_use]
    pub fn address(&self) -> &Multiaddr {
        &self.address
    }

    /// The peer's id, if the address names it.
    #[must_use]
    pub fn peer(&self) -> Option<PeerId> {
        self.peer
    }
}

impl From<Multiaddr> for PeerAddress {
    fn from(mut address: Multiaddr) -> Self {
        // A relayed address names two peers: the last one is the destination.
        let peer = match address.iter().last() {
            Some(Protocol::P2p(peer)) => {
                address.pop();
                Some(peer)
            }
            _ => None,
        };
        Self { address, peer }
    }
}

impl From<&PeerAddress> for Multiaddr {
    fn from(address: &PeerAddress) -> Self {
        match address.peer {
            Some(peer) => address.address.clone().with(Protocol::P2p(peer)),
            None => address.address.clone(),
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Multiaddr::from(self).fmt(f)
    }
}

impl FromStr for PeerAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = |reason: String| InvalidAddress {
            text: text.to_owned(),
            reason,
        };
        if text.starts_with('/') {
            let address = text
                .parse::<Multiaddr>()
                .map_err(|error| invalid(error.to_string()))?;
            check_dialable(&address).map_err(|reason| invalid(reason.to_owned()))?;
            return Ok(Self::from(address));
        }
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| invalid("it has no port".into()))?;
        let port = port.parse::<u16>().ok().filter(|port| *port > 0);
        let port =
            port.ok_or_else(|| invalid("the port is not a number from 1 to 65535".into()))?;
        let host = host_part(host).map_err(invalid)?;
        Ok(Self {
            address: Multiaddr::from(host).with(Protocol::Tcp(port)),
            peer: None,
        })
    }
}

/// Rejects addresses that can never be dialed. A peer's id alone may be dialed: its addresses may
/// be known elsewhere.
fn check_dialable(address: &Multiaddr) -> Result<(), &'static str> {
    let has = |wanted: fn(&Protocol<'_>) -> bool| address.iter().any(|part| wanted(&part));
    let is_only_peer = address.iter().all(|part| matches!(part, Protocol::P2p(_)));
    if is_only_peer && !address.is_empty() {
        return Ok(());
    }
    if has(|part| matches!(part, Protocol::Udp(_))) {
        let is_quic = has(|part| matches!(part, Protocol::QuicV1));
        return if is_quic {
            Ok(())
        } else {
            Err("/quic-v1 is missing after the UDP port")
        };
    }
    if has(|part| matches!(part, Protocol::Tcp(_) | Protocol::Memory(_))) {
        return Ok(());
    }
    Err("it has no port")
}

fn host_part(host: &str) -> Result<Protocol<'_>, String> {
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = bracketed.unwrap_or(host);
    if let Ok(ip) = host.parse::<IpAddr>() {
        return match ip {
            IpAddr::V6(_) if bracketed.is_none() => {
                Err("an IPv6 address with a port needs brackets".into())
            }
            ip => Ok(Protocol::from(ip)),
        };
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    if host.is_empty() || host.len() > 253 || !host.chars().all(is_name) {
        return Err("the host is neither an IP address nor a name".into());
    }
    Ok(Protocol::Dns(host.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        text.parse::<PeerAddress>()
            .map_or_else(|error| error.to_string(), |a| a.to_string())
    }

    #[test]
    fn hosts_with_ports_become_multiaddrs() {
        assert_eq!(parsed("10.0.0.1:8080"), "/ip4/10.0.0.1/tcp/8080");
        assert_eq!(parsed("[::1]:80"), "/ip6/::1/tcp/80");
        assert_eq!(parsed("localhost:9"), "/dns/localhost/tcp/9");
    }

    #[test]
    fn a_multiaddr_keeps_its_peer_apart() {
        let peer = PeerId::random();
        let text = format!("/ip4/10.0.0.1/udp/1/quic-v1/p2p/{peer}");
        let address: PeerAddress = text.parse().unwrap();
        assert_eq!(address.peer(), Some(peer));
        assert_eq!(address.address().to_string(), "/ip4/10.0.0.1/udp/1/quic-v1");
        assert_eq!(address.to_string(), text);
    }

    #[test]
    fn invalid_addresses_are_rejected_with_the_reason() {
        for (text, reason) in [
            ("10.0.0.1", "no port"),
            ("host:0", "1 to 65535"),
            ("host:99999", "1 to 65535"),
            ("::1:80", "brackets"),
            (":80", "neither"),
            ("a b:80", "neither"),
            ("/ip4/10.0.0/tcp/1", "invalid"),
            ("/ip4/10.0.0.1", "no port"),
            ("/ip4/10.0.0.1/udp/1", "quic-v1"),
            ("/", "unknown protocol"),
        ] {
            assert!(parsed(text).contains(reason), "{text}: {}", parsed(text));
        }
    }
}
