//! Settings: what is refused, and which value takes precedence.

use super::world::World;

/// ```text
///   A      starts with an invalid file, variable or flag
/// ```
#[test]
fn what_is_wrong_is_refused_with_file_line_and_what_is_allowed() {
    let world = World::new();
    let a = world.home("a");
    for (text, line, found, allowed) in [
        ("[network]\nprot = 1\n", 2, "network.prot", "port"),
        ("\n[netwrok]\nport = 1\n", 2, "netwrok", "network"),
        (
            "[network]\n\nport = 70000\n",
            3,
            "network.port",
            "0 to 65535",
        ),
        (
            "[network]\nmdns = \"yes\"\n",
            2,
            "network.mdns",
            "true or false",
        ),
        ("[logging]\nlevel = \"loud\"\n", 2, "logging.level", "debug"),
        (
            "[transfer]\nupload_slots = 0\n",
            2,
            "transfer.upload_slots",
            "1 to 1024",
        ),
        ("[network]\nport = = 1\n", 2, "", ""),
    ] {
        let file = world.file("config.toml", text.as_bytes());
        let refused = a.run(&["start", "--config", &file]).failed();
        refused
            .says(&format!("{file}:{line}: "))
            .says(found)
            .says(allowed);
    }
    a.run(&["list", "--config", "nowhere.toml"])
        .failed()
        .says("nowhere.toml");
    let wrong = a.clone().with("PELAGO_TRANSFER_TIMEOUT_SECONDS", "soon");
    wrong
        .run(&["list"])
        .failed()
        .says("PELAGO_TRANSFER_TIMEOUT_SECONDS")
        .says("1 to 86400");
    let wrong = a
        .with("PELAGO_NETWORK_PROT", "1")
        .run(&["list", "--json"])
        .failed()
        .document();
    assert_eq!(wrong["error"]["code"], "config");
}

/// ```text
///   A      starts with settings of an earlier version
/// ```
#[test]
fn settings_of_earlier_versions_draw_a_warning() {
    let world = World::new();
    let file = world.file("config.toml", b"[transfer]\nmax_sources = 4\n");
    let a = world
        .home("a")
        .with("PELAGO_CONFIG", &file)
        .with("PELAGO_NETWORK_REPLICATION", "4");
    a.run(&["list"])
        .done()
        .says(&format!("{file}:2: transfer.max_sources is not a setting"))
        .says("PELAGO_NETWORK_REPLICATION: network.replication is not a setting");
    let node = a.start(&[]);
    a.run(&["doctor"])
        .prints("transfer.max_sources is not a setting");
    node.stop();
}

/// ```text
///   A      gets its name from one layer after another
/// ```
#[test]
fn the_environment_overrides_the_file_and_flags_override_both() {
    let world = World::new();
    let file = world.file("config.toml", b"[network]\nnode_name = \"from the file\"\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n\n[storage]\nshare_folders = []\n");
    let home = world.home("a").with("PELAGO_CONFIG", &file);
    let named = |home: &super::world::Home, arguments: &[&str]| {
        let node = home.started(&[&["start"], arguments].concat());
        let name = home.json(&["status"])["name"].as_str().unwrap().to_owned();
        assert_eq!(node.listen.len(), 1, "the file says where to listen");
        node.stop();
        name
    };
    assert_eq!(named(&home, &[]), "from the file");
    let home = home.with("PELAGO_NETWORK_NODE_NAME", "from the environment");
    assert_eq!(named(&home, &[]), "from the environment");
    assert_eq!(named(&home, &["--name", "from a flag"]), "from a flag");
    assert!(
        !home.path("shared").exists(),
        "the file says to share no folder"
    );
}

/// ```text
///   A      changes a setting without a node, then with one, and restarts
/// ```
#[test]
fn what_is_changed_while_a_node_runs_is_kept() {
    let world = World::new();
    let a = world.home("a");
    let one = |arguments: &[&str]| {
        let list = a.json(&[&["settings", "transfer.max_downloads"], arguments].concat());
        let one = list[0].clone();
        (one["value"].clone(), one["origin"]["kind"].clone())
    };
    assert_eq!(one(&[]), (8.into(), "default".into()));
    assert_eq!(one(&["3"]), (3.into(), "kept".into()));
    let node = a.start(&[]);
    assert_eq!(one(&[]), (3.into(), "kept".into()));
    assert_eq!(one(&["4"]), (4.into(), "kept".into()));
    let refused = a.run(&["settings", "transfer.max_downloads", "0"]).failed();
    refused.says("transfer.max_downloads").says("1 to 1024");
    let refused = a.run(&["settings", "network.port", "1"]).failed();
    refused.says("network.port");
    let refused = a.run(&["settings", "network.prot"]).failed();
    refused.says("network.prot");
    node.stop();
    let node = a.start(&[]);
    assert_eq!(one(&[]), (4.into(), "kept".into()));
    assert_eq!(one(&["--reset"]), (8.into(), "default".into()));
    let description = a.json(&["settings", "transfer.max_downloads"])[0]["description"].clone();
    let description = description.as_str().unwrap();
    assert!(
        description.starts_with("Downloads that fetch at a time"),
        "{description}"
    );
    a.run(&["settings", "transfer.max_downloads"])
        .done()
        .prints(description);
    a.run(&["settings"]).done().prints("transfer.max_downloads");
    node.stop();
}
