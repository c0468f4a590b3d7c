//! How often a node dials addresses that a peer with a global address names, counted at the
//! targets.

use std::{
    collections::HashMap,
    env,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use futures::StreamExt;
use libp2p::{Multiaddr, PeerId, swarm::SwarmEvent};
use pelago::{Descriptor, Kind};
use pelago_behaviour::{
    Protocol,
    availability::{self, Availability, MAX_PEERS, Proof, Update},
    streams::Inbound,
};

use super::{
    misnamer::{MisnamerEvent, misnamer},
    namespaces::Cable,
    world::{Home, Run, World, eventually},
};

/// Variables for a process of this test: the part that it plays, and what it needs for that.
const PART: &str = "PELAGO_STORY_PART";
const NEEDS: &str = "PELAGO_STORY_NEEDS";

/// How many dials one peer can cause at a time, and within the minutes of a story.
const AT_A_TIME: usize = 8;
const IN_ALL: usize = 32;

/// The default port of nodes, and ports of other services.
const PORT: u16 = 4001;
const PORTS: [u16; 4] = [22, 80, 443, PORT];

/// The address of the stranger, in another network on the same cable.
const STRANGER: &str = "11.0.0.2";

/// Plays one part of a story, as a process in another network namespace. Does nothing by itself.
#[test]
#[ignore = "a part of other stories, which start it"]
fn another_part() {
    let needs = env::var(NEEDS).unwrap_or_default();
    match env::var(PART).as_deref() {
        Ok("liar") => {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(name_false_addresses(&needs));
        }
        Ok("target") => listen(&needs),
        _ => {}
    }
}

/// Starts a part in the network namespace of `home`.
fn begin(home: &Home, part: &str, needs: &str) -> Run {
    let program = env::current_exe().unwrap();
    let arguments = ["--exact", "dials::another_part", "--ignored", "--nocapture"];
    let home = home.clone().with(PART, part).with(NEEDS, needs);
    Run::new(home.program(program.to_str().unwrap(), &arguments))
}

/// Listens on all ports, and prints the begin and end of each connection.
fn listen(ports: &str) {
    let ports = ports.split(' ').map(|port| port.parse::<u16>().unwrap());
    let listeners: Vec<_> = ports
        .map(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap())
        .collect();
    print("listening");
    let each = listeners.into_iter().map(|listener| {
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let at = stream.local_addr().unwrap();
                print(&format!("begin {at}"));
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(200)); // its silence is the point
                    drop(stream);
                    print(&format!("end {at}"));
                });
            }
        })
    });
    let each: Vec<_> = each.collect();
    each.into_iter().for_each(|thread| thread.join().unwrap());
}

fn print(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// The address that is named for peer `n`: each kind in turn.
fn named(n: usize) -> Multiaddr {
    let (high, low) = (n / 250 % 250, n % 250 + 1);
    let address = match n % 8 {
        0 => format!("/ip4/127.0.0.1/tcp/{PORT}"),
        1 => format!("/ip4/127.0.{high}.{low}/tcp/{PORT}"),
        2 => format!("/ip4/10.99.{high}.{low}/tcp/{PORT}"),
        3 => format!("/ip4/12.0.{high}.{low}/tcp/{}", PORTS[n / 8 % 3]),
        4 => format!("/ip4/11.0.0.1/tcp/{}", PORTS[n / 8 % 3]),
        5 => format!("/ip4/12.1.{high}.{low}/udp/{}/quic-v1", PORTS[n / 8 % 4]),
        6 => format!("/dns/localhost/tcp/{PORT}"),
        _ => format!("/ip4/12.2.{high}.{low}/tcp/{PORT}"),
    };
    address.parse().unwrap()
}

fn named_with_id(n: usize) -> Multiaddr {
    named(n).with(multiaddr::Protocol::P2p(PeerId::random()))
}

fn descriptor() -> Descriptor {
    Descriptor::new(Kind::File, 100 << 14, [7; 32]).unwrap()
}

/// A node that names false addresses wherever it can: as its own, in answers of Kademlia, and as
/// those of other subscribers of content.
async fn name_false_addresses(network: &str) {
    let mut swarm = misnamer(network, 1024, |n| (4 * n..4 * n + 4).map(named).collect());
    for n in 0..64 {
        swarm.add_external_address(named(n));
    }
    let at = format!("/ip4/{STRANGER}/tcp/9000").parse().unwrap();
    swarm.listen_on(at).unwrap();
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { .. } => print(&format!("hash {}", descriptor().hash())),
            SwarmEvent::Behaviour(MisnamerEvent::Streams(stream))
                if stream.inbound.held.protocol == Protocol::Availability =>
            {
                let (liar, peer) = (*swarm.local_peer_id(), stream.peer);
                let proof = Proof::new(&descriptor().hash(), &liar, &peer);
                tokio::spawn(name_others(stream.inbound, proof));
            }
            _ => {}
        }
    }
}

async fn name_others(mut stream: Inbound, proof: Proof) {
    let _ = availability::read_request(&mut stream).await;
    for first in (0..1024).step_by(MAX_PEERS) {
        let update = Update::Has(Availability {
            peers: (first..first + MAX_PEERS).map(named_with_id).collect(),
            proof: (first == 0).then_some(proof),
            ..Availability::none(descriptor())
        });
        if availability::write_update(&mut stream, &update)
            .await
            .is_err()
        {
            return;
        }
    }
    // Keeps the stream until the subscriber ends it.
    let _ = availability::read_request(&mut stream).await;
}

/// How many connections each address got, and how many were open at a time.
fn counted(target: &Run) -> (HashMap<SocketAddr, usize>, usize) {
    let (mut made, mut now, mut most) = (HashMap::new(), 0_usize, 0);
    for line in target.out.lines() {
        if let Some(at) = line.strip_prefix("begin ") {
            *made.entry(at.parse().unwrap()).or_default() += 1;
            now += 1;
            most = most.max(now);
        } else if line.starts_with("end ") {
            now = now.saturating_sub(1);
        }
    }
    (made, most)
}

/// ```text
///   ┌ 11.0.0.1 ┐  cable  ┌ 11.0.0.2, and all of 12.0.0.0/8 and 10.99.0.0/16 ┐
///   │    A     ├─────────┤    a liar, and a listener at every address        │
///   └──────────┘         └───────────────────────────────────────────────────┘
/// ```
#[test]
fn a_stranger_has_few_addresses_dialed_and_none_of_a_closer_network() {
    let Some(cable) = Cable::new() else { return };
    cable.left.ip("address add 11.0.0.1/24 dev lan");
    cable.right.ip("address add 11.0.0.2/24 dev lan");
    for network in ["12.0.0.0/8", "10.99.0.0/16"] {
        cable.left.ip(&format!("route add {network} dev lan"));
        cable.right.ip(&format!("route add local {network} dev lo"));
    }
    // Dials in the node's own network are not part of this story.
    cable.left.ip("address del 10.77.0.1/24 dev lan");
    let world = World::new();
    let a = world.home("a").within(&cable.left);
    let a = a.with("PELAGO_NETWORK_MDNS", "false");
    let other = world.home("b").within(&cable.right);
    let ports = PORTS.map(|port| port.to_string()).join(" ");
    let [here, there] = [&a, &other].map(|home| begin(home, "target", &ports));
    for target in [&here, &there] {
        target.out.line("listening");
    }
    let network = world
        .path("")
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_ascii_lowercase();
    let network = network.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let liar = begin(&other, "liar", &network);
    let line = liar.out.line("hash ");
    let hash = line.rsplit(' ').next().unwrap().to_owned();

    let _node = a.started(&["start", "-p", "0", "-b", &format!("{STRANGER}:9000")]);
    let download = a.spawn(&["download", &hash, "--timeout", "20", "-o", "copy"]);
    eventually("as many to be dialed as may be", || {
        let (made, _) = counted(&there);
        (made.values().sum::<usize>() >= AT_A_TIME).then_some(())
    });
    download.end().failed();

    let (made, _) = counted(&here);
    assert!(made.is_empty(), "on this machine: {made:?}");
    let (made, most) = counted(&there);
    let is_right = |at: &SocketAddr| {
        let is_global = matches!(at.ip(), std::net::IpAddr::V4(ip) if !ip.is_private());
        is_global && at.port() >= 1024
    };
    assert!(made.keys().all(is_right), "{made:?}");
    let in_all: usize = made.values().sum();
    println!("{in_all} connections, {most} at a time");
    assert!(most <= AT_A_TIME && in_all <= IN_ALL, "{most}, {in_all}");
}
