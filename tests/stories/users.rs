//! The user of a node: created, logged out and in, with keys that a passphrase seals.

use std::{
    fs::{self, File},
    io::BufRead as _,
    net::TcpStream,
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
};

use pelago_store::{Passphrase, UserFile};
use serde_json::Value;

use super::{
    terminal::{ENTER, Terminal},
    world::{Home, Node, World},
};

const PASSPHRASE: &str = "correct horse battery";

/// The state that `pelago user show` reports.
fn state(home: &Home) -> String {
    home.json(&["user", "show"])["state"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Which of `secrets` are in the memory of a process.
fn in_memory<'a>(pid: u32, secrets: &[(&'a str, &[u8])]) -> Vec<&'a str> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut words = line.split(' ');
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        // Regions of the system cannot be read.
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            let has = |secret: &[u8]| contains(&bytes, secret);
            found.extend(
                secrets
                    .iter()
                    .filter(|(_, secret)| has(secret))
                    .map(|(name, _)| *name),
            );
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether `bytes` contain a secret, the zeros at its start aside.
fn contains(mut bytes: &[u8], secret: &[u8]) -> bool {
    let start = secret.iter().position(|byte| *byte != 0).unwrap();
    let (first, rest) = secret[start..].split_first().unwrap();
    // This finds a byte much faster than a loop of a test, which is not optimised.
    while bytes.skip_until(*first).unwrap() > 0 {
        if bytes.starts_with(rest) {
            return true;
        }
    }
    false
}

/// The sockets of a process that wait for connections or datagrams, by the inodes of its files.
fn listening(pid: u32) -> Vec<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let own: Vec<_> = files
        .filter_map(|file| fs::read_link(file.unwrap().path()).ok())
        .filter_map(|leads_to| {
            let leads_to = leads_to.to_str()?;
            Some(
                leads_to
                    .strip_prefix("socket:[")?
                    .strip_suffix(']')?
                    .to_owned(),
            )
        })
        .collect();
    let mut sockets = Vec::new();
    for (table, states) in [
        ("tcp", ["0A"]),
        ("tcp6", ["0A"]),
        ("udp", ["07"]),
        ("udp6", ["07"]),
    ] {
        let rows = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap();
        for row in rows.lines().skip(1) {
            let fields: Vec<_> = row.split_whitespace().collect();
            if states.contains(&fields[3]) && own.iter().any(|inode| inode == fields[9]) {
                sockets.push(format!("{table} {}", fields[1]));
            }
        }
    }
    sockets
}

fn address_of_api(home: &Home) -> String {
    let file = fs::read(home.data().join("api.json")).unwrap();
    let api: Value = serde_json::from_slice(&file).unwrap();
    api["address"].as_str().unwrap().to_owned()
}

/// Starts a node whose user is logged out.
fn locked(home: &Home) -> Node {
    let run = home.spawn(&["start", "--listen", "/ip4/127.0.0.1/tcp/0"]);
    run.out.line("is logged out");
    Node {
        run,
        listen: Vec::new(),
    }
}

/// ```text
///   A      without a user, then with one who logs out and in
/// ```
#[test]
fn a_user_logs_out_and_in_and_leaves_no_key_behind() {
    let world = World::new();
    let a = world.home("a").with("PELAGO_STORAGE_SHARE_FOLDERS", "");
    let node = a.start(&[]);
    let pid = node.run.id();
    let (address, api, plain) = (node.address(), address_of_api(&a), node.peer_id());
    a.share(&world.file("poem.txt", b"The tide waits."));
    assert_eq!(state(&a), "none");
    a.run(&["login"]).failed().says("user create");

    // The node restarts with a new key, and nothing else changes.
    a.fed(&["user", "create", "anna"], PASSPHRASE)
        .done()
        .prints("anna (logged in)");
    assert!(!a.data().join("identity.key").exists());
    let status = a.json(&["status"]);
    let peer = status["peer_id"].as_str().unwrap();
    assert_ne!(peer, plain, "the old key was on the disk in clear");
    assert!(
        status["listen"][0]
            .as_str()
            .unwrap()
            .contains(&address.replace(':', "/tcp/"))
    );
    assert_eq!(
        (address_of_api(&a), &status["shares"]),
        (api.clone(), &1.into())
    );
    a.run(&["user", "create", "bert", "--no-passphrase"])
        .failed()
        .says("anna");
    a.run(&["user", "rename", "Anna Öz"])
        .done()
        .prints("Anna Öz");

    let passphrase = Passphrase::new(PASSPHRASE).unwrap();
    let keys = UserFile::in_folder(&a.data())
        .unlock(Some(&passphrase))
        .unwrap();
    let node_seed = keys.keypair().to_protobuf_encoding().unwrap()[4..36].to_vec();
    let secrets: [(&str, &[u8]); 4] = [
        ("user", keys.secret().seed()),
        ("node", &node_seed),
        ("sealing", keys.sealing_key().as_bytes()),
        ("passphrase", PASSPHRASE.as_bytes()),
    ];
    assert_eq!(
        in_memory(pid, &secrets),
        ["node", "sealing", "user"],
        "the search works"
    );

    a.run(&["logout"]).done().prints("Anna Öz (logged out)");
    assert_eq!(in_memory(pid, &secrets), [""; 0]);
    let open = listening(pid);
    assert!(
        matches!(&open[..], [only] if only.starts_with("tcp ")),
        "{open:?}"
    );
    assert_eq!(address_of_api(&a), api);
    TcpStream::connect(&address).unwrap_err();
    for command in [&["list"][..], &["share", "x"], &["settings"]] {
        a.run(command)
            .failed()
            .says("logged out")
            .says("pelago login");
    }
    a.run(&["status"]).done().prints("pelago login");

    // Neither a restart nor the passphrase in a file logs in what a person has logged out.
    node.stop();
    let file = world.file("passphrase", format!("{PASSPHRASE}\n").as_bytes());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let a = a.with("PELAGO_USER_PASSPHRASE_FILE", &file);
    let node = locked(&a);
    let pid = node.run.id();
    a.fed(&["login"], "wrong horse").failed().says("wrong");
    a.run(&["login", "--passphrase-file", &file])
        .done()
        .prints("Anna Öz (logged in)");
    a.fed(&["login"], "wrong horse").failed().says("wrong");
    a.fed(&["login"], "").done().prints("Anna Öz (logged in)");
    assert_eq!(a.json(&["status"])["peer_id"], peer);
    assert_eq!(in_memory(pid, &secrets), ["node", "sealing", "user"]);
    node.stop();

    // Logged in, it stays so, also with the passphrase that systemd passes.
    fs::copy(&file, world.path("pelago-passphrase")).unwrap();
    let folder = world.path("");
    let a = a
        .with("PELAGO_USER_PASSPHRASE_FILE", "")
        .with("CREDENTIALS_DIRECTORY", folder.to_str().unwrap());
    let node = a.start(&[]);
    assert_eq!(
        (state(&a).as_str(), node.peer_id().as_str()),
        ("unlocked", peer)
    );
    a.run(&["logout"]).done();
    a.run(&["login", "--passphrase-file", &file]).done();
    node.stop();
}

/// ```text
///   a person at a terminal ── A
/// ```
#[test]
fn a_passphrase_is_typed_twice_and_does_not_show() {
    let world = World::new();
    let a = world.home("a");
    let typing = |again: &str| {
        let mut terminal = Terminal::open(&a, &["user", "create", "anna"]);
        terminal.sees("new passphrase: ");
        terminal.types(&format!("{PASSPHRASE}{ENTER}"));
        terminal.sees("the same again: ");
        terminal.types(&format!("{again}{ENTER}"));
        terminal
    };
    typing("correct house").sees("the passphrases differ");
    let mut terminal = typing(PASSPHRASE);
    terminal.sees("anna (logged out)");
    assert!(!terminal.shown().contains("horse"));
    let file = UserFile::in_folder(&a.data());
    file.unlock(Some(&Passphrase::new(PASSPHRASE).unwrap()))
        .unwrap();
}

/// ```text
///   B ── A      A's user is logged out; commands of A run under a key of their own
/// ```
#[test]
fn the_keys_move_and_a_command_without_them_reaches_what_is_public() {
    let world = World::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| world.home(name));
    let a = a.with("PELAGO_STORAGE_SHARE_FOLDERS", "");
    a.fed(&["user", "create", "anna"], PASSPHRASE)
        .done()
        .prints("anna (logged out)");
    let exported = world.path("anna.key");
    a.run(&["user", "export", exported.to_str().unwrap()])
        .done();
    assert_eq!(
        exported.metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    a.run(&["user", "export", exported.to_str().unwrap()])
        .failed();
    let change = format!("{PASSPHRASE}\nanother one\n");
    a.fed(&["user", "passphrase"], &change).done();
    a.fed(&["user", "passphrase"], &change)
        .failed()
        .says("wrong");

    // A command cannot unlock the keys, and downloads without them.
    let node_b = b.start(&[]);
    let hash = b.share(&world.file("poem.txt", b"The tide waits."));
    a.run(&["download", &hash, "--peer", &node_b.address()])
        .done();
    assert!(Path::new(&a.path("poem.txt")).exists());
    assert!(!a.data().join("identity.key").exists());
    a.run(&["user", "rename", "bert"])
        .failed()
        .says("logged out");
    a.run(&["download", &hash, "--group", "family"])
        .failed()
        .says("not logged in")
        .says("pelago login");

    // The copy has the old passphrase.
    let file = exported.to_str().unwrap();
    c.fed(&["user", "import", file], "another one")
        .failed()
        .says("wrong");
    let node_c = c.start(&[]);
    c.fed(&["user", "import", file], PASSPHRASE)
        .done()
        .prints("anna (logged in)");
    let key = |home: &Home| home.json(&["user", "show"])["user"]["key"].clone();
    assert_eq!(key(&a), key(&c));
    node_c.stop();
}
