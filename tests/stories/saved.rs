//! State that a node saves for its next start, on a disk that is full or has damaged it.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    downloads::{begin, listed, until, until_some},
    http::Url,
    system::Mount,
    valve::Valve,
    world::{Home, World, assert_content, noise, text},
};

/// Bytes of the content.
const SIZE: usize = 8 << 20;

/// A file that fills the disk of a folder. Dropping this removes it.
struct Filled(PathBuf);

impl Filled {
    fn new(folder: &Path) -> Self {
        let path = folder.join("fill");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        Self(path)
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Asserts that the command reports what it did, and that the list on disk does not have it.
#[track_caller]
fn not_kept(home: &Home, command: &[&str], says: &str) {
    home.run(command)
        .failed()
        .says(says)
        .says("the next start of the node does not know of it")
        .says(&text(&home.data().join("downloads")));
    let error = home.run(&[&["--json"], command].concat()).document();
    assert_eq!(error["error"]["code"], "not-kept", "{error}");
    assert!(error["error"]["hint"].is_string(), "{error}");
}

/// ```text
///   B ──valve── A      the disk with B's data folder is full: B cannot save what commands change
/// ```
#[test]
fn a_change_that_cannot_be_saved_is_made_and_reported() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(mount) = Mount::new(b.data(), "size=4m") else {
        return;
    };
    let a_node = a.start(&[]);
    let hashes = [1, 2, 3].map(|seed| {
        let file = world.file(&format!("{seed}.bin"), &noise(seed, SIZE));
        a.share(&file)
    });
    let valve = Valve::new(&a_node.address(), 2 << 20);
    let through_valve = valve.address();
    let node = b.start(&[]);
    for hash in &hashes[..2] {
        b.run(&["download", hash, "--peer", &through_valve, "--detach"])
            .done();
    }
    until_some(&b, &hashes[0]);
    valve.is_shut();

    // As on a disk that was full for long: the node has used up its spare space.
    fs::remove_file(b.data().join("spare")).unwrap();
    let full = Filled::new(mount.path());
    let [first, second, third] = hashes.each_ref().map(String::as_str);
    not_kept(&b, &["pause", first], "is paused, but");
    until(&b, first, "paused");
    not_kept(&b, &["pause", "--all"], "is paused, but");
    until(&b, second, "paused");
    not_kept(&b, &["resume", first], "is resumed, but");
    assert_ne!(listed(&b, first).unwrap()["state"], "paused");
    not_kept(&b, &["move", second, "--first"], "is moved, but");
    assert_eq!(listed(&b, second).unwrap()["position"], 0);
    let begin = ["download", third, "--peer", &through_valve, "--detach"];
    not_kept(&b, &begin, "has started, but");
    assert!(listed(&b, third).is_some());
    let pause = api(&b, &format!("/v1/downloads/{first}/pause"));
    assert_eq!(pause, 507);

    // A setting that cannot be saved does not change.
    for command in [
        &["limit", "--upload", "100k"][..],
        &["settings", "transfer.upload_limit", "100k"],
    ] {
        b.run(command)
            .failed()
            .says("nothing was changed")
            .says("settings.toml")
            .says("free space");
    }
    assert_eq!(b.json(&["limit"])["upload"], Value::Null);

    // The next change that can be saved saves all earlier ones.
    drop(full);
    b.run(&["pause", third]).done();
    b.run(&["limit", "--upload", "100k"]).done();
    node.kill();
    let _node = b.start(&[]);
    for hash in [first, second, third] {
        assert_eq!(listed(&b, hash).unwrap()["state"], "paused");
    }
    assert_eq!(listed(&b, second).unwrap()["position"], 0);
    assert_eq!(b.json(&["limit"])["upload"], 100_000);
}

/// Sends an empty POST to the API, and returns the status code.
fn api(home: &Home, path: &str) -> u16 {
    let file = fs::read(home.data().join("api.json")).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let (address, token) = (&file["address"], file["token"].as_str().unwrap());
    let url = Url::new(&format!("http://{}{path}", address.as_str().unwrap()));
    let authorised = format!("Authorization: Bearer {token}");
    url.begin("POST", &[&authorised]).whole().status
}

/// ```text
///   B ──valve── A      B is killed during a download, and its list is damaged
/// ```
#[test]
fn a_damaged_list_is_set_aside_and_nothing_begins_by_itself() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, SIZE);
    let a_node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    let valve = Valve::new(&a_node.address(), 2 << 20);
    let node = b.start(&[]);
    begin(&b, &hash, &valve.address());
    node.kill();
    let list = b.data().join("downloads");
    let damages: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.fill(0),
        Vec::clear,
    ];
    for (damage, number) in damages.into_iter().zip(1..) {
        let mut bytes = fs::read(&list).unwrap();
        damage(&mut bytes);
        fs::write(&list, &bytes).unwrap();
        let node = b.start(&[]);
        let aside = b.data().join(format!("downloads.damaged-{number}"));
        node.run.err.line(&text(&aside));
        assert_eq!(fs::read(&aside).unwrap(), bytes);
        assert_eq!(listed(&b, &hash).unwrap()["state"], "paused");
        node.kill();
        // The node has written a valid list: the download is still paused.
        let node = b.start(&[]);
        assert_eq!(listed(&b, &hash).unwrap()["state"], "paused");
        node.kill();
    }
    let _node = b.start(&["-b", &a_node.address()]);
    b.run(&["resume", &hash]).done();
    until(&b, &hash, "done");
    assert_content(&b.path("got"), &content);
}

/// ```text
///   B      has a list of downloads that a newer version wrote
/// ```
#[test]
fn a_list_of_a_newer_version_ends_the_start_and_is_not_touched() {
    let world = World::new();
    let b = world.home("b");
    b.start(&[]).stop();
    let list = b.data().join("downloads");
    // {"v": 2, "d": []}
    let newer = [0xa2, 0x61, b'v', 0x02, 0x61, b'd', 0x80];
    fs::write(&list, newer).unwrap();
    let start = ["start", "--listen", "/ip4/127.0.0.1/tcp/0"];
    let b = b.with("PELAGO_STORAGE_SHARE_FOLDERS", "");
    for _ in 0..2 {
        b.run(&start)
            .failed()
            .says(&text(&list))
            .says("version 2")
            .says("move the file away");
        assert_eq!(fs::read(&list).unwrap(), newer);
    }
    let error = b.run(&[&["--json"][..], &start].concat()).document();
    assert_eq!(error["error"]["code"], "newer-data", "{error}");
    fs::rename(&list, b.data().join("newer")).unwrap();
    b.start(&[]).stop();
}

/// ```text
///   B ── A      there is a directory at the path of B's list
/// ```
#[test]
fn a_list_that_cannot_be_read_is_not_replaced() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, 300_000);
    let a_node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    b.start(&[]).stop();
    let list = b.data().join("downloads");
    if let Err(error) = fs::remove_file(&list) {
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    fs::create_dir(&list).unwrap();
    let node = b.start(&["-b", &a_node.address()]);
    node.run.err.line("could not be read");
    b.run(&["download", &hash, "-o", "got", "--detach"])
        .failed()
        .says("has started, but")
        .says("could not be read when the node started")
        .says("move it away");
    until(&b, &hash, "done");
    assert_content(&b.path("got"), &content);
    b.run(&["remove", &hash])
        .failed()
        .says("is removed from the list, but");
    assert_eq!(b.json(&["downloads"]), json!([]));
    node.stop();
    assert!(list.is_dir());
    let names: Vec<_> = fs::read_dir(b.data()).unwrap().collect();
    let is_aside = |entry: &std::io::Result<fs::DirEntry>| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().contains("damaged")
    };
    assert!(!names.iter().any(is_aside), "{names:?}");
}

/// ```text
///   B      a power cut has truncated the key of its gateway
/// ```
#[test]
fn a_torn_gateway_key_is_set_aside_and_reported() {
    let world = World::new();
    let b = world.home("b");
    b.start(&[]).stop();
    let key = b.data().join("gateway.key");
    let torn = fs::read(&key).unwrap()[..7].to_vec();
    fs::write(&key, &torn).unwrap();
    let node = b.start(&[]);
    let aside = b.data().join("gateway.key.damaged-1");
    node.run.err.line(&text(&aside));
    assert_eq!(fs::read(&aside).unwrap(), torn);
    assert_eq!(fs::read(&key).unwrap().len(), 32);
    node.stop();
    let node = b.start(&[]);
    assert!(!b.data().join("gateway.key.damaged-2").exists());
    node.stop();
}

/// ```text
///   B ──valve── A      B's download is paused, and a power cut damages its record
/// ```
#[test]
fn a_download_with_a_torn_record_is_cancelled_completely() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let a_node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &noise(1, SIZE)));
    let valve = Valve::new(&a_node.address(), 2 << 20);
    let node = b.start(&[]);
    begin(&b, &hash, &valve.address());
    b.run(&["pause", &hash]).done();
    node.kill();
    let record = b.data().join("partial").join(&hash);
    let file = fs::OpenOptions::new().write(true).open(&record).unwrap();
    file.write_all_at(&[0; 8192], 0).unwrap();
    drop(file);
    let node = b.start(&[]);
    assert_eq!(listed(&b, &hash).unwrap()["state"], "paused");
    b.run(&["cancel", &hash]).done().prints("cancelled: ");
    let is_gone = || !record.exists() && !b.path("got.part").exists();
    assert!(is_gone() && listed(&b, &hash).is_none());
    node.stop();
    let _node = b.start(&[]);
    assert!(is_gone() && listed(&b, &hash).is_none());
}

/// ```text
///   B ──valve── A      B is killed when the content is at its target, and before the list says so
/// ```
#[test]
fn a_download_that_ended_just_before_a_crash_is_cancelled_completely() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node = a.start(&[]);
    for name in ["one", "sub/two"] {
        world.file(&format!("tree/{name}"), &noise(name.len() as u64, SIZE / 2));
    }
    let file = world.file("x.bin", &noise(1, SIZE));
    let list = b.data().join("downloads");
    for what in [file, text(&world.path("tree"))] {
        let hash = a.share(&what);
        let valve = Valve::new(&node.address(), 2 << 20);
        let b_node = b.start(&[]);
        let target = text(&b.path("got"));
        let through_valve = valve.address();
        b.run(&[
            "download",
            &hash,
            "--peer",
            &through_valve,
            "-o",
            &target,
            "--detach",
        ])
        .done();
        until_some(&b, &hash);
        b.run(&["pause", &hash]).done();
        let paused = fs::read(&list).unwrap();
        valve.open();
        b.run(&["resume", &hash]).done();
        until(&b, &hash, "done");
        b_node.kill();
        fs::write(&list, &paused).unwrap();

        let b_node = b.start(&[]);
        assert!(b.path("got").exists());
        b.run(&["cancel", &hash]).done();
        assert!(!b.path("got").exists());
        assert_eq!(b.json(&["list"]), json!([]));
        b_node.stop();
    }
}

/// ```text
///   B ── A      B downloads again what it has, and cancels the second download
/// ```
#[test]
fn cancelling_a_later_download_keeps_the_files_of_an_earlier_one() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node = a.start(&[]);
    // Different content: one that is the same would be copied, and the later download would be done.
    for (seed, name) in [(1, "one"), (2, "two")] {
        world.file(&format!("tree/{name}"), &noise(seed, SIZE));
    }
    let hash = a.share(&text(&world.path("tree")));
    let valve = Valve::new(&node.address(), 64 << 20);
    let _node = b.start(&[]);
    let target = text(&b.path("got"));
    let through_valve = valve.address();
    let download = ["download", &hash, "--peer", &through_valve, "-o", &target];
    b.run(&download).done();
    fs::remove_file(b.path("got/one")).unwrap();
    drop(node);
    b.run(&[&download[..], &["--detach"]].concat()).done();
    b.run(&["cancel", &hash]).done();
    assert!(b.path("got/two").exists());
}
