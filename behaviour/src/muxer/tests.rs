//! ```text
//!   peers with libp2p's own multiplexer ──> a node with ours, which reads, or does not
//! ```

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, channel::oneshot, future::join_all};
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport,
    core::{transport::MemoryTransport, upgrade::Version},
    identity::Keypair,
    noise,
    swarm::{ConnectionError, SwarmEvent},
    yamux,
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use crate::{
    Connections, Origin, PrivateNetwork, Protocol, Protocols, memory_transport,
    streams::{self, Inbound, Outbound, Reply},
    swarm_config,
};

const MIB: usize = 1 << 20;

/// No test takes longer, unless something hangs.
const STORY: Duration = Duration::from_secs(60);

/// A node whose swarm runs in a task.
struct Node {
    peer: PeerId,
    open: mpsc::Sender<(PeerId, Protocol, Reply)>,
    arrived: mpsc::Receiver<Inbound>,
    closed: mpsc::Receiver<(PeerId, String)>,
    swarm: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}

impl Node {
    fn run(mut swarm: Swarm<streams::Behaviour>) -> Self {
        let (open, mut requests) = mpsc::channel::<(PeerId, Protocol, Reply)>(1);
        let (arrivals, arrived) = mpsc::channel(1000);
        let (closes, closed) = mpsc::channel(100);
        let peer = *swarm.local_peer_id();
        let run = async move {
            loop {
                tokio::select! {
                    Some((peer, protocol, reply)) = requests.recv() => {
                        swarm.behaviour_mut().open(peer, protocol, reply);
                    }
                    event = swarm.select_next_some() => match event {
                        SwarmEvent::Behaviour(event) => {
                            let _ = arrivals.try_send(event.inbound);
                        }
                        SwarmEvent::ConnectionClosed { peer_id, cause, .. } => {
                            let _ = closes.try_send((peer_id, reason(cause)));
                        }
                        _ => {}
                    }
                }
            }
        };
        Self {
            peer,
            open,
            arrived,
            closed,
            swarm: tokio::spawn(run),
        }
    }

    async fn open(&self, peer: PeerId) -> Outbound {
        let (reply, stream) = oneshot::channel();
        let request = (peer, Protocol::Chunk, reply);
        self.open.send(request).await.unwrap();
        timeout(STORY, stream).await.unwrap().unwrap().unwrap()
    }
}

fn reason(cause: Option<ConnectionError>) -> String {
    cause.map_or_else(String::new, |cause| format!("{cause:?}"))
}

fn behaviour() -> streams::Behaviour {
    streams::Behaviour::new(Protocols::new("test").unwrap())
}

/// A node of ours that listens.
async fn ours(connections: &Connections) -> (Node, Multiaddr) {
    let key = Keypair::generate_ed25519();
    let transport = memory_transport(&key, connections, &PrivateNetwork::default()).unwrap();
    let local = key.public().to_peer_id();
    let mut swarm = Swarm::new(transport, behaviour(), local, swarm_config(STORY));
    swarm.listen_on("/memory/0".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    (Node::run(swarm), address)
}

/// A peer with libp2p's multiplexer, connected to the node at `address`.
async fn theirs(address: &Multiaddr) -> Node {
    let key = Keypair::generate_ed25519();
    let transport = MemoryTransport::new()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&key).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    let local = key.public().to_peer_id();
    let mut swarm = Swarm::new(transport, behaviour(), local, swarm_config(STORY));
    swarm.dial(address.clone()).unwrap();
    loop {
        match timeout(STORY, swarm.select_next_some()).await.unwrap() {
            SwarmEvent::ConnectionEstablished { .. } => return Node::run(swarm),
            SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
            _ => {}
        }
    }
}

/// Moves bytes in both directions on one stream at the same time.
async fn exchange(here: impl AsyncReadExt + AsyncWriteExt + Unpin, bytes: usize) {
    let (mut reader, mut writer) = here.split();
    let write = async {
        writer.write_all(&vec![7; bytes]).await.unwrap();
        writer.close().await.unwrap();
    };
    let mut received = Vec::new();
    let read = reader.read_to_end(&mut received);
    let (result, ()) = futures::join!(read, write);
    result.unwrap();
    assert_eq!(received.len(), bytes);
}

#[tokio::test]
async fn it_speaks_with_the_multiplexer_of_libp2p_and_holds_nothing_in_the_end() {
    let connections = Connections::new(64 << 20);
    let (mut node, address) = ours(&connections).await;
    let mut peer = theirs(&address).await;
    for _ in 0..3 {
        let there = peer.open(node.peer).await;
        let begun = exchange(there, 4 * MIB);
        let answered = async {
            let here = node.arrived.recv().await.unwrap();
            exchange(here, 4 * MIB).await;
        };
        futures::join!(begun, answered);
        let here = node.open(peer.peer).await;
        let begun = exchange(here, MIB);
        let answered = async {
            let there = peer.arrived.recv().await.unwrap();
            exchange(there, MIB).await;
        };
        futures::join!(begun, answered);
    }
    drop(peer);
    node.closed.recv().await.unwrap();
    assert_eq!(connections.report().held_bytes, 0);
    assert_eq!(connections.report().tcp, 0);
}

/// Writes to 32 streams to a node as much as they take.
async fn flood(open: mpsc::Sender<(PeerId, Protocol, Reply)>, node: PeerId) {
    let fill = (0..streams::MAX_INBOUND_STREAMS).map(|_| async {
        let (reply, stream) = oneshot::channel();
        open.send((node, Protocol::Chunk, reply)).await.ok()?;
        let mut stream = stream.await.ok()?.ok()?;
        while stream.write_all(&[7; 16 << 10]).await.is_ok() {}
        Some(())
    });
    join_all(fill).await;
}

/// ```text
///   two that fill all windows ──> the node, which reads nothing of theirs
///   one that is honest        ──>
/// ```
#[tokio::test(start_paused = true)]
async fn the_largest_holder_is_not_read_then_closed_and_others_continue() {
    let connections = Connections::new(16 << 20);
    let (mut node, address) = ours(&connections).await;
    let first = theirs(&address).await;
    let second = theirs(&address).await;
    let floods = [&first, &second].map(|peer| tokio::spawn(flood(peer.open.clone(), node.peer)));
    let mut held = Vec::new();
    let closed = async {
        loop {
            tokio::select! {
                Some(stream) = node.arrived.recv() => held.push(stream),
                Some(closed) = node.closed.recv() => return closed,
            }
        }
    };
    let (closed, why) = timeout(STORY, closed).await.unwrap();
    assert!([first.peer, second.peer].contains(&closed));
    assert!(why.contains("HeldTooMuch"), "{why}");
    assert_eq!(connections.report().closed_for_memory, 1);
    let held_bytes = connections.report().held_bytes;
    assert!(held_bytes < 16 << 20, "{held_bytes}");

    // What the node still holds of it is freed with its streams.
    held.clear();
    let honest = theirs(&address).await;
    let origin = Origin::new(honest.peer, &address);
    let stream = honest.open(node.peer).await;
    let begun = exchange(stream, 4 * MIB);
    let answered = async {
        loop {
            let here = node.arrived.recv().await.unwrap();
            if here.held.origin == origin {
                return exchange(here, 4 * MIB).await;
            }
            // The other flooding peer still opens streams.
            held.push(here);
        }
    };
    timeout(STORY, async { futures::join!(begun, answered) })
        .await
        .unwrap();
    floods.iter().for_each(JoinHandle::abort);
}

/// ```text
///   a peer that asks for much and reads nothing <── the node, which writes
/// ```
#[tokio::test]
async fn unread_bytes_for_a_peer_are_bounded() {
    let connections = Connections::new(64 << 20);
    let (mut node, address) = ours(&connections).await;
    let peer = theirs(&address).await;
    let mut unread = Vec::new();
    let mut writers = Vec::new();
    for _ in 0..streams::MAX_INBOUND_STREAMS {
        let mut stream = peer.open(node.peer).await;
        stream.write_all(b"more").await.unwrap();
        stream.flush().await.unwrap();
        unread.push(stream);
        let mut here = node.arrived.recv().await.unwrap();
        writers.push(tokio::spawn(async move {
            while here.write_all(&[7; 16 << 10]).await.is_ok() {}
        }));
    }
    // The peer stops completely, including its socket.
    peer.swarm.abort();
    let before = connections.report().held_bytes;
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    let report = connections.report();
    assert!(report.held_bytes < 4 << 20, "{before} and {report:?}");
    writers.iter().for_each(JoinHandle::abort);
}
