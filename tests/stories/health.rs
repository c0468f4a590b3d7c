//! `status` says why something makes no progress, and `doctor` what to do.

use std::fs;

use serde_json::Value;

use super::{
    terminal::Terminal,
    world::{Home, Run, World, eventually, noise},
};

/// The notices of one kind in the status of the node.
fn notices(home: &Home, kind: &str) -> Vec<Value> {
    let status = home.json(&["status"]);
    let notices = status["health"]["notices"].as_array().unwrap().clone();
    notices
        .into_iter()
        .filter(|notice| notice["kind"] == kind)
        .collect()
}

/// ```text
///   A      has a download without a source, and a command that follows it
/// ```
#[test]
fn a_download_without_a_source_says_what_it_waits_for() {
    let world = World::new();
    let a = world.home("a");
    let _node = a.start(&[]);
    let hash = "ab".repeat(32);
    a.run(&["download", &hash, "--detach", "--timeout", "600"])
        .done();
    let notice = eventually("a notice of the wait", || notices(&a, "download").pop());
    assert_eq!(notice["problem"], false, "{notice}");
    assert!(
        notice["why"].as_str().unwrap().contains("no source"),
        "{notice}"
    );
    assert!(
        notice["remedy"].as_str().unwrap().contains("--peer"),
        "{notice}"
    );
    let status = a.json(&["status"]);
    assert_eq!(status["health"]["waiting"][0]["hash"], hash);
    let mut follower = Terminal::open(&a, &["download", &hash]);
    follower.sees("finding-sources, no source for");
    let shown = follower.shown();
    assert!(!shown.contains("[ ") && !shown.contains("[="), "{shown}");
    a.run(&["status"])
        .done()
        .prints("no source")
        .prints("--peer");
    a.run(&["doctor"])
        .done()
        .prints("no source")
        .prints("--peer");
}

/// The report has the limits of the node, not those of the command.
#[test]
fn the_limits_of_the_node_are_reported() {
    let world = World::new();
    let a = world.home("a");
    let binary = env!("CARGO_BIN_EXE_pelago");
    let line = format!("ulimit -n 200; exec {binary} start --listen /ip4/127.0.0.1/tcp/0");
    let quiet = a.clone().with("PELAGO_STORAGE_SHARE_FOLDERS", "");
    let node = Run::new(quiet.program("sh", &["-c", &line]));
    node.out.wait(|line| line == "ready", "ready");
    let limits = a.json(&["status"])["health"]["limits"].clone();
    assert_eq!(limits["max_open_files"], 200, "{limits}");
    assert!(limits["open_files"].as_u64().unwrap() > 3, "{limits}");
    assert!(
        limits["memory_bytes"].as_u64().unwrap() > 1 << 20,
        "{limits}"
    );
    let doctor = a.run(&["doctor"]).done();
    assert!(doctor.stdout.contains(" of 200 open files"), "{doctor:#?}");
}

/// A node without problems has no notices, and all duties run.
#[test]
fn a_node_that_is_well_says_so() {
    let world = World::new();
    let a = world.home("a");
    fs::create_dir(a.path("shared")).unwrap();
    fs::write(a.path("shared/file"), noise(1, 1000)).unwrap();
    let _node = a.start(&["--dir", "shared"]);
    let health = eventually("the folder to be scanned", || {
        let health = a.json(&["status"])["health"].clone();
        health["watches"][0]["looked_at_unix_ms"]
            .is_u64()
            .then_some(health)
    });
    assert_eq!(health["notices"], Value::Array(Vec::new()));
    let duties = health["duties"].as_array().unwrap();
    let is_well = |duty: &Value| duty["state"] != "waiting" && duty["restarts"] == 0;
    assert!(duties.iter().all(is_well), "{duties:#?}");
    for name in [
        "network",
        "publish",
        "serve-peers",
        "rehash",
        "collect",
        "api",
        "gateway",
    ] {
        assert!(
            duties.iter().any(|duty| duty["name"] == name),
            "{name}: {duties:#?}"
        );
    }
    assert_eq!(health["watches"][0]["relies_on"], "events");
    assert!(health["disks"][0]["reserve"].as_u64().unwrap() > 0);
    let status = a.run(&["status"]).done();
    for row in ["watching   ", "tasks      ", "limits     ", "disk       "] {
        assert!(status.stdout.contains(row), "{row}: {status:#?}");
    }
}
