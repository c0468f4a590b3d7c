//! A node to be connected to, and why.

use std::time::Instant;

use libp2p::{
    Multiaddr, PeerId,
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use pelago_behaviour::dial::NamedBy;

use crate::network::PeerAddress;

/// Why a node is dialed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::network) enum DialReason {
    /// The settings name it.
    Bootstrap,
    /// It is known from an earlier run.
    Known,
    /// A command named it, and waits until this time.
    Asked(Instant),
    /// The connection to it died.
    Lost,
    /// It is connected, but over an address that this machine has lost.
    Moved,
}

impl DialReason {
    /// Whether the node remains a target for as long as this one runs.
    pub(super) const fn lasts(self) -> bool {
        matches!(self, Self::Bootstrap | Self::Known)
    }

    /// The namer of the addresses in its dials.
    pub(super) const fn named_by(self) -> NamedBy {
        match self {
            Self::Bootstrap | Self::Asked(_) => NamedBy::User,
            Self::Known | Self::Lost | Self::Moved => NamedBy::Record,
        }
    }

    /// Whether a person waits for it, or relies on it.
    pub(super) const fn is_named(self) -> bool {
        matches!(self, Self::Bootstrap | Self::Asked(_))
    }
}

/// A node to be connected to.
pub(super) struct Target {
    pub(super) reason: DialReason,
    /// The id of the node, as it was named or as it was when it was reached.
    pub(super) peer: Option<PeerId>,
    /// The node as it was named; `None` for a peer whose addresses are looked up when it is
    /// dialed.
    pub(super) named: Option<PeerAddress>,
    /// Addresses of the node, in addition to those known elsewhere.
    pub(super) addresses: Vec<Multiaddr>,
    /// When to dial it next; `None` once it was reached.
    pub(super) due: Option<Instant>,
    pub(super) tries: u32,
    pub(super) dialing: Option<ConnectionId>,
    /// Why the last dial failed; `None` if it was reached since, or not dialed yet.
    pub(super) failure: Option<String>,
}

impl Target {
    pub(super) fn named(reason: DialReason, node: &PeerAddress, now: Instant) -> Self {
        Self {
            reason,
            peer: node.peer(),
            named: Some(node.clone()),
            addresses: vec![node.address().clone()],
            due: Some(now),
            tries: 0,
            dialing: None,
            failure: None,
        }
    }

    pub(super) fn options(&self, local: PeerId) -> DialOpts {
        let named = self.named.as_ref();
        // By its address alone if its id is unknown, or if it is named as this node: the dial
        // shows whether it is.
        let is_by_address = named.is_some_and(|node| node.peer().is_none_or(|peer| peer == local));
        if is_by_address && let Some(address) = self.addresses.first() {
            return DialOpts::unknown_peer_id().address(address.clone()).build();
        }
        let condition = match self.reason {
            DialReason::Moved => PeerCondition::NotDialing,
            _ => PeerCondition::DisconnectedAndNotDialing,
        };
        // Each target has a peer or an address.
        let peer = self.peer.unwrap_or(local);
        let addresses = self.addresses.iter().filter(|address| !address.is_empty());
        DialOpts::peer_id(peer)
            .condition(condition)
            .addresses(addresses.cloned().collect())
            .extend_addresses_through_behaviour()
            .build()
    }
}
