//! A node and its peers, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The status of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Its identity.
    pub peer_id: String,
    /// The name that other peers see.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// The name of its network.
    #[serde(default)]
    pub network: String,
    /// The id of the key of its private network; null in a network that is open to all.
    #[serde(default)]
    pub network_key: Option<String>,
    /// The multiaddrs that it listens on.
    pub listen: Vec<String>,
    /// `IP:PORT` of its API; null in responses within its process.
    pub api: Option<String>,
    /// Scheme, host and port of its gateway; null if it has none.
    #[serde(default)]
    pub gateway: Option<String>,
    /// The number of its shares.
    pub shares: u64,
    /// The number of its downloads.
    pub downloads: u64,
    /// The number of connected peers.
    pub peers: u64,
    /// Bytes of content sent to peers, over all runs of the node.
    #[serde(default)]
    pub sent_bytes: u64,
    /// Bytes of content received from peers, over all runs of the node.
    #[serde(default)]
    pub received_bytes: u64,
    /// Seconds since it started.
    pub uptime_seconds: f64,
    /// How others reach it.
    #[serde(default)]
    pub reach: Reach,
}

/// How others reach a node, and what it does for that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reach {
    /// How others reach it.
    pub state: ReachState,
    /// The same in words.
    pub summary: String,
    /// What its router does with ports.
    pub nat: NatKind,
    /// The multiaddrs at which peers from elsewhere reach it directly.
    pub addresses: Vec<OwnAddress>,
    /// The identities of the relays at which it has a reservation.
    pub relays: Vec<String>,
    /// Whether it is a relay for others.
    pub relay: bool,
    /// The number of connections that it relays for others now.
    pub circuits: u64,
    /// The number of attempts so far to connect directly to peers that were connected through a
    /// relay, both ends at the same time.
    pub punches: u64,
    /// The number of those that succeeded.
    pub punched: u64,
}

/// How others reach a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReachState {
    /// From everywhere: peers from two places have connected unasked.
    Public,
    /// Probably from everywhere.
    Probable,
    /// Through relays, by which peers try to connect directly.
    Relayed,
    /// From its own network alone.
    Lan,
    /// From its own machine alone.
    #[default]
    Offline,
}

/// What the router in front of a node does with ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NatKind {
    /// There is none.
    None,
    /// All peers see the same port: direct connections can be made.
    Easy,
    /// Each peer sees another port: direct connections mostly fail.
    Hard,
    /// Too few peers have reported it.
    #[default]
    Unknown,
}

/// An address at which peers from elsewhere reach a node directly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnAddress {
    /// The multiaddr, without the identity of the node.
    pub address: String,
    /// Whether peers from two places have connected there unasked.
    pub proven: bool,
}

/// How a peer is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Directly.
    Direct,
    /// Directly, after both ends have dialed each other at the same time.
    Punched,
    /// Through a relay.
    Relayed,
    /// Directly, within the machine or a private network.
    Lan,
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// Its identity.
    pub peer_id: String,
    /// Its name, if it reported one. Any text.
    pub name: Option<String>,
    /// The multiaddrs of its connections.
    pub addresses: Vec<String>,
    /// The round-trip time in milliseconds, if measured.
    pub rtt_ms: Option<f64>,
    /// Bytes sent to it.
    pub sent_bytes: u64,
    /// Bytes received from it.
    pub received_bytes: u64,
    /// How it is connected.
    pub way: Way,
}
