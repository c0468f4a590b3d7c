//! Completions and manual pages.

use std::{fs, process::Command};

use super::world::World;

/// ```text
///   A      has neither a node nor a data folder
/// ```
#[test]
fn a_shell_completes_with_the_generated_script() {
    let world = World::new();
    let a = world.home("a");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        a.run(&["completions", shell])
            .done()
            .prints("unshare")
            .prints("unlisted");
    }
    let script = a.run(&["completions", "bash"]).done().stdout;
    let path = world.file("pelago.bash", script.as_bytes());
    let ask = format!(
        "source '{path}'; COMP_WORDS=(pelago share --un); COMP_CWORD=2; \
         _pelago pelago --un share; echo \"${{COMPREPLY[@]}}\""
    );
    let asked = Command::new("bash")
        .args(["--norc", "-c", &ask])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), "--unlisted");

    assert_eq!(a.json(&["completions", "bash"])["shell"], "bash");
    assert!(!a.data().exists(), "asking makes nothing");
}

/// The commands in the output of `pelago help`.
fn verbs(help: &str) -> Vec<String> {
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.split("\n\n").next().unwrap();
    let verb = |line: &str| {
        let is_first = line.starts_with("  ") && !line.starts_with("   ");
        is_first.then(|| line.split_whitespace().next().unwrap().to_owned())
    };
    commands.lines().filter_map(verb).collect()
}

/// ```text
///   A      has neither a node nor a data folder
/// ```
#[test]
fn all_verbs_can_be_completed_and_read_about() {
    let world = World::new();
    let a = world.home("a");
    let verbs = verbs(&a.run(&["help"]).done().stdout);
    assert!(verbs.len() > 20, "{verbs:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = a.run(&["completions", shell]).done().stdout;
        for verb in &verbs {
            assert!(script.contains(verb.as_str()), "{shell} has no {verb}");
        }
    }
    a.run(&["man", "--output", "man1"]).done();
    for verb in verbs.iter().filter(|verb| *verb != "help") {
        let page = fs::read_to_string(a.path(&format!("man1/pelago-{verb}.1"))).unwrap();
        for part in [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS"] {
            assert!(page.contains(part), "{verb} has no {part}");
        }
        a.run(&[verb, "--help"]).done().prints("Usage: pelago");
    }
}

/// ```text
///   A      has neither a node nor a data folder
/// ```
#[test]
fn pelago_alone_says_what_to_do_and_makes_nothing() {
    let world = World::new();
    let a = world.home("a");
    let refused = a.run::<&str>(&[]).code(2);
    for what in [
        "start",
        "share PATH",
        "download LINK",
        "list --network",
        "help",
        "menu",
        "doctor",
    ] {
        assert!(
            refused.stderr.contains(what),
            "{what} is not in {refused:?}"
        );
    }
    assert!(
        refused.stderr.lines().all(|line| line.len() <= 105),
        "{refused:?}"
    );
    assert_eq!(refused.stdout, "");
    // The commands that it suggests are valid.
    for verb in ["start", "share", "download", "list", "menu", "doctor"] {
        a.run(&[verb, "--help"]).done();
    }
    let made: Vec<_> = fs::read_dir(a.path("")).unwrap().collect();
    assert!(made.is_empty(), "{made:?}");
}

/// ```text
///   A      reads the manual, and packages it
/// ```
#[test]
fn each_verb_has_a_page_of_the_manual() {
    let world = World::new();
    let a = world.home("a");
    a.run(&["man"])
        .done()
        .prints(".TH pelago 1")
        .prints("share");
    let written = a.run(&["man", "--output", "man1"]).done();
    written
        .prints("man1/pelago.1\n")
        .prints("man1/pelago-share.1\n")
        .prints("man1/pelago-group-invite.1\n");
    let page = fs::read_to_string(a.path("man1/pelago-share.1")).unwrap();
    assert!(
        page.contains("unlisted") && page.contains("data\\-dir"),
        "{page}"
    );
    world.file("taken", b"");
    a.run(&["man", "--output", "../taken"])
        .failed()
        .says("cannot be created");
}
