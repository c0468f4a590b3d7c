//! Links: printed, drawn as QR codes, and opened before a download.

use serde_json::json;

use super::{
    terminal::{ENTER, Terminal},
    world::{World, assert_content, eventually, fields, noise},
};

/// ```text
///   A ── B      A prints its links again, and B downloads by them
/// ```
#[test]
fn a_link_is_printed_again_with_where_the_node_is() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, 1000);
    let node = a.start(&[]);
    let shared = a.json(&["share", &world.file("a b.txt", &content)]);
    let hash = a.share(&world.file("other.txt", b"other"));

    let link = a.run(&["link", "a b.txt"]).done().stdout;
    assert_eq!(link.trim_end(), shared[0]["link"].as_str().unwrap());
    assert!(link.contains(&node.peer_id()), "{link}");
    assert_eq!(a.run(&["link", &hash]).done().stdout.lines().count(), 1);
    assert_eq!(a.run(&["link"]).done().stdout.lines().count(), 2);
    assert_eq!(a.json(&["link", "a b.txt"]), shared);
    a.run(&["link", "nothing"]).failed().says("pelago list");

    b.run(&["download", link.trim_end(), "-o", "got"]).done();
    assert_content(&b.path("got"), &content);

    // Without a node the link has no address, and the command says so.
    node.stop();
    let link = a
        .run(&["link", "a b.txt"])
        .done()
        .says("no node is running");
    assert!(!link.stdout.contains("peer="), "{link:?}");
}

/// ```text
///   A      draws QR codes, on a terminal and in a file
/// ```
#[test]
fn links_are_drawn_as_codes() {
    let world = World::new();
    let a = world.home("a");
    let file = world.file("x.txt", b"x");
    let shared = a.run(&["share", &file, "--no-serve", "--qr"]).done();
    let blocks = |text: &str| text.lines().filter(|line| line.contains('█')).count();
    assert!(blocks(&shared.stdout) > 15, "{shared:?}");
    assert!(!shared.stdout.contains('\u{1b}'), "{shared:?}");
    let link = a.run(&["link", "x.txt", "--qr"]).done().prints("pelago:");
    assert_eq!(blocks(&link.stdout), blocks(&shared.stdout));
    let hash = &link.stdout[link.stdout.find("pelago:").unwrap() + "pelago:".len()..][..64];
    a.run(&["link", &hash[..6]]).done().prints(hash);
    a.run(&["unshare", &hash[..5]])
        .failed()
        .says("no share matches");
    // With `--json`, the output is only the document.
    let document = a.json(&["link", "x.txt", "--qr"]);
    assert_eq!(
        fields(&document[0]),
        ["hash", "kind", "link", "name", "size"]
    );

    let mut terminal = Terminal::open(&a, &["link", "x.txt", "--qr"]);
    terminal.sees("\u{1b}[38;5;16;48;5;231m");
    terminal.sees("pelago:");
    assert_eq!(terminal.end(), Some(0));
    // Another file has the start of the hash as its name.
    let other = world.file(&hash[..6], b"y");
    a.run(&["share", &other, "--no-serve"]).done();
    a.run(&["unshare", &hash[..6]])
        .failed()
        .says("matches several shares")
        .says(hash)
        .says(&a.hash(&other));
    a.run(&["unshare", &hash[..7]])
        .done()
        .prints("no longer shared");
}

/// ```text
///   B ── A      B opens links to a file and a folder of A, and downloads the file
/// ```
#[test]
fn a_link_is_looked_at_before_it_is_downloaded() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let content = noise(1, 300_000);
    let node = a.start(&["--name", "anna"]);
    let file = a.json(&["share", &world.file("film.mkv", &content)]);
    world.file("album/one.jpg", &noise(2, 1000));
    world.file("album/deep/two.jpg", &noise(3, 500));
    let album = world.path("album").into_os_string().into_string().unwrap();
    let folder = a.json(&["share", &album]);

    let link = file[0]["link"].as_str().unwrap();
    let opened = b.json(&["open", link]);
    let holders = json!([{"peer_id": node.peer_id(), "name": "anna", "bytes": 300_000}]);
    let expected = json!({
        "hash": file[0]["hash"], "name": "film.mkv", "kind": "file", "size": 300_000,
        "files": 1, "subfolders": null, "shared": false, "holders": holders,
    });
    assert_eq!(opened, expected);

    // For a hash, the name comes from the peer that has the folder.
    let hash = folder[0]["hash"].as_str().unwrap();
    let opened = b.run(&["open", hash, "--peer", &node.address()]).done();
    opened
        .prints("name   album\n")
        .prints("kind   folder of 2 files and 1 sub-folder\n")
        .prints("size   1.5 kB\n")
        .prints("anna  all of it\n")
        .prints(&format!(
            "to download it: pelago download {hash} --peer {}",
            node.address()
        ));
    assert!(!b.path("album").exists() && !b.path("film.mkv").exists());

    // A does not need a peer for its own share.
    let own = a.json(&["open", hash]);
    assert_eq!((&own["shared"], &own["files"]), (&json!(true), &json!(2)));

    let mut person = Terminal::open(&b, &["open", link]);
    person.sees("film.mkv");
    person.sees("download it now? [y/N] ");
    person.types(ENTER);
    assert_eq!(person.end(), Some(0));
    assert!(!b.path("film.mkv").exists());
    let mut person = Terminal::open(&b, &["open", link]);
    person.sees("download it now? [y/N] ");
    person.types(&format!("y{ENTER}"));
    assert_eq!(person.end(), Some(0));
    eventually("the file", || b.path("film.mkv").exists().then_some(()));
    assert_content(&b.path("film.mkv"), &content);

    let without_source = [
        "open",
        &"ab".repeat(32),
        "--peer",
        &node.address(),
        "--peer",
        "127.0.0.1:1",
        "--timeout",
        "3",
    ];
    b.run(&without_source)
        .failed()
        .says("looking for peers that have it")
        .says("1 peer was asked and does not have it")
        .says("/ip4/127.0.0.1/tcp/1 could not be reached")
        .says("--bootstrap");
}
