//! The names under which our protocols are negotiated.
//!
//! Every name includes the network's name, so that nodes of different networks do not mix even
//! when they meet over mDNS.

use libp2p::StreamProtocol;
use thiserror::Error;

/// Longest name of a network, in bytes: protocol names are part of every negotiation.
const MAX_NETWORK_NAME: usize = 64;

/// One of the stream protocols of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Blocks with their proofs: [`crate::chunk`].
    Chunk,
    /// Which blocks a peer has: [`crate::availability`].
    Availability,
    /// What a peer shares with the requester: [`crate::catalogue`].
    Catalogue,
    /// Version 1 of [`crate::availability`], which names the hash: answered for content that any
    /// peer may know of, and never opened.
    ListedAvailability,
    /// Who belongs to a group, and who asks to: [`crate::group`].
    Group,
}

impl Protocol {
    /// Every protocol, in the order of their declaration.
    pub const ALL: [Self; 5] = [
        Self::Chunk,
        Self::Availability,
        Self::Catalogue,
        Self::ListedAvailability,
        Self::Group,
    ];
}

/// A network name that cannot be part of a protocol name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not a valid network name: use 1 to {MAX_NETWORK_NAME} letters, digits, '-', '_' \
     or '.'"
)]
pub struct InvalidNetworkName(String);

/// The negotiated names of one network's protocols.
#[derive(Clone, Debug)]
pub struct Protocols {
    /// In the order of [`Protocol::ALL`].
    streams: [StreamProtocol; Protocol::ALL.len()],
    kad: StreamProtocol,
    identify: String,
}

impl Protocols {
    /// The protocols of the network called `network`.
    ///
    /// # Errors
    /// The name is empty, longer than 64 bytes, or has characters other than letters, digits, `-`,
    /// `_` and `.`.
    pub fn new(network: &str) -> Result<Self, InvalidNetworkName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let length_allowed = (1..=MAX_NETWORK_NAME).contains(&network.len());
        if !length_allowed || !network.chars().all(allowed) {
            return Err(InvalidNetworkName(network.to_owned()));
        }
        let name = |protocol: &str| {
            let name = StreamProtocol::try_from_owned(format!("/pelago/{network}/{protocol}"));
            name.map_err(|_| InvalidNetworkName(network.to_owned()))
        };
        Ok(Self {
            streams: [
                name("chunk/1")?,
                name("availability/2")?,
                name("catalogue/1")?,
                name("availability/1")?,
                name("group/1")?,
            ],
            kad: name("kad/1")?,
            identify: format!("/pelago/{network}/1"),
        })
    }

    /// The negotiated name of `protocol`.
    #[must_use]
    pub fn name(&self, protocol: Protocol) -> &StreamProtocol {
        &self.streams[protocol as usize]
    }

    /// The name of the network's Kademlia.
    #[must_use]
    pub fn kad(&self) -> &StreamProtocol {
        &self.kad
    }

    /// The protocol version that identify reports: peers of another network report another one.
    #[must_use]
    pub fn identify(&self) -> &str {
        &self.identify
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_network_and_version() {
        let protocols = Protocols::new("sea.1").unwrap();
        assert_eq!(
            protocols.name(Protocol::Chunk).as_ref(),
            "/pelago/sea.1/chunk/1"
        );
        assert_eq!(
            protocols.name(Protocol::Catalogue).as_ref(),
            "/pelago/sea.1/catalogue/1"
        );
        assert_eq!(
            protocols.name(Protocol::Availability).as_ref(),
            "/pelago/sea.1/availability/2"
        );
        assert_eq!(
            protocols.name(Protocol::ListedAvailability).as_ref(),
            "/pelago/sea.1/availability/1"
        );
        assert_eq!(
            protocols.name(Protocol::Group).as_ref(),
            "/pelago/sea.1/group/1"
        );
        assert_eq!(protocols.kad().as_ref(), "/pelago/sea.1/kad/1");
    }

    #[test]
    fn a_network_name_that_would_break_the_protocol_name_is_refused() {
        for name in ["", "a/b", "ä", "a b", &"x".repeat(65)] {
            assert!(Protocols::new(name).is_err(), "{name:?} must be refused");
        }
    }
}
