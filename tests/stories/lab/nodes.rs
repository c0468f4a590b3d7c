//! Real nodes in the lab.

use serde_json::Value;

use super::{Lab, lan::Host, nat::Nat};
use crate::world::{Home, Node, World, assert_content, eventually, noise};

/// The port of nodes that others know.
const PORT: &str = "8080";

/// A file that relays carry in few seconds.
const SMALL: usize = 200_000;

/// Starts a node on a host. It knows the nodes of other hosts.
fn start(world: &World, name: &str, host: &Host, known: &[Host]) -> (Home, Node) {
    let home = world.home(name).within(&host.namespace);
    let known = known.iter().map(|host| host.at(8080).to_string());
    let arguments = known.flat_map(|at| ["-b".to_owned(), at]);
    let arguments: Vec<_> = ["-p".to_owned(), PORT.to_owned()]
        .into_iter()
        .chain(arguments)
        .collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let node = home.start(&arguments);
    (home, node)
}

/// How others reach a node, once that is as `is_so` says.
fn reach(home: &Home, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually("a node to know how it is reached", || {
        let reach = home.json(&["status"])["reach"].clone();
        is_so(&reach).then_some(reach)
    })
}

/// How `peer` is connected, once it is in some way for which `is_so` holds.
fn way(home: &Home, peer: &str, is_so: impl Fn(&str) -> bool) -> String {
    eventually("a connection", || {
        let peers = home.json(&["peers"]);
        let mut peers = peers.as_array().unwrap().iter();
        let peer = peers.find(|found| found["peer_id"] == peer)?;
        let way = peer["way"].as_str().unwrap();
        is_so(way).then(|| way.to_owned())
    })
}

/// The way by which `b`, behind the router `nats[1]`, downloads from `a`, behind `nats[0]`. Both know
/// a public third node alone, and `b` has a link of `a`.
fn way_of_a_download(nats: [Nat; 2]) -> String {
    let lab = Lab::new().unwrap();
    let world = World::new();
    let public = [lab.public()];
    let (third, _third) = start(&world, "third", &public[0], &[]);
    let [at_a, at_b] = nats.map(|nat| lab.host(nat));
    let ((a, node_a), (b, _node_b)) = (
        start(&world, "a", &at_a, &public),
        start(&world, "b", &at_b, &public),
    );
    let reached = reach(&a, |reach| reach["state"] == "relayed");
    assert_eq!(reached["relays"].as_array().unwrap().len(), 1);
    reach(&b, |reach| reach["state"] == "relayed");
    assert_eq!(
        reach(&third, |reach| reach["relay"] == true)["state"],
        "public"
    );

    let content = noise(1, SMALL);
    let hash = a.share(&world.file("film.mkv", &content));
    let link = a.run(&["link", &hash]).done().stdout;
    assert!(link.contains("p2p-circuit"), "{link}");
    b.run(&["download", link.trim(), "-o", "film.mkv"]).done();
    assert_content(&b.path("film.mkv"), &content);
    way(&b, &node_a.peer_id(), |_| true)
}

/// ```text
///   a ── router ── ix ── router ── b      they dial each other at the same time
///                  │
///                third
/// ```
#[test]
fn nodes_connect_directly_if_their_routers_give_all_flows_of_a_socket_one_port() {
    if Lab::new().is_none() {
        return;
    }
    for other in [Nat::PortRestricted, Nat::PortMoved] {
        eprintln!("{other:?}");
        let way = way_of_a_download([Nat::PortRestricted, other]);
        // The first packet of one end may arrive when that of the other has opened the way.
        assert!(["punched", "direct"].contains(&way.as_str()), "{way}");
    }
}

/// ```text
///   a ── router ── ix ── router that moves each flow ── b      the third node relays
///                  │
///                third
/// ```
#[test]
fn a_node_behind_a_router_that_moves_each_flow_is_reached_through_a_relay() {
    if Lab::new().is_none() {
        return;
    }
    let nats = [Nat::PortRestricted, Nat::Symmetric];
    assert_eq!(way_of_a_download(nats), "relayed");
}

/// ```text
///   a ── ix ── router ── b      b downloads from a, whose address it has from a link
/// ```
#[test]
fn a_node_behind_a_router_downloads_from_a_public_one() {
    let Some(lab) = Lab::new() else { return };
    let (public, hidden) = (lab.public(), lab.host(Nat::PortRestricted));
    let world = World::new();
    let a = world.home("a").within(&public.namespace);
    let b = world.home("b").within(&hidden.namespace);
    let content = noise(1, 300_000);
    let _a = a.start(&["-p", "8080"]);
    let hash = a.share(&world.file("film.mkv", &content));
    let link = a.run(&["link", &hash]).done().stdout;
    assert!(link.contains(&public.at(0).ip().to_string()), "{link}");
    b.run(&["download", link.trim(), "-o", "film.mkv"]).done();
    assert_content(&b.path("film.mkv"), &content);
}

/// ```text
///   a ── router ── ix ── router that moves each flow ── b      one of the relays is killed
///                  │
///             two relays
/// ```
#[test]
fn a_download_through_a_relay_continues_through_another_one() {
    let Some(lab) = Lab::new() else { return };
    let world = World::new();
    let public = [lab.public(), lab.public()];
    let mut relays = [0, 1].map(|n: usize| {
        let (home, node) = start(&world, &format!("relay {n}"), &public[n], &[]);
        (home, Some(node))
    });
    let [at_a, at_b] = [Nat::PortRestricted, Nat::Symmetric].map(|nat| lab.host(nat));
    let (a, node_a) = start(&world, "a", &at_a, &public);
    let (b, _node_b) = start(&world, "b", &at_b, &public);
    reach(&a, |reach| reach["relays"].as_array().unwrap().len() == 2);

    let content = noise(1, 3 * SMALL);
    let hash = a.share(&world.file("film.mkv", &content));
    let link = a.run(&["link", &hash]).done().stdout;
    let download = b.spawn(&["download", link.trim(), "-o", "film.mkv"]);
    download.has_some();
    let used = eventually("a relay to carry it", || {
        let reach = |relay: &Home| relay.json(&["status"])["reach"]["circuits"].clone();
        relays.iter().position(|(relay, _)| reach(relay) != 0)
    });
    relays[used].1.take().unwrap().kill();
    download.end().done();
    assert_content(&b.path("film.mkv"), &content);
    assert_eq!(way(&b, &node_a.peer_id(), |_| true), "relayed");
}
