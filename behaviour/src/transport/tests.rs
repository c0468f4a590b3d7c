use std::{future::poll_fn, time::Instant};

use futures::{StreamExt, channel::mpsc};
use libp2p::core::muxing::StreamMuxerExt;
use libp2p::{
    Multiaddr,
    core::Endpoint,
    core::transport::{DialOpts, ListenerId, PortUse, TransportEvent},
    identity::Keypair,
    tls, yamux,
};

use super::*;
use crate::{NetworkKey, NetworkKeys};

const DIAL: DialOpts = DialOpts {
    role: Endpoint::Dialer,
    port_use: PortUse::New,
};

type Node = Boxed<(PeerId, StreamMuxerBox)>;

fn ours(keypair: &Keypair) -> Node {
    in_network(keypair, &PrivateNetwork::default())
}

fn in_network(keypair: &Keypair, network: &PrivateNetwork) -> Node {
    let connections = Connections::new(64 << 20);
    transport(keypair, &OwnIdCallers::default(), &connections, network).unwrap()
}

/// A node of libp2p's own parts that speaks nothing but TLS.
fn with_tls(keypair: &Keypair) -> Node {
    tcp::tokio::Transport::default()
        .upgrade(Version::V1)
        .authenticate(tls::Config::new(keypair).unwrap())
        .multiplex(yamux::Config::default())
        .boxed()
}

/// A node of libp2p's own parts that speaks nothing but noise.
fn with_noise(keypair: &Keypair) -> Node {
    tcp::tokio::Transport::default()
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(keypair).unwrap())
        .multiplex(yamux::Config::default())
        .boxed()
}

/// Listens on a free port: the address, and the peers that connect.
async fn listen(node: Node) -> (Multiaddr, mpsc::Receiver<PeerId>) {
    listen_at(node, "/ip4/127.0.0.1/tcp/0").await
}

async fn listen_at(mut node: Node, address: &str) -> (Multiaddr, mpsc::Receiver<PeerId>) {
    node.listen_on(ListenerId::next(), address.parse().unwrap())
        .unwrap();
    let address = loop {
        if let Some(TransportEvent::NewAddress { listen_addr, .. }) = node.next().await {
            break listen_addr;
        }
    };
    let (mut connected, peers) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Some(event) = node.next().await {
            if let Some((upgrade, _)) = event.into_incoming()
                && let Ok((peer, muxer)) = upgrade.await
            {
                kept.push(muxer);
                connected.try_send(peer).ok();
            }
        }
    });
    (address, peers)
}

/// Lets one node dial another, and checks that each learns the other's id.
async fn connect(dialer: fn(&Keypair) -> Node, listener: fn(&Keypair) -> Node) {
    let (a, b) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let (address, mut peers) = listen(listener(&b)).await;
    let mut dialer = dialer(&a);
    let (peer, mut muxer) = dialer.dial(address, DIAL).unwrap().await.unwrap();
    assert_eq!(peer, b.public().to_peer_id());
    // Lazy negotiation ends with the first bytes.
    let running = tokio::spawn(futures::future::poll_fn(move |context| {
        muxer.poll_unpin(context).map(|_| ())
    }));
    assert_eq!(peers.next().await.unwrap(), a.public().to_peer_id());
    running.abort();
}

#[tokio::test]
async fn nodes_connect_with_each_other_and_with_those_that_speak_tls_or_noise_alone() {
    connect(ours, ours).await;
    connect(ours, with_tls).await;
    connect(with_tls, ours).await;
    connect(ours, with_noise).await;
    connect(with_noise, ours).await;
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_not_dialed_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    let mut node = ours(&Keypair::generate_ed25519());
    let dial = node.dial(address, DIAL).unwrap();
    let hang_up = async { drop(listener.accept().await.unwrap()) };
    let (made, ()) = futures::join!(dial, hang_up);
    assert!(made.is_err());
    // The next connection is not one more of the node's.
    let next = tokio::net::TcpStream::connect(("127.0.0.1", port));
    let (next, accepted) = futures::join!(next, listener.accept());
    assert_eq!(next.unwrap().local_addr().unwrap(), accepted.unwrap().1);
}

/// Dials a node with other keys. Returns what the dialer gets, and whether the listener got a
/// connection.
async fn meet(
    address: &str,
    dialer: &[&NetworkKey],
    listener: &[&NetworkKey],
) -> (Result<(), String>, bool) {
    let network = |keys: &[&NetworkKey]| {
        let keys = keys.iter().map(|key| (*key).clone()).collect();
        PrivateNetwork::new(NetworkKeys::new(keys).unwrap())
    };
    let (a, b) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let (address, mut peers) = listen_at(in_network(&b, &network(listener)), address).await;
    let network = network(dialer);
    let mut node = in_network(&a, &network);
    let made = node.dial(address, DIAL).unwrap().await;
    let is_outsider = network
        .outsiders()
        .has(&b.public().to_peer_id(), Instant::now());
    assert_eq!(is_outsider, made.is_err());
    match made {
        Ok((_, mut muxer)) => {
            // The last bytes of the proof leave while it is polled.
            let run = poll_fn(|context| muxer.poll_unpin(context).map(drop));
            tokio::select! {
                peer = peers.next() => (Ok(()), peer == Some(a.public().to_peer_id())),
                () = run => (Ok(()), false),
            }
        }
        Err(error) => (Err(error.to_string()), peers.try_recv().is_ok()),
    }
}

#[tokio::test]
async fn only_nodes_with_a_key_of_the_network_connect_over_any_transport() {
    let [ours, new, other] = [(); 3].map(|()| NetworkKey::random());
    for address in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        for (dialer, listener) in [
            (&[][..], &[][..]),
            (&[&ours], &[&ours]),
            // While the key is replaced.
            (&[&new, &ours], &[&ours]),
            (&[&ours], &[&new, &ours]),
            (&[&new, &ours], &[&new]),
        ] {
            assert_eq!(meet(address, dialer, listener).await, (Ok(()), true));
        }
        for dialer in [&[&ours][..], &[&new, &ours]] {
            let (made, came) = meet(address, dialer, &[&other]).await;
            let why = made.unwrap_err();
            assert!(why.ends_with("the peer has no key of this network") && !came);
        }
    }
}
