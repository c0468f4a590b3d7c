//! Many downloaders of the same content, and sources that come, go and change.

use std::fs;

use super::{
    downloads::until_some,
    valve::Valve,
    world::{Home, Node, World, assert_content, eventually, noise},
};

/// Bytes of the content.
const SIZE: usize = 8 << 20;

/// The downloaders.
const DOWNLOADERS: usize = 5;

/// One who wants it: a node whose only way to the seed is a valve.
struct Downloader {
    home: Home,
    valve: Valve,
    node: Node,
}

/// Starts a node that knows the way to the seed, and where `others` are.
fn start(home: &Home, valve: &Valve, others: &[String]) -> Node {
    let seed = valve.address();
    let known = [&[seed], others].concat();
    let known: Vec<_> = known.iter().flat_map(|address| ["-b", address]).collect();
    home.start(&known)
}

/// Starts all downloaders of `hash`, and their downloads; this many bytes of the seed's may pass to each.
fn start_all(world: &World, seed: &Node, hash: &str, bytes: u64) -> Vec<Downloader> {
    let mut all: Vec<Downloader> = Vec::new();
    for number in 0..DOWNLOADERS {
        let home = world.home(&format!("downloader {number}"));
        let valve = Valve::new(&seed.address(), bytes);
        let first: Vec<_> = all
            .iter()
            .take(1)
            .map(|first| first.node.address())
            .collect();
        let node = start(&home, &valve, &first);
        all.push(Downloader { home, valve, node });
    }
    for downloader in &all {
        let command = download(hash, &downloader.valve.address());
        downloader
            .home
            .run(&[&command[..], &["--detach".to_owned()]].concat())
            .done();
    }
    all
}

fn download(hash: &str, peer: &str) -> Vec<String> {
    ["download", hash, "--peer", peer, "-o", "got"]
        .map(str::to_owned)
        .into()
}

/// ```text
///            ┌── B
///   seed ────┼── C      each has some of it when B and C are killed;
///            ├── D      they start again, and the seed sends as fast as it can
///            └── ...
/// ```
#[test]
fn all_who_want_the_same_get_it_also_those_who_were_killed() {
    let world = World::new();
    let seed_home = world.home("seed");
    let content = noise(1, SIZE);
    let seed = seed_home.start(&[]);
    // Slow enough that no download is done before the seed may send faster, by any way to the seed.
    seed_home.run(&["limit", "--upload", "300k"]).done();
    let hash = seed_home.share(&world.file("x.bin", &content));
    let mut all = start_all(&world, &seed, &hash, u64::MAX);
    all.iter()
        .for_each(|downloader| until_some(&downloader.home, &hash));

    let rest = all.split_off(2);
    let first = rest[0].node.address();
    let killed = all.into_iter().map(|Downloader { home, valve, node }| {
        node.kill();
        let node = start(&home, &valve, std::slice::from_ref(&first));
        Downloader { home, valve, node }
    });
    let killed: Vec<_> = killed.collect();
    seed_home.run(&["limit", "--upload", "off"]).done();

    for Downloader { home, valve, .. } in killed.iter().chain(&rest) {
        // Joins the download that is under way.
        home.run(&download(&hash, &valve.address())).done();
        assert_content(&home.path("got"), &content);
    }
}

/// ```text
///            ┌──valve── B ─┐
///   seed ────┼──valve── C ─┼── connected to one another
///            └──valve── ...┘      each may take seven eighths of the file from the seed, no more
/// ```
#[test]
fn those_who_have_parts_give_each_other_the_rest() {
    let world = World::new();
    let seed_home = world.home("seed");
    let content = noise(1, SIZE);
    let seed = seed_home.start(&[]);
    let hash = seed_home.share(&world.file("x.bin", &content));
    // No downloader can do without the others; blocks that none of them took are next to impossible.
    let all = start_all(&world, &seed, &hash, 7 << 20);
    for Downloader { home, valve, .. } in &all {
        home.run(&download(&hash, &valve.address())).done();
        assert_content(&home.path("got"), &content);
    }
}

/// Starts the node of `home` where it was before.
fn start_again(home: &Home, address: &str) -> Node {
    let (ip, port) = address.split_once(':').unwrap();
    home.clone()
        .with("PELAGO_STORAGE_SHARE_FOLDERS", "")
        .started(&["start", "--listen", &format!("/ip4/{ip}/tcp/{port}")])
}

/// ```text
///   A ──valve── C ──valve── B      A and B are killed midway, and start again where they were
/// ```
#[test]
fn a_download_outlives_all_of_its_sources() {
    let world = World::new();
    let (a, b, c) = (world.home("a"), world.home("b"), world.home("c"));
    let content = noise(1, SIZE);
    let nodes = [a.start(&[]), b.start(&[])];
    let addresses = nodes.each_ref().map(Node::address);
    let file = world.file("x.bin", &content);
    let hash = a.share(&file);
    b.share(&file);
    let valves = addresses
        .each_ref()
        .map(|address| Valve::new(address, 2 << 20));
    let ways = valves.each_ref().map(Valve::address);
    let _c = c.start(&[]);
    let run = c.spawn(&[
        "download", &hash, "--peer", &ways[0], "--peer", &ways[1], "-o", "got",
    ]);
    valves.iter().for_each(Valve::is_shut);

    nodes.into_iter().for_each(Node::kill);
    // Nodes that return have to be asked for more than what was still under way.
    valves.iter().for_each(Valve::open);
    eventually("the sources to be missed", || {
        let downloads = c.json(&["downloads"]);
        let download = downloads.as_array().unwrap().last()?.clone();
        assert_eq!(download["state"], "downloading", "{download}");
        (download["sources"] == 0).then_some(())
    });
    let _again = [
        start_again(&a, &addresses[0]),
        start_again(&b, &addresses[1]),
    ];

    run.end().done();
    assert_content(&c.path("got"), &content);
}

/// ```text
///   A ──valve── C ──valve── B      A's file changes when C has some of it; B's does not
/// ```
#[test]
fn a_file_that_changes_midway_comes_from_another_source() {
    let world = World::new();
    let (a, b, c) = (world.home("a"), world.home("b"), world.home("c"));
    let content = noise(1, SIZE);
    let (a_node, b_node) = (a.start(&[]), b.start(&[]));
    let file = world.file("a/x.bin", &content);
    let hash = a.share(&file);
    b.share(&world.file("b/x.bin", &content));
    // Of A comes a part; of B, until then, nothing at all.
    let from_a = Valve::new(&a_node.address(), 3 << 20);
    let from_b = Valve::new(&b_node.address(), 0);
    let (a_way, b_way) = (from_a.address(), from_b.address());
    let run = c.spawn(&[
        "download", &hash, "--peer", &a_way, "--peer", &b_way, "-o", "got",
    ]);
    from_a.is_shut();

    fs::write(&file, noise(2, SIZE)).unwrap();
    from_a.open();
    from_b.open();

    run.end().done();
    assert_content(&c.path("got"), &content);
}
