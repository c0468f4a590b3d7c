//! Shared by the tests of this module and of those above it: a network of one node.

use std::{num::NonZeroUsize, time::Duration};

use libp2p::identity::Keypair;
use pelago_behaviour::{Config, OwnKeys, PrivateNetwork, Protocols};
use tokio::sync::mpsc;

use super::{Network, NetworkSettings, RelayService, TransportKind};
use crate::duties::Duties;

/// A node in this process that knows no other node.
pub(crate) async fn network(duties: &Duties) -> Network {
    network_with(duties, settings()).await
}

/// A node that listens on loopback.
pub(crate) async fn listening(duties: &Duties) -> Network {
    let settings = NetworkSettings {
        transport: TransportKind::Internet,
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        ..settings()
    };
    network_with(duties, settings).await
}

/// A node with these settings.
pub(super) async fn network_with(duties: &Duties, settings: NetworkSettings) -> Network {
    let (inbound, _) = mpsc::channel(1);
    let keypair = Keypair::generate_ed25519();
    let started = Network::start(&keypair, settings, OwnKeys::default(), inbound, duties);
    started.await.unwrap()
}

/// The settings of a node in this process that knows no other node.
pub(super) fn settings() -> NetworkSettings {
    NetworkSettings {
        transport: TransportKind::Memory,
        listen: Vec::new(),
        listen_after: Duration::ZERO,
        bootstrap: Vec::new(),
        known: Vec::new(),
        behaviour: Config {
            protocols: Protocols::new("test").unwrap(),
            node_name: String::new(),
            is_server: true,
            mdns: false,
            replication: NonZeroUsize::MIN,
            private: PrivateNetwork::default(),
            memory_budget: 64 << 20,
        },
        idle_timeout: Duration::from_secs(1),
        relay_service: RelayService::Auto,
        relay_use: true,
    }
}
