//! Nodes that reach each other through a relay, which is a node like them.

use std::time::Duration;

use futures::StreamExt;
use libp2p::{
    Multiaddr, Swarm,
    identity::Keypair,
    multiaddr::Protocol,
    relay,
    swarm::{NetworkBehaviour, SwarmEvent},
};
use pelago::{
    Mode, NetworkKey, NetworkKeys, Output, PeerAddress, ReachReport, ReachState, RelayService,
    Settings,
};
use pelago_behaviour::{OwnIdCallers, PrivateNetwork, swarm_config, transport, with_circuits};

use crate::{
    content::{Content, THREE_CHUNKS},
    nodes::{Home, assert_same, ended, in_time, request, settings},
    scripted::connections,
};

/// A node whose operator knows that others reach it.
async fn relay() -> Home {
    Home::with(Settings {
        relay_service: RelayService::On,
        ..settings("relay")
    })
    .await
}

/// Waits until what the node knows of how it is reached is as `is_so` says.
async fn until(home: &Home, is_so: impl FnMut(&ReachReport) -> bool) -> ReachReport {
    let mut reach = home.node.reachability();
    let report = in_time(reach.wait_for(is_so)).await;
    report.unwrap().clone()
}

fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// Waits until `home` is connected to `other`, and to it by these ways alone.
async fn until_connected(home: &Home, other: &Home, relayed: bool) {
    let is_so = async {
        loop {
            let peers = home.node.peers().await.unwrap();
            let mut peers = peers.iter();
            let peer = peers.find(|peer| peer.peer_id == other.node.peer_id());
            let so = |peer: &pelago::Peer| {
                let mut addresses = peer.addresses.iter();
                addresses.all(|address| is_relayed(address) == relayed)
            };
            if peer.is_some_and(so) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    in_time(is_so).await;
}

/// ```text
///   A ──▶ relay ◀── B ──▶ A      A listens nowhere: B reaches it through the relay
///   A ──▶ B                      later A connects to B
/// ```
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_listens_nowhere_is_reached_through_a_relay_until_it_connects_directly() {
    let relay = relay().await;
    let bootstrap = vec![relay.address().await];
    let a = Home::with(Settings {
        listen: Vec::new(),
        bootstrap: bootstrap.clone(),
        ..settings("a")
    })
    .await;
    // A client of the DHT, so that A does not find its address there.
    let b = Home::with(Settings {
        mode: Mode::OneShot,
        bootstrap,
        ..settings("b")
    })
    .await;
    let reserved = until(&a, |reach| !reach.relays.is_empty()).await;
    assert_eq!(reserved.relays, [relay.node.peer_id()]);
    assert_eq!(reserved.state, ReachState::Relayed);
    assert!(
        until(&relay, |reach| reach.is_relay)
            .await
            .relays
            .is_empty()
    );

    // Small, as it is sent slowly.
    let first = Content::new(100_000, 1);
    a.share("first", &first).await;
    // The address is in links of A.
    let links = a.node.link_peers().await.unwrap();
    let [link] = links.as_slice() else {
        panic!("{links:?}");
    };
    let through: PeerAddress = link.parse().unwrap();
    assert!(is_relayed(through.address()));
    b.fetch(&first, &[through]).await;
    until_connected(&b, &a, true).await;
    until_connected(&a, &b, true).await;
    assert_eq!(until(&relay, |reach| reach.circuits > 0).await.circuits, 1);
    assert_eq!(relay.received_from(&a).await, 0, "it reads nothing");

    let direct = b.address().await;
    a.node.connect(&direct).await.unwrap();
    until_connected(&a, &b, false).await;
    until_connected(&b, &a, false).await;
    until(&relay, |reach| reach.circuits == 0).await;
    let second = Content::new(THREE_CHUNKS, 2);
    a.share("second", &second).await;
    let output = Output::At(b.path("second"));
    let download = b.begin(request(second.hash(), output, &[])).await;
    assert_same(&ended(&download).await.unwrap().path, &second);
}

/// ```text
///   A ──▶ relay ◀── B ──▶ A      all have the key, which A and B prove to each other, too
/// ```
#[tokio::test(flavor = "multi_thread")]
async fn in_a_private_network_both_ends_of_a_circuit_prove_that_they_have_the_key() {
    let network_keys = NetworkKeys::new(vec![NetworkKey::random()]).unwrap();
    let private = |name: &str| Settings {
        network_keys: network_keys.clone(),
        ..settings(name)
    };
    let relay = Home::with(Settings {
        relay_service: RelayService::On,
        ..private("relay")
    })
    .await;
    let bootstrap = vec![relay.address().await];
    let a = Home::with(Settings {
        listen: Vec::new(),
        bootstrap: bootstrap.clone(),
        ..private("a")
    })
    .await;
    let b = Home::with(Settings {
        mode: Mode::OneShot,
        bootstrap,
        ..private("b")
    })
    .await;
    until(&a, |reach| !reach.relays.is_empty()).await;
    let content = Content::new(100_000, 1);
    a.share("content", &content).await;
    let links = a.node.link_peers().await.unwrap();
    b.fetch(&content, &[links[0].parse().unwrap()]).await;
    until_connected(&b, &a, true).await;
}

/// A peer that reserves, and says nothing of its network.
#[derive(NetworkBehaviour)]
struct Stranger {
    circuits: relay::client::Behaviour,
}

fn stranger() -> Swarm<Stranger> {
    let (key, connections) = (Keypair::generate_ed25519(), connections());
    let (callers, open) = (OwnIdCallers::default(), PrivateNetwork::default());
    let direct = transport(&key, &callers, &connections, &open).unwrap();
    let (transport, circuits) = with_circuits(direct, &key, &connections, &open).unwrap();
    let local = key.public().to_peer_id();
    let config = swarm_config(Duration::from_secs(60));
    Swarm::new(transport, Stranger { circuits }, local, config)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_no_place_at_a_relay() {
    let relay = relay().await;
    until(&relay, |reach| reach.is_relay).await;
    let mut stranger = stranger();
    let at = Multiaddr::from(&relay.address().await).with(Protocol::P2pCircuit);
    let asked = stranger.listen_on(at).unwrap();
    let refused = async {
        loop {
            match stranger.select_next_some().await {
                SwarmEvent::ListenerClosed {
                    listener_id,
                    reason,
                    ..
                } if listener_id == asked => return reason.is_err(),
                SwarmEvent::NewListenAddr { .. } => return false,
                _ => {}
            }
        }
    };
    assert!(in_time(refused).await);
}
