//! Other users of the machine can read nothing in the data folder of a node.

use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    downloads::until,
    http::Url,
    terminal::Terminal,
    world::{Home, Run, World, eventually, noise, text},
};

/// The id of another user than that of the node.
const STRANGER: u32 = 65534;

/// The paths of a folder and all its entries, except the downloaded files.
fn all(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().unwrap() != "downloaded" {
            found.extend(all(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o777
}

fn open_to_others(folder: &Path, depth: usize) -> Vec<String> {
    let own = folder.iter().count();
    let near = all(folder).into_iter();
    let near = near.filter(|path| path.iter().count() <= own + depth);
    let open = near.filter(|path| {
        let allowed = if path.is_dir() { 0o700 } else { 0o600 };
        mode(path) & !allowed != 0
    });
    open.map(|path| format!("{:o} {}", mode(&path), path.display()))
        .collect()
}

/// Starts a command whose new files are open to all users, unless Pelago restricts them.
fn careless(home: &Home, arguments: &[&str]) -> Run {
    let line = "umask 000; exec \"$0\" \"$@\"".to_owned();
    let program = home.command(arguments);
    let mut all = vec![
        "-c".to_owned(),
        line,
        text(Path::new(program.get_program())),
    ];
    all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    Run::new(home.program("sh", &all))
}

/// ```text
///   B ── A      A runs many commands with a umask of 000
/// ```
#[test]
fn nothing_in_a_data_folder_is_open_to_others() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node_b = b.start(&["-n", "bert"]);
    let album = world.path("album");
    for n in 0..3 {
        world.file(&format!("album/{n}"), &noise(n, 300_000));
    }
    let album = b.share(&text(&album));
    let film = b.share(&world.file("film.mkv", &noise(9, 3_000_000)));
    let address = node_b.address();
    fs::create_dir_all(a.path("watched")).unwrap();
    fs::write(a.path("watched/x"), "x").unwrap();
    let start = [
        "start",
        "--listen",
        "/ip4/127.0.0.1/tcp/0",
        "-b",
        &address,
        "--dir",
        "watched",
    ];
    let node = careless(&a, &start);
    node.out.wait(|line| line == "ready", "ready");
    let run = |arguments: &[&str]| careless(&a, arguments).end().done();
    run(&["share", &world.file("own.bin", &noise(10, 200_000))]);
    run(&["download", &album, "--from", "bert"]);
    run(&["limit", "--download", "400k"]);
    run(&["download", &film, "--detach"]);
    until(&a, &film, "downloading");
    let read = run(&["link", &film, "--http"]).stdout;
    Url::new(&read)
        .get(&["Range: bytes=2000000-2000009"])
        .code(206);
    run(&["settings", "transfer.seed", "false"]);
    eventually("the watched file to be shared", || {
        let shares = a.json(&["list"]);
        let mut names = shares.as_array()?.iter().map(|share| &share["name"]);
        names.any(|name| name == "x").then_some(())
    });
    run(&["unshare", "x"]);
    run(&["ui", "--no-open"]);
    let mut shell = Terminal::open(&a, &["shell"]);
    shell.sees("pelago> ");
    shell.types("list\r");
    shell.sees("pelago> ");
    shell.types("\u{4}");
    shell.end();
    for file in [
        "state.redb",
        "identity.key",
        "api.json",
        "gateway.key",
        "peer-names",
        "shell_history",
    ] {
        assert!(a.data().join(file).exists(), "{file}");
    }
    let open = open_to_others(&a.data(), 9);
    assert!(open.is_empty(), "{open:#?}");
    node.signal("TERM");
    node.end().done();
    let open = open_to_others(&a.data(), 9);
    assert!(open.is_empty(), "{open:#?}");
}

/// ```text
///   A      its data folder is open to all users, as after a copy
/// ```
#[test]
fn a_data_folder_that_was_open_is_closed_at_the_start() {
    let world = World::for_others();
    let a = world.home("a");
    a.start(&[]).stop();
    fs::set_permissions(a.path(""), Permissions::from_mode(0o755)).unwrap();
    for path in all(&a.data()) {
        let mode = if path.is_dir() { 0o777 } else { 0o666 };
        if path.file_name().unwrap() != "identity.key" {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
    }
    // Only root can run a program as another user.
    let read = |name: &str| {
        let mut cat = Command::new("cat");
        cat.arg(a.data().join(name)).uid(STRANGER).gid(STRANGER);
        cat.output().is_ok_and(|cat| cat.status.success())
    };
    let node = a.start(&[]);
    node.run.err.wait(
        |line| line.contains("other users could look into the data folder"),
        "a word about it",
    );
    let open = open_to_others(&a.data(), 1);
    assert!(open.is_empty(), "{open:#?}");
    for name in ["state.redb", "api.json"] {
        assert!(!read(name), "{name}");
    }
    node.stop();
}

/// ```text
///   A      types a hash in the shell, which other users must not see
/// ```
#[test]
fn what_is_typed_in_the_shell_is_in_no_argument() {
    let world = World::new();
    let a = world.home("a");
    let _node = a.start(&[]);
    let hash = "ab".repeat(32);
    let mut shell = Terminal::open(&a, &["shell"]);
    shell.sees("pelago> ");
    shell.types(&format!("download {hash} -o x\r"));
    eventually("the verb to run", || {
        let downloads = a.json(&["downloads"]);
        (downloads[0]["hash"] == hash.as_str()).then_some(())
    });
    let mut lines = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        lines.push(String::from_utf8_lossy(&line).replace('\0', " "));
    }
    let data = text(&a.data());
    let ours: Vec<_> = lines.iter().filter(|line| line.contains(&data)).collect();
    assert!(!ours.is_empty(), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains(&hash)), "{lines:#?}");
    shell.types("\u{3}");
}

/// ```text
///   A      gives a link to a group to commands that take something else
/// ```
#[test]
fn the_secret_of_an_invitation_is_in_no_output_and_no_log() {
    let world = World::new();
    let a = world.home("a");
    let node = a.start(&["-vv"]);
    a.run(&["user", "create", "anna", "--no-passphrase"]).done();
    a.run(&["group", "create", "family"]).done();
    let invite = a.json(&["group", "invite", "family"]);
    let link = invite["link"].as_str().unwrap();
    let (_, secret) = link.split_once("invite=").unwrap();
    let secret = &secret[..64];
    let is_hidden = |printed: &str| assert!(!printed.contains(secret), "{printed}");
    let flag = format!("--group={link}");
    for arguments in [
        &["download", link][..],
        &["open", link],
        &["share", link],
        &["link", link],
        &["link", link, "--http"],
        &["unshare", link],
        &["hash", link],
        &["list", "--peer", link],
        &["list", &flag],
        &["group", "show", link],
        &["group", "join", link, link],
        &[link],
    ] {
        let refused = a.run(arguments).code(2);
        let refused = refused.says("`pelago group join`");
        is_hidden(&refused.stderr);
        let mut all = vec!["--json"];
        all.extend(arguments);
        let refused = a.run(&all).code(2);
        let error = &refused.document()["error"];
        assert_eq!(error["code"], "usage", "{refused:#?}");
        is_hidden(&refused.stdout);
    }
    // Where a link is taken.
    let broken = link.replacen("invite=", "invite=x", 1);
    let refused = a.fed(&["group", "join"], &broken).failed();
    is_hidden(&refused.says("the link's invite is not 64").stderr);
    a.fed(&["group", "join"], link).done();
    let mut shell = Terminal::open(&a, &["shell"]);
    shell.sees("pelago> ");
    shell.types(&format!("open {link}\r"));
    shell.sees("only `pelago group join` takes");
    // A key that comes before the next prompt is not for it.
    shell.sees("paste the link");
    shell.sees("pelago> ");
    shell.types("\u{4}");
    shell.end();
    is_hidden(&fs::read_to_string(a.data().join("shell_history")).unwrap_or_default());
    is_hidden(&node.stop().stderr);
}

/// ```text
///   C ── A (anna) and B (anna)      C downloads from "anna"
/// ```
#[test]
fn a_name_stands_for_one_peer() {
    let world = World::new();
    let (a, b, c) = (world.home("a"), world.home("b"), world.home("c"));
    let anna = a.start(&["--name", "anna"]);
    let other = b.start(&["--name", "anna"]);
    let file = world.file("x", b"the same");
    let hash = a.share(&file);
    b.share(&file);
    let number = std::cell::Cell::new(0);
    let from = |name: &str, peers: &[&str]| {
        number.set(number.get() + 1);
        let output = format!("x{}", number.get());
        let mut all = vec![
            "download",
            &hash,
            "--from",
            name,
            "--timeout",
            "5",
            "-o",
            &output,
        ];
        for peer in peers {
            all.extend(["--peer", peer]);
        }
        c.run(&all)
    };
    let (at_anna, at_other) = (anna.address(), other.address());
    // C has not used the name before, so the command lists both peers.
    let both = from("anna", &[&at_anna, &at_other]).failed();
    both.says("\"anna\" is the name of several peers")
        .says(&anna.peer_id())
        .says(&other.peer_id());
    from("anna", &[&at_anna]).done();
    from("anna", &[&at_anna, &at_other]).done();
    // The name stays with the first peer. Another one is not taken for it.
    let changed = from("anna", &[&at_other]).failed();
    changed
        .says("is now the name of another peer")
        .says(&format!("Before:\n  {}", anna.peer_id()))
        .says(&format!("Now:\n  {}", other.peer_id()));
    for wrong in ["anna=12D3bad", &anna.peer_id()[..40]] {
        let told = from(wrong, &[&at_anna]);
        told.code(2).says("is not a valid peer id");
    }
    let chosen = format!("anna={}", other.peer_id());
    from(&chosen, &[&at_other]).done();
    from("anna", &[&at_other]).done();
    from("anna", &[&at_anna])
        .failed()
        .says("is now the name of another peer");
    from(&anna.peer_id(), &[&at_anna]).done();
}
