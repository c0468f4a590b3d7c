//! Uploads: who takes what, how far each is, and who has all of it.

use serde_json::Value;

use super::world::{Home, World, eventually, noise};

/// The upload of `name` to the node called `peer`, once `is_it` holds.
fn upload(a: &Home, name: &str, peer: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    eventually("the upload", || {
        let uploads = a.json(&["uploads"]);
        let mut uploads = uploads.as_array()?.iter().cloned();
        uploads
            .find(|upload| upload["name"] == name && upload["peer_name"] == peer && is_it(upload))
    })
}

/// ```text
///   A ----- Bert      takes a file with a command, which ends right after it, and shares nothing on
///     ----- Carl      takes a folder
///     ----- Dora      goes away before she has all
/// ```
#[test]
fn a_sharer_sees_who_has_all_of_it_and_who_left() {
    let world = World::new();
    let [a, bert, carl, dora] = ["a", "bert", "carl", "dora"].map(|name| {
        let home = world.home(name);
        home.with("PELAGO_NETWORK_NODE_NAME", name)
    });
    let film = noise(1, 3 << 20);
    world.file("film.bin", &film);
    world.file("trip/one.txt", b"one");
    world.file("trip/two.txt", &noise(2, 40_000));
    let node = a.start(&[]);
    let (film, trip) = (a.share("../film.bin"), a.share("../trip"));
    let peer = ["--peer", &node.address()];
    let watch = a.spawn(&["uploads", "--watch"]);
    bert.run(&[&["download", &film, "--no-seed"][..], &peer].concat())
        .done();
    let done = upload(&a, "film.bin", "bert", |upload| upload["state"] == "done");
    for field in ["sent_bytes", "held_bytes", "size"] {
        assert_eq!(done[field], 3 << 20, "{field}");
    }
    assert!(done["ended_unix_ms"].as_u64() >= done["began_unix_ms"].as_u64());
    watch.out.line("film.bin to bert: done");
    watch.signal("INT");
    watch.end().done();

    carl.run(&[&["download", &trip][..], &peer].concat()).done();
    let done = upload(&a, "trip", "carl", |upload| upload["state"] == "done");
    assert_eq!(done["held_bytes"], 40_003);

    a.run(&["limit", "--upload", "400k"]).done();
    let slow = dora.spawn(&[&["download", &film][..], &peer].concat());
    upload(&a, "film.bin", "dora", |upload| {
        upload["held_bytes"].as_u64() > Some(0)
    });
    slow.signal("INT");
    slow.end().failed();
    let left = upload(&a, "film.bin", "dora", |upload| upload["state"] == "left");
    let held = left["held_bytes"].as_u64().unwrap();
    assert!(held > 0 && held < 3 << 20 && left["bytes_per_second"].is_u64());
    let table = a.run(&["uploads"]).done();
    let percent = held * 100 / (3 << 20);
    table
        .prints(&format!("left at {percent} %"))
        .prints("film.bin");

    // The list and the totals survive a restart.
    let before = a.json(&["uploads"]);
    let sent = a.json(&["status"])["sent_bytes"].clone();
    assert!(sent.as_u64() > Some((3 << 20) + 40_003));
    node.stop();
    let node = a.start(&[]);
    assert_eq!(a.json(&["uploads"]), before);
    assert_eq!(a.json(&["status"])["sent_bytes"], sent);
    a.events("uploads").line("\"state\":\"left\"");
    node.stop();
    a.run(&["uploads"]).failed().says("no node is running");
}

/// ```text
///   A      shares with a command of its own ----- Bert
/// ```
#[test]
fn sharing_in_the_foreground_shows_who_takes_it() {
    let world = World::new();
    let [a, bert] = ["a", "bert"].map(|name| {
        let home = world.home(name);
        home.with("PELAGO_NETWORK_NODE_NAME", name)
    });
    world.file("poem.txt", b"The tide waits for no one.");
    let listen = "/ip4/127.0.0.1/tcp/0";
    let share = a.clone().with("PELAGO_NETWORK_LISTEN", listen);
    let share = share.spawn(&["share", "../poem.txt"]);
    let link = share.out.line("  link  ");
    bert.run(&["download", link.trim_start_matches("  link  ")])
        .done();
    share.out.line("poem.txt to bert: done, 26 B sent");
    share.signal("INT");
    share.end().done();
}
