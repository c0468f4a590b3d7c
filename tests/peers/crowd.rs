//! Many peers connect to one node, and one more can still connect.
//!
//! ```text
//!   a crowd from one address ──> node <── an honest peer from another
//! ```

use std::{fs, net::IpAddr, os::unix::fs::MetadataExt, process::Command};

use futures::{StreamExt, future::join_all, stream};
use libp2p::Multiaddr;
use pelago::Settings;
use pelago_behaviour::chunk::{Answer, Item};
use tokio::net::TcpStream;

use crate::{
    content::Content,
    nodes::{Home, in_time, settings},
    raw::Client,
};

/// The smallest budget that the settings allow, in bytes, and the number of its connections: 16, of
/// which 14 are for peers, and 8 may be handshakes.
const SMALL: u64 = 16 << 20;
const CONNECTIONS: u64 = 16;

/// How many honest peers stay connected to a node with the default settings.
const CROWD: usize = 200;

/// How many peers of a test connect at a time.
const AT_A_TIME: usize = 16;

/// All addresses, two hosts of one site (a /24 of IPv4, a /48 of IPv6), and a host of another site.
const HOSTS: [[&str; 4]; 2] = [
    ["0.0.0.0", "11.0.1.1", "11.0.1.2", "11.0.2.1"],
    ["::", "2a00:1:0:1::1", "2a00:1:0:2::1", "2a00:2::1"],
];

/// The variable that marks the part of a test that runs in a namespace.
const INSIDE: &str = "PELAGO_TEST_IS_INSIDE";

async fn small(listen: &[&str]) -> Home {
    let listen = listen.iter().map(|address| address.parse().unwrap());
    Home::with(Settings {
        memory_budget: SMALL,
        listen: listen.collect(),
        ..settings("small")
    })
    .await
}

/// Asserts that the peer is still connected: it downloads content from the node.
async fn is_served(client: &Client, content: &Content) {
    let item = Item {
        hash: content.hash(),
        level: 0,
        index: 0,
        data: true,
    };
    let (answer, data) = client.ask(item).await;
    assert!(matches!(answer, Answer::Data { .. }), "{answer:?}");
    assert_eq!(data, content.bytes);
}

/// Connects `count` idle peers, and returns those that the node has accepted.
async fn crowd(node: &Multiaddr, count: usize) -> Vec<Client> {
    let dials = stream::iter(0..count).map(|_| Client::dial(node));
    let connected: Vec<_> = in_time(dials.buffer_unordered(AT_A_TIME).collect()).await;
    connected.into_iter().flatten().collect()
}

async fn address_of(home: &Home, kind: &str) -> Multiaddr {
    let addresses = home.node.addresses().await.unwrap();
    let mut addresses = addresses.into_iter();
    let is_kind = |address: &Multiaddr| address.to_string().contains(kind);
    addresses.find(is_kind).unwrap()
}

#[tokio::test]
async fn silent_sockets_keep_no_peer_out() {
    let content = Content::new(1000, 1);
    let home = small(&["/ip4/127.0.0.1/tcp/0"]).await;
    home.share("file", &content).await;
    let port = home.address().await.address().to_string();
    let port = port.rsplit('/').next().unwrap().to_owned();
    let sockets = (0..100).map(|_| TcpStream::connect(format!("127.0.0.1:{port}")));
    let sockets: Vec<_> = join_all(sockets).await;
    assert!(sockets.iter().all(Result::is_ok));
    is_served(&Client::connect(&home).await, &content).await;
    assert!(home.counted("pelago_connections_evicted_total").await > 0);
}

#[tokio::test]
async fn a_crowd_of_idle_peers_keeps_no_peer_out() {
    let content = Content::new(1000, 1);
    let home = small(&["/ip4/127.0.0.1/tcp/0"]).await;
    home.share("file", &content).await;
    let node = address_of(&home, "/tcp/").await;
    let _crowd = crowd(&node, 40).await;
    is_served(&Client::connect(&home).await, &content).await;
    assert!(home.counted("pelago_connections_tcp").await <= CONNECTIONS);
}

#[tokio::test]
async fn a_crowd_of_honest_peers_stays_connected() {
    let home = Home::start("home").await;
    let node = address_of(&home, "/tcp/").await;
    let crowd = crowd(&node, CROWD).await;
    assert_eq!(crowd.len(), CROWD);
    in_time(async {
        while home.counted("pelago_connections_tcp").await < CROWD as u64 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(home.counted("pelago_connections_evicted_total").await, 0);
    assert_eq!(home.counted("pelago_connections_refused_total").await, 0);
    assert_eq!(home.node.peers().await.unwrap().len(), CROWD);
}

#[tokio::test]
async fn as_many_connect_over_quic_as_there_is_memory_for() {
    let home = small(&["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"]).await;
    let node = address_of(&home, "quic").await;
    let most = home.counted("pelago_connections_max_quic").await;
    assert_eq!(most, 2);
    let mut crowd = Vec::new();
    while home.counted("pelago_connections_quic").await < most {
        crowd.extend(Client::dial(&node).await);
    }
    for _ in 0..4 {
        assert!(in_time(Client::dial(&node)).await.is_err());
    }
    assert_eq!(home.counted("pelago_connections_quic").await, most);
    assert!(home.counted("pelago_connections_refused_total").await >= 4);
    // The node still accepts peers over TCP.
    let tcp = address_of(&home, "/tcp/").await;
    assert!(in_time(Client::dial(&tcp)).await.is_ok());
}

/// Runs a part of the test in a network namespace with global addresses, which requires root.
/// A peer that connects to one of these addresses comes from there.
#[test]
fn one_address_keeps_no_other_out() {
    if !fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0) {
        eprintln!("skipped: a network namespace takes root");
        return;
    }
    let name = format!("pelago-crowd-{}", std::process::id());
    let ip = |line: String| {
        let done = Command::new("ip").args(line.split(' ')).output();
        done.is_ok_and(|done| done.status.success())
    };
    if !ip(format!("netns add {name}")) {
        eprintln!("skipped: no network namespace can be made");
        return;
    }
    let mut is_laid = ip(format!("-n {name} link set lo up"));
    for [_, addresses @ ..] in HOSTS {
        // Each in a network of its own: in one network, all but the first would be reached from the first.
        is_laid &= addresses
            .into_iter()
            .all(|address| ip(format!("-n {name} address add {address} dev lo")));
    }
    let test = "crowd::inside_a_namespace";
    let inside = Command::new("ip")
        .args(["netns", "exec", &name])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(INSIDE, "1")
        .output();
    ip(format!("netns delete {name}"));
    let inside = inside.unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&inside.stdout),
        String::from_utf8_lossy(&inside.stderr),
    );
    assert!(is_laid && inside.status.success(), "{out}\n{err}");
    assert!(out.contains("1 passed"), "{out}");
}

/// ```text
///   two hosts of a site: silent sockets and 50 peers ──> node <── a host of another site: an honest peer
/// ```
#[tokio::test]
#[ignore = "one_address_keeps_no_other_out runs it where these addresses are"]
async fn inside_a_namespace() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let content = Content::new(1000, 1);
    for hosts in HOSTS {
        let [any, one, neighbour, other] = hosts.map(|ip| ip.parse::<IpAddr>().unwrap());
        let any = Multiaddr::from(any);
        let listen = ["tcp/0", "udp/0/quic-v1"].map(|port| format!("{any}/{port}"));
        let home = small(&listen.each_ref().map(String::as_str)).await;
        home.share("file", &content).await;
        let (tcp, quic) = (
            address_of(&home, "/tcp/").await,
            address_of(&home, "quic").await,
        );
        // Peers of one host may use the places that no other peer needs.
        let mut attackers = Vec::new();
        for _ in 0..10 {
            attackers.extend(crowd(&from(one, &tcp), 1).await);
        }
        assert_eq!(attackers.len(), 10);
        for sample in ["evicted", "refused"] {
            let sample = format!("pelago_connections_{sample}_total");
            assert_eq!(home.counted(&sample).await, 0, "{sample}");
        }

        let port = port(&tcp);
        let mut sockets = Vec::new();
        for _ in 0..50 {
            sockets.push(TcpStream::connect((one, port)).await.unwrap());
        }
        for ip in [one, neighbour] {
            attackers.extend(crowd(&from(ip, &tcp), 15).await);
        }
        attackers.extend(crowd(&from(one, &quic), 6).await);

        for node in [&tcp, &quic] {
            let honest = in_time(Client::dial(&from(other, node))).await;
            let honest = honest.expect("the honest peer is let in");
            // More peers of the crowd connect. They take the places of the crowd only.
            attackers.extend(crowd(&from(one, &tcp), 20).await);
            is_served(&honest, &content).await;
        }
    }
}

/// Where a peer at `ip` reaches `node`.
fn from(ip: IpAddr, node: &Multiaddr) -> Multiaddr {
    node.replace(0, |_| Some(ip.into())).unwrap()
}

fn port(address: &Multiaddr) -> u16 {
    let text = address.to_string();
    let port = text.split('/').nth(4).unwrap();
    port.parse().unwrap()
}
