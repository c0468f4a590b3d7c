//! A node dials addresses that peers name only within the limits of the dial policy.

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures::StreamExt;
use libp2p::{Multiaddr, PeerId, Swarm, multiaddr::Protocol as Part, swarm::SwarmEvent};
use pelago::Hash;
use pelago_behaviour::{
    Behaviour, Protocol,
    availability::{self, Availability, MAX_PEERS, Request, Update},
};
use pelago_content::BlockRanges;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use crate::{
    content::{Content, THREE_CHUNKS},
    misnamer::misnamer,
    nodes::{Home, ended, in_time, request},
    raw::Client,
    scripted::{Act, Script, Scripted, having_all, server, update},
};

/// How many dials one peer can cause at a time, and within the minutes of a test.
const AT_A_TIME: usize = 8;
const IN_ALL: usize = 32;

/// How many connections the target has and had.
#[derive(Clone, Copy, Debug, Default)]
struct Connected {
    now: usize,
    most: usize,
    in_all: usize,
}

/// A listener at every address of loopback, each of which stands for a host. It sends nothing, and
/// ends each connection after `patience`.
struct Target {
    port: u16,
    connected: watch::Receiver<Connected>,
    task: JoinHandle<()>,
}

impl Target {
    async fn start(patience: Duration) -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (counted, connected) = watch::channel(Connected::default());
        let task = tokio::spawn(async move {
            let counted = Arc::new(counted);
            let mut held = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.send_modify(|counted| {
                    counted.now += 1;
                    counted.in_all += 1;
                    counted.most = counted.most.max(counted.now);
                });
                let counted = Arc::clone(&counted);
                held.spawn(async move {
                    tokio::time::sleep(patience).await; // the silence is the point
                    drop(stream);
                    counted.send_modify(|counted| counted.now -= 1);
                });
            }
        });
        Self {
            port,
            connected,
            task,
        }
    }

    /// Its address number `n`.
    fn address(&self, n: usize) -> Multiaddr {
        let ip: IpAddr = [127, 1, (n / 250) as u8, (n % 250 + 1) as u8].into();
        Multiaddr::from(ip).with(Part::Tcp(self.port))
    }

    fn connected(&self) -> Connected {
        *self.connected.borrow()
    }

    /// Waits until there were `in_all` connections.
    async fn until(&self, in_all: usize) {
        let mut connected = self.connected.clone();
        let enough = connected.wait_for(|connected| connected.in_all >= in_all);
        in_time(enough).await.unwrap();
    }

    fn assert_bounded(&self) {
        let connected = self.connected();
        println!("{connected:?}");
        assert!(connected.most <= AT_A_TIME, "{connected:?}");
        assert!(connected.in_all <= IN_ALL, "{connected:?}");
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn with_id(address: Multiaddr) -> Multiaddr {
    address.with(Part::P2p(PeerId::random()))
}

/// ```text
///   getter ──▶ liar      the liar names 1,024 addresses of others
/// ```
#[tokio::test]
async fn few_of_the_addresses_that_a_false_source_names_are_dialed() {
    let target = Target::start(Duration::from_millis(100)).await;
    let content = Content::new(THREE_CHUNKS, 1);
    let addresses: Vec<_> = (0..1024).map(|n| with_id(target.address(n))).collect();
    let updates = addresses.chunks(MAX_PEERS).flat_map(|peers| {
        update(Availability {
            blocks: BlockRanges::default(),
            peers: peers.to_vec(),
            ..having_all(&content.descriptor)
        })
    });
    let updates: Vec<u8> = updates.collect();
    let liar = Scripted::start(Script {
        availability: Box::new(move |_| Act::Send(updates.clone())),
        ..Script::honest(&content)
    })
    .await;
    let getter = Home::start("getter").await;
    let mut wanted = request(
        content.hash(),
        pelago::Output::At(getter.path("copy")),
        &[liar.address()],
    );
    wanted.timeout = Duration::from_secs(6);
    let download = getter.begin(wanted).await;
    target.until(AT_A_TIME).await;
    ended(&download).await.unwrap_err();
    target.assert_bounded();
}

/// A peer that claims `addresses` in place of its own.
async fn liar_at(addresses: &[Multiaddr]) -> Swarm<Behaviour> {
    let mut swarm = server("liar");
    for address in addresses {
        swarm.add_external_address(address.clone());
    }
    swarm
        .listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap())
        .unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { .. } = swarm.select_next_some().await {
            return swarm;
        }
    }
}

/// ```text
///   liar ──▶ seed ◀── stranger      the seed names its other subscribers to the stranger
/// ```
#[tokio::test]
async fn a_seed_passes_on_no_address_but_that_of_the_connection() {
    let content = Content::new(THREE_CHUNKS, 2);
    let seed = Home::start("seed").await;
    let hash = seed.share("original", &content).await.hash;
    let claims = ["/ip4/127.1.2.3/tcp/4001", "/ip4/9.9.9.9/tcp/4001"];
    let mut liar = liar_at(&claims.map(|claim| claim.parse().unwrap())).await;
    let seed_at = seed.address().await;
    liar.dial(seed_at.address().clone()).unwrap();
    let liar_id = *liar.local_peer_id();
    let seed_id = seed.node.peer_id();
    let mut waiting = None;
    let liar = tokio::spawn(async move {
        loop {
            // The liar subscribes once the seed has received its claimed addresses.
            if let SwarmEvent::Behaviour(pelago_behaviour::Event::Identify(event)) =
                liar.select_next_some().await
                && let libp2p::identify::Event::Sent { peer_id, .. } = *event
            {
                let (sender, stream) = futures::channel::oneshot::channel();
                liar.behaviour_mut()
                    .streams
                    .open(peer_id, Protocol::Availability, sender);
                waiting = Some(stream);
            }
            if let Some(stream) = waiting.take() {
                let question = Request::new(&hash, liar.local_peer_id(), &seed_id);
                tokio::spawn(async move {
                    let mut stream = stream.await.unwrap().unwrap();
                    availability::write_request(&mut stream, &question)
                        .await
                        .unwrap();
                    while availability::read_update(&mut stream).await.is_ok() {}
                });
            }
        }
    });
    let stranger = Client::connect(&seed).await;
    let mut stream = stranger.open(Protocol::Availability).await;
    availability::write_request(&mut stream, &stranger.question(&hash))
        .await
        .unwrap();
    let named = in_time(async {
        loop {
            let update = availability::read_update(&mut stream).await.unwrap();
            let Some(Update::Has(has)) = update else {
                panic!("the seed has it")
            };
            if let Some(named) = has.peers.first() {
                return named.clone();
            }
        }
    });
    let named = named.await;
    assert!(
        named.to_string().starts_with("/ip4/127.0.0.1/tcp/"),
        "{named}"
    );
    assert!(named.to_string().ends_with(&liar_id.to_string()), "{named}");
    liar.abort();
}

/// ```text
///   getter ──▶ liar      the liar answers Kademlia queries with addresses of others
/// ```
#[tokio::test]
async fn few_of_the_addresses_in_answers_of_the_dht_are_dialed() {
    let target = Target::start(Duration::from_millis(50)).await;
    // A few peers with many addresses, and many peers with one.
    let named = |n| {
        let addresses = if n < 20 { 40 } else { 1 };
        (0..addresses)
            .map(|address| target.address(n * 40 + address))
            .collect()
    };
    let mut liar = misnamer("pelago", 1000, named);
    liar.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap())
        .unwrap();
    let at = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = liar.select_next_some().await {
            break address;
        }
    };
    let liar = tokio::spawn(async move {
        loop {
            liar.select_next_some().await;
        }
    });
    let getter = Home::start("getter").await;
    getter.node.connect(&at.into()).await.unwrap();
    let mut downloads = Vec::new();
    for n in 0..4 {
        let mut wanted = request(
            Hash::from_bytes([n; 32]),
            pelago::Output::At(getter.path(&n.to_string())),
            &[],
        );
        wanted.timeout = Duration::from_secs(6);
        downloads.push(getter.begin(wanted).await);
    }
    target.until(AT_A_TIME).await;
    for download in &downloads {
        let _ = timeout(Duration::from_secs(15), ended(download)).await;
    }
    target.assert_bounded();
    liar.abort();
}
