//! The gateway: content over plain HTTP for browsers and players, whether the node has it or not.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use serde_json::{Value, json};

use super::{
    browser::Browser,
    downloads::{begin, listed},
    http::Url,
    valve::Valve,
    world::{Home, World, eventually, noise, text},
};

const MIB: usize = 1 << 20;

/// The URL of `what` at the node that runs here.
fn url(home: &Home, what: &str) -> Url {
    let link = home.run(&["link", what, "--http"]).done();
    Url::new(&link.stdout)
}

/// A link whose only peer is the node behind `valve`.
fn link_through(valve: &Valve, hash: &str, name: &str) -> String {
    let address = valve.address().replace(':', "/tcp/");
    format!("pelago:{hash}?name={name}&peer=/ip4/{address}")
}

/// Bytes on disk in the cache of the gateway.
fn cached_bytes(home: &Home) -> u64 {
    let entries = fs::read_dir(home.data().join("gateway"));
    let files = entries.unwrap().filter_map(Result::ok);
    let blocks = |entry: fs::DirEntry| entry.metadata().map_or(0, |metadata| metadata.blocks());
    files.map(|entry| blocks(entry) * 512).sum()
}

/// ```text
///   browser ── A      the browser reads what A shares
/// ```
#[test]
fn what_is_shared_is_read_whole_and_in_parts() {
    let world = World::new();
    let a = world.home("a");
    let content = noise(1, 3 * MIB + 5);
    let node = a.start(&[]);
    let hash = a.share(&world.file("a film.mp4", &content));
    let film = url(&a, "a film.mp4");
    assert!(film.host.starts_with("localhost:") && film.path.ends_with("/a%20film.mp4"));
    assert_eq!(film.path, url(&a, &hash).path);
    assert_eq!(film.path, url(&a, &hash[..6]).path);
    let drawn = a.run(&["link", &hash, "--http", "--qr"]).done();
    assert!(drawn.prints("█").stdout.contains("http://localhost:"));

    let whole = film.get(&[]);
    whole.code(200).is(&content);
    let etag = format!("\"{hash}\"");
    for (name, value) in [
        ("content-type", "video/mp4"),
        ("etag", etag.as_str()),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "cross-origin"),
    ] {
        assert_eq!(whole.header(name), Some(value), "{name}");
    }
    assert!(whole.header("access-control-allow-origin").is_none());
    let policy = whole.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("sandbox allow-same-origin; default-src 'none'"),
        "{policy}"
    );
    assert!(!policy.contains("allow-scripts"), "{policy}");
    let disposition = whole.header("content-disposition").unwrap();
    assert!(disposition.starts_with("inline; filename=\"a film.mp4\""));
    let saved = film.below("?download").head(&[]);
    assert!(
        saved
            .header("content-disposition")
            .unwrap()
            .starts_with("attachment; ")
    );

    let head = film.head(&["Range: bytes=0-1"]);
    head.code(200);
    assert_eq!(
        head.header("content-length"),
        whole.header("content-length")
    );

    // Ranges.
    let size = content.len();
    for (range, part) in [
        ("0-0", 0..1),
        ("16383-16385", 16_383..16_386),
        ("1000000-", 1_000_000..size),
        ("-7", size - 7..size),
        ("3145728-99999999999999999999999", 3_145_728..size),
        ("99999999-,5-9", 5..10),
    ] {
        let answer = film.get(&[&format!("Range: bytes={range}")]);
        answer.code(206).is(&content[part.clone()]);
        let expected = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        assert_eq!(answer.header("content-range"), Some(expected.as_str()));
    }
    for nonsense in [
        "bytes=",
        "bytes=2-1",
        "bytes=a-b",
        "bytes",
        "items=0-1",
        "bytes=0-1,9-8",
        "bytes=--1",
        "bytes=0-1,5-6",
        "=",
        "bytes=1.5-2",
    ] {
        let answer = film.get(&[&format!("Range: {nonsense}")]);
        answer.code(200).is(&content);
        assert!(answer.header("content-range").is_none());
    }
    let twice = film.get(&["Range: bytes=0-1", "Range: bytes=2-3"]);
    twice.code(200).is(&content);
    for nothing in ["99999999-", "-0", "3145733-3145734"] {
        let answer = film.get(&[&format!("Range: bytes={nothing}")]);
        let size = format!("bytes */{size}");
        assert_eq!(
            answer.code(416).header("content-range"),
            Some(size.as_str())
        );
    }

    // The node does not send content that the client already has.
    let known = film.get(&[&format!("If-None-Match: W/{etag}, \"x\"")]);
    assert!(known.code(304).body.is_empty());
    assert_eq!(known.header("etag"), Some(etag.as_str()));
    film.get(&["If-None-Match: \"x\""]).code(200);
    film.get(&["Range: bytes=0-1", &format!("If-Range: {etag}")])
        .code(206);
    film.get(&["Range: bytes=0-1", "If-Range: \"x\""])
        .code(200)
        .is(&content);

    // A client that wants to continue other content gets no bytes of this one.
    film.get(&[&format!("If-Match: {etag}")]).code(200);
    film.get(&["If-Match: \"x\"", "Range: bytes=0-1"]).code(412);

    // The URL stays valid when the node starts again.
    node.stop();
    let _node = a.start(&[]);
    film.get(&[]).code(200).is(&content);
    assert_eq!(url(&a, &hash).path, film.path);
}

/// ```text
///   client ── A      without permission
/// ```
#[test]
fn a_client_without_the_url_learns_nothing() {
    let world = World::new();
    let a = world.home("a");
    let node = a.start(&["-v"]);
    let secret = a.share(&world.file("secret.txt", b"secret"));
    let other = a.share(&world.file("other.txt", b"other"));
    let file = url(&a, &secret);
    file.get(&[]).code(200).is(b"secret");
    let capability = file.path[1..].split('/').next().unwrap().to_owned();

    // A wrong, missing or foreign capability gets the same response, whether the content is there
    // or not.
    let at = |path: String| Url {
        host: file.host.clone(),
        path,
    };
    let unknown = "ab".repeat(32);
    let mut flipped = capability.clone().into_bytes();
    flipped[0] = if flipped[0] == b'0' { b'1' } else { b'0' };
    let flipped = String::from_utf8(flipped).unwrap();
    let refused: Vec<_> = [
        format!("/{flipped}/{secret}/secret.txt"),
        format!("/{flipped}/{unknown}/secret.txt"),
        format!("/{capability}/{other}/other.txt"),
        format!("/{capability}/{unknown}"),
        format!("/{secret}"),
        "/".to_owned(),
        "/v1/status".to_owned(),
        format!("/{capability}/{secret}/a/b"),
        format!("/{capability}/{secret}/secret.txt/"),
        format!("/{capability}/{secret}/.."),
        format!("/{capability}/{secret}/%2e%2e/x"),
        format!("/{capability}/{secret}/a%2Fb"),
        format!("/{capability}/{secret}/%00"),
    ]
    .into_iter()
    .map(|path| {
        let answer = at(path.clone()).get(&[]);
        assert_eq!(answer.code(404).header("access-control-allow-origin"), None);
        (path, answer.text())
    })
    .collect();
    for (path, text) in &refused {
        assert_eq!(*text, refused[0].1, "{path}");
    }
    at(format!("/{capability}/{secret}/%zz")).get(&[]).code(400);
    at(format!("/{flipped}/{secret}/%zz")).get(&[]).code(404);

    // The gateway answers only requests for its own host, and only reads.
    for host in [
        "evil.example",
        "localhost.evil.example",
        "localhost:1",
        "127.0.0.1:1",
        "",
    ] {
        let answer = file.send("GET", &[format!("Host: {host}")]).whole();
        assert!(!answer.code(421).text().contains("secret.txt"));
    }
    let port = file.host.rsplit(':').next().unwrap();
    let by_number = file.send("GET", &[format!("Host: 127.0.0.1:{port}")]);
    by_number.whole().code(200).is(b"secret");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = file.begin(method, &["Content-Length: 0"]).whole();
        assert_eq!(answer.code(405).header("allow"), Some("GET, HEAD"));
    }
    assert_eq!(
        fs::metadata(a.data().join("gateway.key")).unwrap().mode() & 0o777,
        0o600
    );

    // The log has no capability. A node can run without a gateway.
    let ended = node.stop();
    assert!(!ended.stderr.contains(&capability), "{ended:?}");
    let _node = a.start(&["--gateway", "off"]);
    a.run(&["link", &secret, "--http"])
        .failed()
        .says("has no gateway");
    assert_eq!(a.json(&["status"])["gateway"], Value::Null);
}

/// ```text
///   browser ── B ── A      the browser reads at B what A shares
/// ```
#[test]
fn what_is_not_here_is_fetched_as_it_is_read() {
    let world = World::new();
    let a = world.home("a");
    let b = world.home("b");
    let content = noise(1, 48 * MIB + 77);
    let node = a.start(&[]);
    let file = world.file("song.flac", &content);
    let shared = a.json(&["share", &file]);
    let link = shared[0]["link"].as_str().unwrap();
    let _b = b.start(&[]);

    let song = url(&b, link);
    let head = song.head(&[]);
    assert_eq!(head.code(200).header("content-type"), Some("audio/flac"));
    assert!(
        head.header("content-disposition")
            .unwrap()
            .contains("song.flac")
    );

    // For a range, B fetches only the range and the bytes after it.
    let at = 46 * MIB - 3;
    let part = song.get(&[&format!("Range: bytes={at}-{}", at + 999)]);
    part.code(206).is(&content[at..at + 1000]);
    let few = u64::try_from(4 * MIB).unwrap();
    assert!(cached_bytes(&b) < few, "{}", cached_bytes(&b));

    song.get(&[]).code(200).is(&content);
    song.get(&["Range: bytes=-5"])
        .code(206)
        .is(&content[content.len() - 5..]);

    // Another program empties the cache: what is read is fetched again.
    let cached = fs::read_dir(b.data().join("gateway")).unwrap();
    cached.for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
    song.get(&[]).code(200).is(&content);

    // The reading is not in the list of downloads, and B does not share the content.
    assert_eq!(b.json(&["downloads"]), serde_json::json!([]));
    assert_eq!(b.json(&["list"]), serde_json::json!([]));

    // B has all of the content by now, and needs no source.
    node.stop();
    song.get(&["Range: bytes=1000000-1999999"])
        .code(206)
        .is(&content[1_000_000..2_000_000]);
}

/// ```text
///   browser ── B ── A      A shares a folder that B does not have
/// ```
#[test]
fn folders_are_listed_and_link_to_their_entries() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let odd = "<b>\u{202e}gpj.exe";
    world.file("tree/a & b.txt", b"a and b");
    world.file("tree/sub/deep/page.html", b"<script>alert(1)</script>");
    world.file("tree/sub/deep/100% #1?.png", b"png");
    world.file(&format!("tree/{odd}"), b"odd");
    world.file("outside.txt", b"outside");
    std::os::unix::fs::symlink("a & b.txt", world.path("tree/link")).unwrap();
    let _a = a.start(&[]);
    let shared = a.json(&["share", &text(&world.path("tree"))]);
    let link = shared[0]["link"].as_str().unwrap();
    let _b = b.start(&[]);

    for (home, what) in [(&a, "tree"), (&b, link)] {
        let mut top = url(home, what);
        if !top.path.ends_with('/') {
            let moved = top.get(&[]);
            let location = moved.code(301).header("location").unwrap();
            let hash = shared[0]["hash"].as_str().unwrap();
            assert_eq!(location, format!("./{hash}/"));
            top = top.below("/");
        }
        let page = top.get(&[]);
        let html = page.code(200).text();
        assert!(html.contains("<title>tree</title>"), "{html}");
        assert!(html.contains("<a href=\"./sub/\">"), "{html}");
        assert!(html.contains("<a href=\"./a%20%26%20b.txt\">"), "{html}");
        assert!(html.contains("a &amp; b.txt</bdi></a><td>7 B"), "{html}");
        assert!(
            html.contains("&lt;b&gt;<span class=odd>U+202E</span>gpj.exe"),
            "{html}"
        );
        assert!(
            !html.contains('\u{202e}') && !html.contains("<b>"),
            "{html}"
        );
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src"),
            "{policy}"
        );
        let json = top.get(&["Accept: application/json"]);
        let listed: Value = serde_json::from_slice(&json.code(200).body).unwrap();
        let names: Vec<_> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["name"].clone())
            .collect();
        assert_eq!(names, [odd, "a & b.txt", "link", "sub"]);
        let etag = page.header("etag").unwrap();
        top.get(&[&format!("If-None-Match: {etag}")]).code(304);

        top.below("a%20%26%20b.txt")
            .get(&[])
            .code(200)
            .is(b"a and b");
        let encoded = "%3Cb%3E%E2%80%AEgpj.exe";
        top.below(encoded).get(&[]).code(200).is(b"odd");
        let moved = top.below("sub/deep?x").get(&[]);
        assert_eq!(moved.code(301).header("location"), Some("./deep/?x"));
        let deep = top.below("sub/deep/");
        assert!(deep.get(&[]).code(200).text().contains("href=\"../\""));
        deep.below("100%25%20%231%3F.png")
            .get(&[])
            .code(200)
            .is(b"png");
        let hostile = deep.below("page.html").get(&[]);
        assert_eq!(
            hostile.code(200).header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert!(
            hostile
                .header("content-security-policy")
                .unwrap()
                .starts_with("sandbox; ")
        );
        for nothing in [
            "../outside.txt",
            "sub/../../outside.txt",
            "%2e%2e/outside.txt",
            "..%2foutside.txt",
            "sub/%2E%2E/a%20%26%20b.txt",
            "sub//deep/",
            "SUB/",
            "sub/deep/page.html/",
            "link",
            "a%20%26%20b.txt/x",
            "nothing",
            "sub%00",
            "./sub/",
            "sub%5Cdeep/",
        ] {
            top.below(nothing).get(&[]).code(404);
        }
    }
}

/// ```text
///   player ── B ── A      B downloads from A, which sends at most 2 MB/s
/// ```
#[test]
fn what_is_read_of_a_download_comes_first() {
    let world = World::new();
    let a = world
        .home("a")
        .with("PELAGO_TRANSFER_UPLOAD_LIMIT", "2000000");
    let b = world.home("b");
    let content = noise(1, 64 * MIB);
    let node = a.start(&[]);
    let hash = a.share(&world.file("film.mp4", &content));
    let _b = b.start(&[]);
    begin(&b, &hash, &node.address());
    let film = url(&b, &hash);
    for at in [60 * MIB, 20 * MIB, 63 * MIB - 5] {
        let range = format!("Range: bytes={at}-{}", at + 99_999);
        film.get(&[&range]).code(206).is(&content[at..at + 100_000]);
    }
    // The player read the blocks of the download, not of the cache; the download is far from its
    // end.
    assert_eq!(cached_bytes(&b), 0);
    let now = listed(&b, &hash).unwrap();
    assert_eq!(now["state"], "downloading");
    assert!(
        now["verified_bytes"].as_u64().unwrap() < 48 * MIB as u64,
        "{now}"
    );
}

/// ```text
///   browser ── B ── A      B runs one download at a time, and one waits; the browser reads a film,
///                          pauses, and continues
/// ```
#[test]
fn readers_do_not_queue_with_downloads() {
    let world = World::new();
    let a = world.home("a");
    let b = world
        .home("b")
        .with("PELAGO_TRANSFER_DOWNLOAD_LIMIT", "250000")
        .with("PELAGO_TRANSFER_MAX_DOWNLOADS", "1");
    let node = a.start(&[]);
    let share = |seed, name| a.share(&world.file(name, &noise(seed, 64 * MIB)));
    let (first, second) = (share(1, "first.iso"), share(2, "second.iso"));
    let content = noise(3, 4 * MIB);
    let film = a.share(&world.file("film.mp4", &content));
    let _b = b.start(&["-b", &node.address()]);
    for hash in [&first, &second] {
        b.run(&["download", hash, "--detach"]).done();
    }
    let verified = || b.json(&["downloads"])[0]["verified_bytes"].as_u64();
    let until_more = |bytes: u64| {
        let wanted = verified().unwrap_or(0) + bytes;
        eventually("the download to resume", || {
            verified().filter(|verified| *verified >= wanted)
        });
    };
    until_more(1);

    let film = url(&b, &film);
    let read = |at: usize| {
        let range = format!("Range: bytes={at}-{}", at + 9_999);
        film.get(&[&range]).code(206).is(&content[at..at + 10_000]);
    };
    read(0);
    // This takes longer than the 5 s after which a download that receives nothing loses its turn.
    until_more(1_500_000);
    read(3_000_000);
    let states = b.json(&["downloads"]);
    assert_eq!(states[0]["state"], "downloading", "{states}");
    // The queue counts downloads only, not readers.
    assert_eq!(
        states[1]["waits"],
        json!({"for": "turn", "ahead": 1}),
        "{states}"
    );
}

/// ```text
///   browser ── B ── A      B downloads a folder from A, which sends at most 1 MB/s
/// ```
#[test]
fn what_is_read_of_a_folder_that_is_downloading_comes_first() {
    let world = World::new();
    let a = world
        .home("a")
        .with("PELAGO_TRANSFER_UPLOAD_LIMIT", "1000000");
    let b = world.home("b");
    let film = noise(1, 40 * MIB);
    world.file("tree/film.mp4", &film);
    for n in 0..50 {
        world.file(&format!("tree/small/{n}"), &noise(n, 100_000));
    }
    let node = a.start(&[]);
    let hash = a.share(&text(&world.path("tree")));
    let _b = b.start(&[]);
    begin(&b, &hash, &node.address());
    let tree = url(&b, &hash);
    for n in [49, 3, 27] {
        let small = tree.below(&format!("small/{n}"));
        small.get(&[]).code(200).is(&noise(n, 100_000));
    }
    let at = 30 * MIB;
    let part = tree
        .below("film.mp4")
        .get(&[&format!("Range: bytes={at}-{}", at + 9999)]);
    part.code(206).is(&film[at..at + 10_000]);
    assert_eq!(cached_bytes(&b), 0);
    assert_eq!(listed(&b, &hash).unwrap()["state"], "downloading");
}

/// ```text
///   player ── B ──|valve|── A      the player disconnects, or stops reading
/// ```
#[test]
fn nothing_is_fetched_for_clients_that_do_not_read() {
    let world = World::new();
    let a = world.home("a");
    let b = world.home("b");
    let content = noise(1, 96 * MIB);
    let node = a.start(&[]);
    let big = a.share(&world.file("big", &content));
    let other = a.share(&world.file("other", &content[..64 * MIB + 1]));
    let valve = Valve::new(&node.address(), u64::MAX);
    let b_node = b.start(&[]);
    let big = url(&b, &link_through(&valve, &big, "big"));
    let other = url(&b, &link_through(&valve, &other, "other"));

    // One client disconnects after 1 MiB.
    let mut leaving = big.begin("GET", &[]);
    assert!(leaving.more(MIB) == &content[..MIB]);
    drop(leaving);
    // 16 others stay connected and stop reading.
    let before = b_node.run.resident_bytes();
    let mut slow: Vec<_> = (0..16)
        .map(|n| {
            let mut slow = big.begin("GET", &[&format!("Range: bytes={}-", n * 1000)]);
            slow.more(1);
            slow
        })
        .collect();
    // Another file passes meanwhile: B would have had time to fetch much more of the first.
    other.get(&[]).code(200).is(&content[..64 * MIB + 1]);
    // B fetches at most 32 MiB ahead of a reader, and 1 MiB was read.
    let most = (64 + 40) * MIB as u64;
    assert!(
        valve.passed() < most,
        "{} bytes were fetched",
        valve.passed()
    );
    if let (Some(before), Some(now)) = (before, b_node.run.resident_bytes()) {
        assert!(
            now < before + 96 * MIB as u64,
            "{before} bytes of memory, then {now}"
        );
    }
    // A client that reads again gets everything.
    let mut last = slow.pop().unwrap();
    last.more(2 * MIB);
    let whole = last.whole();
    assert!(whole.body == content[15_000..], "{}", whole.body.len());
}

/// ```text
///   browser ── B ──|valve|── A      A is killed while the browser reads
/// ```
#[test]
fn a_response_that_is_cut_off_does_not_look_complete() {
    let world = World::new();
    let a = world.home("a");
    let b = world.home("b").with("PELAGO_TRANSFER_TIMEOUT_SECONDS", "2");
    let content = noise(1, 32 * MIB);
    let node = a.start(&[]);
    let file = world.file("big", &content);
    let hash = a.share(&file);
    let valve = Valve::new(&node.address(), 8 * MIB as u64);
    let b_node = b.start(&[]);
    let big = url(&b, &link_through(&valve, &hash, "big"));
    let answering = big.begin("GET", &[]);
    valve.is_shut();
    node.kill();
    valve.open();
    let cut = answering.whole();
    assert_eq!(cut.code(200).header("content-length"), Some("33554432"));
    assert!(cut.body.len() < content.len() && content.starts_with(&cut.body));
    b_node.run.err.line("cut off");

    // The page for content without a source says so, and what the node tried.
    let unknown = url(&b, &"cd".repeat(32));
    let answer = unknown.get(&[]);
    assert_eq!(
        answer.code(504).header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let page = answer.text();
    assert!(
        page.contains("no source") && page.contains(&"cd".repeat(32)),
        "{page}"
    );

    // A shared file changes while the browser reads it.
    let ours = world.file("ours", &content);
    let hash = b.share(&ours);
    let mut reading = url(&b, &hash).begin("GET", &[]);
    reading.more(MIB);
    fs::write(Path::new(&ours), noise(2, 32 * MIB)).unwrap();
    let cut = reading.whole();
    assert!(cut.body.len() < content.len() && content.starts_with(&cut.body));
}

/// ```text
///   browser ── B ── A      A shares a hostile page and a long sound, which B does not have
/// ```
#[test]
fn a_browser_plays_and_seeks_and_runs_nothing() {
    let world = World::new();
    let Some(browser) = Browser::open(1280, 800) else {
        return;
    };
    let a = world.home("a");
    let b = world.home("b");
    let red = "<svg xmlns='http://www.w3.org/2000/svg' width='30' height='20'><rect/></svg>";
    world.file("site/red.svg", red.as_bytes());
    world.file("site/style.css", b"body { color: rgb(1, 2, 3) }");
    world.file(
        "site/page.html",
        b"<!doctype html><title>before</title><link rel=stylesheet href=style.css>\
          <img src=red.svg><script>document.title = 'script'</script>\
          <img src=nothing onerror=\"document.title = 'handler'\">\
          <svg onload=\"document.title = 'svg'\"></svg>\
          <a href=\"javascript:document.title='link'\" id=link>x</a>",
    );
    // A sound of 570 s.
    let data = noise(1, 96 * MIB);
    let mut sound = Vec::new();
    let u32_of = |len: usize| u32::try_from(len).unwrap().to_le_bytes();
    sound.extend(b"RIFF");
    sound.extend(u32_of(36 + data.len()));
    sound.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    sound.extend(u32_of(44_100));
    sound.extend(u32_of(4 * 44_100));
    sound.extend(b"\x04\0\x10\0data");
    sound.extend(u32_of(data.len()));
    sound.extend(&data);
    let _a = a.start(&[]);
    let link = |path: &Path| {
        let shared = a.json(&["share", &text(path)]);
        shared[0]["link"].as_str().unwrap().to_owned()
    };
    world.file("sound.wav", &sound);
    let _b = b.start(&[]);

    browser.go(&url(&b, &link(&world.path("site")))
        .below("/page.html")
        .to_string());
    let shown = "return [document.images[0].naturalWidth, getComputedStyle(document.body).color]";
    eventually("the page to show its own pictures and styles", || {
        (browser.script(shown) == json!([30, "rgb(1, 2, 3)"])).then_some(())
    });
    browser.script("document.getElementById('link').click()");
    assert_eq!(browser.script("return document.title"), "before");
    assert_eq!(browser.script("return self.origin"), "null");

    browser.go(&url(&b, &link(&world.path("sound.wav"))).to_string());
    let player = "const player = document.querySelector('video, audio');";
    eventually("the browser to know how long it is", || {
        let duration = browser.script(&format!("{player} return player && player.duration"));
        duration.as_f64().filter(|seconds| *seconds > 570.0)
    });
    browser.script(&format!("{player} player.currentTime = 550"));
    eventually("the browser to have what it sought", || {
        let state = format!("{player} return !player.seeking && player.readyState >= 3");
        (browser.script(&state) == json!(true)).then_some(())
    });
    assert!(
        browser
            .script(&format!("{player} return player.error"))
            .is_null()
    );
    // For that, B did not have to fetch all of it.
    assert!(cached_bytes(&b) < 84 * MIB as u64, "{}", cached_bytes(&b));
}

/// ```text
///   browser ── B ── A      B's cache may have 8 MiB
/// ```
#[test]
fn the_oldest_readings_leave_a_full_cache() {
    let world = World::new();
    let a = world.home("a");
    let b = world.home("b").with("PELAGO_GATEWAY_CACHE_MIB", "8");
    let content = noise(1, 40 * MIB);
    let node = a.start(&[]);
    let links: Vec<_> = [(0, 40), (1, 6), (7, 6), (13, 6), (19, 6)]
        .into_iter()
        .map(|(from, count)| {
            let part = &content[from * MIB..(from + count) * MIB];
            let file = world.file(&format!("{from}"), part);
            let shared = a.json(&["share", &file]);
            (shared[0]["link"].as_str().unwrap().to_owned(), part)
        })
        .collect();
    let b_node = b.start(&[]);
    let bounded = || {
        let most = 20 * MIB as u64;
        eventually("what is too much to go", || {
            (cached_bytes(&b) < most).then_some(())
        });
    };
    for (link, part) in &links {
        url(&b, link).get(&[]).code(200).is(part);
        bounded();
    }
    // Content that left the cache can be read again. A node that starts empties its cache.
    url(&b, &links[1].0).get(&[]).code(200).is(links[1].1);
    b_node.stop();
    let _b = b.start(&[]);
    assert_eq!(cached_bytes(&b), 0);
    assert_eq!(b.json(&["downloads"]), serde_json::json!([]));
    url(&b, &links[2].0).get(&[]).code(200).is(links[2].1);
    drop(node);
}
