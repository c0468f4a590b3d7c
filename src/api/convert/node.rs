//! The status, peers and limits of a node, as JSON types.

use crate::{NatKind, OwnAddress, ReachReport, ReachState, Way, api::types, node};

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
            reach: from.reach.into(),
        }
    }
}

impl From<ReachReport> for types::Reach {
    fn from(from: ReachReport) -> Self {
        let address = |own: OwnAddress| types::OwnAddress {
            address: own.address.to_string(),
            proven: own.is_proven,
        };
        Self {
            summary: from.summary(),
            state: match from.state {
                ReachState::Public => types::ReachState::Public,
                ReachState::Probable => types::ReachState::Probable,
                ReachState::Relayed => types::ReachState::Relayed,
                ReachState::Lan => types::ReachState::Lan,
                ReachState::Offline => types::ReachState::Offline,
            },
            nat: match from.nat {
                NatKind::None => types::NatKind::None,
                NatKind::Easy => types::NatKind::Easy,
                NatKind::Hard => types::NatKind::Hard,
                NatKind::Unknown => types::NatKind::Unknown,
            },
            addresses: from.addresses.into_iter().map(address).collect(),
            relays: from.relays.iter().map(ToString::to_string).collect(),
            relay: from.is_relay,
            circuits: from.circuits,
            punches: from.punches,
            punched: from.punched,
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
            way: match from.way {
                Way::Direct => types::Way::Direct,
                Way::Punched => types::Way::Punched,
                Way::Relayed => types::Way::Relayed,
                Way::Lan => types::Way::Lan,
            },
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
