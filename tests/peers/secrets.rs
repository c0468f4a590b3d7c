//! Only peers that have a hash learn of its content: a stranger learns no hash.

use std::{
    fs, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo, Version},
    },
    identity::Keypair,
    noise,
    swarm::SwarmEvent,
    tcp, yamux,
};
use parking_lot::Mutex;
use pelago::{Hash, Output, PeerAddress, ShareRequest};
use pelago_behaviour::{
    Behaviour, Event, Protocol,
    availability::{self, Proof, Request, Update},
    catalogue,
    chunk::{self, Item},
    streams::{self, Reply},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    content::{Content, THREE_CHUNKS},
    nodes::{Home, ended, in_time, request},
    raw::Client,
    scripted::{Act, Script, Scripted, absent, behaviour, having_all, update},
};

/// All decrypted bytes that a stranger has received.
#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<u8>>>);

impl Received {
    fn contains(&self, secret: &[u8]) -> bool {
        let received = self.0.lock();
        received.windows(secret.len()).any(|part| part == secret)
    }

    fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// Noise, with a record of all received bytes.
#[derive(Clone)]
struct Recorded(noise::Config, Received);

struct Tap<S>(S, Received);

impl UpgradeInfo for Recorded {
    type Info = <noise::Config as UpgradeInfo>::Info;
    type InfoIter = <noise::Config as UpgradeInfo>::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.protocol_info()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> InboundConnectionUpgrade<S> for Recorded {
    type Output = (PeerId, Tap<noise::Output<S>>);
    type Error = noise::Error;
    type Future = futures::future::BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: S, info: Self::Info) -> Self::Future {
        let Self(noise, received) = self;
        Box::pin(async move {
            let (peer, stream) = noise.upgrade_inbound(stream, info).await?;
            Ok((peer, Tap(stream, received)))
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> OutboundConnectionUpgrade<S> for Recorded {
    type Output = (PeerId, Tap<noise::Output<S>>);
    type Error = noise::Error;
    type Future = futures::future::BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, stream: S, info: Self::Info) -> Self::Future {
        let Self(noise, received) = self;
        Box::pin(async move {
            let (peer, stream) = noise.upgrade_outbound(stream, info).await?;
            Ok((peer, Tap(stream, received)))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.0).poll_read(cx, buffer);
        if let Poll::Ready(Ok(length)) = read {
            self.1.0.lock().extend(&buffer[..length]);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

/// A peer without the hash. It accepts all streams, answers as a test chooses, and records all
/// received bytes.
struct Stranger {
    address: Multiaddr,
    received: Received,
    /// The requests to it, and the peers that made them.
    asked: watch::Receiver<Vec<(PeerId, Request)>>,
    open: mpsc::Sender<(PeerId, Protocol, Reply)>,
    swarm: JoinHandle<()>,
}

impl Stranger {
    /// Starts a stranger that is connected to `homes`, and answers subscriptions with the bytes of
    /// `says`.
    async fn start(homes: &[&Home], says: fn() -> Vec<u8>) -> Self {
        let (key, received) = (Keypair::generate_ed25519(), Received::default());
        let mut swarm = recording(&key, received.clone());
        swarm
            .listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap())
            .unwrap();
        for home in homes {
            swarm.dial(home.address().await.address().clone()).unwrap();
        }
        let (mut address, mut connected) = (None, 0);
        in_time(async {
            while address.is_none() || connected < homes.len() {
                match swarm.select_next_some().await {
                    SwarmEvent::NewListenAddr { address: at, .. } => address = Some(at),
                    SwarmEvent::ConnectionEstablished { .. } => connected += 1,
                    _ => {}
                }
            }
        })
        .await;
        let (open, mut requests) = mpsc::channel::<(PeerId, Protocol, Reply)>(1);
        let (asking, asked) = watch::channel(Vec::new());
        let asking = Arc::new(asking);
        let run = async move {
            loop {
                tokio::select! {
                    Some((peer, protocol, reply)) = requests.recv() => {
                        swarm.behaviour_mut().streams.open(peer, protocol, reply);
                    }
                    event = swarm.select_next_some() => {
                        if let SwarmEvent::Behaviour(Event::Stream(stream)) = event {
                            tokio::spawn(take(*stream, Arc::clone(&asking), says()));
                        }
                    }
                }
            }
        };
        Self {
            address: address.unwrap(),
            received,
            asked,
            open,
            swarm: tokio::spawn(run),
        }
    }

    fn address(&self) -> PeerAddress {
        PeerAddress::from(self.address.clone())
    }

    /// Waits until a peer subscribes to content, and returns the peer and its request.
    async fn asked(&self) -> (PeerId, Request) {
        let mut asked = self.asked.clone();
        let asked = in_time(asked.wait_for(|asked| !asked.is_empty())).await;
        asked.unwrap()[0]
    }

    /// Sends `bytes` to `peer` on a new stream, and closes it. Returns the answer.
    async fn say(&self, peer: PeerId, protocol: Protocol, bytes: &[u8]) -> Vec<u8> {
        let (reply, stream) = futures::channel::oneshot::channel();
        self.open.send((peer, protocol, reply)).await.unwrap();
        let mut stream = in_time(stream).await.unwrap().unwrap();
        let _ = stream.write_all(bytes).await;
        let _ = stream.close().await;
        let mut answer = Vec::new();
        let _ = in_time(stream.read_to_end(&mut answer)).await;
        answer
    }

    /// Tries all that a peer without the hash can do with a subscription that it has received.
    async fn pry(&self, node: PeerId, question: &Request) {
        let own = Request {
            proof: Proof::from_bytes([0; 32]),
            ..*question
        };
        for request in [*question, own] {
            let asked = bytes_of(&request).await;
            let answer = self.say(node, Protocol::Availability, &asked).await;
            assert_eq!(answer, absent());
        }
        // The key in place of the hash: in version 1, and in a chunk request.
        let key = Hash::from_bytes(question.key);
        let asked = naming(&key);
        let named = self.say(node, Protocol::ListedAvailability, &asked).await;
        assert_eq!(named, absent());
        let item = Item {
            hash: key,
            level: 0,
            index: 0,
            data: true,
        };
        let mut wanted = Vec::new();
        chunk::write_request(&mut wanted, &[item]).await.unwrap();
        self.say(node, Protocol::Chunk, &wanted).await;
        let mut listing = Vec::new();
        let all = catalogue::Request::default();
        catalogue::write_request(&mut listing, &all).await.unwrap();
        self.say(node, Protocol::Catalogue, &listing).await;
    }

    /// Asserts that it has received neither the name of `content` nor anything that reveals its
    /// hash.
    fn assert_knows_nothing_of(&self, content: &Content, name: &str) {
        let descriptor = content.descriptor.to_bytes();
        assert!(self.received.len() > 1000, "there is a record");
        self.assert_has_no_hash(content.hash());
        for secret in [
            &descriptor[9..17],
            &descriptor[33..],
            &content.bytes[..16],
            name.as_bytes(),
        ] {
            assert!(!self.received.contains(secret), "{secret:02x?} was sent");
        }
    }

    fn assert_has_no_hash(&self, hash: Hash) {
        let (bytes, digits) = (hash.as_bytes(), hash.to_string());
        for secret in [&bytes[..8], &bytes[24..], &digits.as_bytes()[..16]] {
            assert!(!self.received.contains(secret), "{secret:02x?} was sent");
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}

fn recording(key: &Keypair, received: Received) -> Swarm<Behaviour> {
    let transport = tcp::tokio::Transport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(Recorded(noise::Config::new(key).unwrap(), received))
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed();
    let local = key.public().to_peer_id();
    let config = pelago_behaviour::swarm_config(std::time::Duration::from_secs(60));
    Swarm::new(transport, behaviour(key, "stranger", false), local, config)
}

/// Reads a stream until it ends, and answers subscriptions.
async fn take(
    event: streams::Event,
    asking: Arc<watch::Sender<Vec<(PeerId, Request)>>>,
    answer: Vec<u8>,
) {
    let (peer, mut stream) = (event.peer, event.inbound);
    if stream.held.protocol == Protocol::Availability
        && let Ok(Some(request)) = availability::read_request(&mut stream).await
    {
        asking.send_modify(|asked| asked.push((peer, request)));
        let _ = stream.write_all(&answer).await;
        let _ = stream.flush().await;
    }
    let _ = futures::io::copy(&mut stream, &mut futures::io::sink()).await;
}

async fn bytes_of(request: &Request) -> Vec<u8> {
    let mut bytes = Vec::new();
    availability::write_request(&mut bytes, request)
        .await
        .unwrap();
    bytes
}

/// A subscription of version 1, as older clients send it.
fn naming(hash: &Hash) -> Vec<u8> {
    let map = [&[0xa1, 0x61, b'h', 0x58, 32][..], hash.as_bytes()].concat();
    [&(map.len() as u32).to_be_bytes()[..], &map].concat()
}

/// An update that claims all of other content.
fn made_up() -> Vec<u8> {
    update(having_all(&Content::new(THREE_CHUNKS, 999).descriptor))
}

/// Downloads unlisted content of `sharer` to `getter`, and returns a stranger that tried to learn of
/// it.
///
/// ```text
///   sharer (unlisted) <--- getter (by hash)
///        \                  /
///          --- stranger ---         connected to both; the getter asks it first
/// ```
async fn download_beside_stranger(
    sharer: &Home,
    getter: &Home,
    hash: Hash,
    says: fn() -> Vec<u8>,
) -> Stranger {
    let stranger = Stranger::start(&[sharer, getter], says).await;
    // The getter asks only the stranger first.
    let output = Output::Into(getter.folder.path().to_owned());
    let mut wanted = request(hash, output, &[stranger.address()]);
    wanted.seed = true;
    let download = getter.begin(wanted).await;
    let (asker, question) = stranger.asked().await;
    assert_eq!(asker, getter.node.peer_id());
    let sharer_id = sharer.node.peer_id();
    stranger.pry(asker, &question).await;
    stranger.pry(sharer_id, &question).await;
    getter.node.connect(&sharer.address().await).await.unwrap();
    ended(&download).await.unwrap();
    stranger.pry(asker, &question).await;
    stranger.pry(sharer_id, &question).await;

    assert_eq!(getter.node.list().await.unwrap().len(), 1);
    let listed = sharer.node.list_peer(&getter.address().await).await;
    assert_eq!(listed.unwrap().listed, [], "the download is unlisted, too");
    stranger
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_unlisted_content_from_sharer_and_getter() {
    let name = "diary-of-a-lighthouse-keeper";
    for (seed, says) in [(1, absent as fn() -> Vec<u8>), (2, made_up), (3, Vec::new)] {
        let content = Content::new(THREE_CHUNKS, seed);
        let (sharer, getter) = (Home::start("sharer").await, Home::start("getter").await);
        sharer.share_unlisted(name, &content).await;
        let stranger = download_beside_stranger(&sharer, &getter, content.hash(), says).await;
        stranger.assert_knows_nothing_of(&content, name);
    }
}

/// The same for a folder: its own hash, and everything below it.
#[tokio::test]
async fn a_stranger_learns_nothing_of_what_is_in_an_unlisted_folder() {
    let (above, below, name) = ("lamps-of-lighthouses", "lenses-of-fresnel", "first-order");
    let content = Content::new(THREE_CHUNKS, 4);
    let (sharer, getter) = (Home::start("sharer").await, Home::start("getter").await);
    let folder = sharer.path(above).join(below);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), &content.bytes).unwrap();
    let shared = ShareRequest {
        unlisted: true,
        ..ShareRequest::new(sharer.path(above))
    };
    let shared = sharer.node.share(shared, |_| {}).await.unwrap();

    let stranger = download_beside_stranger(&sharer, &getter, shared.hash, absent).await;

    assert!(getter.path(above).join(below).join(name).exists());
    for name in [above, below, name] {
        stranger.assert_knows_nothing_of(&content, name);
    }
    stranger.assert_has_no_hash(shared.hash);
}

/// ```text
///   liar (knows the descriptor, proves nothing) <--- getter ---> honest
/// ```
#[tokio::test]
async fn a_source_that_does_not_prove_that_it_has_the_hash_is_asked_for_no_chunk() {
    let content = Content::new(THREE_CHUNKS, 1);
    let mut has = having_all(&content.descriptor);
    has.proof = Some(Proof::from_bytes([7; 32]));
    let mut script = Script::honest(&content);
    script.availability = Box::new(move |_| Act::Send(update(has.clone())));
    let liar = Scripted::start(script).await;
    let honest = Scripted::start(Script::honest(&content)).await;
    let getter = Home::asking_one_at_a_time("getter").await;

    let finished = getter
        .fetch(&content, &[liar.address(), honest.address()])
        .await;

    assert_eq!(finished.sources, 1);
    let asked = liar.asked();
    assert_eq!((asked.subscriptions, asked.chunk_streams), (1, 0));
}

/// The answers to subscriptions of `client` to `hash`: with a proof, then in version 1.
async fn answers(client: &Client, hash: Hash) -> [Option<Update>; 2] {
    let mut proven = client.open(Protocol::Availability).await;
    let question = client.question(&hash);
    availability::write_request(&mut proven, &question)
        .await
        .unwrap();
    let proven = in_time(availability::read_update(&mut proven)).await;
    let mut named = client.open(Protocol::ListedAvailability).await;
    named.write_all(&naming(&hash)).await.unwrap();
    named.flush().await.unwrap();
    let named = in_time(availability::read_update(&mut named)).await;
    [proven.unwrap(), named.unwrap()]
}

#[tokio::test]
async fn a_client_of_version_1_learns_of_listed_content_only() {
    let sharer = Home::start("sharer").await;
    let (listed, unlisted) = (Content::new(1000, 1), Content::new(1000, 2));
    sharer.share("listed", &listed).await;
    sharer.share_unlisted("unlisted", &unlisted).await;
    let client = Client::connect(&sharer).await;
    let nowhere = Hash::from_bytes([9; 32]);

    let [Some(Update::Has(proven)), Some(Update::Has(named))] =
        answers(&client, listed.hash()).await
    else {
        panic!("listed content is answered");
    };
    assert!(proven.is_listed && named.is_listed);
    assert_eq!((named.name.as_deref(), named.proof), (Some("listed"), None));
    let [Some(Update::Has(proven)), Some(Update::Absent)] = answers(&client, unlisted.hash()).await
    else {
        panic!("unlisted content needs a proof");
    };
    assert!(!proven.is_listed);
    let (ours, theirs) = (client.local(), sharer.node.peer_id());
    let proof = proven.proof.unwrap();
    assert!(proof.shows(&unlisted.hash(), &theirs, &ours));
    assert_eq!(
        answers(&client, nowhere).await,
        [const { Some(Update::Absent) }; 2]
    );
}
