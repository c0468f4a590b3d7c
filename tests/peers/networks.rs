//! Peers with global addresses of different hosts and sites, over IPv4 and IPv6.
//!
//! The test runs itself again in a network namespace whose loopback device has these addresses: a
//! peer connects from the address to which it connects. This requires root; without root the test
//! is skipped. It prints its figures.
//!
//! ```text
//!   48 slow peers at 11.0.x.1 ===> server <--- honest at 12.0.0.1
//!    or at 2a00:1:0:x::1, 2a00:x:1::1          or at 2b00::1
//! ```

use std::{
    env,
    net::IpAddr,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures::{AsyncReadExt, future::join_all};
use libp2p::Multiaddr;
use pelago::PeerAddress;
use pelago_behaviour::{
    Protocol,
    catalogue::{self, Request},
    chunk,
};

use crate::{
    content::Content,
    nodes::{Home, in_time, settings},
    raw::Client,
    serving::{MEBIBYTE, item},
    slow::{SLOW, ask_for_much},
};

/// The variable that marks the test in its namespace: how many MiB it downloads.
const INSIDE: &str = "PELAGO_TEST_MIB";

/// How many MiB are downloaded by default.
const MIB: u64 = 32;

/// Bytes that may be held unsent for all peers, for those of one site and for those of one host.
const HELD: u64 = 64 * MEBIBYTE;
const HELD_BY_SITE: u64 = HELD / 4 * 3;
const HELD_BY_HOST: u64 = HELD / 2;

/// The addresses of honest peers, in networks without slow peers.
const HONEST: &str = "12.0.0.1";
const HONEST_V6: &str = "2b00::1";

/// A host in the `n`th /24, in the `n`th /64 of one /48, and in the `n`th /48.
fn site(n: usize) -> String {
    format!("11.0.{n}.1")
}

fn neighbour_v6(n: usize) -> String {
    format!("2a00:1:0:{n:x}::1")
}

fn site_v6(n: usize) -> String {
    format!("2a00:{n:x}:1::1")
}

/// Where slow peers are: in words, the address of the `n`th one, that of an honest peer, and how many
/// bytes may be held for all of them.
type Case = (&'static str, fn(usize) -> String, &'static str, u64);

fn run(line: &str) -> bool {
    let mut words = line.split(' ');
    let status = Command::new(words.next().unwrap()).args(words).status();
    status.is_ok_and(|status| status.success())
}

/// A network namespace. Dropping this removes it.
struct Namespace(String);

impl Namespace {
    fn new() -> Option<Self> {
        let name = format!("pelago-peers-{}", std::process::id());
        if !run(&format!("ip netns add {name}")) {
            return None;
        }
        let namespace = Self(name);
        let name = &namespace.0;
        let slow = (0..SLOW).flat_map(|n| [site(n), neighbour_v6(n), site_v6(n)]);
        let mut addresses = slow.chain([HONEST, HONEST_V6].map(str::to_owned));
        let is_made = run(&format!("ip -n {name} link set lo up"))
            && addresses.all(|address| run(&format!("ip -n {name} address add {address} dev lo")));
        is_made.then_some(namespace)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        run(&format!("ip netns delete {}", self.0));
    }
}

#[test]
fn slow_and_greedy_peers_in_other_networks_leave_an_honest_one_its_part() {
    let is_root = Path::new("/root").read_dir().is_ok();
    let namespace = is_root.then(Namespace::new).flatten();
    let Some(namespace) = namespace else {
        eprintln!("skipped: a network namespace with IPv6 takes root");
        return;
    };
    let mib = env::var(INSIDE).unwrap_or_else(|_| MIB.to_string());
    let name = "networks::inside_the_namespace";
    let status = Command::new("ip")
        .args(["netns", "exec", &namespace.0])
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(INSIDE, mib)
        .status();
    assert!(status.unwrap().success());
}

/// A node that listens at all addresses, and a function that returns its multiaddr for an IP
/// address.
async fn server(content: &Content) -> (Home, impl Fn(&str) -> Multiaddr) {
    let anywhere = ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"];
    let server = Home::with(pelago::Settings {
        listen: anywhere.map(|address| address.parse().unwrap()).to_vec(),
        stall: Duration::from_secs(600),
        ..settings("server")
    })
    .await;
    server.share("original", content).await;
    let addresses = server.node.addresses().await.unwrap();
    let id = server.node.peer_id();
    let at = move |ip: &str| {
        let ip = Multiaddr::from(ip.parse::<IpAddr>().unwrap());
        let is_its_kind = |address: &&Multiaddr| {
            let kinds = [*address, &ip].map(|address| address.protocol_stack().next());
            kinds[0] == kinds[1]
        };
        let port = addresses.iter().find(is_its_kind).unwrap().iter().nth(1);
        ip.with(port.unwrap().acquire())
            .with(multiaddr::Protocol::P2p(id))
    };
    (server, at)
}

/// How long an honest peer takes to download all of the content.
async fn fetch(content: &Content, at: Multiaddr) -> Duration {
    let honest = Home::start("honest").await;
    let began = Instant::now();
    honest.fetch(content, &[PeerAddress::from(at)]).await;
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "another test runs it in a network namespace"]
async fn inside_the_namespace() {
    let mib: u64 = env::var(INSIDE).unwrap().parse().unwrap();
    let content = Content::new(mib * MEBIBYTE, 1);
    let (server, at) = server(&content).await;
    let quiet = fetch(&content, at(HONEST)).await;
    eprintln!("{mib} MiB, quiet: {quiet:?}");
    let one = |_| site(1);
    let cases: [Case; 4] = [
        ("one address", one, HONEST, HELD_BY_HOST),
        ("48 /24", site, HONEST, HELD),
        ("48 /64 of one /48", neighbour_v6, HONEST_V6, HELD_BY_SITE),
        ("48 /48", site_v6, HONEST_V6, HELD),
    ];
    for (what, address, honest, most) in cases {
        let mut held = Vec::new();
        for n in 0..SLOW {
            let slow = Client::connect_at(at(&address(n))).await;
            let stream = ask_for_much(&slow, content.hash()).await;
            held.push(tokio::spawn(async move {
                let (_connected, mut stream) = (slow, stream);
                let mut taken = [0; 1200];
                while stream.read_exact(&mut taken).await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(8)).await;
                }
            }));
        }
        let took = fetch(&content, at(honest)).await;
        let held_bytes = server.counted("pelago_serve_unsent_bytes").await;
        let rate = quiet.as_secs_f64() / took.as_secs_f64();
        eprintln!(
            "48 slow ids, {what}: {took:?}, {rate:.2} of the quiet rate, {held_bytes} B held"
        );
        assert!(held_bytes <= most, "{what}: {held_bytes} B held");
        held.iter().for_each(tokio::task::JoinHandle::abort);
        join_all(held).await;
    }
    flood(&server, &content, &at).await;
}

/// Peers request proofs and search the catalogue as fast as they can. Meanwhile the node still
/// reports its status.
async fn flood(server: &Home, content: &Content, at: &impl Fn(&str) -> Multiaddr) {
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    let hash = content.hash();
    let blocks = content.bytes.len() as u64 >> 14;
    let mut asking = Vec::new();
    for n in 0..SLOW {
        let greedy = Client::connect_at(at(&site(n))).await;
        let mut chunks = greedy.open(Protocol::Chunk).await;
        let mut pages = greedy.open(Protocol::Catalogue).await;
        asking.push(tokio::spawn(async move {
            let mut asked: u64 = 0;
            while !IS_OVER.load(Ordering::Relaxed) {
                let index = asked * 17 % blocks;
                let wanted = chunk::Item {
                    data: false,
                    ..item(hash, 0, index)
                };
                let query = Request {
                    query: format!("{n} no such name"),
                    ..Request::default()
                };
                let proof = async {
                    chunk::write_request(&mut chunks, &[wanted]).await?;
                    chunk::read_answer(&mut chunks).await.map(drop)
                };
                let page = async {
                    catalogue::write_request(&mut pages, &query).await?;
                    catalogue::read_page(&mut pages).await.map(drop)
                };
                let both = futures::future::try_join(proof, page);
                if both.await.is_err() {
                    break;
                }
                asked += 1;
            }
            drop(greedy);
            asked
        }));
    }
    let mut slowest = Duration::ZERO;
    let flooded = Instant::now();
    for _ in 0..200 {
        let began = Instant::now();
        in_time(server.node.status()).await.unwrap();
        slowest = slowest.max(began.elapsed());
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let took = fetch(content, at(HONEST)).await;
    eprintln!("a download meanwhile: {took:?}");
    IS_OVER.store(true, Ordering::Relaxed);
    asking.iter().for_each(tokio::task::JoinHandle::abort);
    let waiting = server.counted("pelago_serve_questions_waiting").await;
    eprintln!(
        "status while 48 peers flood for {:?}: {slowest:?} at most, {waiting} wait",
        flooded.elapsed()
    );
}
