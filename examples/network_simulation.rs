//! A network in one process, over real loopback sockets: every node knows one bootstrap address and
//! nothing else. Nodes share files; nodes that are not connected to any provider download them by
//! hash alone; between rounds some nodes leave and new ones join. Prints a table with the downloads
//! that succeeded, their DHT requests and their times. Exits with 1 unless every download whose source
//! was alive ended with the same bytes.
//!
//! ```text
//! cargo run --release --example network_simulation
//! cargo run --release --example network_simulation -- --nodes 200 --replication 4
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use futures::{StreamExt, stream};
use libp2p::{PeerId, identity::Keypair};
use pelago::{
    DownloadRequest, Hash, Node, Output, PeerAddress, Settings, ShareRequest, Store, Target,
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, seq::IteratorRandom};
use tempfile::TempDir;

type Failure = Box<dyn Error + Send + Sync>;

/// How long joining the network or announcing may take before the simulation gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a download looks for a source that is alive, and for one that is not.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(30);
const GONE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long idle connections are kept: short, so that nodes have to find each other again, but longer
/// than an announcement takes. libp2p 0.57 sends a provider record to a node to which the connection was
/// closed only if the new connection is open before the last record is sent; with half a second, one
/// record in a hundred reached none of its nodes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a node waits until all its connections to providers of its download have closed.
const DISCONNECT_PATIENCE: Duration = Duration::from_secs(60);

/// The nodes have found each other when none has learnt of another for this long.
const SETTLED: Duration = Duration::from_secs(2);

/// Downloads at a time.
const CONCURRENT: usize = 8;

/// Bytes of a file, at most.
const MAX_SIZE: usize = 1 << 20;

#[derive(Clone, Parser)]
struct Arguments {
    /// How many nodes there are at any time.
    #[arg(long, default_value_t = 24)]
    nodes: usize,
    /// How many files are shared.
    #[arg(long, default_value_t = 48)]
    files: usize,
    /// How many nodes keep each provider record.
    #[arg(long, default_value_t = NonZeroUsize::new(20).expect("twenty is not zero"))]
    replication: NonZeroUsize,
    /// The fraction of the nodes that leaves, and is replaced, between two rounds.
    #[arg(long, default_value_t = 0.1)]
    churn: f64,
    /// How many rounds of downloads there are.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The seed of all random choices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

struct Member {
    node: Node,
    id: PeerId,
}

struct SharedFile {
    hash: Hash,
    path: PathBuf,
    holders: BTreeSet<PeerId>,
}

struct Simulation {
    arguments: Arguments,
    random: StdRng,
    folder: TempDir,
    bootstrap: PeerAddress,
    members: BTreeMap<PeerId, Member>,
    first: PeerId,
    files: Vec<SharedFile>,
    copies: usize,
}

/// The result of one download.
struct Outcome {
    file: usize,
    downloader: PeerId,
    was_alive: bool,
    was_connected: bool,
    result: Result<(), String>,
    requests: u64,
    elapsed: Duration,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let arguments = Arguments::parse();
    let started = Instant::now();
    let mut simulation = Simulation::start(arguments.clone()).await?;
    println!(
        "{} nodes joined in {:.1} s",
        arguments.nodes,
        started.elapsed().as_secs_f64()
    );
    let sharing = Instant::now();
    simulation.share_files().await?;
    println!(
        "{} files announced in {:.1} s",
        arguments.files,
        sharing.elapsed().as_secs_f64()
    );

    println!();
    println!(
        "| round | downloads | source gone | correct | wrong or failed | connected before | DHT requests, median | seconds, median | seconds, worst |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut is_right = true;
    for round in 1..=arguments.rounds {
        if round > 1 {
            simulation.churn().await?;
        }
        let outcomes = simulation.download_all().await;
        is_right &= report(round, &outcomes);
        simulation.take_holders(&outcomes);
    }
    simulation.end().await;
    if is_right {
        println!("\nevery download whose source was alive has the same bytes");
        Ok(ExitCode::SUCCESS)
    } else {
        println!("\nsome downloads failed although their source was alive");
        Ok(ExitCode::FAILURE)
    }
}

impl Simulation {
    async fn start(arguments: Arguments) -> Result<Self, Failure> {
        let first = start_node(&arguments, 0, None).await?;
        let address = first
            .node
            .addresses()
            .await?
            .into_iter()
            .next()
            .ok_or("no address")?;
        let mut simulation = Self {
            random: StdRng::seed_from_u64(arguments.seed),
            folder: tempfile::tempdir()?,
            bootstrap: PeerAddress::from(address),
            first: first.id,
            members: BTreeMap::from([(first.id, first)]),
            files: Vec::new(),
            copies: 0,
            arguments,
        };
        simulation
            .join(simulation.arguments.nodes.saturating_sub(1))
            .await?;
        Ok(simulation)
    }

    /// Lets `count` new nodes join at the same time, and waits until each is part of the DHT.
    async fn join(&mut self, count: usize) -> Result<(), Failure> {
        let mut joining = Vec::new();
        for number in 0..count {
            let bootstrap = Some(self.bootstrap.clone());
            joining.push(start_node(&self.arguments, number, bootstrap).await?);
        }
        for member in joining {
            let mut routable = member.node.routable();
            let joined =
                tokio::time::timeout(PATIENCE, routable.wait_for(|nodes| *nodes > 0)).await;
            joined.map_err(|_| "a node could not join the network")??;
            self.members.insert(member.id, member);
        }
        self.settle().await;
        Ok(())
    }

    /// Waits until the nodes have found each other: until none has learnt of another for a while.
    async fn settle(&self) {
        let patience = Instant::now() + PATIENCE;
        let known = || {
            self.members
                .values()
                .map(|m| *m.node.routable().borrow())
                .sum::<usize>()
        };
        let mut before = 0;
        while before < known() && Instant::now() < patience {
            before = known();
            tokio::time::sleep(SETTLED).await;
        }
    }

    async fn share_files(&mut self) -> Result<(), Failure> {
        for number in 0..self.arguments.files {
            let mut content = vec![0; self.random.random_range(0..=MAX_SIZE)];
            self.random.fill_bytes(&mut content);
            let path = self.folder.path().join(format!("file-{number}"));
            fs::write(&path, &content)?;
            let member = self
                .members
                .values()
                .choose(&mut self.random)
                .ok_or("no nodes")?;
            let request = ShareRequest::new(path.clone());
            let shared = member.node.share(request, |_| {}).await?;
            let holders = BTreeSet::from([member.id]);
            self.files.push(SharedFile {
                hash: shared.hash,
                path,
                holders,
            });
        }
        self.announced().await
    }

    /// Waits until everything that is shared has been announced.
    async fn announced(&self) -> Result<(), Failure> {
        for member in self.members.values() {
            let announced = tokio::time::timeout(PATIENCE, member.node.announced()).await;
            announced.map_err(|_| "a node could not announce its files")?;
        }
        Ok(())
    }

    /// Some nodes leave without notice, and as many join.
    async fn churn(&mut self) -> Result<(), Failure> {
        let count = (self.arguments.nodes as f64 * self.arguments.churn).round() as usize;
        let others = self.members.keys().copied().filter(|id| *id != self.first);
        for id in others.sample(&mut self.random, count) {
            if let Some(member) = self.members.remove(&id) {
                member.node.shutdown().await;
            }
        }
        self.join(count).await?;
        self.announced().await
    }

    /// Every file is downloaded once, by a node that has no part of it.
    async fn download_all(&mut self) -> Vec<Outcome> {
        let mut plans = Vec::new();
        for file in 0..self.files.len() {
            let holders = &self.files[file].holders;
            let others = self
                .members
                .keys()
                .copied()
                .filter(|id| !holders.contains(id));
            let downloader = others.choose(&mut self.random);
            self.copies += 1;
            plans.extend(downloader.map(|id| (file, id, self.copies)));
        }
        let downloads = plans
            .into_iter()
            .map(|(file, id, copy)| self.download(file, id, copy));
        stream::iter(downloads)
            .buffer_unordered(CONCURRENT)
            .collect()
            .await
    }

    /// Waits until idle connections to providers of the file have closed; whether they have.
    async fn is_disconnected(&self, id: PeerId, file: usize) -> bool {
        let patience = Instant::now() + DISCONNECT_PATIENCE;
        while self.is_connected_to_holder(id, file).await {
            if Instant::now() > patience {
                return false;
            }
            tokio::time::sleep(IDLE_TIMEOUT / 10).await;
        }
        true
    }

    async fn is_connected_to_holder(&self, id: PeerId, file: usize) -> bool {
        let peers = self.members[&id].node.peers().await.unwrap_or_default();
        peers
            .iter()
            .any(|peer| self.files[file].holders.contains(&peer.peer_id))
    }

    async fn download(&self, file: usize, downloader: PeerId, copy: usize) -> Outcome {
        let shared = &self.files[file];
        let was_alive = shared
            .holders
            .iter()
            .any(|id| self.members.contains_key(id));
        let was_connected = !self.is_disconnected(downloader, file).await;
        let node = &self.members[&downloader].node;
        let (before, started) = (node.lookup_requests(), Instant::now());
        let result = self.fetch(node, shared, copy, was_alive).await;
        Outcome {
            file,
            downloader,
            was_alive,
            was_connected,
            result: result.map_err(|error| error.to_string()),
            requests: node.lookup_requests() - before,
            elapsed: started.elapsed(),
        }
    }

    async fn fetch(
        &self,
        node: &Node,
        shared: &SharedFile,
        copy: usize,
        is_alive: bool,
    ) -> Result<(), Failure> {
        let timeout = if is_alive {
            ALIVE_TIMEOUT
        } else {
            GONE_TIMEOUT
        };
        let request = DownloadRequest {
            seed: true,
            ..DownloadRequest::new(
                Target::Hash(shared.hash),
                Output::At(self.folder.path().join(format!("copy-{copy}"))),
                timeout,
            )
        };
        let finished = node.download(request).await?.finished().await?;
        if fs::read(&finished.path)? != fs::read(&shared.path)? {
            return Err("the bytes differ".into());
        }
        Ok(())
    }

    fn take_holders(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes.iter().filter(|outcome| outcome.result.is_ok()) {
            self.files[outcome.file].holders.insert(outcome.downloader);
        }
    }

    async fn end(self) {
        futures::future::join_all(self.members.values().map(|m| m.node.shutdown())).await;
    }
}

async fn start_node(
    arguments: &Arguments,
    number: usize,
    bootstrap: Option<PeerAddress>,
) -> Result<Member, Failure> {
    let settings = Settings {
        name: format!("node {number}"),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
        bootstrap: bootstrap.into_iter().collect(),
        mdns: false,
        replication: arguments.replication,
        idle_timeout: IDLE_TIMEOUT,
        ..Settings::default()
    };
    let keypair = Keypair::generate_ed25519();
    let id = keypair.public().to_peer_id();
    Ok(Member {
        node: Node::start(settings, Store::in_memory(), &keypair, None).await?,
        id,
    })
}

/// Prints one row; whether every download whose source was alive is correct.
fn report(round: usize, outcomes: &[Outcome]) -> bool {
    let alive: Vec<_> = outcomes
        .iter()
        .filter(|outcome| outcome.was_alive)
        .collect();
    let failed: Vec<_> = alive
        .iter()
        .filter(|outcome| outcome.result.is_err())
        .collect();
    let mut requests: Vec<_> = alive.iter().map(|outcome| outcome.requests).collect();
    let mut seconds: Vec<_> = alive.iter().map(|o| o.elapsed.as_secs_f64()).collect();
    requests.sort_unstable();
    seconds.sort_by(f64::total_cmp);
    println!(
        "| {round} | {} | {} | {} | {} | {} | {} | {:.2} | {:.2} |",
        outcomes.len(),
        outcomes.len() - alive.len(),
        alive.len() - failed.len(),
        failed.len(),
        alive.iter().filter(|outcome| outcome.was_connected).count(),
        requests.get(requests.len() / 2).unwrap_or(&0),
        seconds.get(seconds.len() / 2).unwrap_or(&0.0),
        seconds.last().unwrap_or(&0.0),
    );
    for outcome in &failed {
        if let Err(error) = &outcome.result {
            eprintln!("file {}: {error}", outcome.file);
        }
    }
    failed.is_empty()
}
