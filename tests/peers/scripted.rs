//! A real libp2p node that answers as a test chooses, and records the requests to it.

use std::{io, sync::Arc, time::Duration};

use futures::{AsyncWriteExt, StreamExt, future::BoxFuture};
use libp2p::{Multiaddr, PeerId, Swarm, identity::Keypair, swarm::SwarmEvent};
use parking_lot::Mutex;
use pelago::{Descriptor, PeerAddress};
use pelago_behaviour::{
    Behaviour, Config, Connections, Event, FrameError, OwnIdCallers, OwnKeys, PrivateNetwork,
    Protocol, Protocols,
    availability::{self, Availability, Proof, Update},
    chunk::{self, Item},
    streams::{self, Inbound},
    swarm_config, transport,
};
use pelago_content::BlockRanges;
use tokio::{sync::watch, task::JoinHandle};

use crate::{content::Content, nodes::in_time};

/// The reaction to one item of a request, or to another request.
pub(crate) enum Act {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Send these bytes, and later those that the future returns.
    SendThen(Vec<u8>, BoxFuture<'static, Vec<u8>>),
    /// Send these bytes, then all of the others.
    SendAll(Vec<u8>, Arc<[Vec<u8>]>),
    /// Send these bytes, then close the stream.
    SendAndClose(Vec<u8>),
    /// Send these bytes again and again.
    SendForever(Vec<u8>),
    /// Send these bytes one by one, with a pause before each.
    Trickle(Vec<u8>, Duration),
    /// Keep the stream open, and send nothing.
    Silence,
}

impl Act {
    fn with_bytes(self, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Self {
        match self {
            Self::Send(bytes) => Self::Send(change(bytes)),
            Self::SendThen(bytes, more) => Self::SendThen(change(bytes), more),
            Self::SendAll(bytes, others) => Self::SendAll(change(bytes), others),
            Self::SendAndClose(bytes) => Self::SendAndClose(change(bytes)),
            Self::SendForever(bytes) => Self::SendForever(change(bytes)),
            Self::Trickle(bytes, pause) => Self::Trickle(change(bytes), pause),
            Self::Silence => Self::Silence,
        }
    }
}

/// The answers of a node to subscriptions, chunk requests and catalogue requests. Each gets the
/// number of earlier ones.
pub(crate) struct Script {
    pub(crate) availability: Box<dyn Fn(usize) -> Act + Send + Sync>,
    pub(crate) chunk: Box<dyn Fn(usize, Item) -> BoxFuture<'static, Act> + Send + Sync>,
    pub(crate) catalogue: Box<dyn Fn(usize) -> Act + Send + Sync>,
}

impl Script {
    /// Has all of `content`, and answers correctly.
    pub(crate) fn honest(content: &Content) -> Self {
        let descriptor = content.descriptor;
        let content = Arc::new(content.clone());
        Self {
            availability: Box::new(move |_| Act::Send(has_all(&descriptor))),
            chunk: Box::new(move |_, item| {
                let content = Arc::clone(&content);
                Box::pin(async move { Act::Send(content.truth(&item)) })
            }),
            catalogue: Box::new(|_| Act::Silence),
        }
    }

    /// Claims all of the content that `descriptor` describes, and answers each chunk request with
    /// `act`.
    pub(crate) fn claiming(
        descriptor: Descriptor,
        act: impl Fn(usize, Item) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self {
            availability: Box::new(move |_| Act::Send(has_all(&descriptor))),
            chunk: Box::new(move |number, item| Box::pin(std::future::ready(act(number, item)))),
            catalogue: Box::new(|_| Act::Silence),
        }
    }

    /// Answers each request for a page of its catalogue with `act`.
    pub(crate) fn listing(act: impl Fn(usize) -> Act + Send + Sync + 'static) -> Self {
        Self {
            availability: Box::new(|_| Act::Silence),
            chunk: Box::new(|_, _| Box::pin(std::future::ready(Act::Silence))),
            catalogue: Box::new(act),
        }
    }
}

/// The bytes of an update.
pub(crate) fn update(has: Availability) -> Vec<u8> {
    let mut bytes = Vec::new();
    let update = Update::Has(has);
    futures::executor::block_on(availability::write_update(&mut bytes, &update)).unwrap();
    bytes
}

/// An update that claims all of the content, without a name.
pub(crate) fn having_all(descriptor: &Descriptor) -> Availability {
    Availability {
        blocks: BlockRanges::from(0..descriptor.geometry().blocks()),
        is_listed: true,
        ..Availability::none(*descriptor)
    }
}

pub(crate) fn has_all(descriptor: &Descriptor) -> Vec<u8> {
    update(having_all(descriptor))
}

/// These bytes, with the proof for `peer` that `local` has the hash, if they begin with an update
/// that claims blocks and has no proof yet.
pub(crate) fn proven(bytes: Vec<u8>, local: &PeerId, peer: &PeerId) -> Vec<u8> {
    let mut rest = &bytes[..];
    let first = futures::executor::block_on(availability::read_update(&mut rest));
    let Ok(Some(Update::Has(mut has))) = first else {
        return bytes;
    };
    let proof = Proof::new(&has.descriptor.hash(), local, peer);
    has.proof.get_or_insert(proof);
    let rest = rest.to_vec();
    [update(has), rest].concat()
}

/// The bytes of the update that denies the content.
pub(crate) fn absent() -> Vec<u8> {
    let mut bytes = Vec::new();
    futures::executor::block_on(availability::write_update(&mut bytes, &Update::Absent)).unwrap();
    bytes
}

/// The requests to a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) subscriptions: usize,
    /// Subscriptions to which everything was sent.
    pub(crate) subscriptions_answered: usize,
    pub(crate) chunk_streams: usize,
    pub(crate) chunk_streams_ended: usize,
    pub(crate) items: Vec<Item>,
    pub(crate) pages: usize,
    /// What its catalogue was searched for.
    pub(crate) queries: Vec<String>,
    /// Streams that the other side has ended.
    pub(crate) ended: usize,
}

/// A scripted node. Dropping this ends it.
pub(crate) struct Scripted {
    addresses: Vec<Multiaddr>,
    asked: watch::Receiver<Asked>,
    swarm: JoinHandle<()>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Scripted {
    /// Starts a node that listens at two addresses, so that others can find it twice.
    pub(crate) async fn start(script: Script) -> Self {
        Self::called("scripted", &[], script).await
    }

    /// Starts a node with this name, which also claims to listen at these addresses.
    pub(crate) async fn called(name: &str, claimed: &[Multiaddr], script: Script) -> Self {
        let mut swarm = swarm(name);
        for address in claimed {
            swarm.add_external_address(address.clone());
        }
        let local = *swarm.local_peer_id();
        let mut addresses = Vec::new();
        for _ in 0..2 {
            swarm
                .listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap())
                .unwrap();
        }
        while addresses.len() < 2 {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                addresses.push(address);
            }
        }
        let (sender, asked) = watch::channel(Asked::default());
        let script = Arc::new((script, sender));
        let tasks = Arc::new(Mutex::new(Vec::new()));
        let spawned = Arc::clone(&tasks);
        let run = async move {
            loop {
                if let SwarmEvent::Behaviour(Event::Stream(stream)) = swarm.select_next_some().await
                {
                    let task = tokio::spawn(converse(Arc::clone(&script), local, *stream));
                    spawned.lock().push(task);
                }
            }
        };
        let swarm = tokio::spawn(run);
        Self {
            addresses,
            asked,
            swarm,
            tasks,
        }
    }

    /// Its first address, without its id, so that a node that dials it learns the id later.
    pub(crate) fn address(&self) -> PeerAddress {
        PeerAddress::from(self.addresses[0].clone())
    }

    /// Its second address, without its id.
    pub(crate) fn other_address(&self) -> PeerAddress {
        PeerAddress::from(self.addresses[1].clone())
    }

    /// The requests to it so far.
    pub(crate) fn asked(&self) -> Asked {
        self.asked.borrow().clone()
    }

    /// The requests to it, as they arrive.
    pub(crate) fn watch(&self) -> watch::Receiver<Asked> {
        self.asked.clone()
    }

    /// Waits until `wanted` holds for the requests to it.
    pub(crate) async fn until(&self, wanted: impl FnMut(&Asked) -> bool) -> Asked {
        let mut asked = self.asked.clone();
        let found = in_time(asked.wait_for(wanted)).await;
        found.expect("the node is gone").clone()
    }

    /// Ends it immediately, as if its machine lost power.
    pub(crate) fn stop(&self) {
        self.swarm.abort();
        self.tasks.lock().iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A swarm in the network of the other nodes of these tests.
pub(crate) fn swarm(name: &str) -> Swarm<Behaviour> {
    swarm_with(name, false)
}

/// A swarm that also answers Kademlia queries.
pub(crate) fn server(name: &str) -> Swarm<Behaviour> {
    swarm_with(name, true)
}

/// The memory budget for the connections of a scripted node.
pub(crate) fn connections() -> Connections {
    Connections::new(64 << 20)
}

/// A swarm of the peer with this key.
pub(crate) fn swarm_of(key: &Keypair) -> Swarm<Behaviour> {
    swarm_by(key, "raw", false)
}

fn swarm_with(name: &str, is_server: bool) -> Swarm<Behaviour> {
    swarm_by(&Keypair::generate_ed25519(), name, is_server)
}

fn swarm_by(key: &Keypair, name: &str, is_server: bool) -> Swarm<Behaviour> {
    let local = key.public().to_peer_id();
    Swarm::new(
        transport(
            key,
            &OwnIdCallers::default(),
            &connections(),
            &PrivateNetwork::default(),
        )
        .unwrap(),
        behaviour(key, name, is_server),
        local,
        swarm_config(Duration::from_secs(60)),
    )
}

/// The behaviour of a scripted node.
pub(crate) fn behaviour(key: &Keypair, name: &str, is_server: bool) -> Behaviour {
    let config = Config {
        protocols: Protocols::new("pelago").unwrap(),
        node_name: name.to_owned(),
        is_server,
        mdns: false,
        replication: 20.try_into().unwrap(),
        private: PrivateNetwork::default(),
        memory_budget: 64 << 20,
    };
    Behaviour::new(key, OwnKeys::default(), &config)
}

type Shared = Arc<(Script, watch::Sender<Asked>)>;

async fn converse(script: Shared, local: PeerId, event: streams::Event) {
    let (peer, stream) = (event.peer, event.inbound);
    let is_chunk = stream.held.protocol == Protocol::Chunk;
    // Errors are ignored: the other side may end streams at any time.
    let _ = match stream.held.protocol {
        Protocol::Availability => tell_availability(&script, &local, &peer, stream).await,
        // Current nodes do not open such streams.
        Protocol::ListedAvailability | Protocol::Group => Ok(()),
        Protocol::Chunk => send_chunks(&script, stream).await,
        Protocol::Catalogue => send_pages(&script, stream).await,
    };
    script.1.send_modify(|asked| {
        asked.ended += 1;
        asked.chunk_streams_ended += usize::from(is_chunk);
    });
}

async fn tell_availability(
    script: &Shared,
    local: &PeerId,
    peer: &PeerId,
    mut stream: Inbound,
) -> Result<(), FrameError> {
    availability::read_request(&mut stream).await?;
    let mut number = 0;
    script.1.send_modify(|asked| {
        number = asked.subscriptions;
        asked.subscriptions += 1;
    });
    let act = (script.0.availability)(number);
    let act = act.with_bytes(|bytes| proven(bytes, local, peer));
    let goes_on = perform(act, &mut stream).await?;
    script
        .1
        .send_modify(|asked| asked.subscriptions_answered += 1);
    if goes_on {
        // Keeps the stream until the subscriber ends it.
        availability::read_request(&mut stream).await?;
    }
    Ok(())
}

async fn send_chunks(script: &Shared, mut stream: Inbound) -> Result<(), FrameError> {
    script.1.send_modify(|asked| asked.chunk_streams += 1);
    while let Some(items) = chunk::read_request(&mut stream).await? {
        for item in items {
            let mut number = 0;
            script.1.send_modify(|asked| {
                number = asked.items.len();
                asked.items.push(item);
            });
            let act = (script.0.chunk)(number, item).await;
            if !perform(act, &mut stream).await? {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn send_pages(script: &Shared, mut stream: Inbound) -> Result<(), FrameError> {
    while let Some(request) = pelago_behaviour::catalogue::read_request(&mut stream).await? {
        let mut number = 0;
        script.1.send_modify(|asked| {
            number = asked.pages;
            asked.pages += 1;
            asked.queries.push(request.query);
        });
        if !perform((script.0.catalogue)(number), &mut stream).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Follows the script. Returns whether the stream continues.
async fn perform(act: Act, stream: &mut Inbound) -> io::Result<bool> {
    match act {
        Act::Send(bytes) => {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            Ok(true)
        }
        Act::SendThen(bytes, more) => {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            stream.write_all(&more.await).await?;
            stream.flush().await?;
            Ok(true)
        }
        Act::SendAll(bytes, others) => {
            stream.write_all(&bytes).await?;
            for bytes in &*others {
                stream.write_all(bytes).await?;
                stream.flush().await?;
            }
            Ok(true)
        }
        Act::SendAndClose(bytes) => {
            stream.write_all(&bytes).await?;
            stream.close().await?;
            Ok(false)
        }
        Act::SendForever(bytes) => loop {
            stream.write_all(&bytes).await?;
        },
        Act::Trickle(bytes, pause) => {
            for byte in bytes {
                tokio::time::sleep(pause).await; // the slowness is the point
                stream.write_all(&[byte]).await?;
                stream.flush().await?;
            }
            Ok(true)
        }
        // Keeps the stream until the other side ends it.
        Act::Silence => until_ended(stream).await.map(|()| false),
    }
}

async fn until_ended(stream: &mut Inbound) -> io::Result<()> {
    futures::io::copy(stream, &mut futures::io::sink())
        .await
        .map(drop)
}
