//! Folders: one hash for a directory and everything in it.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use serde_json::Value;

use super::world::{World, assert_content, eventually, noise, text};

/// The hash of the empty folder, as in docs/PROTOCOL.md.
const EMPTY: &str = "7d3e75d84ede913a21b02fa2f6ba0a2991d0ef154582245ec16083ae0a23abbc";

/// The names of the manifests in a data folder.
fn manifests(data: &Path) -> Vec<String> {
    let entries = fs::read_dir(data.join("manifests")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.len() == 64).collect()
}

/// ```text
///   A, B     each hash the same tree: copied, written in another order, and touched
/// ```
#[test]
fn a_tree_has_one_hash_at_any_path() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let (one, other) = (noise(1, 300_000), noise(2, 10));
    for (path, content) in [("here/x/one", &one), ("here/other", &other)] {
        world.file(path, content);
    }
    for (path, content) in [("there/other", &other), ("there/x/one", &one)] {
        let path = world.file(path, content);
        let long_ago = SystemTime::now() - Duration::from_secs(1_000_000);
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    let hashed = a.json(&["hash", &text(&world.path("here"))]);
    let found = &hashed[0];
    assert_eq!(
        (&found["kind"], &found["size"]),
        (&"folder".into(), &300_010.into())
    );
    assert_eq!(b.hash(&text(&world.path("there"))), found["hash"]);
    assert!(!a.data().exists(), "hashing opens no node");

    fs::create_dir(world.path("empty")).unwrap();
    assert_eq!(a.hash(&text(&world.path("empty"))), EMPTY);
}

/// ```text
///   B ── A      A shares a folder, shares it again after a change, and unshares it
/// ```
#[test]
fn a_folder_is_shared_and_listed_as_one_until_it_is_not() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let (one, two) = (noise(1, 300_000), noise(2, 100));
    let file = world.file("box/sub/one", &one);
    world.file("box/two", &two);
    let folder = text(&world.path("box"));
    let node = a.start(&[]);

    let shared = &a.json(&["share", &folder])[0];
    assert_eq!(
        (&shared["name"], &shared["kind"], &shared["size"]),
        (&"box".into(), &"folder".into(), &300_100.into())
    );
    let hash = shared["hash"].as_str().unwrap();
    let link = shared["link"].as_str().unwrap();
    assert!(
        link.starts_with(&format!("pelago:{hash}?name=box&size=300100&peer=")),
        "{link}"
    );
    assert_eq!(hash, a.hash(&folder));
    assert_eq!(a.json(&["status"])["shares"], 1);
    let listed = [
        a.json(&["list"]),
        b.json(&["list", "--peer", &node.address()]),
    ];
    for listed in listed {
        let [entry] = &listed.as_array().unwrap()[..] else {
            panic!("one folder: {listed}");
        };
        assert_eq!(
            (&entry["hash"], &entry["kind"]),
            (&hash.into(), &"folder".into())
        );
        assert_eq!(entry["size"], 300_100);
    }

    // A peer that has the hash of a file in the folder can download that file.
    let inner = b.hash(&file);
    let peer = node.address();
    b.run(&["download", &inner, "--peer", &peer, "-o", "copy"])
        .done();
    assert_content(&b.path("copy"), &one);

    // A file that has changed is not served under its old hash.
    let two_was = b.hash(&text(&world.path("box/two")));
    world.file("box/two", b"changed");
    let refused = b.run(&[
        "download",
        &two_was,
        "--peer",
        &peer,
        "-o",
        "two",
        "--timeout",
        "0.5",
    ]);
    refused.failed();
    node.run.err.line("share the folder again");
    let again = &a.json(&["share", &folder])[0];
    assert_ne!(again["hash"], hash);
    assert_eq!(again["size"], 300_007);
    let hashes = |list: &Value| {
        list.as_array()
            .unwrap()
            .iter()
            .map(|e| e["hash"].clone())
            .collect()
    };
    let listed: Vec<Value> = hashes(&a.json(&["list"]));
    assert_eq!(listed, [again["hash"].clone()]);
    let gone = &a.json(&["unshare", "box"])[0];
    assert_eq!(
        (&gone["hash"], &gone["kind"]),
        (&again["hash"], &"folder".into())
    );
    assert_eq!(a.json(&["list"]).as_array().unwrap().len(), 0);
    let refused = b.run(&[
        "download",
        &inner,
        "--peer",
        &peer,
        "-o",
        "no",
        "--timeout",
        "0.5",
    ]);
    refused.failed().says("does not have it");
    // At its next start at the latest, the node removes manifests that no folder has.
    node.stop();
    let _node = a.start(&[]);
    eventually("the manifests to be gone", || {
        manifests(&a.data()).is_empty().then_some(())
    });
}

/// ```text
///   B ── A      A shares a folder without a node, then starts one
/// ```
#[test]
fn a_folder_that_is_shared_without_a_node_is_served_by_the_next_one() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(3, 70_000);
    let file = world.file("box/sub/one", &content);
    let folder = text(&world.path("box"));
    let arguments = [
        "share",
        &folder,
        "--no-serve",
        "--unlisted",
        "--name",
        "a box",
    ];
    let shared = &a.json(&arguments)[0];
    assert_eq!(
        (&shared["name"], &shared["size"]),
        (&"a box".into(), &70_000.into())
    );

    let node = a.start(&[]);
    let peer = node.address();
    assert_eq!(
        b.json(&["list", "--peer", &peer]).as_array().unwrap().len(),
        0
    );
    let inner = b.hash(&file);
    b.run(&["download", &inner, "--peer", &peer, "-o", "copy"])
        .done();
    assert_content(&b.path("copy"), &content);
    a.run(&["unshare", "a box"]).done();
    node.stop();
}
