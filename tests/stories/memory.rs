//! Memory: how much many readers take, and how little is enough for a node.

use std::thread;

use super::{
    http::Url,
    system::MemoryGroup,
    world::{Home, Node, Run, World, assert_content, eventually, noise},
};

const MIB: usize = 1 << 20;

/// How many clients read at a time.
const READERS: usize = 20;

/// What they may add, in MiB: 18 to 25 were measured. Without a budget for all of them it was 50 to 65.
const MAX_GROWTH: u64 = 45;

/// Bytes of memory that are enough, according to docs/OPERATING.md.
const SMALLEST: u64 = 96 << 20;

fn url(home: &Home, what: &str) -> Url {
    let link = home.run(&["link", what, "--http"]).done();
    Url::new(&link.stdout)
}

/// Reads all contents at the same time through the gateway of `home`, and compares them.
fn read_all(home: &Home, contents: &[(String, Vec<u8>)]) {
    let urls: Vec<_> = contents.iter().map(|(link, _)| url(home, link)).collect();
    thread::scope(|scope| {
        for (url, (_, content)) in urls.iter().zip(contents) {
            scope.spawn(|| {
                url.get(&[]).code(200).is(content);
            });
        }
    });
}

/// Shares `count` files at `home`, and returns their links and contents.
fn shared(world: &World, home: &Home, count: usize, len: usize) -> Vec<(String, Vec<u8>)> {
    let share = |seed: usize| {
        let content = noise(seed as u64 + 100, len);
        let path = world.file(&format!("film {seed}.mkv"), &content);
        let shared = home.json(&["share", &path]);
        (shared[0]["link"].as_str().unwrap().to_owned(), content)
    };
    (0..count).map(share).collect()
}

/// ```text
///   20 readers ── B ── A      the readers read at B what A shares
/// ```
#[test]
fn twenty_readers_take_little_memory() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let _a = a.start(&[]);
    let contents = shared(&world, &a, READERS, 8 * MIB);
    let node = b.start(&[]);
    read_all(&b, &contents[..1]);
    let Some(before) = node.run.resident_bytes() else {
        return;
    };
    read_all(&b, &contents[1..]);
    let after = node.run.resident_bytes().unwrap();
    let grown = after.saturating_sub(before) / MIB as u64;
    eprintln!(
        "{READERS} readers: {grown} MiB more, {} MiB in all",
        after / MIB as u64
    );
    assert!(grown <= MAX_GROWTH, "{grown} MiB");
}

/// ```text
///   20 readers ── B ── A      B may use little memory; it shares, downloads, and serves readers
/// ```
#[test]
fn the_smallest_memory_is_enough() {
    let Some(group) = MemoryGroup::new(SMALLEST) else {
        return;
    };
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let first = a.start(&[]);
    let contents = shared(&world, &a, READERS, 8 * MIB);
    let line = format!(
        "{} start --listen /ip4/127.0.0.1/tcp/0 -b {}",
        env!("CARGO_BIN_EXE_pelago"),
        first.address()
    );
    let mut command = b.program("sh", &["-c", &group.line(&line)]);
    command.env("PELAGO_STORAGE_SHARE_FOLDERS", "");
    let run = Run::new(command);
    run.out.line("ready");
    let node = Node {
        run,
        listen: Vec::new(),
    };

    let large = noise(7, 64 * MIB);
    let hash = a.share(&world.file("large.bin", &large));
    b.run(&["download", &hash, "-o", "large.bin"]).done();
    assert_content(&b.path("large.bin"), &large);
    b.share(&world.file("own.bin", &noise(8, 32 * MIB)));
    read_all(&b, &contents);
    eventually("the node to be well", || {
        b.run(&["status"])
            .done()
            .stdout
            .contains("running")
            .then_some(())
    });
    assert_eq!(group.killed(), 0);
    eprintln!(
        "{} MiB in the end",
        node.run.resident_bytes().unwrap_or(0) / MIB as u64
    );
    node.stop();
}
