//! Commands and Ctrl-C while a slow disk delays the end of a download.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    downloads::{listed, until},
    world::{Home, World, assert_content, eventually, noise, text},
};

/// Bytes of the content: more than a download writes without a record.
const SIZE: usize = 300_000;

/// A disk on which the sync of one path waits until the story opens a gate.
struct SlowDisk {
    gate: PathBuf,
}

impl SlowDisk {
    /// `home`, whose commands wait in every sync of `path`. Prints why and returns `None` if that
    /// is impossible.
    fn new(world: &World, home: Home, path: &Path) -> Option<(Self, Home)> {
        let (source, library) = (world.path("slow_disk.c"), world.path("slow_disk.so"));
        fs::write(&source, include_str!("slow_disk.c")).unwrap();
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .args(["-ldl"])
            .status();
        if !cfg!(target_os = "linux") || !compiled.is_ok_and(|status| status.success()) {
            eprintln!("skipped: a slow disk takes Linux and a C compiler");
            return None;
        }
        let gate = world.path("gate");
        fs::write(&gate, "").unwrap();
        let home = home
            .with("LD_PRELOAD", &text(&library))
            .with("SLOW_PATH", &text(path))
            .with("SLOW_GATE", &text(&gate));
        Some((Self { gate }, home))
    }

    /// Waits until a sync has reached the gate.
    #[track_caller]
    fn reached(&self) {
        let reached = self.gate.with_extension("reached");
        eventually("a sync to wait", || reached.exists().then_some(()));
    }

    /// Opens the gate for all syncs.
    fn open(&self) {
        fs::remove_file(&self.gate).unwrap();
    }
}

/// The target of the download, and the path whose sync is slow: the part file, or, if
/// `is_too_late`, the folder in which the file already has its name.
fn got_and_slow(home: &Home, is_too_late: bool) -> (PathBuf, PathBuf) {
    let folder = home.path("in");
    fs::create_dir(&folder).unwrap();
    let got = folder.join("got");
    let slow = match is_too_late {
        false => folder.join("got.part"),
        true => folder,
    };
    (got, slow)
}

/// Whether `home` shares nothing.
fn shares_nothing(home: &Home) -> bool {
    home.json(&["list"]).as_array().unwrap().is_empty()
}

/// ```text
///   B ── A      B's disk takes long to sync the file, which does not have its name yet
/// ```
#[test]
fn what_is_stopped_before_its_content_is_in_place_stays_stopped() {
    for verb in ["cancel", "pause"] {
        let world = World::new();
        let (a, b) = (world.home("a"), world.home("b"));
        let part = b.path("got.part");
        let Some((disk, b)) = SlowDisk::new(&world, b, &part) else {
            return;
        };
        let a_node = a.start(&[]);
        let hash = a.share(&world.file("x.bin", &noise(1, SIZE)));
        let node = b.start(&["-b", &a_node.address()]);
        b.run(&["download", &hash, "-o", "got", "--detach"]).done();
        disk.reached();
        let run = b.spawn(&[verb, &hash]);
        until(&b, &hash, "paused");
        disk.open();
        run.end().done();
        if verb == "pause" {
            assert_eq!(listed(&b, &hash).unwrap()["state"], "paused");
            b.run(&["cancel", &hash]).done();
        }
        assert!(listed(&b, &hash).is_none());
        assert!(!b.path("got").exists() && !part.exists(), "{verb}");
        assert!(shares_nothing(&b), "{verb}");
        node.stop();
    }
}

/// ```text
///   B ── A      B's disk takes long to sync the folder, in which the file has its name already
/// ```
#[test]
fn a_command_that_comes_too_late_learns_that_the_download_is_done() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let folder = b.path("in");
    fs::create_dir(&folder).unwrap();
    let Some((disk, b)) = SlowDisk::new(&world, b, &folder) else {
        return;
    };
    let content = noise(1, SIZE);
    let a_node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    let node = b.start(&["-b", &a_node.address()]);
    let got = folder.join("got");
    b.run(&["download", &hash, "-o", &text(&got), "--detach"])
        .done();
    disk.reached();
    assert!(got.exists());
    let verbs = ["pause", "cancel"].map(|verb| b.spawn(&[verb, &hash]));
    for _ in 0..5 {
        assert_eq!(listed(&b, &hash).unwrap()["state"], "finishing");
    }
    disk.open();
    for verb in verbs {
        verb.end().failed().says("is done already");
    }
    assert_eq!(listed(&b, &hash).unwrap()["state"], "done");
    assert_content(&got, &content);
    assert!(b.run(&["list"]).done().stdout.contains(&hash));
    node.stop();
}

/// ```text
///   B ── A      B resumes the download while the sync before the pause still waits
/// ```
#[test]
fn what_is_resumed_while_it_is_being_stopped_is_done_once() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let part = b.path("got.part");
    let Some((disk, b)) = SlowDisk::new(&world, b, &part) else {
        return;
    };
    let content = noise(1, SIZE);
    let a_node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &content));
    let _node = b.start(&["-b", &a_node.address()]);
    b.run(&["download", &hash, "-o", "got", "--detach"]).done();
    disk.reached();
    b.run(&["pause", &hash]).done();
    b.run(&["resume", &hash]).done();
    assert!(!b.path("got").exists());
    disk.open();
    until(&b, &hash, "done");
    assert_content(&b.path("got"), &content);
    assert!(!part.exists() && !shares_nothing(&b));
}

/// ```text
///   command ── B ── A      the command that follows the download is killed while B's disk is slow
/// ```
#[test]
fn a_download_without_followers_is_paused_or_done_and_nothing_between() {
    for is_too_late in [false, true] {
        let world = World::new();
        let (a, b) = (world.home("a"), world.home("b"));
        let (got, slow) = got_and_slow(&b, is_too_late);
        let Some((disk, b)) = SlowDisk::new(&world, b, &slow) else {
            return;
        };
        let content = noise(1, SIZE);
        let a_node = a.start(&[]);
        let hash = a.share(&world.file("x.bin", &content));
        let _node = b.start(&["-b", &a_node.address()]);
        let follower = b.spawn(&["download", &hash, "-o", &text(&got)]);
        disk.reached();
        follower.signal("KILL");
        follower.end();
        if is_too_late {
            disk.open();
            until(&b, &hash, "done");
            assert_content(&got, &content);
        } else {
            until(&b, &hash, "paused");
            disk.open();
            b.run(&["cancel", &hash]).done();
            assert!(!got.exists() && !slow.exists() && shares_nothing(&b));
        }
    }
}

/// ```text
///   B ── A      B stops its node while its disk takes long to sync the folder
/// ```
#[test]
fn a_node_that_ends_waits_for_what_is_being_put_in_place() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let folder = b.path("in");
    fs::create_dir(&folder).unwrap();
    let Some((disk, b)) = SlowDisk::new(&world, b, &folder) else {
        return;
    };
    let b = b.with("PELAGO_LOGGING_LEVEL", "info");
    let a_node = a.start(&[]);
    let hash = a.share(&world.file("x.bin", &noise(1, SIZE)));
    let node = b.start(&["-b", &a_node.address()]);
    let got = text(&folder.join("got"));
    b.run(&["download", &hash, "-o", &got, "--detach"]).done();
    disk.reached();
    node.run.signal("TERM");
    node.run.err.line("stopping;");
    disk.open();
    let ended = node.run.end().done();
    assert!(ended.stderr.contains("downloaded"), "{ended:#?}");

    let node = b.start(&[]);
    assert_eq!(listed(&b, &hash).unwrap()["state"], "done");
    let log = node.run.err.lines();
    assert!(
        !log.iter().any(|line| line.contains("download resumes")),
        "{log:#?}"
    );
}

/// ```text
///   B's command, no node ── A      Ctrl-C before the file has its name, and after it
/// ```
#[test]
fn an_interrupted_command_says_what_became_of_the_download() {
    for is_too_late in [false, true] {
        let world = World::new();
        let (a, b) = (world.home("a"), world.home("b"));
        let (got, slow) = got_and_slow(&b, is_too_late);
        let Some((disk, b)) = SlowDisk::new(&world, b, &slow) else {
            return;
        };
        let content = noise(1, SIZE);
        let a_node = a.start(&[]);
        let hash = a.share(&world.file("x.bin", &content));
        let address = a_node.address();
        let run = b.spawn(&["download", &hash, "-b", &address, "-o", &text(&got)]);
        disk.reached();
        run.signal("INT");
        if is_too_late {
            disk.open();
            run.end().done().prints(&text(&got));
            assert_content(&got, &content);
        } else {
            run.end().failed().says("verified data is kept");
            assert!(!got.exists());
            disk.open();
            let resumed = b.json(&["download", &hash, "-b", &address, "-o", &text(&got)]);
            assert_eq!(resumed["fetched_bytes"], 0, "{resumed}");
            assert_content(&got, &content);
        }
    }
}
