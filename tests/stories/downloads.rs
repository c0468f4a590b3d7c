//! The list of downloads, and the commands that change it.

use std::fs;

use serde_json::{Value, json};

use super::{
    system::Mount,
    terminal::{CTRL_C, Terminal},
    valve::Valve,
    world::{Home, World, assert_content, eventually, noise, text},
};

/// Bytes of the content.
const SIZE: usize = 8 << 20;

/// The entry for `hash` in the list of downloads.
pub(crate) fn listed(home: &Home, hash: &str) -> Option<Value> {
    let downloads = home.json(&["downloads"]);
    let mut same = downloads
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["hash"] == hash);
    same.next().cloned()
}

/// Waits until the download of `hash` is in `state`.
#[track_caller]
pub(crate) fn until(home: &Home, hash: &str, state: &str) -> Value {
    eventually(&format!("{hash:.8} to be {state}"), || {
        listed(home, hash).filter(|download| download["state"] == state)
    })
}

/// Waits until some bytes of the download of `hash` are verified.
#[track_caller]
pub(crate) fn until_some(home: &Home, hash: &str) {
    eventually("some of it", || {
        let download = listed(home, hash)?;
        (download["verified_bytes"].as_u64()? > 0).then_some(())
    });
}

/// Has the node of `home` download from `peer` to `got`, and waits until some of it is there.
pub(crate) fn begin(home: &Home, hash: &str, peer: &str) {
    let download = ["download", hash, "--peer", peer, "-o", "got", "--detach"];
    home.run(&download).done();
    until_some(home, hash);
}

/// The hashes in the order of the queue.
fn order(home: &Home) -> Vec<String> {
    let downloads = home.json(&["downloads"]);
    let hash = |download: &Value| download["hash"].as_str().unwrap().to_owned();
    downloads.as_array().unwrap().iter().map(hash).collect()
}

/// How many records of unfinished downloads the node has. Manifests are not counted: the node
/// removes them later.
fn records(home: &Home) -> usize {
    let entries = fs::read_dir(home.data().join("partial")).unwrap();
    let files = entries.filter(|entry| entry.as_ref().unwrap().path().is_file());
    files.count()
}

/// ```text
///   B ──valve── A      B pauses, is killed and started, is stopped and started, and resumes
/// ```
#[test]
fn what_is_paused_stays_so_over_restarts_until_it_is_resumed() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, SIZE);
    let a_node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    let valve = Valve::new(&a_node.address(), 2 << 20);
    let node = b.start(&[]);
    begin(&b, &hash, &valve.address());
    let paused = b.json(&["pause", &hash[..8]]);
    assert_eq!(paused[0]["state"], "paused", "{paused}");
    b.run(&["pause", "x.bin"]).done().prints("paused: ");

    node.kill();
    let node = b.start(&[]);
    let still = listed(&b, &hash).unwrap();
    for field in ["state", "name", "path", "size", "verified_bytes"] {
        assert_eq!(still[field], paused[0][field], "{field}");
    }
    node.stop();
    let _node = b.start(&[]);
    until(&b, &hash, "paused");

    valve.open();
    let resumed = b.json(&["resume", "--all"]);
    assert_eq!(resumed[0]["hash"], hash.as_str());
    until(&b, &hash, "done");
    assert_content(&b.path("got"), &content);
    b.run(&["resume", &hash]).failed().says("is done already");
    b.run(&["pause", &hash]).failed().says("is done already");
}

/// ```text
///   B ── A      one download is done and one has failed when B is killed
/// ```
#[test]
fn what_ended_is_listed_as_it_ended_also_after_a_restart() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, 100_000);
    let a_node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    let node = b.start(&["-b", &a_node.address()]);
    b.run(&["download", &hash, "-o", "got"]).done();
    let absent = "ab".repeat(32);
    b.run(&["download", &absent, "--timeout", "1"]).failed();
    let before = [&hash, &absent].map(|hash| listed(&b, hash).unwrap());
    assert_eq!(before[0]["state"], "done");
    assert_eq!(before[1]["state"], "failed");

    node.kill();
    let _node = b.start(&["-b", &a_node.address()]);
    let after = [&hash, &absent].map(|hash| listed(&b, hash).unwrap());
    assert_eq!(after, before);

    // Without its receipt the node does not know what the file was, so it removes nothing.
    fs::remove_file(b.data().join("receipts").join(&hash)).unwrap();
    b.run(&["remove", &hash, "--with-data"])
        .failed()
        .says("no record of downloading it")
        .says(&text(&b.path("got")));
    assert_content(&b.path("got"), &content);
    b.run(&["remove", &hash]).done();
    b.run(&["resume", &absent]).done();
    until(&b, &absent, "finding-sources");
    b.run(&["cancel", &absent]).done();
    assert_eq!(b.json(&["downloads"]), json!([]));
}

/// ```text
///   B's command, no node ──valve── A      then B's node lists the download of the command
/// ```
#[test]
fn what_a_command_without_a_node_left_is_listed_as_paused() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, SIZE);
    let a_node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    let valve = Valve::new(&a_node.address(), 2 << 20);
    let run = b.spawn(&["download", &hash, "--peer", &valve.address(), "-o", "got"]);
    run.has_some();
    run.signal("INT");
    run.end().failed().says("verified data is kept");
    let _node = b.start(&["-b", &a_node.address()]);
    let paused = until(&b, &hash, "paused");
    assert_eq!(paused["path"], text(&b.path("got")));
    // The node has not verified the existing files yet.
    assert_eq!(paused["verified_bytes"], Value::Null);
    b.run(&["resume", "x.bin"]).done();
    until(&b, &hash, "done");
    assert_content(&b.path("got"), &content);
}

/// ```text
///   B ── A      B cancels a file and a folder that arrive slowly, and a download that is done
/// ```
#[test]
fn cancel_leaves_nothing_but_what_is_done() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let a_node = a.start(&[]);
    let file = world.file("x.bin", &noise(1, SIZE));
    world.file("tree/deep/large.bin", &noise(2, SIZE));
    let hashes = [a.share(&file), a.share(&text(&world.path("tree")))];
    let node = b.start(&["-b", &a_node.address()]);
    b.run(&["limit", "--download", "500k"]).done();
    for hash in &hashes {
        b.run(&["download", hash, "-o", "got", "--detach"]).done();
        until_some(&b, hash);
        assert!(b.path("got.part").exists() && records(&b) > 0);
        b.run(&["cancel", hash]).done().prints("cancelled: ");
        assert!(!b.path("got.part").exists() && !b.path("got").exists());
        assert_eq!((records(&b), order(&b).len()), (0, 0));
    }
    b.run(&["limit", "--download", "off"]).done();
    b.run(&["download", &hashes[0], "-o", "got"]).done();
    b.run(&["cancel", &hashes[0]])
        .failed()
        .says("is done already")
        .says("pelago remove");
    assert!(b.path("got").exists());
    node.stop();
    let _node = b.start(&[]);
    assert_eq!(order(&b), [&hashes[0][..]], "what was cancelled is gone");
}

/// ```text
///   B ── A      B removes a file and a folder that it downloaded
/// ```
#[test]
fn remove_takes_it_off_the_list_and_with_data_off_the_disk() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let a_node = a.start(&[]);
    let file = world.file("x.bin", &noise(1, 300_000));
    world.file("tree/deep/y.bin", &noise(2, 300_000));
    let hashes = [a.share(&file), a.share(&text(&world.path("tree")))];
    let mut node = b.start(&["-b", &a_node.address()]);
    for hash in &hashes {
        b.run(&["download", hash, "-o", "got"]).done();
        eventually("it to be shared on", || {
            b.run(&["list"]).done().stdout.contains(hash).then_some(())
        });
        b.run(&["remove", hash, "--with-data"])
            .done()
            .prints("removed: ");
        assert!(!b.path("got").exists());
        b.run(&["list"]).done().says("nothing is shared");
        assert_eq!(order(&b).len(), 0);
    }
    // The same after a restart of the node.
    for (hash, restarts) in hashes.iter().zip([1, 2]) {
        b.run(&["download", hash, "-o", "got"]).done();
        for _ in 0..restarts {
            node.kill();
            node = b.start(&["-b", &a_node.address()]);
        }
        b.run(&["remove", hash, "--with-data"])
            .done()
            .prints("removed: ");
        assert!(!b.path("got").exists());
        assert_eq!(fs::read_dir(b.data().join("receipts")).unwrap().count(), 0);
    }
    // Files that existed before the download stay.
    fs::copy(&file, b.path("x.bin")).unwrap();
    b.run(&["download", &hashes[0]]).done();
    b.run(&["remove", &hashes[0], "--with-data"])
        .failed()
        .says("was there before");
    b.run(&["remove", &hashes[0]]).done();
    // A file that another program has changed since belongs to that program.
    b.run(&["download", &hashes[0], "-o", "mine"]).done();
    fs::write(b.path("mine"), b"mine").unwrap();
    b.run(&["remove", &hashes[0], "--with-data"])
        .failed()
        .says("changed since it was downloaded");
    b.run(&["remove", &hashes[0]])
        .done()
        .prints("no longer listed: ");
    assert_content(&b.path("mine"), b"mine");
    b.run(&["remove", &hashes[0]])
        .failed()
        .says("no download is called");
}

/// ```text
///   B ── A      B downloads slowly, one at a time
/// ```
#[test]
fn queued_downloads_are_reordered_also_for_the_next_run() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    // The limit is in the file: one from the environment would be locked.
    let file = world.file("config.toml", b"[transfer]\ndownload_limit = 100000\n");
    let b = b
        .with("PELAGO_TRANSFER_MAX_DOWNLOADS", "1")
        .with("PELAGO_CONFIG", &file);
    let a_node = a.start(&[]);
    let hashes = ["x", "y", "z"].map(|name| {
        let seed = u64::from(name.as_bytes()[0]);
        a.share(&world.file(name, &noise(seed, SIZE)))
    });
    let [x, y, z] = &hashes;
    let node = b.start(&["-b", &a_node.address()]);
    b.run(&["download", x, "--detach"]).done();
    let limited = eventually("the limit to be felt", || {
        listed(&b, x).filter(|download| download["waits"]["for"] == "limit")
    });
    assert_eq!(limited["waits"]["bytes_per_second"], 100_000);
    for hash in [y, z] {
        b.run(&["download", hash, "--detach"]).done();
    }
    let ahead = |hash: &str| listed(&b, hash).unwrap()["waits"]["ahead"].as_u64();
    // They look for their source meanwhile.
    let until_ahead = |expected: (u64, u64)| {
        eventually("both to wait for their turns", || {
            let expected = (Some(expected.0), Some(expected.1));
            ((ahead(y), ahead(z)) == expected).then_some(())
        });
    };
    until_ahead((1, 2));
    b.run(&["downloads"])
        .done()
        .prints("waits for its turn behind 1 other\n")
        .prints("waits for its turn behind 2 others\n");

    b.run(&["move", z, "--before", y]).done();
    until_ahead((2, 1));
    assert_eq!(order(&b), [x.as_str(), z, y]);

    node.kill();
    let _node = b.start(&["-b", &a_node.address()]);
    assert_eq!(
        order(&b),
        [x.as_str(), z, y],
        "also those that had not begun"
    );
    until_ahead((2, 1));

    b.run(&["cancel", x]).done();
    until(&b, z, "downloading");
    assert_eq!(listed(&b, y).unwrap()["state"], "queued");
    b.run(&["limit", "--download", "off"]).done();
    for hash in [z, y] {
        until(&b, hash, "done");
    }
}

/// ```text
///   two commands of B ── B's node ──valve── A
/// ```
#[test]
fn a_download_continues_while_it_is_followed_or_the_node_was_asked_to_run_it() {
    let world = World::new();
    let a = world.home("a");
    let a_node = a.start(&[]);
    for (name, is_detached) in [("followed", false), ("detached", true)] {
        // This B knows no address of A but that of the valve.
        let b = world.home(&format!("b {name}"));
        let _b_node = b.start(&[]);
        let content = noise(name.len() as u64 + u64::from(is_detached), SIZE);
        let hash = a.share(&world.file(name, &content));
        let valve = Valve::new(&a_node.address(), 2 << 20);
        let through_valve = valve.address();
        let download = ["download", &hash, "--peer", &through_valve, "-o", name];
        let first = b.spawn(&download);
        until_some(&b, &hash);
        let second = if is_detached {
            b.run(&[&download[..], &["--detach"]].concat()).done();
            None
        } else {
            let second = b.spawn(&download);
            second.err.line("downloading ");
            Some(second)
        };
        first.signal("INT");
        first
            .end()
            .failed()
            .says("the node continues the download, which this command no longer follows");
        valve.open();
        if let Some(second) = second {
            second.end().done();
        }
        until(&b, &hash, "done");
        assert_content(&b.path(name), &content);
    }
}

/// ```text
///   B ── A      B has downloads of content that A shares, of content whose search has failed, and
///               of content for which it still looks for a source
/// ```
#[test]
fn all_downloads_are_resumed_cancelled_or_cleared_by_one_command() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let a_node = a.start(&[]);
    let done = a.share(&world.file("x.bin", b"x"));
    let _node = b.start(&["-b", &a_node.address()]);
    b.run(&["download", &done]).done();
    let [failed, sought] = ["ab", "cd"].map(|digits| digits.repeat(32));
    b.run(&["download", &failed, "--timeout", "0", "--detach"])
        .done();
    until(&b, &failed, "failed");
    b.run(&["download", &sought, "--detach"]).done();
    b.run(&["pause", &sought]).done();

    let hashes = |all: &Value| {
        let hash = |one: &Value| one["hash"].as_str().unwrap().to_owned();
        let mut hashes: Vec<_> = all.as_array().unwrap().iter().map(hash).collect();
        hashes.sort();
        hashes
    };
    let mut both = [failed.clone(), sought.clone()];
    both.sort();
    assert_eq!(hashes(&b.json(&["resume", "--all"])), both);
    assert_eq!(hashes(&b.json(&["cancel", "--all"])), both);
    assert_eq!(order(&b), std::slice::from_ref(&done));
    b.run(&["cancel", "--all"])
        .done()
        .says("there was nothing to do");

    assert_eq!(hashes(&b.json(&["remove", "--all"])), [done]);
    assert_eq!(b.json(&["remove", "--all"]), serde_json::json!([]));
    assert_content(&b.path("x.bin"), b"x");
}

/// ```text
///   B      has more downloads than a terminal has rows, with long names
/// ```
#[test]
fn what_is_watched_fits_the_terminal() {
    let world = World::new();
    let b = world.home("b").with("NO_COLOR", "1");
    let _node = b.start(&[]);
    let name = "long-".repeat(20);
    for digits in ["ab", "cd", "ef", "12"] {
        let link = format!("pelago:{}?name={name}", digits.repeat(32));
        b.run(&["download", &link, "--detach", "-q"]).done();
    }
    b.run(&["pause", "--all"]).done();
    let last = "12".repeat(32);
    b.run(&["move", "121212", "--before", &last])
        .failed()
        .says("cannot be moved before itself");

    let mut watched = Terminal::sized(&b, &["downloads", "--watch"], (60, 4));
    watched.sees("HASH");
    watched.sees("long-l…");
    watched.sees("3 more");
    watched.types(CTRL_C);
    assert_eq!(watched.end(), Some(0));
    let mut listed = Terminal::sized(&b, &["downloads"], (60, 4));
    listed.sees(&last[..8]);
    let shown = listed.shown();
    assert!(
        shown.lines().all(|line| line.chars().count() <= 60),
        "{shown}"
    );
    // Output to a file is not cut.
    b.run(&["downloads"]).done().prints(&name);
}

/// ```text
///   B      looks for content without a source
/// ```
#[test]
fn a_name_that_may_mean_several_lists_them() {
    let world = World::new();
    let b = world.home("b");
    let _node = b.start(&[]);
    let hashes = ["ab".repeat(32), "cd".repeat(32)];
    for hash in &hashes {
        let link = format!("pelago:{hash}?name=same.bin");
        b.run(&["download", &link, "--detach"]).done();
    }
    let searching = eventually("a reason", || {
        listed(&b, &hashes[0]).filter(|download| download["waits"]["for"] == "source")
    });
    let why = searching["why"].as_str().unwrap();
    assert!(why.contains("no peer was found to ask"), "{why}");
    b.run(&["pause", "same.bin"])
        .failed()
        .says("matches several downloads")
        .says(&hashes[0])
        .says(&hashes[1]);
    let failed = b.run(&["--json", "pause", "same.bin"]).failed().document();
    assert_eq!(failed["error"]["code"], "ambiguous-name");
    b.run(&["pause", "ababab"]).done().prints(&hashes[0]);
    b.run(&["remove", "cdcdcd"])
        .failed()
        .says("has not ended")
        .says("pelago cancel");
    // With several names, the command tries each.
    let mixed = b
        .run(&["--json", "cancel", "nothing", "cdcdcd"])
        .failed()
        .document();
    assert_eq!(mixed[0]["error"]["code"], "not-downloading");
    assert_eq!(mixed[1]["hash"], hashes[1].as_str());
    assert_eq!(order(&b), [hashes[0].clone()]);
}

/// ```text
///   B      watches a download, pauses it, and stops the node
/// ```
#[test]
fn watching_without_a_terminal_tells_what_changes_and_when_the_node_goes() {
    let world = World::new();
    let b = world.home("b");
    let node = b.start(&[]);
    let link = format!("pelago:{}?name=x.bin", "ab".repeat(32));
    b.run(&["download", &link, "--detach"]).done();
    let people = b.spawn(&["downloads", "--watch"]);
    let programs = b.spawn(&["downloads", "--watch", "--json"]);
    people.out.line("x.bin: finding-sources");
    programs.out.line("finding-sources");
    b.run(&["pause", "x.bin"]).done();
    people.out.line("x.bin: paused");
    let line = programs.out.line(r#""state":"paused""#);
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line[0]["name"], "x.bin");

    people.signal("INT");
    people.end().done();
    node.stop();
    let ended = programs.end().failed();
    let last: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "node-unreachable");
    assert_eq!(
        last["error"]["message"],
        "the node has ended; verified data is kept"
    );
}

/// ```text
///   B's node ── A      B's disk is full, then it has space
/// ```
#[test]
fn a_full_disk_is_reported_and_resume_retries() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(mount) = Mount::new(world.path("small"), "size=4m") else {
        return;
    };
    let content = noise(1, SIZE);
    let a_node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    let _node = b.start(&["-b", &a_node.address()]);
    let target = mount.path().join("x.bin");
    b.run(&["download", &hash, "-o", &text(&target), "--detach"])
        .done();
    let failed = until(&b, &hash, "failed");
    assert_eq!(failed["error"]["code"], "write-failed", "{failed}");
    assert!(failed["why"].as_str().unwrap().contains("the disk is full"));
    b.run(&["downloads"]).done().prints("make room, then");
    mount.remount("size=16m");
    b.run(&["resume", "x.bin"]).done();
    until(&b, &hash, "done");
    assert_content(&target, &content);
}
