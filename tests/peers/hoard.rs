//! Memory of a node whose peers send and request much, and read nothing.
//!
//! ```text
//!   peers that fill every window, and read no answer ──> the node, a program of its own
//! ```

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use futures::{StreamExt, stream};
use libp2p::Multiaddr;
use pelago_behaviour::{
    Protocol,
    chunk::{self, Item},
    streams::MAX_INBOUND_STREAMS,
};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{Duration, Instant, interval, timeout},
};

use crate::{content::Content, nodes::in_time, raw::Client};

const MIB: u64 = 1 << 20;

/// The budget of the node for connections, in MiB.
const BUDGET: u64 = 64;

/// Memory that the node may take beyond its budget, in MiB.
const ALLOWANCE: u64 = 100;

/// How many peers hoard: at most as many as the node accepts.
const PEERS: usize = 40;

/// How many peers are idle.
const IDLE: usize = 200;

/// How long the peers hoard.
const WHILE: Duration = Duration::from_secs(8);

/// How soon the node returns memory to the system.
const RELEASE_TIME: Duration = Duration::from_secs(60);

/// Bytes that the node may keep afterwards, beyond 1.2 times its memory before: too few to be worth
/// returning.
const SLACK: u64 = 16 * MIB;

/// The time between two readings of the node's memory.
const READ_INTERVAL: Duration = Duration::from_millis(50);

/// The program `pelago`, which listens on loopback.
struct Program {
    child: Child,
    listen: Vec<Multiaddr>,
    _folder: TempDir,
}

impl Program {
    /// Starts it with a budget in MiB. Returns `None` if it was not built.
    fn start(budget: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(option_env!("CARGO_BIN_EXE_pelago")?)
            .args(["start", "--listen", "/ip4/127.0.0.1/tcp/0"])
            .args(["--listen", "/ip4/127.0.0.1/udp/0/quic-v1"])
            .current_dir(folder.path())
            .env_clear()
            .env("HOME", folder.path())
            .env("PELAGO_DATA_DIR", folder.path().join("data"))
            .env("PELAGO_NETWORK_MDNS", "false")
            .env("PELAGO_STORAGE_SHARE_FOLDERS", "")
            .env("PELAGO_NETWORK_MEMORY_BUDGET_MIB", budget.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut listen = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(address) = line.strip_prefix("listening on ") {
                listen.push(address.parse().unwrap());
            }
            if line == "ready" {
                break;
            }
        }
        Some(Self {
            child,
            listen,
            _folder: folder,
        })
    }

    fn address(&self, kind: &str) -> Multiaddr {
        let mut listen = self.listen.iter();
        let found = listen.find(|address| address.to_string().contains(kind));
        found.unwrap().clone()
    }

    /// Its resident memory in bytes.
    fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.unwrap().trim().strip_suffix(" kB").unwrap();
        kibibytes.parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens all streams that the node allows, fills them with requests, and reads nothing.
async fn hoard(client: Client) {
    let item = Item {
        hash: Content::new(1, 1).hash(),
        level: 0,
        index: 0,
        data: true,
    };
    let items = [item; 16];
    let mut streams = Vec::new();
    for _ in 0..MAX_INBOUND_STREAMS {
        streams.extend(client.try_open(Protocol::Chunk).await);
    }
    let fill = streams.into_iter().map(|mut stream| async move {
        while chunk::write_request(&mut stream, &items).await.is_ok() {}
        stream
    });
    futures::future::join_all(fill).await;
    std::future::pending::<()>().await;
}

/// Lets peers hoard for a while, and returns the node's highest memory.
async fn peak(node: &Program, address: &Multiaddr) -> u64 {
    let dials = stream::iter(0..PEERS).map(|_| Client::dial(address));
    let clients: Vec<_> = in_time(dials.buffer_unordered(8).collect()).await;
    let hoarding: Vec<JoinHandle<()>> = clients
        .into_iter()
        .flatten()
        .map(|client| tokio::spawn(hoard(client)))
        .collect();
    let mut peak = node.resident();
    let mut looks = interval(READ_INTERVAL);
    let end = Instant::now() + WHILE;
    while Instant::now() < end {
        looks.tick().await;
        peak = peak.max(node.resident());
    }
    hoarding.iter().for_each(JoinHandle::abort);
    peak
}

async fn stays_in_its_budget(kind: &str) {
    let Some(node) = Program::start(BUDGET) else {
        eprintln!("skipped: the program is not built");
        return;
    };
    let before = node.resident();
    let peak = peak(&node, &node.address(kind)).await;
    let mib = |bytes: u64| bytes / MIB;
    eprintln!("{} MiB before, {} MiB at most", mib(before), mib(peak));
    assert!(peak <= (BUDGET + ALLOWANCE) * MIB, "{} MiB", mib(peak));
    // The node returns their memory once they have disconnected.
    let wanted = before + before / 5 + SLACK;
    let mut looks = interval(READ_INTERVAL);
    let gone = async {
        while node.resident() > wanted {
            looks.tick().await;
        }
    };
    let gone = timeout(RELEASE_TIME, gone).await;
    let after = mib(node.resident());
    eprintln!("{after} MiB after");
    assert!(gone.is_ok(), "{after} MiB, a minute after");
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_windows_over_tcp_stay_in_the_budget() {
    stays_in_its_budget("/tcp/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_windows_over_quic_stay_in_the_budget() {
    stays_in_its_budget("quic").await;
}

/// ```text
///   200 idle peers ──> the node      the default budget counts 80 KiB for the handlers of each
/// ```
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_cost_what_the_budget_counts_for_them() {
    let Some(node) = Program::start(256) else {
        eprintln!("skipped: the program is not built");
        return;
    };
    let (before, address) = (node.resident(), node.address("/tcp/"));
    let dials = stream::iter(0..IDLE).map(|_| Client::dial(&address));
    let clients: Vec<_> = in_time(dials.buffer_unordered(8).collect()).await;
    assert!(clients.iter().all(Result::is_ok));
    // On each connection, both sides have opened a stream.
    for client in clients.iter().flatten() {
        client.open(Protocol::Chunk).await;
    }
    let each = (node.resident() - before) / IDLE as u64;
    eprintln!("{} KiB each", each / 1024);
    assert!(each <= 80 << 10, "{} KiB each", each / 1024);
}
