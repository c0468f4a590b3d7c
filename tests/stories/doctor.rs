//! `doctor`: what is wrong, and how to repair it.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::Value;

use super::world::{Home, World, eventually, fields};

/// The finding of one check of `doctor`, and the exit code.
fn finding(home: &Home, check: &str) -> (Value, Option<i32>) {
    let ended = home.run(&["doctor", "--json"]);
    let findings = ended.document();
    let findings = findings.as_array().unwrap();
    let found = findings.iter().find(|finding| finding["check"] == check);
    let found = found.unwrap_or_else(|| panic!("{check} is not in {findings:?}"));
    (found.clone(), ended.status.code())
}

/// ```text
///   A      has never run a node
/// ```
#[test]
fn a_new_machine_is_well_but_for_what_it_lacks() {
    let world = World::new();
    let a = world.home("a");
    let checks = a.run(&["doctor"]).done().prints("no node is running on");
    checks.prints("ok       settings ").prints("pelago start");
    let (found, _) = finding(&a, "mdns");
    assert_eq!(fields(&found), ["check", "hint", "message", "state"]);
    assert_eq!(found["state"], "warning", "it is off in stories: {found}");
    let hint = found["hint"].as_str().unwrap();
    assert!(hint.contains("PELAGO_NETWORK_MDNS"), "{found}");
    assert!(!a.data().exists(), "looking makes nothing");

    a.run(&["share", &world.file("x.txt", b"x"), "--no-serve"])
        .done();
    assert_eq!(finding(&a, "data folder").0["state"], "ok");
    fs::set_permissions(a.data(), fs::Permissions::from_mode(0o755)).unwrap();
    let (found, code) = finding(&a, "data folder");
    assert_eq!(
        (&found["state"], code),
        (&"problem".into(), Some(1)),
        "{found}"
    );
    a.run_line(found["hint"].as_str().unwrap()).done();
    assert_eq!(finding(&a, "data folder").0["state"], "ok");

    let (found, code) = finding(&a.with("PELAGO_TRANSFER_MAX_DOWNLOADS", "many"), "settings");
    assert_eq!((&found["state"], code), (&"problem".into(), Some(1)));
    let message = found["message"].as_str().unwrap();
    assert!(message.contains("PELAGO_TRANSFER_MAX_DOWNLOADS"), "{found}");
}

/// ```text
///   B ──▶ A      B connects to A, and C to an address without a listener
/// ```
#[test]
fn a_node_says_who_reached_it_and_whom_it_knows() {
    let world = World::new();
    let (a, b, c) = (world.home("a"), world.home("b"), world.home("c"));
    let first = a.start(&[]);
    assert_eq!(finding(&a, "reachable").0["state"], "warning");
    let ports = finding(&a, "ports").0;
    assert!(
        ports["message"]
            .as_str()
            .unwrap()
            .contains(&first.listen[0]),
        "{ports}"
    );

    let second = b.start(&["--bootstrap", &first.address()]);
    eventually("A to be reached", || {
        (finding(&a, "reachable").0["state"] == "ok").then_some(())
    });
    eventually("B to know A", || {
        let found = finding(&b, "discovery").0;
        let message = found["message"].as_str().unwrap();
        let is_known = message == "1 of 1 bootstrap node connected, 1 node of the DHT known";
        (found["state"] == "ok" && is_known).then_some(())
    });
    assert_eq!(
        finding(&b, "reachable").0["state"],
        "warning",
        "no node connected to B"
    );

    let lost = c.start(&["--bootstrap", "127.0.0.1:1"]);
    lost.run.err.line("a bootstrap node is not reached");
    for check in ["discovery", "bootstrap"] {
        let (found, code) = finding(&c, check);
        assert_eq!(
            (&found["state"], code),
            (&"problem".into(), Some(1)),
            "{found}"
        );
    }
    let unreached = "the bootstrap node /ip4/127.0.0.1/tcp/1 is not reached: Connection refused";
    for verb in ["doctor", "status"] {
        let shown = c.run(&[verb]);
        assert!(shown.stdout.contains(unreached), "{shown:#?}");
    }
    // The node says whether discovery is on, not the settings of the command that asks.
    let found = finding(&c.with("PELAGO_NETWORK_MDNS", "true"), "mdns").0;
    assert_eq!(found["state"], "warning", "{found}");
    for node in [first, second, lost] {
        node.stop();
    }
}
