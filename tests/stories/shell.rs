//! The shell and the menu run commands one after another.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::{
    terminal::{CTRL_C, CTRL_D, ENTER, TAB, Terminal, UP},
    world::{World, assert_content, eventually, noise},
};

/// ```text
///   A      runs a script in the shell, without and with a node
/// ```
#[test]
fn a_script_runs_its_commands_and_exits_like_the_last_that_failed() {
    let world = World::new();
    let a = world.home("a");
    let file = world.file("a b.txt", b"hello");
    let hash = a.hash(&file);

    let script = format!("# shares nothing yet\n\nhash '{file}'\nlist\n");
    let ended = a.fed(&["shell"], &script).done().prints(&hash);
    ended
        .says("no node is running on")
        .says("nothing is shared");

    // A command that brings its own node also sets the exit code.
    a.fed(&["shell"], "status\nlist\n")
        .failed()
        .says("pelago start");
    // An invalid command has another exit code. The last failure counts.
    a.fed(&["shell"], "status\nfly\n").code(2).says("fly");
    a.fed(&["shell"], "fly\nstatus\nlist\n").failed();
    a.fed(&["shell"], "list 'open\nlist\n")
        .failed()
        .says("closed");
    a.fed(&["shell"], "shell\n")
        .failed()
        .says("this is already the shell");
    a.fed(&["shell"], "quit\nfly\n").done();
    a.fed(&["shell"], "help\nhelp share\n")
        .done()
        .prints("unshare")
        .prints("--unlisted");

    let node = a.start(&[]);
    let script = format!("pelago share '{file}' --name ours\nlist\nunshare ours\n");
    let ended = a.fed(&["shell", "-q"], &script).done().prints("ours");
    assert!(!ended.stderr.contains("no node"), "{ended:?}");
    node.stop();
}

/// ```text
///   A      starts the shell with global flags, which hold for commands without their own
/// ```
#[test]
fn commands_inherit_the_flags_of_the_shell() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let file = world.file("x.txt", b"x");
    a.run(&["share", &file, "--no-serve"]).done();
    let other = a.data().into_os_string().into_string().unwrap();
    let shell = ["shell", "--json", "--data-dir", &other];
    let ended = b.fed(&shell, "list\nfly\n").code(2);
    let documents: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(documents[0][0]["name"], "x.txt");
    assert_eq!(documents[1]["error"]["code"], "usage");

    let own = b.data().into_os_string().into_string().unwrap();
    let line = format!("list --data-dir '{own}'\n");
    assert_eq!(
        b.fed(&shell, &line).done().document(),
        Value::Array(Vec::new())
    );
}

/// ```text
///   A      types in the shell
/// ```
#[test]
fn at_a_terminal_words_complete_and_lines_come_back() {
    let world = World::new();
    let a = world.home("a");
    let node = a.start(&[]);
    a.share(&world.file("holiday film.mkv", b"x"));

    let mut shell = Terminal::open(&a, &["shell"]);
    shell.sees("pelago> ");
    shell.types(&format!("lis{TAB}{ENTER}"));
    shell.sees("holiday film.mkv");
    shell.sees("pelago> ");
    shell.types(&format!("unsh{TAB}holi{TAB}"));
    shell.sees("unshare 'holiday film.mkv'");
    // Ctrl-C drops the line only.
    shell.types(CTRL_C);
    shell.sees("pelago> ");
    shell.types(&format!("status --js{TAB}{ENTER}"));
    shell.sees(r#""shares":1"#);
    shell.sees("pelago> ");
    shell.types(CTRL_D);
    assert_eq!(shell.end(), Some(0));

    // The history may contain links: only this user may read it.
    let history = a.data().join("shell_history").metadata().unwrap();
    assert_eq!(history.permissions().mode() & 0o777, 0o600);
    let mut shell = Terminal::open(&a, &["shell"]);
    shell.sees("pelago> ");
    shell.types(&format!("{UP}{UP}{ENTER}"));
    shell.sees("holiday film.mkv");
    shell.sees("pelago> ");
    shell.types(&format!("quit{ENTER}"));
    assert_eq!(shell.end(), Some(0));
    node.stop();
}

/// ```text
///   A      interrupts `share` in the shell
/// ```
#[test]
fn ctrl_c_ends_the_command_and_not_the_shell() {
    let world = World::new();
    let a = world.home("a");
    let file = world.file("x.txt", b"x");
    let mut shell = Terminal::open(&a, &["shell"]);
    shell.sees("no node is running on");
    shell.sees("pelago> ");
    shell.types(&format!("share '{file}'{ENTER}"));
    shell.sees("sharing until Ctrl-C");
    shell.types(CTRL_C);
    shell.sees("pelago> ");
    // The command's node has ended with it.
    shell.types(&format!("status{ENTER}"));
    shell.sees("no node is running");
    shell.sees("pelago> ");
    shell.types(CTRL_D);
    assert_eq!(shell.end(), Some(0));
}

/// ```text
///   A      chooses commands by number, in a script and at a terminal
/// ```
#[test]
fn the_menu_has_the_commands_by_number() {
    let world = World::new();
    let a = world.home("a");
    let node = a.start(&[]);
    let file = world.file("x.txt", b"x");
    let ended = a
        .fed(&["menu"], &format!("3\n{file}\n1\n4\nx.txt\n1\n6\n"))
        .done();
    ended
        .prints("5  download")
        .prints("shared x.txt")
        .prints("no longer shared")
        .says("nothing is shared");
    a.fed(&["menu"], "9\n").code(2).says("not one of 1 to 6");
    a.fed(&["menu"], "4\nno such thing\n6\n")
        .failed()
        .says("no such thing");

    let mut menu = Terminal::open(&a, &["shell"]);
    menu.sees("pelago> ");
    menu.types(&format!("menu{ENTER}"));
    menu.sees("1-6: ");
    menu.types(&format!("1{ENTER}"));
    menu.sees("nothing is shared");
    menu.sees("1-6: ");
    menu.types(&format!("6{ENTER}"));
    menu.sees("pelago> ");
    menu.types(CTRL_D);
    assert_eq!(menu.end(), Some(0));
    node.stop();
}

/// ```text
///   A (anna) ── C ── B (bert)     A and B share different content under one name
/// ```
#[test]
fn at_a_terminal_a_person_chooses_among_contents_of_one_name() {
    let world = World::new();
    let (a, b, c) = (world.home("a"), world.home("b"), world.home("c"));
    let (ours, theirs) = (noise(1, 1000), noise(2, 2000));
    let (anna, bert) = (a.start(&[]), b.start(&[]));
    let of_anna = a.share(&world.file("anna/photo.jpg", &ours));
    let of_bert = b.share(&world.file("bert/photo.jpg", &theirs));
    let (at_a, at_b) = (anna.address(), bert.address());
    let download = ["download", "photo.jpg", "--peer", &at_a, "--peer", &at_b];

    let document = c
        .run(&[&download[..], &["--json"]].concat())
        .failed()
        .document();
    let choices = document["error"]["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 2, "{document}");
    assert_eq!(choices[0]["peers"], 1);
    let from = |choice: &Value| choice["from"][0]["peer_id"].as_str().unwrap().to_owned();
    let mut listed = [from(&choices[0]), from(&choices[1])];
    let mut both = [anna.peer_id(), bert.peer_id()];
    listed.sort();
    both.sort();
    assert_eq!(listed, both);
    let message = document["error"]["message"].as_str().unwrap();
    assert_eq!(message.matches(", from ").count(), 2, "{message}");

    let mut person = Terminal::open(&c, &download);
    person.sees("several contents are named photo.jpg:");
    person.sees("which, 1 to 2");
    let shown = person.shown();
    assert!(
        shown.contains("1.0 kB") && shown.contains("2.0 kB"),
        "{shown}"
    );
    person.types(&format!("7{ENTER}"));
    person.sees("is not one of the 2 choices");
    person.types(&format!("{}{ENTER}", &of_bert[..12]));
    assert_eq!(person.end(), Some(0));
    eventually("the file", || c.path("photo.jpg").exists().then_some(()));
    assert_content(&c.path("photo.jpg"), &theirs);

    // Without a choice, nothing is downloaded.
    let mut person = Terminal::open(&c, &[&download[..], &["-o", "other"]].concat());
    person.sees("which, 1 to 2");
    person.types(ENTER);
    person.sees(&of_anna);
    assert_eq!(person.end(), Some(1));
    assert!(!c.path("other").exists());
}
