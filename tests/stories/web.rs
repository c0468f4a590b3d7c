//! Links for people without Pelago: a browser downloads a share, or sends files.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use super::{
    http::Url,
    world::{Home, Run, World, eventually, noise},
};

/// The node serves links for browsers on loopback only.
fn home(world: &World, name: &str) -> Home {
    let home = world.home(name);
    home.with("PELAGO_WEB_LISTEN", "127.0.0.1:0")
}

/// Calls the API of the node that runs here.
fn api(home: &Home, method: &str, path: &str) -> Value {
    let file = fs::read(home.data().join("api.json")).unwrap();
    let api: Value = serde_json::from_slice(&file).unwrap();
    let [host, token] = ["address", "token"].map(|field| api[field].as_str().unwrap());
    let headers = [
        format!("Host: {host}"),
        format!("Authorization: Bearer {token}"),
    ];
    let url = Url {
        host: host.to_owned(),
        path: path.to_owned(),
    };
    let answer = url.send(method, &headers).whole();
    serde_json::from_slice(&answer.body).unwrap()
}

/// The URL of a link that a command has made.
fn url(link: &Value) -> Url {
    Url::new(link["urls"][0].as_str().unwrap())
}

/// Sends a file by a link, as the page does.
fn put(link: &Url, name: &str, content: &str, headers: &[&str]) -> u16 {
    let mut all = vec![
        format!("Host: {}", link.host),
        format!("Content-Length: {}", content.len()),
    ];
    all.extend(headers.iter().map(|header| (*header).to_owned()));
    let file = link.below(&format!("/{name}"));
    file.send_with("PUT", &all, content).whole().status
}

/// ```text
///   A      shares a file, a folder, and a file of a group ----- browsers
/// ```
#[test]
fn a_browser_downloads_a_share_until_its_link_is_withdrawn() {
    let world = World::new();
    let a = home(&world, "a");
    let film = noise(3, 300_000);
    world.file("film.bin", &film);
    world.file("trip/day <1>.txt", b"sun");
    world.file("secret.txt", b"ours");
    a.run(&["user", "create", "anna", "--no-passphrase"]).done();
    let node = a.start(&[]);
    assert_eq!(api(&a, "GET", "/v1/web-links"), Value::Array(Vec::new()));

    let shared = a.json(&["share", "../film.bin", "--web"]);
    let film_url = url(&shared[0]["web"]);
    let answer = film_url.get(&[]);
    assert_eq!((answer.status, &answer.body), (200, &film));
    assert_eq!(film_url.get(&["Range: bytes=1-2"]).body, film[1..3]);
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("sandbox"), "{policy}");
    let said = a
        .run(&["share", "../film.bin", "--web", "--for", "2h"])
        .done();
    said.clone()
        .says("unencrypted")
        .says("2 h")
        .says("unshare film.bin");
    said.prints("  web   http://127.0.0.1:").prints("█");

    let shared = a.json(&["share", "../trip", "--web"]);
    let trip = url(&shared[0]["web"]);
    let page = trip.get(&[]).text();
    assert!(page.contains("day &lt;1&gt;.txt"), "{page}");
    assert_eq!(trip.below("day%20%3C1%3E.txt").get(&[]).body, b"sun");
    let top = Url {
        path: trip.path.trim_end_matches('/').to_owned(),
        ..trip.clone()
    };
    assert_eq!(top.get(&[]).status, 301, "relative links need the slash");

    // Nothing but this is there, and only for those who name an address of this machine.
    for path in ["/", "/v1/status", "/../", &film_url.path[..20]] {
        let other = Url {
            path: path.to_owned(),
            ..film_url.clone()
        };
        assert_eq!(other.get(&[]).status, 404, "{path}");
    }
    for below in ["..", "%2e%2e/film.bin", "..%2ffilm.bin"] {
        assert_eq!(trip.below(below).get(&[]).status, 404, "{below}");
    }
    let rebound = film_url.send("GET", &["Host: evil.example".to_owned()]);
    assert_eq!(rebound.whole().status, 421);
    assert_eq!(put(&film_url, "x", "x", &[]), 405, "it only gives");

    // Content of a group gets no link.
    a.run(&["group", "create", "family"]).done();
    let refused = a.run(&["share", "../secret.txt", "--group", "family", "--web"]);
    refused.failed().says("shared with a group alone");
    let links = api(&a, "GET", "/v1/web-links");
    assert_eq!(links.as_array().unwrap().len(), 3);

    // Withdrawn, and not again valid when it is shared again; the others stay.
    a.run(&["unshare", "film.bin"]).done();
    assert_eq!(film_url.get(&[]).status, 404);
    a.share("../film.bin");
    assert_eq!(film_url.get(&[]).status, 404);
    assert_eq!(trip.get(&[]).status, 200);
    let id = api(&a, "GET", "/v1/web-links")[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    api(&a, "DELETE", &format!("/v1/web-links/{id}"));
    // Without a link, nothing listens.
    eventually("the listener to close", || {
        TcpStream::connect(&trip.host).err()
    });
    node.stop();
}

fn receiving(a: &Home, arguments: &[&str]) -> (Run, Url) {
    let run = a.spawn(&[&["receive", "--web"][..], arguments].concat());
    let line = run.out.line("  web   ");
    let link = Url::new(line.trim_start_matches("  web   "));
    (run, link)
}

/// ```text
///   A      receives into a folder ----- browsers, and others
/// ```
#[test]
fn a_friend_sends_files_from_a_browser_and_nothing_else_happens() {
    let world = World::new();
    let a = home(&world, "a");
    world.file("shared/mine.txt", b"mine");
    let shared = world.path("shared");
    let node = a.start(&["--dir", shared.to_str().unwrap()]);
    for folder in ["../shared", "../shared/below"] {
        let refused = a.run(&["receive", "--web", folder]).failed();
        refused.says("is shared with others");
    }
    let refused = a.run(&["receive", "--web", a.data().join("x").to_str().unwrap()]);
    refused.failed().says("data folder");

    let limits = ["--max-size", "1MB", "--max-files", "4", "in"];
    let (run, link) = receiving(&a, &limits);
    run.err.line("unencrypted");
    let page = link.get(&[]);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'sha256-"), "{policy}");
    assert!(page.text().contains("<input type=file"));

    // Names lead nowhere, and nothing is replaced.
    let folder = a.path("in");
    fs::write(folder.join("a.txt"), "old").unwrap();
    assert_eq!(put(&link, "a.txt", "new", &[]), 201);
    assert_eq!(put(&link, "..%2f..%2fshared%2fa.txt", "up", &[]), 201);
    assert_eq!(put(&link, "%2ebashrc", "hidden", &[]), 201);
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["_bashrc", "a (2).txt", "a (3).txt", "a.txt"]);
    assert_eq!(fs::read(folder.join("a.txt")).unwrap(), b"old");
    assert_eq!(fs::read(folder.join("a (2).txt")).unwrap(), b"new");
    run.out.line("received a (3).txt (2 B)");

    // Pages of other sites, wrong names, and what exceeds the limits are refused.
    for header in ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site"] {
        assert_eq!(put(&link, "x", "x", &[header]), 403, "{header}");
    }
    assert_eq!(put(&link, "%ff", "x", &[]), 400);
    assert_eq!(put(&link, "..", "x", &[]), 400);
    let huge = link.below("/huge");
    let head = |len: &str| vec![format!("Host: {}", link.host), len.to_owned()];
    let refused = huge.send("PUT", &head("Content-Length: 1000001")).whole();
    assert_eq!(refused.status, 413);
    let refused = huge
        .send("PUT", &head("Transfer-Encoding: chunked"))
        .whole();
    assert_eq!(refused.status, 411);

    // A file that ends early leaves nothing, and its place is free again.
    let mut stream = TcpStream::connect(&link.host).unwrap();
    let request = format!(
        "PUT {}/half.txt HTTP/1.1\r\nHost: {}\r\nContent-Length: 999\r\n\r\nhalf",
        link.path, link.host
    );
    stream.write_all(request.as_bytes()).unwrap();
    let parts = || {
        let entries = fs::read_dir(&folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| name.to_string_lossy().ends_with(".part"))
            .count()
    };
    eventually("half a file", || (parts() == 1).then_some(()));
    drop(stream);
    eventually("the half to be removed", || (parts() == 0).then_some(()));
    assert_eq!(put(&link, "last.txt", "last", &[]), 201);
    assert_eq!(put(&link, "more.txt", "more", &[]), 413, "four files");

    // Nothing of it is shared, and the link ends with the command.
    let shares = a.run(&["list"]).done().stdout;
    assert!(
        !shares.contains("a.txt") && !shares.contains("a ("),
        "{shares}"
    );
    run.signal("INT");
    run.end().done();
    let closed = eventually("the link to end", || match TcpStream::connect(&link.host) {
        Err(_) => Some(true),
        Ok(mut stream) => {
            let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
            let mut text = String::new();
            let _ = stream.read_to_string(&mut text);
            None
        }
    });
    assert!(closed);
    node.stop();
}
