//! Sessions of pages, and programs of this machine that try to steal them.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;

use super::{
    browser::Browser,
    world::{World, eventually},
};

const LIVE: &str = "document.querySelector('.dot')?.dataset.state === 'live'";

/// A program at the port of a node. It rejects all requests except that for the run, which it
/// answers with a false one, and records what it receives.
struct Impostor {
    address: String,
    received: Arc<Mutex<String>>,
    is_over: Arc<AtomicBool>,
    serving: JoinHandle<()>,
}

impl Impostor {
    fn new(address: &str, run: String) -> Self {
        let listener = eventually("the port to be free", || TcpListener::bind(address).ok());
        let received = Arc::new(Mutex::new(String::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (record, ends) = (Arc::clone(&received), Arc::clone(&is_over));
        let serving = thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let mut request = [0; 8192];
                let length = stream.read(&mut request).unwrap_or_default();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let status = match request.starts_with("GET /v1/run") {
                    true => "200 OK",
                    false => "401 Unauthorized",
                };
                let body = format!(r#"{{"run":"{run}"}}"#);
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                record.lock().push_str(&request);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self {
            address: address.to_owned(),
            received,
            is_over,
            serving,
        }
    }

    /// The bearers that it received.
    fn bearers(&self) -> BTreeSet<String> {
        let received = self.received.lock();
        let values = received.split("Bearer ").skip(1);
        values
            .filter_map(|rest| Some(rest.split_whitespace().next()?.to_owned()))
            .collect()
    }

    /// Leaves the port.
    fn leave(self) {
        self.is_over.store(true, Ordering::Relaxed);
        TcpStream::connect(&self.address).unwrap();
        self.serving.join().unwrap();
    }
}

/// The status code of the API at `address` for a bearer.
fn status(address: &str, bearer: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET /v1/status HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {bearer}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// ```text
///   page ── A, then another program at its port, then A again
/// ```
#[test]
fn a_program_that_takes_the_port_of_a_node_learns_nothing_that_opens_it() {
    let world = World::new();
    let a = world.home("a");
    let node = a.start(&[]);
    let Some(browser) = Browser::open(1280, 800) else {
        return;
    };
    // The browser opens a file with the code, as `pelago ui` does.
    let address = a.json(&["status"])["api"].as_str().unwrap().to_owned();
    let url = a.json(&["ui", "--no-open"])["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let file = world.file(
        "page.html",
        format!("<!doctype html><script>location.replace({url:?})</script>").as_bytes(),
    );
    browser.go(&format!("file://{file}"));
    browser.until(LIVE);
    let before = browser.script("return sessionStorage.getItem('pelago-bearer')");
    let before = before.as_str().unwrap().to_owned();
    assert_eq!(status(&address, &before), 200);
    // A page that is reloaded gets the secret again.
    browser.reload();
    browser.until(LIVE);

    node.kill();
    let impostor = Impostor::new(&address, "ab".repeat(32));
    // The page sends its earlier bearer, and one for the run that the program claims.
    let shown = eventually("the page to show two bearers", || {
        let shown = impostor.bearers();
        (shown.len() > 1).then_some(shown)
    });
    assert!(shown.contains(&before));
    assert!(!impostor.received.lock().contains("Cookie"));
    // Meanwhile the node has another port, and rejects both bearers there.
    let elsewhere = a.start(&[]);
    let other = a.json(&["status"])["api"].as_str().unwrap().to_owned();
    assert_ne!(other, address);
    let refused = |address: &str| shown.iter().all(|bearer| status(address, bearer) == 401);
    assert!(refused(&other));
    elsewhere.stop();
    impostor.leave();
    let _node = a.start(&["--api", &address]);
    assert!(refused(&address));
    // The page reconnects by itself, immediately when it gets the focus.
    browser.script("dispatchEvent(new Event('focus'))");
    browser.until(LIVE);
}
