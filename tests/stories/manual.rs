//! What the binary tells of itself: completions and manual pages.

use std::{fs, process::Command};

use super::world::World;

/// ```text
///   A      no node, no data folder
/// ```
#[test]
fn a_shell_completes_with_the_script_it_is_given() {
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

/// ```text
///   A      reads, and packs
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
        .prints("man1/pelago-share.1\n");
    let page = fs::read_to_string(a.path("man1/pelago-share.1")).unwrap();
    assert!(
        page.contains("unlisted") && page.contains("data\\-dir"),
        "{page}"
    );
    world.file("taken", b"");
    a.run(&["man", "--output", "../taken"])
        .failed()
        .says("cannot be made");
}
