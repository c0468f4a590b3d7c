//! Every command prints text that a peer chose on one line, and without effect on the terminal.

use std::{
    io::Read,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use futures::executor::block_on;
use libp2p::{Multiaddr, multiaddr::Protocol as Part};
use parking_lot::Mutex;
use pelago::{Hash, Kind};
use pelago_behaviour::catalogue::{self, CatalogueEntry, Page};
use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    content::{Content, THREE_CHUNKS},
    nodes::in_time,
    scripted::{Act, Script, Scripted, having_all, update},
};

/// A name that clears the terminal, begins a line, rings, and reverses text.
const HOSTILE: &str = "evil\u{1b}[2J\u{9b}1m\r\nFORGED\u{7}\u{202e}\u{2028}end";

/// The name as commands print it.
const SHOWN: &str = r"evil\u{1b}[2J\u{9b}1m\r\nFORGED\u{7}\u{202e}\u{2028}end";

/// A page of a catalogue with two entries of that name.
fn hostile_page(hash: Hash, size: u64) -> Vec<u8> {
    let entry = |hash, size| CatalogueEntry {
        hash,
        name: HOSTILE.to_owned(),
        kind: Kind::File,
        size,
    };
    let page = Page {
        entries: vec![entry(hash, size), entry(Hash::from_bytes([7; 32]), 1)],
        ..Page::default()
    };
    let mut bytes = Vec::new();
    block_on(catalogue::write_page(&mut bytes, &page)).unwrap();
    bytes
}

/// The script of a peer that serves content correctly, with hostile names.
fn script(content: &Content) -> Script {
    let (honest, descriptor) = (Script::honest(content), content.descriptor);
    let page = hostile_page(content.hash(), descriptor.size());
    Script {
        availability: Box::new(move |_| {
            let mut has = having_all(&descriptor);
            has.name = Some(HOSTILE.to_owned());
            Act::Send(update(has))
        }),
        chunk: honest.chunk,
        catalogue: Box::new(move |_| Act::Send(page.clone())),
    }
}

/// The working directory of commands, with a data folder in it.
#[derive(Clone)]
pub(crate) struct Machine(pub(crate) PathBuf);

impl Machine {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pelago"));
        command
            .args(arguments)
            .current_dir(&self.0)
            .env_clear()
            .env("HOME", &self.0)
            .env("PELAGO_DATA_DIR", self.0.join("data"))
            .env("PELAGO_NETWORK_MDNS", "false")
            .env("PELAGO_STORAGE_SHARE_FOLDERS", "")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// A command at a terminal, which `script` provides.
    pub(crate) fn at_a_terminal(&self, arguments: &[&str]) -> Running {
        let words = [env!("CARGO_BIN_EXE_pelago")].iter().chain(arguments);
        let line = words.map(|word| format!("'{word}'")).collect::<Vec<_>>();
        let mut command = self.command(&[]);
        let pelago = std::mem::replace(&mut command, Command::new("script"));
        command
            .args(["-qec", &line.join(" "), "/dev/null"])
            .current_dir(&self.0)
            .env_clear()
            .envs(
                pelago
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Running::new(command)
    }

    /// Runs a command, and returns its output.
    async fn run(&self, arguments: &[&str]) -> String {
        let mut command = self.command(arguments);
        let ended = spawn_blocking(move || command.output().unwrap());
        let ended = in_time(ended).await.unwrap();
        let text = [ended.stdout, ended.stderr].concat();
        String::from_utf8(text).unwrap()
    }
}

/// A running process and its output so far.
pub(crate) struct Running {
    pub(crate) child: Child,
    printed: Arc<Mutex<Vec<u8>>>,
}

impl Running {
    fn new(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let printed = Arc::new(Mutex::new(Vec::new()));
        let out: Box<dyn Read + Send> = Box::new(child.stdout.take().unwrap());
        for mut from in [out, Box::new(child.stderr.take().unwrap())] {
            let printed = Arc::clone(&printed);
            thread::spawn(move || {
                let mut piece = [0; 4096];
                while let Ok(length @ 1..) = from.read(&mut piece) {
                    printed.lock().extend(&piece[..length]);
                }
            });
        }
        Self { child, printed }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.printed.lock()).into_owned()
    }

    pub(crate) async fn says(&self, what: &str) {
        in_time(async {
            while !self.text().contains(what) {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("{:?}", self.text());
        }
    }
}

/// Asserts that the output has no control characters, and no line that a peer wrote.
fn assert_printable(what: &str, text: &str) {
    for line in text.split('\n') {
        let is_unsafe = line.contains(pelago_content::is_unsafe);
        assert!(!is_unsafe, "{what}: {line:?}");
        assert!(!line.trim_start().starts_with("FORGED"), "{what}: {line:?}");
    }
}

fn claimed() -> [Multiaddr; 2] {
    let host = || HOSTILE.into();
    [
        Multiaddr::from(Part::Dns4(host())).with(Part::Tcp(1)),
        Multiaddr::from(Part::Ip4([127, 0, 0, 1].into()))
            .with(Part::Tcp(1))
            .with(Part::Ws(host())),
    ]
}

#[tokio::test]
async fn what_a_peer_chooses_is_printed_on_one_line_and_does_nothing() {
    // evil (its name, addresses and shares are hostile) <--- a node with `-vv`, and commands
    let content = Content::new(THREE_CHUNKS, 1);
    let evil = Scripted::called(HOSTILE, &claimed(), script(&content)).await;
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine(folder.path().to_owned());
    let at = evil.address().to_string();
    let start = [
        "start",
        "-vv",
        "--listen",
        "/ip4/127.0.0.1/tcp/0",
        "-b",
        &at,
    ];
    let node = Running::new(machine.command(&start));
    node.says("ready").await;
    // The node has received the identify message of the peer.
    in_time(async {
        while !machine.run(&["peers"]).await.contains("evil") {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let hash = content.hash().to_string();
    let absent = Hash::from_bytes([7; 32]).to_string();
    let lines: [&[&str]; 12] = [
        &["peers"],
        &["status"],
        &["doctor"],
        &["list", "--network", "--wait", "1"],
        &["list", "--peer", &at],
        &["open", &hash, "--timeout", "2"],
        &["download", HOSTILE, "--timeout", "2"],
        &["download", &hash, "--timeout", "5"],
        &["download", &absent, "--timeout", "1"],
        &["download", &absent, "--from", HOSTILE, "--timeout", "1"],
        &["downloads"],
        &["list"],
    ];
    let mut seen = 0;
    for line in lines {
        let text = machine.run(line).await;
        assert_printable(&line.join(" "), &text);
        seen += usize::from(text.contains(SHOWN));
        // JSON has the exact text, escaped for terminals.
        if line == ["peers"] {
            let json = machine.run(&["--json", "peers"]).await;
            let peers: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(peers[0]["name"], HOSTILE);
            assert_printable("--json peers", &json);
        }
    }
    assert!(seen >= 4, "{seen} commands showed the name");
    node.says(SHOWN).await;
    assert_printable("start", &node.text());
}
