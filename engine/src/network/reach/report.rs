//! What people see of how others reach this node.

use libp2p::{Multiaddr, PeerId};

/// How others reach this node, the best last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReachState {
    /// Not at all: it listens at no address that other machines have.
    #[default]
    Offline,
    /// From its own network alone.
    Lan,
    /// Through relays, by which peers try to connect directly.
    Relayed,
    /// Probably from everywhere: its machine has a global address, or one peer from elsewhere has
    /// connected unasked.
    Probable,
    /// From everywhere: peers from two places have connected unasked.
    Public,
}

/// What the router in front of this node does with the ports of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NatKind {
    /// Too few peers have reported at which address they see this node.
    #[default]
    Unknown,
    /// There is none: peers see an address of this machine.
    None,
    /// All peers see the same port: direct connections can be made from behind it.
    Easy,
    /// Each peer sees another port: direct connections from behind it mostly fail.
    Hard,
}

/// An address at which peers from elsewhere reach this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAddress {
    /// The address, without this node's id.
    pub address: Multiaddr,
    /// Whether peers from two places have connected there unasked.
    pub is_proven: bool,
}

/// How others reach this node, and what it does for that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReachReport {
    /// How others reach it.
    pub state: ReachState,
    /// The kind of its router.
    pub nat: NatKind,
    /// Where peers from elsewhere reach it directly.
    pub addresses: Vec<OwnAddress>,
    /// The relays at which it has a reservation.
    pub relays: Vec<PeerId>,
    /// Whether it is a relay for others.
    pub is_relay: bool,
    /// Circuits that it carries for others now.
    pub circuits: u64,
    /// Attempts to connect directly to peers that were connected through a relay, so far.
    pub punches: u64,
    /// Those of them that succeeded.
    pub punched: u64,
}

impl ReachReport {
    /// How others reach the node, as the end of a sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.state {
            ReachState::Offline => "from this machine alone".to_owned(),
            ReachState::Lan => "from its own network alone".to_owned(),
            ReachState::Relayed => match self.relays.len() {
                1 => "through 1 relay; direct connections are tried first".to_owned(),
                relays => format!("through {relays} relays; direct connections are tried first"),
            },
            ReachState::Probable => "probably from everywhere".to_owned(),
            ReachState::Public => "from everywhere".to_owned(),
        }
    }
}
