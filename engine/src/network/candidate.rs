//! A peer that may have some content.

use libp2p::{Multiaddr, PeerId};

use super::PeerAddress;

/// A peer that may have the content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// The peer's id, if known.
    pub peer: Option<PeerId>,
    /// Addresses of the peer, in addition to those that the network knows.
    pub addresses: Vec<Multiaddr>,
    /// How it was found.
    pub found_by: FoundBy,
    /// The peer that named its addresses; `None` if a person or a link did.
    pub named_by: Option<PeerId>,
}

impl Candidate {
    /// A candidate that a person or a link named.
    #[must_use]
    pub fn given(address: &PeerAddress) -> Self {
        let at = address.address();
        Self {
            peer: address.peer(),
            addresses: if at.is_empty() {
                Vec::new()
            } else {
                vec![at.clone()]
            },
            found_by: FoundBy::Given,
            named_by: None,
        }
    }

    /// A candidate without addresses of its own: the network knows where it is.
    pub(super) fn known(peer: PeerId, found_by: FoundBy) -> Self {
        Self {
            peer: Some(peer),
            addresses: Vec::new(),
            found_by,
            named_by: None,
        }
    }
}

/// How a candidate was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FoundBy {
    /// The user or a link named it.
    Given,
    /// This node is connected to it, on the local network or elsewhere.
    Connected,
    /// It has a provider record.
    Dht,
    /// It is a node of a member of the group in which the content is searched.
    Member,
    /// Another source named it, or it asked this node for the content.
    Named,
}
