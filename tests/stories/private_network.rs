//! Private networks: nodes without the key are kept out, over TCP and QUIC.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::world::{Home, World, assert_content, noise, text};

/// The key of a node, as it is passed on.
fn secret(home: &Home) -> String {
    home.run(&["network", "show", "--secret"]).done().stdout
}

/// ```text
///   B ──TCP──> A <──QUIC── C      A, B and C have the key
///   D ───────> A                  D has none
/// ```
#[test]
fn nodes_without_the_key_are_kept_out_over_tcp_and_quic() {
    let world = World::new();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| world.home(name));
    let made = a.run(&["network", "new"]).done();
    let made = made.says("network show --secret");
    assert!(
        made.stdout.starts_with("private network: key "),
        "{made:#?}"
    );
    let key = a.json(&["network", "show"])["keys"][0].clone();
    a.run(&["network", "new"])
        .failed()
        .says("network new --replace");
    let key_of_a = secret(&a);
    for member in [&b, &c] {
        let joined = member.fed(&["--json", "network", "join"], &key_of_a).done();
        assert_eq!(joined.document()["keys"][0], key);
        assert!(
            !joined.stdout.contains(key_of_a.trim()) && !joined.stderr.contains(key_of_a.trim())
        );
    }

    let content = noise(1, 300_000);
    let path = world.file("x.bin", &content);
    let quic = ["--listen", "/ip4/127.0.0.1/udp/0/quic-v1"];
    let node = a.start(&quic);
    let by_tcp = node.address();
    let by_quic = node
        .listen
        .iter()
        .find(|address| address.contains("quic-v1"));
    let by_quic = by_quic.unwrap();
    let hash = a.json(&["share", &path])[0]["hash"].clone();
    let hash = hash.as_str().unwrap();
    let status = a.json(&["status"]);
    assert_eq!(status["network_key"], key);

    for (member, address) in [(&b, &by_tcp), (&c, by_quic)] {
        member
            .run(&["download", hash, "--peer", address, "-o", "x.bin"])
            .done();
        assert_content(&member.path("x.bin"), &content);
    }
    for address in [&by_tcp, by_quic] {
        let refused = ["download", hash, "--peer", address, "--timeout", "1"];
        d.run(&refused).failed();
    }
    let other = d.start(&quic);
    let refused = ["list", "--peer", &other.address()];
    b.run(&refused)
        .failed()
        .says("the peer has no key of this network");
    assert_eq!(a.json(&["peers"]), serde_json::json!([]));

    // While the key is replaced, both are valid; after the next replacement, the first one is not.
    drop(node);
    let replaced = a.run(&["network", "new", "--replace"]).done();
    assert!(replaced.stdout.contains("until you replace it"));
    let node = a.start(&[]);
    b.run(&["list", "--peer", &node.address()]).done();
    drop(node);
    a.run(&["network", "new", "--replace"]).done();
    let node = a.start(&[]);
    b.run(&["list", "--peer", &node.address()])
        .failed()
        .says("no key of this network");
    b.fed(&["network", "join"], &secret(&a)).done();
    b.run(&["list", "--peer", &node.address()]).done();

    // Who leaves is out; a key that others may read is not used.
    b.run(&["network", "leave"]).done();
    b.run(&["list", "--peer", &node.address()]).failed();
    b.fed(&["network", "join"], "no key")
        .failed()
        .says("64 hexadecimal digits");
    let file = c.path("data/network.key");
    let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    mode(0o644).unwrap();
    let refused = c.run(&["network", "show"]).failed();
    refused.says(&text(&file)).says("chmod 600");
}
