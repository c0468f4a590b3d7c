//! The gateway's connections, when clients open as many as they can.

use std::{io::Write, net::TcpStream};

use super::{
    http::Url,
    world::{World, noise},
};

/// More clients than the gateway has connections.
const CROWD: usize = 100;

/// ```text
///   clients that send nothing, half a request, or read nothing ══ A ── a browser
/// ```
#[test]
fn silent_clients_keep_no_client_out() {
    let world = World::new();
    let a = world.home("a");
    let _node = a.start(&[]);
    // More than the system buffers for a client that does not read.
    let film = a.share(&world.file("film.mkv", &noise(1, 32 << 20)));
    let poem = noise(2, 10_000);
    let wanted = a.share(&world.file("poem.txt", &poem));
    let url = |hash: &str| Url::new(&a.run(&["link", hash, "--http"]).done().stdout);
    let (film, wanted) = (url(&film), url(&wanted));
    let get = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", film.path, film.host);
    let unknown = format!("GET /x HTTP/1.1\r\nHost: {}\r\n\r\n", film.host).repeat(40);
    let requests = ["", "GET / HT", &get, &unknown];
    let crowd = |request: &str| {
        let connect = |_| {
            let mut stream = TcpStream::connect(&film.host).unwrap();
            // A later connection may have taken its place already.
            let _ = stream.write_all(request.as_bytes());
            stream
        };
        (0..CROWD).map(connect).collect::<Vec<_>>()
    };
    // Each kind alone, then all of them.
    let mut crowds = Vec::new();
    for request in requests {
        let clients = crowd(request);
        wanted.get(&[]).code(200).is(&poem);
        crowds.push(clients);
        wanted.get(&[]).code(200).is(&poem);
    }
}
