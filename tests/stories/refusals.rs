//! Commands that are invalid, or that name something that is absent or cannot be shared.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    process::Command,
};

use super::world::{World, text};

/// ```text
///   A      types invalid hashes
/// ```
#[test]
fn a_bad_hash_is_refused_with_what_is_wrong_with_it() {
    let world = World::new();
    let a = world.home("a");
    let good = "0123456789abcdef".repeat(4);
    let bad_digit = format!("{}g", &good[1..]);
    for (given, wrong) in [
        (&good[1..], "63"),
        (&format!("{good}0"), "65"),
        (&bad_digit, "digit 64"),
        ("", "0"),
    ] {
        a.run(&["download", "--hash", given]).code(2).says(wrong);
        a.run(&["download", &format!("pelago:{given}")])
            .code(2)
            .says(wrong);
    }
    // This could be a name, but a person who types it means a hash.
    for (given, wrong) in [(&good[1..], "63"), (&bad_digit, "digit 64")] {
        a.run(&["download", given]).code(2).says(wrong);
    }
    a.run(&["download", &format!("sha256:{good}")])
        .code(2)
        .says("reserved");
}

/// ```text
///   B ── A      B knows no other node; then A, which has nothing; then A has ended
/// ```
#[test]
fn without_a_source_it_says_what_was_tried() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let hash = "ab".repeat(32);
    let alone = b.run(&["download", &hash, "--timeout", "0.5"]).failed();
    alone
        .says("no source")
        .says(&hash)
        .says("within 0.5 s: no peer was found")
        .says("--peer")
        .says("--timeout");
    let node = a.start(&[]);
    let refused = b
        .run(&[
            "download",
            &hash,
            "--peer",
            &node.address(),
            "--timeout",
            "0.5",
        ])
        .failed();
    refused.says("1 peer was asked and does not have it");
    let address = node.address();
    node.stop();
    let refused = b
        .run(&["download", &hash, "--peer", &address, "--timeout", "0.5"])
        .failed();
    refused.says("could not be reached");
    b.run(&["list", "--peer", &address])
        .failed()
        .says(address.rsplit(':').next().unwrap())
        .says("pelago start");
    let error = &b
        .run(&["download", "a name", "--timeout", "0.1", "--json"])
        .failed()
        .document()["error"];
    assert_eq!(error["code"], "name-not-found");
}

/// ```text
///   A      shares paths that cannot be shared
/// ```
#[test]
fn entries_that_are_not_regular_files_are_reported_and_the_rest_is_shared() {
    let world = World::new();
    let a = world.home("a");
    let good = world.file("odd/good.txt", b"good");
    let folder = world.path("odd");
    symlink("good.txt", folder.join("link")).unwrap();
    symlink("nowhere", folder.join("dangling")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(folder.join("fifo"))
            .status()
            .unwrap()
            .success()
    );
    let unnamed = folder.join(OsStr::from_bytes(b"\xff\xfe.txt"));
    fs::write(&unnamed, b"bytes").unwrap();
    let at = |name: &str| folder.join(name).into_os_string();
    let paths = [
        at("dangling"),
        at("fifo"),
        at("gone"),
        unnamed.clone().into_os_string(),
        folder.clone().into_os_string(),
        good.into(),
    ];

    let arguments = |verb: &str| [&[verb.into()], &paths[..]].concat();
    let mut share = arguments("share");
    share.push("--no-serve".into());
    let shared = a.run(&share).failed().prints("shared good.txt");
    let shared = shared
        .says("dangling cannot be read: it is a link to nowhere, which does not exist")
        .says("fifo is a fifo")
        .says("gone does not exist");
    shared
        .says("not valid UTF-8")
        .says("1 entry cannot be carried")
        .says(r"\xff\xfe.txt: its name is not valid UTF-8");
    a.run(&["list"]).done().prints("good.txt");
    let hashed = a.run(&arguments("hash")).failed().prints("odd/good.txt");
    hashed
        .says("fifo is a fifo")
        .says("gone does not exist")
        .says("1 entry cannot be carried");

    // Each has its error code.
    for (path, code) in [
        (at("dangling"), "file-not-hashed"),
        (at("fifo"), "file-not-hashed"),
        (folder.clone().into(), "unsupported-entries"),
    ] {
        let error = a
            .run(&["share".into(), path, "--json".into()])
            .failed()
            .document();
        assert_eq!(error["error"]["code"], code);
    }

    // A watched folder shares the rest, and the log says what it leaves out.
    let node = a.start(&["--dir", &text(&folder)]);
    let summary = node.run.err.line("scanned a watched folder");
    assert!(
        summary.contains("files=1") && summary.contains("left_out=4"),
        "{summary}"
    );
    for reason in [
        "link is a symbolic link",
        "dangling is a symbolic link",
        "fifo is a fifo",
        "not valid UTF-8",
    ] {
        node.run.err.line(reason);
    }
    node.stop();
}

/// ```text
///   B ── A      a shared file of A is removed
/// ```
#[test]
fn a_file_that_vanished_is_not_served_and_the_node_keeps_running() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node = a.start(&[]);
    let file = world.file("x.txt", b"here");
    let hash = a.share(&file);
    let other = a.share(&world.file("y.txt", b"there"));
    fs::remove_file(&file).unwrap();
    b.run(&[
        "download",
        &hash,
        "--peer",
        &node.address(),
        "--timeout",
        "2",
    ])
    .failed()
    .says(&hash);
    b.run(&["download", &other, "--peer", &node.address(), "-o", "y"])
        .done();
    node.stop();
}

/// ```text
///   A      types invalid commands
/// ```
#[test]
fn invalid_commands_are_refused_and_do_nothing() {
    let world = World::new();
    let a = world.home("a");
    for arguments in [
        &[][..],
        &["fly"],
        &["share"],
        &["start", "-p", "70000"],
        &["start", "-b", "nowhere"],
        &["share", "a", "b", "--name", "c"],
        &["download", "x", "--peer", "host"],
        &["list", "--wait", "1"],
        &["status", "-v", "-q"],
    ] {
        let refused = a.run(arguments).code(2);
        assert!(
            refused.stdout.is_empty() && !refused.stderr.is_empty(),
            "{refused:?}"
        );
    }
    let error = &a.run(&["--json", "fly"]).code(2).document()["error"];
    assert_eq!(error["code"], "usage");
    a.run(&["help"]).done().prints("Usage: pelago");
    a.run(&["--version"])
        .done()
        .prints(env!("CARGO_PKG_VERSION"));
    assert!(!a.data().exists());
}
