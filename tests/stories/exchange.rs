//! Files that one node sends to another.

use std::{fs, path::Path};

use super::world::{World, assert_content, noise, text};

/// ```text
///   B ── A ── C     B and C know only A's host:port
///   B ─────── C     C finds B through A, and stays connected when A ends
/// ```
#[test]
fn two_nodes_that_know_a_third_exchange_files_and_continue_without_it() {
    let world = World::new();
    let (a, b, c) = (world.home("a"), world.home("b"), world.home("c"));
    let contents = [noise(1, 3_000_000), noise(2, 16_385), noise(3, 700_000)];
    let files: Vec<_> = (0..)
        .zip(&contents)
        .map(|(i, content)| world.file(&format!("{i}.bin"), content))
        .collect();

    let bootstrap = a.start(&[]);
    let address = bootstrap.address();
    let _b = b.start(&["-b", &address]);
    let first = b.share(&files[0]);

    // A command that brings its own node for one download.
    c.run(&["download", &first, "-b", &address, "-o", "first"])
        .done();
    assert_content(&c.path("first"), &contents[0]);

    // A node that keeps running still knows B when A has ended.
    let _c = c.start(&["-b", &address]);
    let second = b.share(&files[1]);
    c.run(&["download", &second, "-o", "second"]).done();
    assert_content(&c.path("second"), &contents[1]);
    bootstrap.stop();
    let third = b.share(&files[2]);
    c.run(&["download", &third, "-o", "third"]).done();
    assert_content(&c.path("third"), &contents[2]);
}

/// ```text
///   B ── A      A runs `share` without a node; B has the link
/// ```
#[test]
fn a_link_is_all_a_receiver_needs() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, 300_000);
    let file = world.file("a name & more.bin", &content);
    let share = a.spawn(&["share", &file]);
    let link = share.out.line("link  pelago:").trim().replace("link  ", "");
    let done = b.run(&["download", &link]).done();
    assert!(
        done.stdout.contains("a name & more.bin (300.0 kB) in "),
        "{done:?}"
    );
    assert_content(&b.path("a name & more.bin"), &content);
    share.signal("INT");
    share.end().done();
}

/// ```text
///   B ── A      A shares each file of a folder of documentation, and B downloads them
/// ```
#[test]
fn every_file_of_a_documentation_folder_arrives() {
    let Some(folder) = documentation() else {
        eprintln!("skipped: there is no documentation in /usr/share/doc");
        return;
    };
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let a = a.start(&["--dir", &text(&folder)]);
    a.run.err.line("scanned a watched folder");
    let b_node = b.start(&["-b", &a.address()]);
    let listed = b.json(&["list", "--peer", &a.address()]);
    let listed = listed.as_array().unwrap();
    let files = regular_files(&folder);
    assert_eq!(listed.len(), files.len());
    for entry in listed {
        let (hash, name) = (
            entry["hash"].as_str().unwrap(),
            entry["name"].as_str().unwrap(),
        );
        let to = format!("got-{}", name.replace('/', "-"));
        b.run(&["download", hash, "--peer", &a.address(), "-o", &to])
            .done();
        assert_content(&b.path(&to), &fs::read(folder.join(name)).unwrap());
    }
    drop(b_node);
}

/// How many files the story can download one by one in a few seconds.
const FEW: std::ops::RangeInclusive<usize> = 20..=60;

/// A folder of the system's documentation with that many files.
fn documentation() -> Option<std::path::PathBuf> {
    let folders = fs::read_dir("/usr/share/doc").ok()?.flatten();
    let mut folders: Vec<_> = folders
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .filter(|folder| FEW.contains(&regular_files(folder).len()))
        .collect();
    folders.sort();
    folders.into_iter().next()
}

fn regular_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(regular_files(&entry.path())),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    files
}

/// ```text
///   B ── A      files without content, of one block, and of one byte more
/// ```
#[test]
fn files_at_the_edges_of_a_block_arrive() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node = a.start(&[]);
    for len in [0, 1, 16_384, 16_385, 65_537] {
        let content = noise(len as u64, len);
        let hash = a.share(&world.file(&format!("{len}.bin"), &content));
        // Without `-o`, the file gets its own name in the working directory.
        b.run(&["download", &hash, "--peer", &node.address()])
            .done();
        assert_content(&b.path(&format!("{len}.bin")), &content);
    }
}
