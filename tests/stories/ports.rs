//! Ports and folders that belong to other programs.

use std::net::{Ipv4Addr, TcpListener};

use super::world::{World, eventually};

/// ```text
///   A      names a port that another program uses
/// ```
#[test]
fn an_explicit_port_in_use_is_refused() {
    let world = World::new();
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let a = world.home("a");
    let refused = a
        .run(&["start", "-p", &port])
        .failed()
        .says(&port)
        .says("in use")
        .says("--port");
    assert!(refused.stdout.is_empty(), "{refused:?}");
    let error = &a.run(&["start", "-p", &port, "--json"]).failed().document()["error"];
    assert_eq!(error["code"], "port-in-use");
    // The same with an address, and with a variable.
    a.run(&["start", "--listen", &format!("/ip4/127.0.0.1/tcp/{port}")])
        .failed()
        .says(&port);
    a.with("PELAGO_NETWORK_PORT", &port)
        .run(&["start"])
        .failed()
        .says(&port);
}

/// ```text
///   A ◀── B      C      C is given the address of A, which starts there again
/// ```
#[test]
fn the_port_of_another_node_is_refused_and_ones_own_is_free_at_once() {
    let world = World::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| world.home(name));
    let first = a.start(&["--listen", "/ip4/127.0.0.1/udp/0/quic-v1"]);
    let addresses: Vec<_> = first
        .listen
        .iter()
        .filter_map(|address| Some(address.split_once("/p2p/")?.0.to_owned()))
        .collect();
    assert_eq!(addresses.len(), 2, "TCP and QUIC: {:?}", first.listen);
    for address in &addresses {
        let refused = c.run(&["start", "--listen", address]).failed();
        refused.says(address).says("in use").says("--listen");
        let error = &c.run(&["start", "--listen", address, "--json"]).failed();
        assert_eq!(error.document()["error"]["code"], "port-in-use");
    }
    // Connections of the first run are still known to the system when the second one starts.
    let _second = b.start(&["-b", &first.address()]);
    eventually("B to be connected", || {
        (a.json(&["status"])["peers"] == 1).then_some(())
    });
    first.stop();
    let listen = addresses.iter().flat_map(|address| ["--listen", address]);
    let arguments: Vec<_> = ["start"].into_iter().chain(listen).collect();
    a.started(&arguments).stop();
}

/// ```text
///   A      B      start on the default port
/// ```
#[test]
fn the_default_port_in_use_falls_back_to_a_free_one_and_says_so() {
    let world = World::new();
    // The port is in use now, by this test or by another program.
    let _taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080));
    let node = world.home("a").started(&["start"]);
    node.run.err.line("port 8080 is taken");
    assert!(!node.listen.is_empty());
    assert!(
        node.listen.iter().all(|address| !address.contains("/8080")),
        "{:?}",
        node.listen
    );
    node.stop();
}

/// ```text
///   A      names a port
/// ```
#[test]
fn one_port_covers_tcp_and_udp() {
    let world = World::new();
    let free = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let node = world.home("a").started(&["start", "-p", &free.to_string()]);
    for address in [
        format!("/ip4/127.0.0.1/tcp/{free}/p2p/"),
        format!("/ip4/127.0.0.1/udp/{free}/quic-v1/p2p/"),
    ] {
        assert!(
            node.listen.iter().any(|found| found.starts_with(&address)),
            "{:?}",
            node.listen
        );
    }
    node.stop();
}

/// ```text
///   A      files where folders should be
/// ```
#[test]
fn a_file_in_place_of_a_folder_is_refused_and_named() {
    let world = World::new();
    let a = world.home("a");
    let file = world.file("film.mkv", b"film");
    let refused = a.run(&["start", "--dir", &file, "-p", "0"]).failed();
    let share = format!("pelago share {file}");
    refused.says(&file).says("it is a file").says(&share);
    for verb in ["start", "status", "list"] {
        let refused = a.run(&["--data-dir", &file, verb]).failed();
        refused.says(&file).says("it is a file").says("--data-dir");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"film");
}

/// ```text
///   A      starts two nodes with one data folder
/// ```
#[test]
fn a_data_folder_in_use_is_refused_and_left_alone() {
    let world = World::new();
    let a = world.home("a");
    let node = a.start(&[]);
    let data = a.data();
    let refused = a.run(&["start", "-p", "0"]).failed();
    refused
        .says(data.to_str().unwrap())
        .says("in use by another process")
        .says("--data-dir");
    let error = &a.run(&["start", "--json"]).failed().document()["error"];
    assert_eq!(error["code"], "data-folder-in-use");
    a.run(&["status"]).done().prints(&node.peer_id());
    node.stop();
}
