//! How well a node is connected, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How well a node is connected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// How many peers it is connected to.
    pub peers: u64,
    /// How many of them have connected to it by themselves.
    pub inbound_peers: u64,
    /// How many nodes of the DHT it knows.
    pub dht_nodes: u64,
    /// How many nodes it was given to enter the network by.
    pub bootstrap: u64,
    /// How many of them it is connected to, as far as their addresses show.
    pub bootstrap_connected: u64,
    /// The address of another node that has the same identity, if one was seen.
    #[serde(default)]
    pub identity_clash: Option<String>,
}
