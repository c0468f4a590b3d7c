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

const DIAL: DialOpts = DialOpts {
    role: Endpoint::Dialer,
    port_use: PortUse::New,
};

type Node = Boxed<(PeerId, StreamMuxerBox)>;

fn ours(keypair: &Keypair) -> Node {
    transport(
        keypair,
        &OwnIdCallers::default(),
        &Connections::new(64 << 20),
    )
    .unwrap()
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
async fn listen(mut node: Node) -> (Multiaddr, mpsc::Receiver<PeerId>) {
    let address = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
    node.listen_on(ListenerId::next(), address).unwrap();
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
