//! A node and its peers, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Its identity.
    pub peer_id: String,
    /// What others see it called.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// Multiaddrs it listens on.
    pub listen: Vec<String>,
    /// `IP:PORT` of its API; none if this came from within its process.
    pub api: Option<String>,
    /// Scheme, host and port of its gateway; none if it has none.
    #[serde(default)]
    pub gateway: Option<String>,
    /// How many contents it shares.
    pub shares: u64,
    /// How many downloads it knows.
    pub downloads: u64,
    /// How many peers it is connected to.
    pub peers: u64,
    /// Seconds since it started.
    pub uptime_seconds: f64,
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// Its identity.
    pub peer_id: String,
    /// What it calls itself, if it said so. Any text.
    pub name: Option<String>,
    /// Multiaddrs it is known by.
    pub addresses: Vec<String>,
    /// Milliseconds a message takes there and back, if measured.
    pub rtt_ms: Option<f64>,
    /// Bytes sent to it.
    pub sent_bytes: u64,
    /// Bytes received from it.
    pub received_bytes: u64,
}
