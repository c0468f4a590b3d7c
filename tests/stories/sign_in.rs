//! `pelago ui` signs a page in.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use super::world::{World, eventually};

/// Sends a request, and returns the status code and all of the response.
fn send(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

/// ```text
///   page ── A      signs in with a code, twice
/// ```
#[test]
fn a_page_is_opened_with_a_code_that_is_good_once() {
    let world = World::new();
    let a = world.home("a");
    let no_node = format!(
        "no node is running on {}: run `pelago start`",
        a.data().display()
    );
    a.run(&["ui", "--no-open"]).failed().says(&no_node);
    let node = a.start(&[]);
    let url = a.run(&["ui", "--no-open"]).done().stdout;
    let (page, code) = url.trim_end().split_once("/#code=").unwrap();
    let address = page.strip_prefix("http://").unwrap();
    assert_eq!(a.json(&["status"])["api"], address);
    let document = a.json(&["ui", "--no-open"]);
    assert!(document["url"].as_str().unwrap().starts_with(page));

    let begin = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    assert_eq!(send(address, &begin).0, 200);
    let body = format!(r#"{{"code":"{code}"}}"#);
    let sign_in = format!(
        "POST /v1/session HTTP/1.1\r\nHost: {address}\r\nOrigin: {page}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let (status, answer) = send(address, &sign_in);
    assert_eq!(status, 200);
    assert!(!answer.to_ascii_lowercase().contains("set-cookie"));
    assert_eq!(send(address, &sign_in).0, 401);
    let bearer = answer.split(r#""bearer":""#).nth(1).unwrap();
    let bearer = bearer.split('"').next().unwrap();
    let status = format!(
        "GET /v1/status HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {bearer}\r\n\
         Connection: close\r\n\r\n"
    );
    assert_eq!(send(address, &status).0, 200);
    node.stop();
}

/// ```text
///   A      opens a browser, whose arguments all users of this machine can read
/// ```
#[test]
fn the_code_is_in_a_file_of_its_owner_and_in_no_argument() {
    let world = World::new();
    let programs = world.path("programs");
    let log = world.path("arguments");
    fs::create_dir_all(&programs).unwrap();
    let script = format!("#!/bin/sh\necho \"$0 $@\" >>{}\n", log.display());
    for name in ["xdg-open", "gio", "gnome-open", "kde-open", "wslview"] {
        let program = programs.join(name);
        fs::write(&program, &script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!(
        "{}:{}",
        programs.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let a = world.home("a").with("PATH", &path);
    let node = a.start(&[]);
    let url = a.run(&["ui"]).done().stdout;
    let (_, code) = url.trim_end().split_once("#code=").unwrap();
    let arguments = eventually("a browser to be opened", || {
        let arguments = fs::read_to_string(&log).ok()?;
        arguments.ends_with('\n').then_some(arguments)
    });
    assert!(!arguments.contains(code), "{arguments}");
    let file = arguments.lines().next().unwrap().split(' ').next_back();
    let file = Path::new(file.unwrap());
    assert_eq!(file.parent().unwrap(), a.data());
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(fs::read_to_string(file).unwrap().contains(url.trim_end()));
    // The node removes a file that was never opened when it ends.
    node.stop();
    assert!(!file.exists());
    a.start(&[]).kill();
}
