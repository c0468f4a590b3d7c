//! Shared by the tests of this module and of those above it: a network of one node.

use std::{num::NonZeroUsize, time::Duration};

use libp2p::{Multiaddr, identity::Keypair};
use pelago_behaviour::{Config, OwnKeys, Protocols};
use tokio::sync::mpsc;

use super::{Network, NetworkSettings, TransportKind};
use crate::duties::Duties;

/// A node in this process that knows no other node.
pub(crate) async fn network(duties: &Duties) -> Network {
    with(duties, TransportKind::Memory, Vec::new()).await
}

/// A node that listens on loopback.
pub(crate) async fn listening(duties: &Duties) -> Network {
    let any = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
    with(duties, TransportKind::Internet, vec![any]).await
}

async fn with(duties: &Duties, transport: TransportKind, listen: Vec<Multiaddr>) -> Network {
    let settings = NetworkSettings {
        transport,
        listen,
        listen_after: Duration::ZERO,
        bootstrap: Vec::new(),
        known: Vec::new(),
        behaviour: Config {
            protocols: Protocols::new("test").unwrap(),
            node_name: String::new(),
            is_server: true,
            mdns: false,
            replication: NonZeroUsize::MIN,
            memory_budget: 64 << 20,
        },
        idle_timeout: Duration::from_secs(1),
    };
    let (inbound, _) = mpsc::channel(1);
    let keypair = Keypair::generate_ed25519();
    let started = Network::start(&keypair, settings, OwnKeys::default(), inbound, duties);
    started.await.unwrap()
}
