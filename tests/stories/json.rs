//! The JSON that commands print for programs.

use serde_json::Value;

use super::world::{World, eventually, fields, noise};

/// The fields of entries, sorted.
const SHARED: [&str; 5] = ["hash", "kind", "link", "name", "size"];
const LISTED: [&str; 5] = ["hash", "kind", "name", "peers", "size"];
const OWN: [&str; 7] = ["hash", "kind", "name", "path", "peers", "size", "state"];
const UNSHARED: [&str; 6] = ["hash", "kind", "link", "name", "path", "size"];

fn only(list: &Value) -> &Value {
    let list = list
        .as_array()
        .unwrap_or_else(|| panic!("{list} is not a list"));
    assert_eq!(list.len(), 1, "{list:?}");
    &list[0]
}

/// ```text
///   B ── A      each command once
/// ```
#[test]
fn every_verb_prints_exactly_its_fields() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let file = world.file("x.bin", &noise(1, 20_000));

    let hashed = a.json(&["hash", &file]);
    assert_eq!(
        fields(only(&hashed)),
        ["hash", "kind", "path", "root", "size"]
    );
    let recorded = b.json(&["share", &file, "--no-serve"]);
    assert_eq!(fields(only(&recorded)), SHARED);

    let start = a.spawn(&[
        "start",
        "--json",
        "--listen",
        "/ip4/127.0.0.1/tcp/0",
        "--dir",
        "shared",
    ]);
    let ready: Value = serde_json::from_str(&start.out.line("ready")).unwrap();
    assert_eq!(
        fields(&ready),
        ["api", "event", "gateway", "listen", "peer_id"]
    );
    assert_eq!(ready["event"], "ready");
    assert!(ready["api"].as_str().unwrap().starts_with("127.0.0.1:"));
    let address = ready["listen"][0].as_str().unwrap();

    let shared = a.json(&["share", &file, "--name", "a name"]);
    assert_eq!(fields(only(&shared)), SHARED);
    let hash = shared[0]["hash"].as_str().unwrap();
    assert_eq!(
        (
            &shared[0]["hash"],
            &shared[0]["name"],
            &shared[0]["size"],
            &shared[0]["kind"]
        ),
        (
            &hashed[0]["hash"],
            &"a name".into(),
            &20_000.into(),
            &"file".into()
        )
    );
    assert!(
        shared[0]["link"]
            .as_str()
            .unwrap()
            .starts_with(&format!("pelago:{hash}?name="))
    );

    let listed = a.json(&["list"]);
    assert_eq!(fields(only(&listed)), OWN);
    assert_eq!(listed[0]["state"], "available");
    assert_eq!(listed[0]["peers"], 0);
    for whose in [&["--peer", address][..], &["--network", "--wait", "0"]] {
        let listed = b.json(&[&["list"], whose].concat());
        if whose[0] == "--peer" {
            let mut fields = fields(only(&listed));
            // The holder has a name, if B knows it by now.
            fields.retain(|field| *field != "holders");
            assert_eq!(fields, LISTED);
            assert_eq!(listed[0]["peers"], 1);
        }
    }

    let downloaded = b.json(&["download", hash, "--peer", address, "-o", "got"]);
    let finished = [
        "bytes_per_second",
        "copied_bytes",
        "fetched_bytes",
        "hash",
        "path",
        "resumed_bytes",
        "seconds",
        "size",
        "sources",
    ];
    assert_eq!(fields(&downloaded), finished);
    for number in [
        "bytes_per_second",
        "copied_bytes",
        "fetched_bytes",
        "resumed_bytes",
        "seconds",
        "size",
        "sources",
    ] {
        assert!(downloaded[number].is_number(), "{downloaded}");
    }

    let b_node = b.start(&["-b", address]);
    let status = b.json(&["status"]);
    assert_eq!(
        fields(&status),
        [
            "api",
            "downloads",
            "gateway",
            "health",
            "listen",
            "name",
            "network",
            "network_key",
            "peer_id",
            "peers",
            "reach",
            "received_bytes",
            "sent_bytes",
            "shares",
            "uptime_seconds",
            "user",
            "version"
        ]
    );
    b.json(&["download", hash, "--peer", address, "-o", "again"]);
    let downloads = b.json(&["downloads"]);
    assert_eq!(
        fields(only(&downloads)),
        [
            "bytes_per_second",
            "error",
            "hash",
            "name",
            "notice",
            "path",
            "position",
            "size",
            "sources",
            "state",
            "verified_bytes",
            "waits",
            "why"
        ]
    );
    let peers = b.json(&["peers"]);
    assert_eq!(
        fields(only(&peers)),
        [
            "addresses",
            "name",
            "peer_id",
            "received_bytes",
            "rtt_ms",
            "sent_bytes",
            "way"
        ]
    );
    b_node.stop();

    let unshared = a.json(&["unshare", hash]);
    assert_eq!(fields(only(&unshared)), UNSHARED);
    assert_eq!(a.json(&["list"]), Value::Array(Vec::new()));

    start.signal("TERM");
    assert_eq!(start.end().done().stdout.lines().count(), 1);
}

/// ```text
///   A      is in a group, and asks to join another one, whose members it does not reach
/// ```
#[test]
fn groups_are_listed_alike_for_people_and_programs() {
    let world = World::new();
    let a = world.home("a");
    let _node = a.start(&[]);
    a.run(&["user", "create", "anna", "--no-passphrase"]).done();
    let founded = a.json(&["group", "create", "family"]);
    let id = founded["id"].as_str().unwrap();
    let invite = a.json(&["group", "invite", "family"]);
    let (link, _peers) = invite["link"]
        .as_str()
        .unwrap()
        .split_once("&peer=")
        .unwrap();
    let other = link.replace(id, &"ab".repeat(32));
    a.fed(&["group", "join"], &other).done();

    let listed = a.run(&["group", "list"]).done().says("asked to join");
    assert_eq!(listed.stdout.lines().count(), 2, "{listed:#?}");
    let listed = a.run(&["--json", "group", "list"]).done();
    let listed = listed.says("asked to join").document();
    assert_eq!(only(&listed)["id"], id);
    assert_eq!(only(&a.json(&["group", "joins"]))["status"], "pending");
    // Files of a group are in its own list.
    a.run(&["list", "--network", "--wait", "0"])
        .done()
        .says("list --group GROUP` lists what the members");
}

/// ```text
///   B ── A      each verb of groups once: A founds a group, B asks to join it, becomes an owner, is
///               dropped, removed, admitted again, and leaves
/// ```
#[test]
fn every_verb_of_groups_prints_exactly_its_fields() {
    const USER: [&str; 2] = ["state", "user"];
    const GROUP: [&str; 7] = [
        "heard_from_owner_unix_ms",
        "id",
        "members",
        "name",
        "owners",
        "pending_requests",
        "role",
    ];
    const MEMBER: [&str; 7] = [
        "joined_by",
        "name",
        "online",
        "peers",
        "role",
        "user",
        "you",
    ];
    const JOINED: [&str; 8] = [
        "joined_by",
        "name",
        "online",
        "peers",
        "role",
        "user",
        "via",
        "you",
    ];
    const INVITE: [&str; 7] = [
        "by",
        "expires_unix_ms",
        "invite",
        "mode",
        "open",
        "uses_left",
        "yours",
    ];
    const JOIN: [&str; 4] = ["group", "name", "since_unix_ms", "status"];

    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node = a.start(&[]);
    let _other = b.start(&["-b", &node.address()]);
    let created = a.json(&["user", "create", "anna", "--no-passphrase"]);
    assert_eq!(fields(&created), USER);
    assert_eq!(fields(&created["user"]), ["has_passphrase", "key", "name"]);
    b.run(&["user", "create", "bert", "--no-passphrase"]).done();
    assert_eq!(fields(&a.json(&["user", "show"])), USER);

    let group = |verb: &[&str]| a.json(&[&["group"], verb].concat());
    assert_eq!(fields(&group(&["create", "family"])), GROUP);
    assert_eq!(fields(only(&group(&["list"]))), GROUP);
    let shown = group(&["show", "family"]);
    let details = ["confirmed", "founded_by", "nodes"];
    let mut all = [&GROUP[..], &details].concat();
    all.sort_unstable();
    assert_eq!(fields(&shown), all);
    let invite = group(&["invite", "family"]);
    assert_eq!(
        fields(&invite),
        ["expires_unix_ms", "invite", "link", "mode", "uses_left"]
    );
    assert_eq!(fields(only(&group(&["invites", "family"]))), INVITE);

    let link = invite["link"].as_str().unwrap();
    let asked = b.fed(&["--json", "group", "join"], link).done().document();
    assert_eq!(fields(&asked), JOIN);
    let joins = b.json(&["group", "joins"]);
    assert_eq!(fields(only(&joins)), JOIN);
    let request = eventually("the request arrives", || {
        let requests = group(&["requests", "family"]);
        requests.get(0).cloned()
    });
    assert_eq!(
        fields(&request),
        ["invite", "message", "name", "received_unix_ms", "user"]
    );
    assert_eq!(fields(&group(&["accept", "family", "bert"])), JOINED);
    let members = group(&["members", "family"]);
    assert_eq!(fields(&members[0]), MEMBER);
    assert_eq!(fields(&members[1]), JOINED);
    assert_eq!(fields(&group(&["owner", "add", "family", "bert"])), JOINED);
    let dropped = group(&["owner", "drop", "family", "bert", "--undo-all"]);
    assert_eq!(fields(&dropped).len(), JOINED.len() + 2);
    assert!(dropped["kept"].is_array() && dropped["undone"].is_array());
    let removed = group(&["remove", "family", "bert"]);
    assert_eq!(fields(&removed), ["open", "removed", "revoked"]);
    assert_eq!(fields(only(&removed["removed"])), JOINED);
    let user = request["user"].as_str().unwrap();
    assert_eq!(fields(&group(&["add", "family", user])), MEMBER);
    assert_eq!(fields(&group(&["rename", "family", "kin"])), GROUP);
    let another = group(&["invite", "kin", "--auto"]);
    let another = another["invite"].as_str().unwrap();
    assert_eq!(fields(&group(&["revoke", "kin", another])), INVITE);
    eventually("it is back", || {
        let groups = b.json(&["group", "list"]);
        (groups[0]["members"] == 2).then_some(())
    });
    assert_eq!(fields(&b.json(&["group", "leave", "kin", "--yes"])), GROUP);
    assert_eq!(b.json(&["group", "list"]), serde_json::json!([]));
}

/// ```text
///   A      runs commands that fail
/// ```
#[test]
fn failures_are_one_document_with_code_message_and_hint() {
    let world = World::new();
    let a = world.home("a");
    let file = world.file("x.txt", b"x");
    for arguments in [
        &["hash", "nowhere"][..],
        &["share", "nowhere"],
        &["unshare", "nothing"],
        &["list", "--peer", "127.0.0.1:9"],
        &["download", "nothing", "--timeout", "0.1"],
        &["downloads"],
        &["downloads", "--watch"],
        &["pause", "nothing"],
        &["peers"],
        &["status"],
    ] {
        let failed = a.run(&[&["--json"], arguments].concat()).failed();
        let document = failed.document();
        assert_eq!(fields(&document), ["error"], "{failed:?}");
        assert_eq!(
            fields(&document["error"]),
            ["code", "hint", "message"],
            "{failed:?}"
        );
        assert!(document["error"]["message"].as_str().unwrap().len() > 10);
    }
    // Some paths failed: the list says which.
    let mixed = a
        .run(&["--json", "hash", &file, "nowhere"])
        .failed()
        .document();
    assert_eq!(fields(&mixed[0]), ["hash", "kind", "path", "root", "size"]);
    assert_eq!(fields(&mixed[1]), ["error", "path"]);
}
