//! A node that names false peers in answers of Kademlia, and does not dial them itself.

use std::time::Duration;

use libp2p::{
    Multiaddr, PeerId, Swarm, connection_limits, identify,
    identity::Keypair,
    kad::{self, store::MemoryStore},
    swarm::NetworkBehaviour,
};
use pelago_behaviour::{
    Connections, OwnIdCallers, PrivateNetwork, Protocols, streams, swarm_config, transport,
};

/// The behaviours by which other nodes take a peer for a node.
#[derive(NetworkBehaviour)]
pub(crate) struct Misnamer {
    limits: connection_limits::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) streams: streams::Behaviour,
    pub(crate) kad: kad::Behaviour<MemoryStore>,
}

/// A node of `network` that names `count` peers; `named` returns the addresses for the number of a
/// peer.
pub(crate) fn misnamer(
    network: &str,
    peers: usize,
    named: impl Fn(usize) -> Vec<Multiaddr>,
) -> Swarm<Misnamer> {
    let key = Keypair::generate_ed25519();
    let local = key.public().to_peer_id();
    let protocols = Protocols::new(network).unwrap();
    let config = kad::Config::new(protocols.kad().clone());
    let mut kad = kad::Behaviour::with_config(local, MemoryStore::new(local), config);
    kad.set_mode(Some(kad::Mode::Server));
    for n in 0..peers {
        let peer = PeerId::random();
        for address in named(n) {
            kad.add_address(&peer, address);
        }
    }
    let identify = identify::Config::new(protocols.identify().into(), key.public());
    let limits = connection_limits::ConnectionLimits::default();
    let behaviour = Misnamer {
        // Kademlia would dial the peers that it names.
        limits: connection_limits::Behaviour::new(limits.with_max_pending_outgoing(Some(0))),
        identify: identify::Behaviour::new(identify),
        streams: streams::Behaviour::new(protocols),
        kad,
    };
    let transport = transport(
        &key,
        &OwnIdCallers::default(),
        &Connections::new(64 << 20),
        &PrivateNetwork::default(),
    )
    .unwrap();
    let config = swarm_config(Duration::from_secs(60));
    Swarm::new(transport, behaviour, local, config)
}
