//! The status, peers and limits of a node, as JSON types.

use crate::{api::types, node};

impl From<node::Status> for types::Status {
    fn from(from: node::Status) -> Self {
        Self {
            peer_id: from.peer_id.to_string(),
            name: from.name,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: from.network,
            network_key: from.network_key,
            listen: from.listen.iter().map(ToString::to_string).collect(),
            api: None,
            gateway: None,
            shares: from.shares,
            downloads: from.downloads,
            peers: from.peers,
            sent_bytes: from.moved.sent,
            received_bytes: from.moved.received,
            uptime_seconds: from.uptime.as_secs_f64(),
        }
    }
}

impl From<node::Peer> for types::Peer {
    fn from(from: node::Peer) -> Self {
        Self {
            peer_id: from.peer_id.to_string(),
            name: from.name,
            addresses: from.addresses.iter().map(ToString::to_string).collect(),
            rtt_ms: from.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
            sent_bytes: from.sent_bytes,
            received_bytes: from.received_bytes,
        }
    }
}

impl From<node::Rates> for types::Limits {
    fn from(from: node::Rates) -> Self {
        Self {
            upload: from.upload.map(node::Rate::bytes),
            download: from.download.map(node::Rate::bytes),
            upload_per_peer: from.upload_per_peer.map(node::Rate::bytes),
            download_per_peer: from.download_per_peer.map(node::Rate::bytes),
            until_unix_ms: None,
        }
    }
}
