//! ```text
//!   a peer with the library's Kademlia ──> a node
//! ```

use std::{iter, num::NonZeroUsize, time::Duration};

use futures::StreamExt;
use libp2p::{
    Multiaddr, Swarm,
    identity::Keypair,
    kad::{self, QueryResult, Quorum, Record, RecordKey, store::MemoryStore},
    swarm::SwarmEvent,
};
use tokio::time::timeout;

use crate::{Behaviour, Config, Connections, OwnKeys, Protocols, memory_transport, swarm_config};

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
        memory_budget: MEMORY,
    };
    let transport = memory_transport(&key, &Connections::new(MEMORY)).unwrap();
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
    let transport = memory_transport(&key, &Connections::new(MEMORY)).unwrap();
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
