//! The power is cut right after a command has reported success: the report still holds afterwards.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::FileExt,
};

use super::{
    downloads::{listed, until},
    system::Disk,
    world::{World, assert_content, eventually, noise, text},
};

/// ```text
///   B ── A      A's disk loses power as soon as A has reported a share
/// ```
#[test]
fn what_was_reported_as_shared_is_served_after_a_power_cut() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(disk) = Disk::new(a.data(), "") else {
        return;
    };
    let large = noise(1, 5_000_000);
    let files = [
        ("small", noise(2, 1000)),
        ("large", large.clone()),
        ("tree/deep/large", noise(3, 600_000)),
        ("tree/small", noise(4, 100)),
    ];
    for (name, content) in &files {
        world.file(name, content);
    }
    let mut hashes = Vec::new();
    for name in ["small", "large", "tree"] {
        let node = a.start(&[]);
        hashes.push(a.share(&text(&world.path(name))));
        disk.cut();
        node.kill();
        disk.mount();
    }
    let node = a.start(&[]);
    let shared = a.json(&["list"]);
    assert_eq!(shared.as_array().unwrap().len(), 3, "{shared}");
    for (hash, name) in hashes.iter().zip(["small", "large", "tree"]) {
        b.run(&["download", hash, "--peer", &node.address(), "-o", name])
            .done();
    }
    for (name, content) in &files {
        assert_content(&b.path(name), content);
    }
}

/// ```text
///   B ── A      B's disk loses power as soon as B has reported that a download is done
/// ```
#[test]
fn what_was_reported_as_done_is_there_after_a_power_cut() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(disk) = Disk::new(b.path("disk"), "") else {
        return;
    };
    let data = text(&b.path("disk/data"));
    let b = b.with("PELAGO_DATA_DIR", &data);
    let content = noise(1, 3_000_000);
    let file = world.file("x.bin", &content);
    for n in 0..40 {
        world.file(&format!("tree/{}/{n}", n % 3), &noise(100 + n, 7000));
    }
    world.file("tree/large", &noise(5, 700_000));
    let node = a.start(&[]);
    let (hash, tree) = (a.share(&file), a.share(&text(&world.path("tree"))));
    let target = |name: &str| text(&b.path("disk").join(name));
    fs::create_dir(target("in place")).unwrap();
    // A file that another program has written and synced.
    let mut mine = File::create(target("in place/mine")).unwrap();
    mine.write_all(b"mine").unwrap();
    mine.sync_all().unwrap();
    drop(mine);
    for with_node in [false, true] {
        for (hash, name) in [(&hash, "file"), (&tree, "new"), (&tree, "in place")] {
            let name = if name == "in place" {
                name.to_owned()
            } else {
                format!("{name} {with_node}")
            };
            let running = with_node.then(|| b.start(&[]));
            b.run(&[
                "download",
                hash,
                "--peer",
                &node.address(),
                "-o",
                &target(&name),
            ])
            .done();
            disk.cut();
            if let Some(running) = running {
                running.kill();
            }
            disk.mount();
            if name.starts_with("file") {
                assert_content(&b.path("disk").join(&name), &content);
            } else {
                let got = b.path("disk").join(&name);
                let got = if name == "in place" {
                    got.join("tree")
                } else {
                    got
                };
                assert_eq!(b.hash(&text(&got)), tree, "{name}");
            }
            // The list does not have it as unfinished.
            let again = b.start(&[]);
            let states = || {
                let downloads = b.json(&["downloads"]);
                let downloads = downloads.as_array().unwrap().iter();
                downloads
                    .map(|download| download["state"].as_str().unwrap().to_owned())
                    .collect::<Vec<_>>()
            };
            if with_node {
                eventually("all to be known as done", || {
                    states().iter().all(|state| state == "done").then_some(())
                });
            } else {
                assert_eq!(states(), [] as [&str; 0], "{name}");
            }
            again.stop();
        }
    }
    assert_content(&b.path("disk/in place/mine"), b"mine");
}

/// ```text
///   B ── A      B's disk loses power after B has paused and cancelled downloads, and set a limit
/// ```
#[test]
fn what_a_command_reported_holds_after_a_power_cut() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(disk) = Disk::new(b.path("disk"), "") else {
        return;
    };
    let data = text(&b.path("disk/data"));
    let b = b.with("PELAGO_DATA_DIR", &data);
    let a_node = a.start(&[]);
    a.run(&["limit", "--upload", "200k"]).done();
    let hashes = [1, 2].map(|n| {
        let file = world.file(&format!("{n}.bin"), &noise(n, 4 << 20));
        a.share(&file)
    });
    let node = b.start(&[]);
    for (hash, name) in hashes.iter().zip(["paused", "cancelled"]) {
        let target = text(&b.path("disk").join(name));
        b.run(&[
            "download",
            hash,
            "--peer",
            &a_node.address(),
            "-o",
            &target,
            "--detach",
        ])
        .done();
        until(&b, hash, "downloading");
    }
    b.run(&["pause", &hashes[0]]).done();
    b.run(&["cancel", &hashes[1]]).done();
    b.run(&["limit", "--download", "300k"]).done();
    disk.cut();
    node.kill();
    disk.mount();
    let _node = b.start(&[]);
    assert_eq!(listed(&b, &hashes[0]).unwrap()["state"], "paused");
    assert_eq!(listed(&b, &hashes[1]), None);
    assert!(!b.path("disk/cancelled.part").exists());
    b.run(&["limit"]).done().prints("300");
}

/// ```text
///   B ── A      B's file system keeps times in whole seconds
/// ```
#[test]
fn what_was_edited_within_the_second_is_not_removed() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let Some(_disk) = Disk::new(b.path("disk"), "-I 128") else {
        return;
    };
    let content = noise(1, 300_000);
    let file = world.file("x.bin", &content);
    world.file("tree/one", b"one");
    world.file("tree/two", b"two");
    let node = a.start(&[]);
    let (hash, tree) = (a.share(&file), a.share(&text(&world.path("tree"))));
    let _b_node = b.start(&["-b", &node.address()]);
    let path = b.path("disk/got");
    b.run(&["download", &hash, "-o", &text(&path)]).done();
    // The edit leaves the size as it is, and is in the same second as the download.
    let edit = OpenOptions::new().write(true).open(&path).unwrap();
    edit.write_all_at(b"mine now", 1000).unwrap();
    drop(edit);
    b.run(&["remove", &hash, "--with-data"]).failed();
    assert_eq!(&fs::read(&path).unwrap()[1000..1008], b"mine now");

    let folder = b.path("disk/folder");
    b.run(&["download", &tree, "-o", &text(&folder)]).done();
    fs::write(folder.join("two"), "TWO").unwrap();
    b.run(&["remove", &tree, "--with-data"])
        .done()
        .says(&text(&folder.join("two")));
    assert_content(&folder.join("two"), b"TWO");
    assert!(!folder.join("one").exists());
}
