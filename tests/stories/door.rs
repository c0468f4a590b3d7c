//! The page: opened from the command line.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use super::world::World;

/// The status code and the head of the answer to a request.
fn ask(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

/// ```text
///   A      a page of it signs in, once
/// ```
#[test]
fn a_page_is_opened_with_a_code_that_is_good_once() {
    let world = World::new();
    let a = world.home("a");
    let no_node = format!("no node is running on {}: pelago start", a.data().display());
    a.run(&["ui", "--no-open"]).failed().says(&no_node);
    let node = a.start(&[]);
    let url = a.run(&["ui", "--no-open"]).done().stdout;
    let (page, code) = url.trim_end().split_once("/#code=").unwrap();
    let address = page.strip_prefix("http://").unwrap();
    assert_eq!(a.json(&["status"])["api"], address);
    let document = a.json(&["ui", "--no-open"]);
    assert!(document["url"].as_str().unwrap().starts_with(page));

    let begin = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    assert_eq!(ask(address, &begin).0, 200);
    let body = format!(r#"{{"code":"{code}"}}"#);
    let sign_in = format!(
        "POST /v1/session HTTP/1.1\r\nHost: {address}\r\nOrigin: {page}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let (status, answer) = ask(address, &sign_in);
    assert_eq!(status, 204);
    assert_eq!(ask(address, &sign_in).0, 401);
    let cookie = answer.split("set-cookie: ").nth(1).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let status = format!(
        "GET /v1/status HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(ask(address, &status).0, 200);
    node.stop();
}
