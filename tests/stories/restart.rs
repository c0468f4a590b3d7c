//! Shares survive a restart.

use std::fs;

use super::world::{Node, World, assert_content, eventually, noise, text};

/// ```text
///   B ── A      A is stopped, is killed, and starts again
/// ```
#[test]
fn shares_outlive_a_stop_and_a_kill_without_being_hashed_again() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    // Large enough to be noticed among the bytes that a start reads.
    let content = noise(1, 20_000_000);
    let in_folder = world.file("folder/in a folder.bin", &content);
    let alone = world.file("alone.bin", &noise(2, 20_000_000));
    let folder = text(&world.path("folder"));
    let start = || {
        let node = a.start(&["--dir", &folder]);
        node.run.err.line("scanned a watched folder");
        node
    };
    let mut node = start();
    let hashes = [b.hash(&in_folder), a.share(&alone)];
    let hashed = node.run.read_bytes();
    assert!(
        hashed.is_none_or(|bytes| bytes >= 40_000_000),
        "{hashed:?} were read"
    );
    let peer_id = node.peer_id();
    let ends: [fn(Node); 2] = [|node| drop(node.stop()), Node::kill];
    for (round, end) in ends.into_iter().enumerate() {
        end(node);
        node = start();
        assert_eq!(node.peer_id(), peer_id);
        a.run(&["list"])
            .done()
            .prints(&hashes[0])
            .prints(&hashes[1]);
        let read = node.run.read_bytes();
        assert!(
            read.is_none_or(|bytes| bytes < 10_000_000),
            "{read:?} were read"
        );
        let got = format!("got{round}");
        b.run(&[
            "download",
            &hashes[0],
            "--peer",
            &node.address(),
            "-o",
            &got,
        ])
        .done();
        assert_content(&b.path(&got), &content);
    }
}

/// ```text
///   B ── A      A's file changes while A runs, and between two runs
/// ```
#[test]
fn a_changed_file_is_never_served_under_its_old_hash_and_gets_its_new_one() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let file = world.file("draft.txt", &noise(0, 100_000));
    let mut node = a.start(&[]);
    let mut hash = a.share(&file);
    for round in 1..=2 {
        // The new content has the same length.
        let content = noise(round, 100_000);
        if round == 1 {
            fs::write(&file, &content).unwrap();
        } else {
            node.stop();
            fs::write(&file, &content).unwrap();
            node = a.start(&[]);
        }
        let fresh = b.hash(&file);
        let old = [
            "download",
            &hash,
            "--peer",
            &node.address(),
            "--timeout",
            "3",
            "-o",
            "old",
        ];
        b.run(&old).failed().says(&hash);
        assert!(!b.path("old").exists());
        eventually("the new hash to be shared", || {
            let listed = a.run(&["list"]).done().stdout;
            (listed.contains(&fresh) && !listed.contains(&hash)).then_some(())
        });
        let got = format!("new{round}");
        b.run(&["download", &fresh, "--peer", &node.address(), "-o", &got])
            .done();
        assert_content(&b.path(&got), &content);
        hash = fresh;
    }
}

/// ```text
///   B ── A      files of A's watched folder are added and removed between two runs
/// ```
#[test]
fn a_watched_folder_is_scanned_at_the_next_start() {
    let world = World::new();
    let a = world.home("a");
    fs::create_dir_all(a.path("shared/deep")).unwrap();
    for name in ["stays.txt", "goes.txt", "deep/er.txt"] {
        fs::write(a.path("shared").join(name), name).unwrap();
    }
    let node = a.start(&["--dir", "shared"]);
    node.run.err.line("scanned a watched folder");
    let listed = a
        .run(&["list"])
        .done()
        .prints("stays.txt")
        .prints("goes.txt")
        .prints("deep/er.txt");
    assert_eq!(listed.stdout.lines().count(), 4);
    node.stop();
    fs::remove_file(a.path("shared/goes.txt")).unwrap();
    fs::write(a.path("shared/comes.txt"), "comes").unwrap();
    let node = a.start(&["--dir", "shared"]);
    node.run.err.line("scanned a watched folder");
    let listed = a
        .run(&["list"])
        .done()
        .prints("stays.txt")
        .prints("comes.txt")
        .prints("deep/er.txt");
    assert!(!listed.stdout.contains("goes.txt"), "{listed:?}");
    node.stop();
    // A node that starts without the folder does not share it.
    let _node = a.start(&[]);
    a.run(&["list"]).done().says("nothing is shared");
}

/// ```text
///   B ── A      A shares a file without a node, then starts one
/// ```
#[test]
fn no_serve_records_the_share_for_the_next_start() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, 400_000);
    let file = world.file("later.bin", &content);
    let output = a
        .run(&["share", &file, "--no-serve"])
        .done()
        .says("pelago start");
    let hash = output
        .stdout
        .lines()
        .find_map(|line| line.trim().strip_prefix("hash  "))
        .unwrap()
        .to_owned();
    a.run(&["list"]).done().prints(&hash);
    let node = a.start(&[]);
    b.run(&["download", &hash, "--peer", &node.address(), "-o", "got"])
        .done();
    assert_content(&b.path("got"), &content);
}
