//! Networks as they are: without IPv6 or IPv4, with addresses that change, nodes that start late,
//! two nodes with one identity, and truncated links.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    namespaces::{Cable, Namespace},
    world::{Home, Run, World, assert_content, eventually, noise, text},
};

const MIB: usize = 1 << 20;

/// The finding of one check of `doctor`.
fn finding(home: &Home, check: &str) -> Value {
    let findings = home.run(&["doctor", "--json"]).document();
    let findings = findings.as_array().unwrap();
    let found = findings.iter().find(|finding| finding["check"] == check);
    found.unwrap().clone()
}

/// How many bytes of the download of `hash` are verified.
fn verified(home: &Home, hash: &str) -> u64 {
    let downloads = home.json(&["downloads"]);
    let downloads = downloads.as_array().unwrap();
    let download = downloads.iter().find(|download| download["hash"] == hash);
    download.map_or(0, |download| {
        download["verified_bytes"].as_u64().unwrap_or(0)
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Compiles a library that hides IPv6 from a program. Prints why and returns `None` if that fails.
fn without_ipv6(world: &World) -> Option<String> {
    let (source, library) = (world.path("no_ipv6.c"), world.path("no_ipv6.so"));
    fs::write(&source, include_str!("no_ipv6.c")).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .args(["-ldl"])
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        eprintln!("skipped: a system without IPv6 takes a C compiler");
        return None;
    }
    Some(text(&library))
}

/// ```text
///   ┌ namespace ┐
///   │     A     │     IPv6 is turned off, as in containers, or the system has no support for it
///   └───────────┘
/// ```
#[test]
fn a_machine_without_ipv6_loses_no_time_and_is_not_warned() {
    let Some(cable) = Cable::new() else { return };
    let world = World::new();
    let took = |name: &str, namespace: &Namespace, preloaded: &str| {
        let home = world.home(name).within(namespace);
        let home = match preloaded {
            "" => home,
            library => home.with("LD_PRELOAD", library),
        };
        let began = Instant::now();
        let node = home.started(&["start", "-p", "0"]);
        let took = began.elapsed();
        assert!(
            node.listen
                .iter()
                .any(|address| address.contains("10.77.0."))
        );
        assert_eq!(finding(&home, "mdns")["state"], "ok");
        let log = node.stop().stderr;
        assert!(!log.contains("WARN"), "{log}");
        let began = Instant::now();
        let log = home
            .run(&["list", "--network", "--wait", "0"])
            .done()
            .stderr;
        assert!(!log.contains("WARN"), "{log}");
        [took, began.elapsed()]
    };
    let with_ipv6 = took("a", &cable.right, "");
    cable.left.turn_ipv6_off();
    let mut without = vec![took("b", &cable.left, "")];
    without.extend(without_ipv6(&world).map(|library| took("c", &cable.left, &library)));
    for (without, with) in without
        .into_iter()
        .flat_map(|took| took.into_iter().zip(with_ipv6))
    {
        // A node that waits in vain for IPv6 waits 5 s.
        assert!(
            without < with + Duration::from_secs(3),
            "{without:?} and {with:?}"
        );
    }
}

/// ```text
///   ┌ namespace ┐  IPv6  ┌ namespace ┐
///   │     A     ├────────┤     B     │     no IPv4; they find each other by mDNS
///   └───────────┘        └───────────┘
/// ```
#[test]
fn nodes_on_a_network_without_ipv4_find_each_other() {
    let Some(cable) = Cable::of_ipv6() else {
        return;
    };
    let world = World::new();
    let a = world.home("a").within(&cable.left);
    let b = world.home("b").within(&cable.right);
    let content = noise(2, 300_000);
    let _a = a.started(&["start", "-p", "0", "--name", "anna"]);
    let hash = a.share(&world.file("six.bin", &content));
    b.run(&["download", &hash, "-o", "six"]).done();
    assert_content(&b.path("six"), &content);
    assert_eq!(finding(&a, "mdns")["state"], "ok");
}

/// ```text
///   A ──cable── B      another program uses the port of mDNS when A starts
/// ```
#[test]
fn discovery_that_fails_at_the_start_is_tried_again() {
    let Some(cable) = Cable::new() else { return };
    let world = World::new();
    let a = world.home("a").within(&cable.left);
    let b = world.home("b").within(&cable.right);
    let script = "use IO::Socket::INET; $| = 1; \
                  my $s = IO::Socket::INET->new(LocalPort => 5353, Proto => 'udp') or die; \
                  print \"taken\\n\"; sleep 600";
    let other = Run::new(a.program("perl", &["-e", script]));
    other.out.line("taken");
    let first = a.started(&["start", "-p", "0", "--name", "anna"]);
    first
        .run
        .err
        .line("cannot look for peers on the local network over IPv4");
    drop(other);
    let _second = b.started(&["start", "-p", "0", "--name", "bert"]);
    eventually("each to be connected to the other", || {
        let knows = |home: &Home, name: &str| home.run(&["peers"]).done().stdout.contains(name);
        (knows(&a, "bert") && knows(&b, "anna")).then_some(())
    });
    first
        .run
        .err
        .line("looking for peers on the local network over IPv4 again");
}

/// Lets B download from A, changes the address of one of them meanwhile, and waits until the
/// download resumes.
fn resumes_after_a_move(mdns: &str, moves_left: bool) {
    let Some(cable) = Cable::new() else { return };
    let world = World::new();
    let a = world
        .home("a")
        .within(&cable.left)
        .with("PELAGO_NETWORK_MDNS", mdns)
        .with("PELAGO_TRANSFER_UPLOAD_LIMIT", "800000");
    let b = world
        .home("b")
        .within(&cable.right)
        .with("PELAGO_NETWORK_MDNS", mdns);
    let content = noise(3, 16 * MIB);
    let _a = a.started(&["start", "-p", "8080"]);
    let hash = a.share(&world.file("film.mkv", &content));
    let _b = b.started(&["start", "-p", "8080", "-b", "10.77.0.1:8080"]);
    b.run(&["download", &hash, "--detach"]).done();
    eventually("something to come", || {
        (verified(&b, &hash) > 0).then_some(())
    });

    let (namespace, before, after) = match moves_left {
        true => (&cable.left, "10.77.0.1/24", "10.77.0.101/24"),
        false => (&cable.right, "10.77.0.2/24", "10.77.0.102/24"),
    };
    namespace.ip(&format!(
        "address del {before} dev lan\naddress add {after} dev lan\n"
    ));
    // More than was in flight before the move.
    let so_far = verified(&b, &hash) + MIB as u64;
    eventually("more to come after the move", || {
        (verified(&b, &hash) > so_far).then_some(())
    });
    let peers = b.json(&["peers"]);
    assert_eq!(peers.as_array().unwrap().len(), 1, "{peers}");
}

/// ```text
///   A ──cable── B      B downloads from A, whose address changes
/// ```
#[test]
fn a_source_that_moves_is_found_again() {
    resumes_after_a_move("true", true);
}

/// ```text
///   A ──cable── B      B downloads from A, and B's address changes; no mDNS
/// ```
#[test]
fn a_downloader_that_moves_finds_its_source_again() {
    resumes_after_a_move("false", false);
}

/// A port of loopback without a listener, which the system gives to no connection or listener until
/// the story uses it: it is below the ports that the system chooses.
fn free_port() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range.split_whitespace().next();
    let first = first.and_then(|first| first.parse().ok()).unwrap_or(32768);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    // Stories that run at the same time begin at different ports.
    let begin = first / 2 + (std::process::id() as u16) % (first / 2);
    let free = (begin..first).chain(first / 2..begin).find(is_free);
    free.expect("a port is free")
}

/// ```text
///   A ◀── B ──▶ (C)      B has the addresses of A, and of C, which starts later
///   D ────────▶ (C)      a command of D names C, and waits
/// ```
#[test]
fn a_bootstrap_node_that_comes_late_is_reached() {
    let world = World::new();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| world.home(name));
    let content = noise(4, 50_000);
    let path = world.file("late.txt", &content);
    let late = format!("127.0.0.1:{}", free_port());
    let first = a.start(&[]);
    let _second = b.start(&["-b", &first.address(), "-b", &late]);
    eventually("B to know A", || {
        let known = finding(&b, "discovery")["message"].as_str()?.to_owned();
        known.contains("1 node of the DHT known").then_some(())
    });
    let hash = c.hash(&path);
    let waiting = d.spawn(&[
        "download",
        &hash,
        "-b",
        &late,
        "--timeout",
        "50",
        "-o",
        "late",
    ]);
    waiting.err.line("cannot join the network there yet");

    let listen = format!("/ip4/127.0.0.1/tcp/{}", late.rsplit(':').next().unwrap());
    let _third = c.started(&["start", "--listen", &listen, "--name", "carl"]);
    c.share(&path);
    waiting.end().done();
    assert_content(&d.path("late"), &content);
    eventually("B to reach C", || {
        b.run(&["peers"])
            .done()
            .stdout
            .contains("carl")
            .then_some(())
    });
}

/// ```text
///   A ◀── B      B's data folder is a copy of A's
/// ```
#[test]
fn a_copied_data_folder_is_noticed_on_both_sides() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    a.start(&[]).stop();
    copy(&a.data(), &b.data());
    let first = a.start(&[]);
    assert_eq!(finding(&a, "identity")["state"], "ok");
    let own = first.listen[0].clone();
    let second = b.start(&["-b", &first.address()]);
    for (home, node) in [(&b, &second), (&a, &first)] {
        node.run
            .err
            .line("another node has the same identity as this one");
        let found = finding(home, "identity");
        assert_eq!(found["state"], "problem", "{found}");
        assert!(
            found["hint"].as_str().unwrap().contains("identity.key"),
            "{found}"
        );
    }
    second.stop();
    first.stop();

    // A node that gets its own address as bootstrap does not report a second node.
    let third = a.started(&[
        "start",
        "--listen",
        own.split("/p2p/").next().unwrap(),
        "-b",
        &own,
    ]);
    eventually("the node to dial itself without a report", || {
        (finding(&a, "identity")["state"] == "ok").then_some(())
    });
    assert_eq!(third.peer_id(), own.rsplit('/').next().unwrap());
    // After the repair that `doctor` suggests, they are two nodes.
    fs::rename(b.data().join("identity.key"), b.path("identity.key")).unwrap();
    let fourth = b.start(&["-b", &third.address()]);
    assert_ne!(fourth.peer_id(), third.peer_id());
    eventually("B to reach A", || {
        let peers = b.json(&["peers"]);
        (peers.as_array().unwrap().len() == 1).then_some(())
    });
    assert_eq!(finding(&a, "identity")["state"], "ok");
}

/// Answers as a web server does, and reads until the caller hangs up.
fn refuse(mut caller: TcpStream) -> io::Result<()> {
    let _ = caller.read(&mut [0; 1024])?;
    let page = "<html><body><h1>400 Bad Request</h1></body></html>".repeat(2);
    write!(
        caller,
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n{page}"
    )?;
    io::copy(&mut caller, &mut io::sink()).map(drop)
}

/// ```text
///   A ──▶ a web server      named as a peer, and as a bootstrap node
/// ```
#[test]
fn a_server_of_another_kind_is_recognised() {
    let world = World::new();
    let a = world.home("a");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for caller in server.incoming().map_while(Result::ok) {
            thread::spawn(move || refuse(caller));
        }
    });
    let expected = "did not answer as a libp2p node";
    let hash = a.hash(&world.file("x", b"x"));
    let peer = ["--peer", &address, "--timeout", "2"];
    for verb in ["download", "open"] {
        let asked = a.run(&[&[verb, &hash], &peer[..]].concat());
        asked.failed().says(expected);
    }
    a.run(&["list", "--peer", &address]).failed().says(expected);
    let node = a.start(&["-b", &address]);
    node.run.err.line(expected);
}

/// ```text
///   B      opens a link whose peer is truncated
/// ```
#[test]
fn a_damaged_peer_of_a_link_is_named_at_once() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let hash = a.hash(&world.file("x", b"x"));
    let link = format!("pelago:{hash}?name=x&peer=/ip4/127.0.0.1/tcp/1/p2p/12D3KooWcut");
    let warning = "1 of the 1 peers in the link are invalid";
    for verb in ["download", "open"] {
        let command = b.spawn(&[verb, &link, "--timeout", "50"]);
        command.err.line(warning);
        command.signal("KILL");
        command.end();
    }
    // The same with a running node.
    let node = b.start(&[]);
    for verb in ["download", "open"] {
        let command = b.spawn(&[verb, &link, "--timeout", "50"]);
        command.err.line(warning);
        node.run.err.line(warning);
    }
}

/// ```text
///   B ── A      B's command connects over QUIC, and ends
/// ```
#[test]
fn a_peer_over_quic_learns_that_a_command_has_ended() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node = a.start(&["-v", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"]);
    let hash = a.share(&world.file("x", b"over QUIC"));
    let is_quic = |address: &&String| address.contains("/quic-v1/");
    let quic = node.listen.iter().find(is_quic).unwrap();
    b.run(&["download", &hash, "--peer", quic, "-o", "x"])
        .done();
    let closed = node.run.err.line("connection closed");
    assert!(closed.contains("ApplicationClosed"), "{closed}");
}
