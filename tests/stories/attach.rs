//! Commands find the running node of their data folder.

use std::fs;

use super::world::{World, assert_content, eventually, noise};

/// ```text
///   A      runs commands without a node
/// ```
#[test]
fn without_a_node_status_peers_and_downloads_say_so() {
    let world = World::new();
    let a = world.home("a");
    let data = a.data();
    for verb in ["status", "peers", "downloads"] {
        let refused = a.run(&[verb]).failed();
        let sentence = format!(
            "error: no node is running on {}: run `pelago start`\n",
            data.display()
        );
        assert_eq!((refused.stdout.as_str(), refused.stderr), ("", sentence));
        let error = &a.run(&[verb, "--json"]).failed().document()["error"];
        assert_eq!(error["code"], "no-node");
    }
    assert!(!data.exists(), "asking makes no data folder");
    a.run(&["download", &"ab".repeat(32), "--detach"])
        .failed()
        .says("pelago start");
}

/// ```text
///   B ── A      A runs commands beside its node
/// ```
#[test]
fn a_second_command_uses_the_running_node() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, 200_000);
    let node = a.start(&["--name", "anna"]);
    let hash = a.share(&world.file("x.bin", &content));
    let status = a.json(&["status"]);
    assert_eq!(
        (&status["peer_id"], &status["name"], &status["shares"]),
        (&node.peer_id().into(), &"anna".into(), &1.into())
    );

    let b_node = b.start(&["-b", &node.address()]);
    let detached = b.json(&["download", &hash, "-o", "got", "--detach"]);
    assert_eq!(detached["hash"], hash.as_str());
    eventually("the node to download it", || {
        b.path("got").exists().then_some(())
    });
    assert_content(&b.path("got"), &content);
    let downloads = b.json(&["downloads"]);
    assert_eq!(
        (&downloads[0]["hash"], &downloads[0]["verified_bytes"]),
        (&hash.as_str().into(), &200_000.into())
    );
    // The node shares what the command downloaded.
    eventually("it to be shared on", || {
        b.run(&["list"]).done().stdout.contains(&hash).then_some(())
    });
    let peers = eventually("the peers to know each other", || {
        let peers = b.json(&["peers"]);
        (peers[0]["name"] == "anna").then_some(peers)
    });
    assert_eq!(peers[0]["peer_id"], node.peer_id().as_str());
    assert!(
        peers[0]["received_bytes"].as_u64().unwrap() >= 200_000,
        "{peers}"
    );
    b_node.stop();
}

/// ```text
///   A      runs `share` in the foreground, and another command beside it
/// ```
#[test]
fn a_share_in_the_foreground_serves_other_commands() {
    let world = World::new();
    let a = world.home("a");
    let first = a.spawn(&["share", &world.file("one.txt", b"one")]);
    first.err.line("sharing until Ctrl-C");
    let second = a.share(&world.file("two.txt", b"two"));
    a.run(&["list"])
        .done()
        .prints("one.txt")
        .prints("two.txt")
        .prints(&second);
    a.run(&["status"]).done().prints("shares     2");
    first.signal("INT");
    first.end().done();
    a.run(&["status"]).failed().says("no node is running");
    // The next node has both shares.
    a.run(&["list"]).done().prints("one.txt").prints("two.txt");
}

/// ```text
///   A      was killed, and has left its API file
/// ```
#[test]
fn what_a_killed_node_left_does_no_harm() {
    let world = World::new();
    let a = world.home("a");
    a.start(&[]).kill();
    let left = a.data().join("api.json");
    assert!(left.exists(), "kill -9 leaves it");
    a.run(&["status"]).failed().says("no node is running");
    a.run(&["list"]).done().says("nothing is shared");
    let node = a.start(&[]);
    a.run(&["status"]).done().prints(&node.peer_id());
    node.stop();
    assert!(!left.exists(), "a node that ends takes it away");
}

/// ```text
///   A      runs a node without an API
/// ```
#[test]
fn a_node_without_an_api_says_that_it_cannot_be_reached() {
    let world = World::new();
    let a = world.home("a");
    let node = a.start(&["--api", "off"]);
    let refused = a.run(&["status"]).failed();
    refused
        .says("a node uses the data folder")
        .says("--api off")
        .says("--data-dir");
    node.stop();
}

/// ```text
///   A      chooses the address of its API
/// ```
#[test]
fn the_api_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let a = world.home("a");
    let node = a.start(&["--api", "127.0.0.1:0"]);
    for file in ["api.json", "lock"] {
        let mode = fs::metadata(a.data().join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
    node.stop();
}
