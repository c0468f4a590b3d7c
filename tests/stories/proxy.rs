//! The page through a reverse proxy and through a tunnel.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    process::Command,
};

use super::{
    browser::Browser,
    http::Url,
    system,
    world::{Home, Run, World, eventually, text},
};

const LIVE: &str = "document.querySelector('.dot')?.dataset.state === 'live'";

/// A port of loopback that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The configuration of nginx as docs/OPERATING.md has it, with other names.
fn documented(certificate: &str, key: &str, port: u16, api: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATING.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, server) = page.split_once("```nginx\n").unwrap();
    let (server, _) = server.split_once("```").unwrap();
    server
        .replace("/etc/ssl/files.example.org.pem", certificate)
        .replace("/etc/ssl/private/files.example.org.key", key)
        .replace("listen 443", &format!("listen 127.0.0.1:{port}"))
        .replace("files.example.org", "127.0.0.1")
        .replace("127.0.0.1:8081", api)
}

/// nginx before the API at `api`, over https at `port`. It is one process, without workers that would
/// outlive it, and ends when this is dropped.
fn nginx(world: &World, home: &Home, port: u16, api: &str) -> Option<Run> {
    if Command::new("nginx").arg("-v").output().is_err() {
        eprintln!("skipped: there is no nginx here; on Debian: nginx-light");
        return None;
    }
    let [certificate, key] = ["proxy.pem", "proxy.key"].map(|name| text(&world.path(name)));
    system::run(&format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
         -subj /CN=127.0.0.1 -keyout {key} -out {certificate}"
    ))
    .unwrap();
    let folder = text(&world.path(""));
    let server = documented(&certificate, &key, port, api);
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folders = kinds.map(|kind| format!("{kind}_temp_path {folder}/{kind};"));
    let configuration = format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log off;\n{}\n{server}}}\n",
        folders.join("\n")
    );
    let path = world.file("nginx.conf", configuration.as_bytes());
    let run = Run::new(home.program("nginx", &["-e", "stderr", "-c", &path]));
    eventually("nginx to listen", || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    Some(run)
}

/// ```text
///   page ──https── nginx ──http── A      at the root of a site, and below a path of it
/// ```
#[test]
fn the_page_works_through_a_reverse_proxy() {
    let world = World::new();
    let a = world.home("a");
    let (proxy, api) = (free_port(), free_port());
    let origin = format!("https://127.0.0.1:{proxy}");
    let api = format!("127.0.0.1:{api}");
    let Some(_nginx) = nginx(&world, &a, proxy, &api) else {
        return;
    };
    let Some(browser) = Browser::open(1280, 800) else {
        return;
    };
    let a = a.with("PELAGO_API_ALLOWED_ORIGINS", &origin);
    let node = a.start(&["--api", &api]);
    let opened = || {
        let printed = a.json(&["ui", "--no-open"]);
        let url = printed["elsewhere"][0].as_str().unwrap().to_owned();
        assert!(url.starts_with(&format!("{origin}/#code=")), "{url}");
        url
    };
    browser.go(&opened());
    browser.until(LIVE);
    // Events arrive at once, and a change of the page reaches the node.
    a.share(&world.file("through.txt", b"through"));
    browser.script("location.hash = 'shares'");
    browser.sees(".share .title", "through.txt");
    // Below a path, where the proxy names the node in `Host`.
    browser.new_tab();
    browser.go(&opened().replace("/#code=", "/pelago/#code="));
    browser.until(LIVE);
    browser.script("location.hash = 'shares'");
    browser.click(".share .actions button[aria-label^='Stop sharing']");
    browser.click("dialog button.danger, dialog button.primary");
    browser.sees_no(".share .title", "through.txt");
    // A page that was not reloaded signs in again after a restart of the node.
    node.stop();
    let _node = a.start(&["--api", &api]);
    browser.script("dispatchEvent(new Event('focus'))");
    browser.until(LIVE);
}

/// ```text
///   page ── 127.0.0.1, another port (ssh -L) ── A
/// ```
#[test]
fn a_tunnel_needs_its_origin_to_be_allowed() {
    let world = World::new();
    let a = world.home("a");
    let node = a.start(&[]);
    let api = a.json(&["status"])["api"].as_str().unwrap().to_owned();
    let ask = |host: &str| {
        let answer = Url::new(&format!("http://{api}/")).send("GET", &[format!("Host: {host}")]);
        let answer = answer.whole();
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    let (status, body) = ask("127.0.0.1:9000");
    assert_eq!(status, 403);
    assert!(
        body.contains("api.allowed_origins") && body.contains("http://127.0.0.1:9000"),
        "{body}"
    );
    node.stop();
    let a = a.with("PELAGO_API_ALLOWED_ORIGINS", "http://127.0.0.1:9000");
    let _node = a.start(&["--api", &api]);
    assert_eq!(ask("127.0.0.1:9000").0, 200);
    assert_eq!(ask("127.0.0.1:9001").0, 403);
}
