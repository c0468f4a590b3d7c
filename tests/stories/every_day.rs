//! What people do every day at a terminal: paste links, watch progress, stop and restart a node.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::MetadataExt as _,
};

use serde_json::Value;

use super::{
    downloads::{listed, until},
    terminal::{CTRL_C, ENTER, Terminal},
    valve::Valve,
    world::{Home, World, assert_content, eventually, noise, text},
};

/// Calls the API of the node that runs at `home`, as a page does. Returns the response.
fn post(home: &Home, path: &str) -> String {
    let file = fs::read(home.data().join("api.json")).unwrap();
    let api: Value = serde_json::from_slice(&file).unwrap();
    let [address, token] = ["address", "token"].map(|field| api[field].as_str().unwrap());
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// ```text
///   A      restarts at the request of its page, and ends at the request of a command
/// ```
#[test]
fn a_node_restarts_where_it_was_and_stops_when_it_is_told_to() {
    let world = World::new();
    let a = world.home("a");
    fs::create_dir(a.path("shared")).unwrap();
    let node = a.start(&["--dir", "shared"]);
    node.run
        .err
        .line("the page: `pelago ui` opens it, at http://127.0.0.1:");
    node.run.err.line("to share: put files into ");
    fs::write(a.path("shared/poem.txt"), "The tide waits for no one.\n").unwrap();
    let shared = node.run.err.line("shared a new or changed file");
    assert!(
        shared.contains("poem.txt") && shared.contains("27 B"),
        "{shared}"
    );

    let response = post(&a, "/v1/restart");
    assert!(response.starts_with("HTTP/1.0 204"), "{response}");
    let lines = eventually("the second start", || {
        let lines = node.run.out.lines();
        let starts = lines.iter().filter(|line| *line == "ready").count();
        (starts == 2).then_some(lines)
    });
    let (first, second) = lines.split_at(lines.len() / 2);
    assert_eq!(first, second, "it listens at the same addresses");
    a.run(&["list"]).done().prints("poem.txt");

    a.run(&["stop"]).done().prints("the node has ended");
    node.run.end().done();
    a.run(&["stop"]).code(1).says("no node is running");
    assert!(!a.data().join("api.json").exists());
}

/// ```text
///   B ── A      B looks for what A does not have, without a node and without a time-out
/// ```
#[test]
fn a_search_ends_once_all_were_asked_and_says_meanwhile_whom_it_asks() {
    let world = World::new();
    let a = world.home("a");
    let node = a.start(&[]);
    let address = node.address();
    let absent = "ab".repeat(32);
    let searches = [
        ("name", &["download", "nonsense.bin", "-b", &address][..]),
        ("hash", &["download", &absent, "-b", &address]),
        ("open", &["open", &absent, "-b", &address]),
    ]
    .map(|(home, arguments)| (home, world.home(home).spawn(arguments)));
    for (what, search) in searches {
        if what == "name" {
            search.err.line("looking for nonsense.bin: asked 1 peer");
        }
        let ended = search.end().failed();
        match what {
            "name" => {
                ended.says("no peer in reach shares anything called \"nonsense.bin\" (1 peer")
            }
            _ => ended.says("1 peer was asked and does not have it"),
        };
    }
}

/// ```text
///   B ── A      B pastes links as mails, pages and shells leave them
/// ```
#[test]
fn what_people_paste_is_mended_or_named() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node = a.start(&[]);
    let content = noise(1, 1000);
    let shared = a.json(&["share", &world.file("x.bin", &content), "--unlisted"]);
    let link = shared[0]["link"].as_str().unwrap();
    let hash = shared[0]["hash"].as_str().unwrap();
    assert_eq!(link.matches("/p2p/").count(), 1, "{link}");

    let mail = format!("<{}>.\n", link.replace('&', "&amp;"));
    b.fed(&["download", "--no-seed"], &mail).done();
    assert_content(&b.path("x.bin"), &content);
    b.fed(&["open", "-"], &format!("({link})"))
        .done()
        .prints("size   1.0 kB")
        .prints("to download it: pelago download -");
    b.run(&["download"]).failed().says("no link was given");
    for (pasted, says) in [
        ("magnet:?xt=urn:btih:0a", "for BitTorrent clients"),
        ("https://a.example/x.bin", "is a web address, for a browser"),
        ("ab12…", "too short for the beginning of a hash"),
    ] {
        b.run(&["download", pasted]).code(2).says(says);
    }
    let cut = format!("pelago:{hash}?name=x.bin");
    let peer = node.address();
    b.run(&["download", &cut, "--peer", &peer, "-o", "cut.bin"])
        .done()
        .says("the shell has cut it at the first `&`");

    // The first digits of a hash list what they may mean, and fetch nothing.
    let listed = a.share(&world.file("y.bin", &noise(2, 2000)));
    let digits = format!("{}…", &listed[..8]);
    let refused = b
        .run(&["--json", "download", &digits, "--peer", &peer])
        .failed()
        .document();
    assert_eq!(refused["error"]["code"], "incomplete-hash");
    assert_eq!(refused["error"]["choices"][0]["hash"], listed.as_str());
    let mut person = Terminal::open(&b, &["download", &digits, "--peer", &peer]);
    person.sees("is the beginning of a hash that peers list:");
    person.sees("y.bin");
    person.sees("which, 1 to 1");
    person.types(&format!("1{ENTER}"));
    assert_eq!(person.end(), Some(0));
    assert!(b.path("y.bin").exists());

    a.run(&["unshare", &digits, "x.bin", "z.bin"])
        .failed()
        .prints(&listed)
        .prints(hash)
        .says("z.bin");
    a.run(&["list"]).done().says("nothing is shared");
}

/// The lines that a terminal showed, without what moves its cursor and sets its colours.
fn shown_lines(screen: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut characters = screen.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' | '\n' => lines.push(String::new()),
            '\u{1b}' => {
                let ends = |c: &char| c.is_ascii_alphabetic();
                while characters.next().is_some_and(|c| !ends(&c)) {}
            }
            other => lines.last_mut().unwrap().push(other),
        }
    }
    lines
}

/// ```text
///   B ──valve── A      B watches at terminals of 80 and of 40 columns, and presses Ctrl-C
/// ```
#[test]
fn progress_is_one_line_that_ctrl_c_does_not_tear() {
    let world = World::new();
    let a = world.home("a");
    let node = a.start(&[]);
    let hash = a.share(&world.file("a film with a long name.mkv", &noise(1, 8 << 20)));
    for columns in [80, 40] {
        let b = world.home(&format!("b{columns}"));
        let valve = Valve::new(&node.address(), 5 << 20);
        let download = ["download", &hash, "--peer", &valve.address()];
        let mut person = Terminal::sized(&b, &download, (columns, 24));
        valve.is_shut();
        person.sees(" MB of 8.4 MB");
        person.types(CTRL_C);
        person.sees("paused at ");
        person.sees(" MB of 8.4 MB: verified data is kept");
        assert!(person.shown().contains(" %  "));
        let shown = person.shown();
        let (progress, _) = shown.split_once("error:").unwrap();
        for line in shown_lines(progress) {
            assert!(line.chars().count() <= usize::from(columns), "{line:?}");
        }
        assert_eq!(person.end(), Some(1));
    }
}

/// ```text
///   B ──valve── A      B has another file of that name, and moves downloads
/// ```
#[test]
fn both_contents_of_one_name_are_kept_and_a_download_moves() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node = a.start(&[]);
    let content = noise(1, 4 << 20);
    let hash = a.share(&world.file("x.bin", &content));
    fs::write(b.path("x.bin"), "mine").unwrap();
    let peer = node.address();
    let mut person = Terminal::open(&b, &["download", &hash, "--peer", &peer]);
    person.sees("keep both, and save it under another name? [y/N]");
    person.types(&format!("y{ENTER}"));
    assert_eq!(person.end(), Some(0));
    assert_content(&b.path("x (2).bin"), &content);
    assert_eq!(fs::read(b.path("x.bin")).unwrap(), b"mine");

    // A page offers the same.
    let c = world.home("c");
    let folder = c.path("Downloads");
    fs::create_dir(&folder).unwrap();
    let c_node = c.start(&[]);
    fs::write(folder.join("x.bin"), "mine").unwrap();
    let valve = Valve::new(&peer, 2 << 20);
    let at = text(&folder);
    c.run(&[
        "download",
        &hash,
        "--peer",
        &valve.address(),
        "-o",
        &at,
        "--detach",
    ])
    .done();
    until(&c, &hash, "failed");
    let response = post(&c, &format!("/v1/downloads/{hash}/resume?beside=true"));
    assert!(response.contains("x (2).bin"), "{response}");
    valve.is_shut();
    eventually("some of it", || {
        let found = until(&c, &hash, "downloading");
        (found["verified_bytes"].as_u64() > Some(0)).then_some(())
    });

    // It moves with what is verified, which is not fetched again.
    c.run(&["pause", &hash, "--for", "1h"]).done();
    let paused = until(&c, &hash, "paused");
    assert_eq!(paused["waits"]["for"], "pause", "{paused}");
    c_node.stop();
    let _c_node = c.start(&[]);
    let paused = until(&c, &hash, "paused");
    assert_eq!(paused["waits"]["for"], "pause", "{paused}");
    let part = folder.join("x (2).bin.part");
    let inode = fs::metadata(&part).unwrap().ino();
    c.run(&["resume", &hash, "-o", "moved.bin"]).done();
    valve.open();
    until(&c, &hash, "done");
    assert_content(&c.path("moved.bin"), &content);
    assert_eq!(fs::metadata(c.path("moved.bin")).unwrap().ino(), inode);
    assert!(!part.exists());

    let absent = "ab".repeat(32);
    c.run(&["download", &absent, "--detach"]).done();
    let pause = format!("/v1/downloads/{absent}/pause?for_seconds=0.1");
    let response = post(&c, &pause);
    assert!(response.contains("\"for\":\"pause\""), "{response}");
    eventually("it to resume by itself", || {
        let found = listed(&c, &absent).unwrap();
        (found["state"] != "paused").then_some(())
    });
}

/// ```text
///   B ── A      B's node runs a command for each download that is done
/// ```
#[test]
fn a_command_runs_when_a_download_is_done() {
    let world = World::new();
    let a = world.home("a");
    let node = a.start(&[]);
    let hash = a.share(&world.file("it's $(touch here).txt", &noise(1, 1000)));
    let command =
        "printf '%s %s' \"$PELAGO_SIZE\" \"$PELAGO_NAME\" > done.new; mv done.new done.txt";
    let b = world.home("b").with("PELAGO_TRANSFER_ON_DONE", command);
    let _b_node = b.start(&["-b", &node.address()]);
    b.run(&["download", &hash]).done();
    let done = eventually("the command", || {
        fs::read_to_string(b.path("done.txt")).ok()
    });
    assert_eq!(done, "1000 it's $(touch here).txt");
    assert!(!b.path("here").exists());
    let schedule = "daily 0:00-24:00 upload=400k";
    let c = world
        .home("c")
        .with("PELAGO_TRANSFER_LIMIT_SCHEDULE", schedule);
    let _c_node = c.start(&[]);
    eventually("the limit of the schedule", || {
        let limits = c.run(&["limit"]).done().stdout;
        limits
            .contains("upload             400 kB/s\n")
            .then_some(())
    });
}
