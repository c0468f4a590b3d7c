//! Logs that programs read.

use std::{fs, os::unix::fs::symlink};

use serde_json::Value;

use super::world::World;

/// The messages of a log. Each line has to be a JSON object that cannot control a terminal.
#[track_caller]
fn messages(stderr: &str) -> Vec<String> {
    let message = |line: &str| {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for field in ["timestamp", "level", "target"] {
            assert!(object[field].is_string(), "{line} has no {field}");
        }
        assert!(object["fields"].is_object(), "{line}");
        assert!(!line.contains(pelago_content::is_unsafe), "{line}");
        // Some log lines of libraries have only fields.
        object["fields"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    stderr.lines().map(message).collect()
}

/// ```text
///   B ── A      both log JSON; B downloads, fails to download, and runs an invalid command
/// ```
#[test]
fn every_line_on_stderr_is_an_object() {
    let world = World::new();
    let a = world.home("a").with("PELAGO_LOGGING_FORMAT", "json");
    let folder = a.path("shared");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("two\nlines \u{1b}[31m\u{202e}"), "content").unwrap();
    symlink("nowhere", folder.join("left out")).unwrap();
    let node = a.start(&["-d", folder.to_str().unwrap(), "-v"]);
    node.run.err.line("scanned a watched folder");
    let b = world.home("b");
    let file = world.file("file", &[7; 300_000]);
    let hash = a.share(&file);
    b.run(&["download", &hash, "--peer", &node.address(), "-o", "copy"])
        .done();
    fs::write(&file, "changed").unwrap();
    let wanted = [
        "download",
        &hash,
        "--peer",
        &node.address(),
        "--timeout",
        "1",
    ];
    b.run(&wanted).failed();
    let missing = "ab".repeat(32);
    a.run(&["download", &missing, "--timeout", "1"]).failed();
    // The command's only error is a line of the log as well.
    let again = a.run(&["start"]).failed();
    let log = messages(&again.stderr);
    assert!(log.iter().any(|line| line.contains("in use")), "{log:?}");
    let stderr = node.stop().stderr;
    // Peers asked for the content, and found that it changed.
    let is_detail = |line: &&str| line.contains("\"DEBUG\"") || line.contains("\"TRACE\"");
    let mut default_level = stderr.lines().filter(|line| !is_detail(line));
    assert!(default_level.all(|line| !line.contains(&hash)), "{stderr}");
    let log = messages(&stderr);
    for what in [
        "scanned a watched folder",
        "left out",
        "not offered until it is available again",
        "stopping",
    ] {
        assert!(
            log.iter().any(|line| line.contains(what)),
            "{what}: {log:#?}"
        );
    }
}
