//! ```text
//!   a peer with the library's Kademlia ──> a node
//! ```

use std::{
    iter,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    identity::Keypair,
    kad::{
        self, ConnectionType, KadPeer, QueryResult, Quorum, Record, RecordKey, store::MemoryStore,
    },
    swarm::{ConnectionId, SwarmEvent},
};
use tokio::time::timeout;

use super::{Connection, Dht, HandlerEvent};
use crate::{
    Behaviour, Config, Connections, OwnKeys, PrivateNetwork, Protocols, dial::Namer,
    memory_transport, swarm_config,
};

const MEMORY: u64 = 64 << 20;

/// Far below the library's time-outs of 10 s for a request and 60 s for a query.
const SOON: Duration = Duration::from_secs(5);

/// A node of ours.
fn node(protocols: &Protocols) -> Swarm<Behaviour> {
    let key = Keypair::generate_ed25519();
    let config = Config {
        protocols: protocols.clone(),
        node_name: String::new(),
        is_server: true,
        mdns: false,
        replication: NonZeroUsize::MIN,
        private: PrivateNetwork::default(),
        memory_budget: MEMORY,
    };
    let transport =
        memory_transport(&key, &Connections::new(MEMORY), &PrivateNetwork::default()).unwrap();
    let behaviour = Behaviour::new(&key, OwnKeys::default(), &config);
    let local = key.public().to_peer_id();
    Swarm::new(transport, behaviour, local, swarm_config(SOON))
}

/// Another implementation: the library as it is.
fn library(protocols: &Protocols) -> Swarm<kad::Behaviour<MemoryStore>> {
    let key = Keypair::generate_ed25519();
    let local = key.public().to_peer_id();
    let config = kad::Config::new(protocols.kad().clone());
    let store = MemoryStore::new(local);
    let behaviour = kad::Behaviour::with_config(local, store, config);
    let transport =
        memory_transport(&key, &Connections::new(MEMORY), &PrivateNetwork::default()).unwrap();
    Swarm::new(transport, behaviour, local, swarm_config(SOON))
}

async fn listen(swarm: &mut Swarm<Behaviour>) -> Multiaddr {
    swarm.listen_on("/memory/0".parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address;
        }
    }
}

#[tokio::test]
async fn a_value_record_is_refused_without_delay() {
    let protocols = Protocols::new("test").unwrap();
    let (mut node, mut peer) = (node(&protocols), library(&protocols));
    let address = listen(&mut node).await;
    let id = *node.local_peer_id();
    peer.dial(address).unwrap();
    let refused = async {
        loop {
            match peer.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => {
                    let record = Record::new(RecordKey::new(&[7; 34]), vec![1]);
                    let to = iter::once(id);
                    peer.behaviour_mut().put_record_to(record, to, Quorum::One);
                }
                SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed {
                    result: QueryResult::PutRecord(result),
                    ..
                }) => return result.is_err(),
                _ => {}
            }
        }
    };
    let serve = async { while node.next().await.is_some() {} };
    let refused = tokio::select! {
        refused = timeout(SOON, refused) => refused,
        () = serve => panic!("a swarm never ends"),
    };
    assert_eq!(refused, Ok(true));
}

/// What a peer may name of others, and what it may not.
const NAMED: [&str; 6] = [
    "/ip4/127.0.0.1/tcp/4001",
    "/ip4/10.0.0.2/tcp/4001",
    "/ip4/12.0.0.1/tcp/4001",
    "/dns/example.org/tcp/4001",
    "/ip4/11.0.0.2/tcp/22",
    "/ip4/11.0.0.2/tcp/4001",
];

/// A peer that is at all of [`NAMED`].
fn named(peer: PeerId) -> KadPeer {
    KadPeer {
        node_id: peer,
        multiaddrs: NAMED.map(|address| address.parse().unwrap()).into(),
        connection_ty: ConnectionType::NotConnected,
    }
}

/// Connects `peer` from `remote`.
fn connect(dht: &mut Dht, peer: PeerId, remote: &str, id: usize) -> ConnectionId {
    let id = ConnectionId::new_unchecked(id);
    let remote: Multiaddr = remote.parse().unwrap();
    let connection = Connection {
        peer,
        namer: Namer::new(peer, &remote),
        remote,
        is_outbound: false,
    };
    dht.connections.insert(id, connection);
    id
}

/// Those of [`NAMED`] with these numbers.
fn addresses(numbers: &[usize]) -> Vec<Multiaddr> {
    let numbers = numbers.iter();
    numbers.map(|n| NAMED[*n].parse().unwrap()).collect()
}

#[tokio::test]
async fn a_record_keeps_addresses_of_the_host_of_its_provider() {
    let mut node = node(&Protocols::new("test").unwrap());
    let dht = &mut node.behaviour_mut().kad;
    for (number, (remote, kept)) in [
        ("/ip4/11.0.0.2/tcp/50000", &[5][..]),
        ("/ip4/10.0.0.2/tcp/50000", &[1]),
        ("/ip4/13.0.0.1/tcp/50000", &[]),
        ("/ip4/127.0.0.1/tcp/50000", &[0, 1, 2, 5]),
    ]
    .into_iter()
    .enumerate()
    {
        let peer = PeerId::random();
        let id = connect(dht, peer, remote, number);
        let mut event = HandlerEvent::AddProvider {
            key: RecordKey::new(&[7; 34]),
            provider: named(peer),
        };
        let announcer = dht.filter_addresses(id, &mut event).unwrap();
        let HandlerEvent::AddProvider { provider, .. } = event else {
            unreachable!("it stays what it is")
        };
        assert_eq!(provider.multiaddrs, addresses(kept), "from {remote}");
        assert!(!announcer.is_reached);
    }
}

#[tokio::test]
async fn answers_have_addresses_dialed_as_far_as_the_peer_that_answers_may_name_them() {
    let mut node = node(&Protocols::new("test").unwrap());
    let dht = &mut node.behaviour_mut().kad;
    // All are connected at the same time: each counts for what it names.
    for (number, (remote, dialed)) in [
        ("/ip4/127.0.0.1/tcp/50000", &[0, 1, 2, 5][..]),
        ("/ip4/10.0.0.2/tcp/50000", &[1, 2, 5]),
        ("/ip4/11.0.0.2/tcp/50000", &[2, 5]),
    ]
    .into_iter()
    .enumerate()
    {
        let id = connect(dht, PeerId::random(), remote, number);
        let [closer, provider] = [(); 2].map(|()| PeerId::random());
        let mut event = HandlerEvent::GetProvidersRes {
            closer_peers: vec![named(closer)],
            provider_peers: vec![named(provider)],
            query_id: dht.get_closest_peers(closer),
        };
        assert!(dht.filter_addresses(id, &mut event).is_none());
        let HandlerEvent::GetProvidersRes {
            closer_peers,
            provider_peers,
            ..
        } = event
        else {
            unreachable!("it stays what it is")
        };
        for (peer, found) in [(closer, &closer_peers[0]), (provider, &provider_peers[0])] {
            assert_eq!((found.node_id, &found.multiaddrs[..]), (peer, &[][..]));
            let dial = ConnectionId::new_unchecked(100 + number);
            let mut planner = dht.dialer.lock();
            let tried = planner.begin(dial, Some(peer), &[], Instant::now());
            assert_eq!(tried, Ok(addresses(dialed)), "named from {remote}");
            planner.failed(dial, false);
        }
    }
}
