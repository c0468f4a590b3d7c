//! The attacks of strangers, all at the same time: each stranger connects with a new id, attacks one node for
//! a while, and begins again.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt};
use parking_lot::Mutex;
use pelago::Hash;
use pelago_behaviour::{
    Protocol,
    availability::{self, Availability, Proof, Update},
    catalogue,
    chunk::{self, Item},
};
use rand::RngExt;
use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};

use crate::{Failure, raw::Client};

/// How long a stranger attacks one node.
const STAY: Duration = Duration::from_secs(10);

/// Pause of a stranger between two visits.
const PAUSE: Duration = Duration::from_millis(200);

/// Streams that a stranger opens: as many as a node accepts on a connection.
const STREAMS: usize = 32;

/// The number of strangers of each kind.
const KINDS: [(Kind, usize); 9] = [
    (Kind::Hoard, 12),
    (Kind::TakeSlowly, 12),
    (Kind::AskForProofs, 8),
    (Kind::Search, 4),
    (Kind::Listen, 4),
    (Kind::Guess, 4),
    (Kind::Announce, 4),
    (Kind::SendWrongData, 4),
    (Kind::KeepSilent, 64),
];

/// What a stranger does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Asks on all streams, and reads nothing.
    Hoard,
    /// Reads a few bytes a second of what it requested.
    TakeSlowly,
    /// Asks for proofs without data, as fast as they come.
    AskForProofs,
    /// Searches the catalogue without end.
    Search,
    /// Subscribes to the same content on all streams.
    Listen,
    /// Asks about content that it does not know.
    Guess,
    /// Announces content that does not exist.
    Announce,
    /// Answers requests with wrong data.
    SendWrongData,
    /// Connects, and sends nothing.
    KeepSilent,
}

/// What all strangers know.
struct Shared {
    targets: Vec<u16>,
    network: String,
    bait: Hash,
    visits: Mutex<BTreeMap<Kind, u64>>,
}

/// The attack, until `end` is called.
pub(crate) struct Attack {
    runtime: Runtime,
    shared: Arc<Shared>,
}

/// How often strangers of each kind could connect.
pub(crate) struct Visits(BTreeMap<Kind, u64>);

impl Attack {
    pub(crate) fn begin(targets: Vec<u16>, network: String, bait: &str) -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared {
            targets,
            network,
            bait: bait.parse()?,
            visits: Mutex::default(),
        });
        for (kind, count) in KINDS {
            for _ in 0..count {
                runtime.spawn(attack(Arc::clone(&shared), kind));
            }
        }
        Ok(Self { runtime, shared })
    }

    /// All strangers leave.
    pub(crate) fn end(self) -> Visits {
        self.runtime.shutdown_background();
        let visits = self.shared.visits.lock();
        Visits(visits.clone())
    }
}

async fn attack(shared: Arc<Shared>, kind: Kind) {
    loop {
        let port = shared.targets[rand::rng().random_range(0..shared.targets.len())];
        // Any end is fine: nodes close connections, and are killed.
        let _ = timeout(STAY, visit(&shared, kind, port)).await;
        sleep(PAUSE).await;
    }
}

async fn visit(shared: &Shared, kind: Kind, port: u16) -> Option<()> {
    if kind == Kind::KeepSilent {
        let _socket = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        shared.count(kind);
        sleep(STAY).await;
        return Some(());
    }
    let mut client = Client::dial(&shared.network, port).await?;
    shared.count(kind);
    match kind {
        Kind::Hoard => hoard(&client, &shared.bait).await,
        Kind::TakeSlowly => take_slowly(&client, &shared.bait).await,
        Kind::AskForProofs => ask_for_proofs(&client, &shared.bait).await,
        Kind::Search => search(&client).await,
        Kind::Listen => listen(&client, &shared.bait).await,
        Kind::Guess => guess(&client).await,
        Kind::Announce => announce(&client).await,
        Kind::SendWrongData => send_wrong_data(&mut client, &shared.bait).await,
        Kind::KeepSilent => None,
    }
}

const fn item(hash: Hash, level: u8, index: u64, data: bool) -> Item {
    Item {
        hash,
        level,
        index,
        data,
    }
}

async fn hoard(client: &Client, bait: &Hash) -> Option<()> {
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.extend(client.open(Protocol::Chunk).await);
    }
    let items = [item(*bait, 6, 0, true); 4];
    let fill = streams.into_iter().map(|mut stream| async move {
        while chunk::write_request(&mut stream, &items).await.is_ok() {}
    });
    futures::future::join_all(fill).await;
    Some(())
}

async fn take_slowly(client: &Client, bait: &Hash) -> Option<()> {
    let mut stream = client.open(Protocol::Chunk).await?;
    let items = [item(*bait, 6, 1, true); 4];
    chunk::write_request(&mut stream, &items).await.ok()?;
    let mut few = [0; 150];
    while stream.read_exact(&mut few).await.is_ok() {
        sleep(Duration::from_secs(1)).await;
    }
    Some(())
}

async fn ask_for_proofs(client: &Client, bait: &Hash) -> Option<()> {
    let mut stream = client.open(Protocol::Chunk).await?;
    loop {
        let index = rand::rng().random_range(0..512);
        let items = vec![item(*bait, 0, index, false); 256];
        chunk::write_request(&mut stream, &items).await.ok()?;
        for _ in &items {
            chunk::read_answer(&mut stream).await.ok()?;
        }
    }
}

async fn search(client: &Client) -> Option<()> {
    let mut stream = client.open(Protocol::Catalogue).await?;
    loop {
        let request = catalogue::Request {
            query: "o n t e".to_owned(),
            ..catalogue::Request::default()
        };
        catalogue::write_request(&mut stream, &request).await.ok()?;
        catalogue::read_page(&mut stream).await.ok()?;
    }
}

async fn listen(client: &Client, bait: &Hash) -> Option<()> {
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = client.open(Protocol::Availability).await?;
        let question = client.question(bait);
        availability::write_request(&mut stream, &question)
            .await
            .ok()?;
        streams.push(stream);
    }
    sleep(STAY).await;
    Some(())
}

async fn guess(client: &Client) -> Option<()> {
    loop {
        let mut stream = client.open(Protocol::Availability).await?;
        let hash = Hash::from_bytes(rand::random());
        let question = client.question(&hash);
        availability::write_request(&mut stream, &question)
            .await
            .ok()?;
        availability::read_update(&mut stream).await.ok()?;
    }
}

async fn announce(client: &Client) -> Option<()> {
    loop {
        client.announce(Hash::from_bytes(rand::random())).await?;
        sleep(Duration::from_millis(20)).await;
    }
}

/// Claims to have all content that it can prove to have, and sends noise.
async fn send_wrong_data(client: &mut Client, bait: &Hash) -> Option<()> {
    let (local, node) = client.ids();
    while let Some(mut stream) = client.inbound.recv().await {
        let bait = *bait;
        tokio::spawn(async move {
            match stream.held.protocol {
                Protocol::Availability => {
                    let _ = availability::read_request(&mut stream).await;
                    let descriptor =
                        pelago::Descriptor::new(pelago::Kind::File, 1 << 40, rand::random());
                    let Ok(descriptor) = descriptor else { return };
                    let has = Availability {
                        blocks: (0..1 << 20).into(),
                        proof: Some(Proof::new(&bait, &local, &node)),
                        ..Availability::none(descriptor)
                    };
                    let _ = availability::write_update(&mut stream, &Update::Has(has)).await;
                    sleep(STAY).await;
                }
                _ => {
                    let noise: [u8; 32] = rand::random();
                    while stream.write_all(&noise).await.is_ok() {}
                }
            }
        });
    }
    Some(())
}

impl Shared {
    fn count(&self, kind: Kind) {
        let mut visits = self.visits.lock();
        *visits.entry(kind).or_default() += 1;
    }
}

impl fmt::Display for Visits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self
            .0
            .iter()
            .map(|(kind, count)| format!("{kind:?} {count}"));
        f.write_str(&each.collect::<Vec<_>>().join(", "))
    }
}
