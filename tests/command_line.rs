//! The real binary, as people and scripts use it. Each node has its own data folder, and knows
//! other nodes only by the addresses that the test passes to it.

#![cfg(all(feature = "cli", unix))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// How long any step may take.
const LIMIT: Duration = Duration::from_secs(20);

/// How soon a node ends after a signal.
const END_LIMIT: Duration = Duration::from_secs(5);

/// The machine of a person: a home folder with a data folder.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pelago"));
        command
            .env_clear()
            .env("HOME", self.0.path())
            .env("PELAGO_NETWORK_MDNS", "false");
        command
            .env("PELAGO_DATA_DIR", self.path("data"))
            .current_dir(self.0.path());
        command.args(arguments).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that has to succeed, and returns its stdout.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// Starts a command that runs until a signal.
    fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Running {
            stdout: lines(stdout),
            stderr: lines(stderr),
            child,
        }
    }

    /// Starts a node, and returns it with its address on loopback once it is ready.
    fn node(&self) -> (Running, String) {
        let node = self.start(&["start", "--port", "0"]);
        let listening = node.until("ready");
        let address = listening.iter().find_map(|line| {
            let address = line.strip_prefix("listening on ")?;
            address
                .starts_with("/ip4/127.0.0.1/tcp/")
                .then(|| address.to_owned())
        });
        (node, address.expect("a node listens on loopback, too"))
    }
}

/// A running command.
struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Running {
    /// Waits for a line of stdout that contains `end`, and returns the lines up to it.
    fn until(&self, end: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| !line.contains(end)) {
            let line = self.stdout.recv_timeout(LIMIT);
            lines.push(line.unwrap_or_else(|_| panic!("no {end}: {:?}", self.stderr.try_recv())));
        }
        lines
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the end, and returns the exit code and stderr.
    fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + END_LIMIT;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                None => panic!("it does not end"),
            }
        };
        let stderr = self.stderr.iter().collect::<Vec<_>>().join("\n");
        (status.code(), stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = sync_channel(1000);
    thread::spawn(move || {
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines
            .map(|line| sender.send(line))
            .take_while(Result::is_ok)
            .for_each(drop);
    });
    lines
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_node_serves_other_commands_until_a_signal() {
    let machine = Machine::new();
    let file = machine.file("a.txt", b"hello");
    let (node, address) = machine.node();
    assert!(
        machine.path("shared").is_dir(),
        "the folder to share is made"
    );

    let status = machine.json(&["status"]);
    assert!(address.ends_with(status["peer_id"].as_str().unwrap()));
    assert!(
        status["listen"]
            .as_array()
            .unwrap()
            .contains(&Value::from(address))
    );
    let shared = machine.json(&["share", path(&file)]);
    assert_eq!(machine.json(&["list"])[0]["hash"], shared[0]["hash"]);
    assert_eq!(machine.json(&["status"])["shares"], 1);
    assert_eq!(machine.json(&["peers"]), Value::Array(Vec::new()));
    assert_eq!(machine.json(&["downloads"]), Value::Array(Vec::new()));
    assert_eq!(machine.json(&["unshare", "a.txt"])[0]["name"], "a.txt");

    let second = machine.run(&["start", "--port", "0"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("in use by another process"));

    node.signal("-TERM");
    let (code, stderr) = node.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!machine.path("data/api.json").exists());
}

#[test]
fn without_a_node_some_commands_do_not_need_one_and_others_say_so() {
    let machine = Machine::new();
    let data = machine.path("data");
    let expected = format!(
        "no node is running on {}: run `pelago start`",
        data.display()
    );
    let other = machine.path("another folder");
    let other = other.to_str().unwrap();
    let output = machine.run(&["--data-dir", other, "status"]);
    let start = format!("run `pelago --data-dir '{other}' start`");
    assert!(text(&output.stderr).contains(&start), "{output:?}");
    for verb in ["status", "peers", "downloads"] {
        let output = machine.run(&[verb]);
        assert_eq!(output.status.code(), Some(1), "{verb}");
        assert_eq!(text(&output.stderr), format!("error: {expected}\n"));
        let output = machine.run(&["--json", verb]);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["error"]["message"], expected);
    }
    assert!(!data.exists(), "asking makes nothing");

    let file = machine.file("a.txt", b"");
    let hash = machine.done(&["hash", path(&file)]);
    assert!(!data.exists(), "hashing needs no node");
    let shared = machine.json(&["share", "--no-serve", path(&file)]);
    assert!(hash.starts_with(shared[0]["hash"].as_str().unwrap()));
    assert_eq!(machine.json(&["list"])[0]["name"], "a.txt");
    machine.done(&["unshare", "a.txt"]);
    assert_eq!(machine.json(&["list"]), Value::Array(Vec::new()));
    assert!(
        !data.join("identity.key").exists(),
        "none of these is a node"
    );
}

#[test]
fn the_api_file_of_a_killed_node_is_not_trusted() {
    let machine = Machine::new();
    let (node, _) = machine.node();
    node.signal("-KILL");
    node.end();
    assert!(machine.path("data/api.json").exists());
    assert_eq!(machine.run(&["status"]).status.code(), Some(1));
    let (_node, _) = machine.node();
    machine.done(&["status"]);
}

/// ```text
/// a: share, no other node ---- b: download --peer a
///   \- status, attached
/// ```
#[test]
fn share_serves_until_it_is_interrupted() {
    let (a, b) = (Machine::new(), Machine::new());
    let content: Vec<_> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    let file = a.file("a.bin", &content);
    let sharing = a.start(&["share", path(&file)]);
    let printed = sharing.until("link  ");
    let link = printed
        .last()
        .unwrap()
        .trim()
        .strip_prefix("link  ")
        .unwrap()
        .to_owned();

    let status = a.json(&["status"]);
    assert_eq!(status["shares"], 1, "others find the node of this command");
    let listen: Vec<_> = status["listen"].as_array().unwrap().iter().collect();
    let is_loopback = |address: &&&Value| address.as_str().unwrap().contains("/127.0.0.1/tcp/");
    let address = listen.iter().find(is_loopback).unwrap().as_str().unwrap();

    let hash = &link["pelago:".len()..][..64];
    let arguments = ["download", hash, "--peer", address, "-o", "here.bin"];
    let finished = b.json(&arguments);
    assert_eq!(fs::read(b.path("here.bin")).unwrap(), content);
    assert_eq!(
        (&finished["size"], &finished["sources"]),
        (&300_000.into(), &1.into())
    );
    assert_eq!(finished["fetched_bytes"], 300_000);
    assert_eq!(
        b.json(&arguments)["fetched_bytes"],
        0,
        "it is there already"
    );
    assert_eq!(b.json(&["list", "--peer", address])[0]["name"], "a.bin");

    sharing.signal("-INT");
    let (code, stderr) = sharing.end();
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn an_interrupted_download_says_how_to_resume() {
    let machine = Machine::new();
    let hash = "ab".repeat(32);
    let download = machine.start(&["download", &hash, "-o", "a b.bin", "--timeout", "3600"]);
    // The download runs once another command lists it.
    let deadline = Instant::now() + LIMIT;
    while !text(&machine.run(&["downloads", "--json"]).stdout).contains(&hash) {
        assert!(Instant::now() < deadline);
    }
    download.signal("-INT");
    let (code, stderr) = download.end();
    assert_eq!(code, Some(1));
    let command = format!("pelago download {hash} -o 'a b.bin' --timeout 3600");
    assert!(
        stderr.contains("paused") && stderr.contains(&command),
        "{stderr}"
    );
}

#[test]
fn a_download_without_sources_says_what_was_tried() {
    let machine = Machine::new();
    let hash = "ab".repeat(32);
    let output = machine.run(&["download", &hash, "--timeout", "0.3", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["error"]["code"], "no-source");
    assert!(answer["error"]["hint"].as_str().unwrap().contains("--peer"));
}

#[test]
fn a_detached_download_needs_a_node_that_stays() {
    let machine = Machine::new();
    let hash = "ab".repeat(32);
    let output = machine.run(&["download", &hash, "--detach"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("pelago start") && output.stdout.is_empty());
    let output = machine.run(&["--json"]);
    assert_eq!(output.status.code(), Some(2));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["error"]["hint"], "`pelago help` lists all commands");

    let (_node, _) = machine.node();
    assert_eq!(machine.json(&["download", &hash, "--detach"])["hash"], hash);
    assert_eq!(machine.json(&["downloads"])[0]["hash"], hash);
}

#[test]
fn several_paths_are_all_tried() {
    let machine = Machine::new();
    let file = machine.file("a.txt", b"a");
    let arguments = ["hash", "missing", path(&file), ".", "--json"];
    let output = machine.run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let entries: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        entries[0]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("missing")
    );
    assert_eq!(
        (&entries[1]["size"], &entries[1]["kind"]),
        (&1.into(), &"file".into())
    );
    assert_eq!(
        (&entries[2]["size"], &entries[2]["kind"]),
        (&1.into(), &"folder".into())
    );
}

#[test]
fn only_a_port_that_was_chosen_has_to_be_free() {
    let machine = Machine::new();
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = machine.run(&["start", "--port", &port, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["error"]["code"], "port-in-use");

    // The port is in use, by this test or by another program.
    let _taken = TcpListener::bind("0.0.0.0:8080");
    let node = machine.start(&["start"]);
    node.until("ready");
    node.signal("-INT");
    let (code, stderr) = node.end();
    assert_eq!(code, Some(0));
    assert!(
        stderr.contains("port 8080 is taken: listening on port"),
        "{stderr}"
    );
}

#[test]
fn invalid_arguments_are_refused() {
    let machine = Machine::new();
    let output = machine.run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("pelago start"));
    let output = machine.run(&["fly", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["error"]["code"], "usage");

    let config = machine.file("config.toml", b"[network]\n\nprot = 1\n");
    let output = machine.run(&["list", "--config", path(&config)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("config.toml:3: unknown setting network.prot"));
    let output = machine
        .command(&["list"])
        .env("PELAGO_API_LISTEN", "x")
        .output()
        .unwrap();
    let refusal = "PELAGO_API_LISTEN: api.listen = \"x\" is not allowed";
    assert!(text(&output.stderr).contains(refusal));
}
