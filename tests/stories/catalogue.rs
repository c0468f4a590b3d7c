//! Names in catalogues, and scopes of shares.

use super::world::{World, assert_content, noise};

/// ```text
///   A (anna) ── C ── B (bert)     A and B share different content under one name
/// ```
#[test]
fn an_ambiguous_name_lists_the_choices_and_from_chooses() {
    let world = World::new();
    let (a, b, c) = (world.home("a"), world.home("b"), world.home("c"));
    let (ours, theirs) = (noise(1, 1000), noise(2, 2000));
    let anna = a.start(&["--name", "anna"]);
    let bert = b.start(&["--name", "bert"]);
    let of_anna = a.share(&world.file("anna/photo.jpg", &ours));
    let of_bert = b.share(&world.file("bert/photo.jpg", &theirs));
    let peers = ["--peer", &anna.address(), "--peer", &bert.address()].map(str::to_owned);
    let download = |more: &[&str]| {
        let mut all = vec!["download", "photo.jpg"];
        all.extend(peers.iter().map(String::as_str));
        all.extend(more);
        c.run(&all)
    };

    let refused = download(&[])
        .failed()
        .says("photo.jpg")
        .says(&of_anna)
        .says(&of_bert);
    let refused = refused.says("1000 bytes, from ").says("2000 bytes, from ");
    assert!(refused.says("--from").stdout.is_empty());

    download(&["--from", "bert", "-o", "by name"]).done();
    assert_content(&c.path("by name"), &theirs);
    download(&["--from", &anna.peer_id(), "-o", "by id"]).done();
    assert_content(&c.path("by id"), &ours);
    download(&["--from", "stranger", "--timeout", "1"])
        .failed()
        .says("\"stranger\"");

    // With `--from`, only that peer is asked, though the other one has the content.
    let refused = c.run(&[
        "download",
        &of_anna,
        "--peer",
        &anna.address(),
        "--peer",
        &bert.address(),
        "--from",
        "bert",
        "--timeout",
        "1",
        "-o",
        "not from bert",
    ]);
    refused.failed().says("no source");
}

/// ```text
///   B ── A      A shares one file with everyone, and one for peers that have its hash
/// ```
#[test]
fn what_is_unlisted_is_in_no_list_and_yet_fetched_by_hash() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node = a.start(&[]);
    let content = noise(1, 50_000);
    a.share(&world.file("open.txt", b"for everyone"));
    let secret = world.file("secret.txt", &content);
    let shared = a.json(&["share", &secret, "--unlisted"]);
    let hash = shared[0]["hash"].as_str().unwrap();

    let listed = b
        .run(&["list", "--peer", &node.address()])
        .done()
        .prints("open.txt");
    assert!(!listed.stdout.contains("secret.txt"), "{listed:?}");
    let by_name = [
        "download",
        "secret.txt",
        "--peer",
        &node.address(),
        "--timeout",
        "1",
    ];
    b.run(&by_name).failed().says("secret.txt");
    b.run(&["download", hash, "--peer", &node.address(), "-o", "got"])
        .done();
    assert_content(&b.path("got"), &content);
    // A's own list has it.
    a.run(&["list"]).done().prints("secret.txt");
}

/// ```text
///   A (unlisted) ── B ── C      B downloads by the link and shares; C reads the catalogue of B
/// ```
#[test]
fn content_of_an_unlisted_link_is_listed_again_only_with_a_flag() {
    let world = World::new();
    let (a, b, c) = (world.home("a"), world.home("b"), world.home("c"));
    let node = a.start(&[]);
    let (first, second) = (world.file("diary.txt", b"1"), world.file("poem.txt", b"2"));
    let shared = a.json(&["share", &first, &second, "--unlisted"]);
    let [first, second] = [0, 1].map(|n| shared[n]["link"].as_str().unwrap().to_owned());
    for link in [&first, &second] {
        assert!(link.contains("&unlisted=1&peer="), "{link}");
    }
    a.run(&["link", "diary.txt"]).done().prints("&unlisted=1&");

    let other = b.start(&["-b", &node.address()]);
    b.run(&["download", &first, "-o", "diary.txt"]).done();
    let listed = ["download", &second, "--listed", "-o", "poem.txt"];
    b.run(&listed).done();

    b.run(&["link", "diary.txt"]).done().prints("&unlisted=1&");
    let seen = c
        .run(&["list", "--peer", &other.address()])
        .done()
        .prints("poem.txt");
    assert!(!seen.stdout.contains("diary.txt"), "{seen:?}");
}

/// ```text
///   B ── A      A shares files, and withdraws them
/// ```
#[test]
fn unshared_content_is_not_served() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node = a.start(&[]);
    let hash = a.share(&world.file("one/x.txt", b"one"));
    let other = a.share(&world.file("two/x.txt", b"two"));
    a.run(&["unshare", "x.txt"])
        .failed()
        .says(&hash)
        .says(&other)
        .says("give the hash");
    a.run(&["unshare", &hash]).done().prints(&hash);
    let fetch = [
        "download",
        &hash,
        "--peer",
        &node.address(),
        "--timeout",
        "1",
    ];
    b.run(&fetch)
        .failed()
        .says("1 peer was asked and does not have it");
    a.run(&["unshare", &hash]).failed().says("pelago list");
    // Now the name is unambiguous. Without a node the command works as well.
    node.stop();
    a.run(&["unshare", "x.txt"]).done().prints(&other);
    a.run(&["list"]).done().says("nothing is shared");
}
