//! Limits on speed: settings, and changes while a node runs.

use serde_json::json;

use super::world::{World, fields};

/// ```text
///   A      has limits from its settings, then from commands
/// ```
#[test]
fn limits_are_shown_and_changed_while_the_node_runs() {
    let world = World::new();
    let file = world.file("config.toml", b"[transfer]\nupload_limit = 400000\n");
    let a = world.home("a").with("PELAGO_CONFIG", &file);
    let no_node = format!(
        "no node is running on {}: run `pelago start`",
        a.data().display()
    );
    a.run(&["limit"]).failed().says(&no_node);
    let node = a.start(&[]);
    let limits = a.json(&["limit"]);
    assert_eq!(
        fields(&limits),
        ["download", "download_per_peer", "upload", "upload_per_peer"]
    );
    assert_eq!(limits["upload"], 400_000);
    assert_eq!(limits["download"], json!(null));

    let changed = a.run(&["limit", "--download", "1.5MB", "--upload-per-peer", "64KiB"]);
    changed
        .done()
        .prints("upload             400 kB/s\n")
        .prints("download           1.5 MB/s\n")
        .prints("upload per peer    65.536 kB/s\n")
        .prints("download per peer  no limit\n");
    let lifted = a.json(&["limit", "--upload", "off"]);
    assert_eq!(lifted["upload"], json!(null));
    assert_eq!(lifted["download"], 1_500_000);
    assert_eq!(a.json(&["limit"]), lifted);

    a.run(&["limit", "--download", "2MB", "--for", "2h"])
        .done()
        .prints("download           2 MB/s\n")
        .prints("for another 2 h");
    assert_eq!(a.json(&["limit", "--download", "1.5MB"]), lifted);

    for (rate, why) in [("999", "expected 1000 (1 kB/s)"), ("fast", "400k")] {
        a.run(&["limit", "--upload", rate]).code(2).says(why);
    }
    assert_eq!(a.json(&["limit"]), lifted);
    node.stop();
    // The changes persist; the environment takes precedence over them.
    let ruled = a.with("PELAGO_TRANSFER_DOWNLOAD_LIMIT", "9000");
    let node = ruled.start(&[]);
    let limits = ruled.json(&["limit"]);
    assert_eq!(
        (&limits["upload"], &limits["download"]),
        (&json!(null), &json!(9000))
    );
    let refused = ruled.run(&["limit", "--download", "off"]).failed();
    refused.says("PELAGO_TRANSFER_DOWNLOAD_LIMIT");
    assert_eq!(ruled.json(&["limit"]), limits);
    node.stop();
}
