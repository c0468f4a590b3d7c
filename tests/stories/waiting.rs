//! Downloads that wait for a source, and downloads that end while a file is proven.

use std::{
    fs::File,
    time::{Duration, Instant},
};

use super::{
    downloads::until,
    world::{World, assert_content, eventually, noise},
};

/// ```text
///   B          waits for content without a source, is killed, starts, and waits again
///   B <── A    A connects, and shares the content
/// ```
#[test]
fn a_download_without_a_source_waits_until_there_is_one() {
    let world = World::new();
    let a = world.home("a");
    let b = world.home("b").with("PELAGO_TRANSFER_TIMEOUT_SECONDS", "1");
    let content = noise(1, 100_000);
    let path = world.file("x.bin", &content);
    let hash = a.hash(&path);
    let node = b.start(&[]);
    b.run(&["download", &hash, "-o", "got", "--detach"]).done();
    let waits = until(&b, &hash, "waiting");
    assert_eq!(waits["waits"]["for"], "source", "{waits}");
    b.run(&["downloads"])
        .done()
        .prints("waiting")
        .prints("it starts when a peer that has it connects, lists or announces it");
    node.kill();

    let node = b.start(&[]);
    until(&b, &hash, "waiting");
    let _a_node = a.start(&["-b", &node.address()]);
    a.share(&path);

    until(&b, &hash, "done");
    assert_content(&b.path("got"), &content);
}

/// A command that brings its own node ends when its time is over.
#[test]
fn a_command_without_a_node_waits_for_nothing() {
    let world = World::new();
    let b = world.home("b").with("PELAGO_TRANSFER_TIMEOUT_SECONDS", "1");
    let absent = "ab".repeat(32);
    for arguments in [&["--timeout", "0.5"][..], &[]] {
        let download = [&["download", &absent], arguments].concat();
        b.run(&download).failed().says("no source");
    }
}

/// The node proves a sparse target of 8 GiB, and the download is cancelled, or paused.
#[test]
fn what_is_proven_of_a_large_file_ends_with_the_download() {
    let world = World::new();
    let b = world.home("b");
    let node = b.start(&[]);
    let large = File::create(b.path("large")).unwrap();
    large.set_len(8 << 30).unwrap();
    let read = || node.run.read_bytes().unwrap();
    for (number, verb) in ["cancel", "pause"].into_iter().enumerate() {
        let hash = format!("{number}b").repeat(32);
        let before = read();
        b.run(&["download", &hash, "-o", "large", "--detach"])
            .done();
        eventually("some of the target to be read", || {
            (read() - before > 64 << 20).then_some(())
        });
        let begun = Instant::now();
        b.run(&[verb, &hash]).done();
        println!("{verb}: {:?}", begun.elapsed());
        let (ended, mut last) = (read(), 0);
        eventually("the end of all reading", || {
            std::thread::sleep(Duration::from_millis(50));
            let now = read();
            (std::mem::replace(&mut last, now) == now).then_some(())
        });
        let after = read() - ended;
        assert!(
            after < 128 << 20,
            "{verb}: {after} bytes were read after it"
        );
    }
}
