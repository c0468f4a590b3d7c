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
}
