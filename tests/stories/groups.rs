//! What groups decide is kept before anyone hears of it.

use serde_json::Value;

use super::world::{World, eventually};

/// ```text
///   A ── B      A accepts B while B is away, and is killed before it meets him
/// ```
#[test]
fn who_was_accepted_is_a_member_after_a_kill() {
    let world = World::new();
    let (a, b) = (world.home("a"), world.home("b"));
    let node_a = a.start(&[]);
    let node_b = b.start(&["--bootstrap", &node_a.address()]);
    a.run(&["user", "create", "anna", "--no-passphrase"]).done();
    b.run(&["user", "create", "bert", "--no-passphrase"]).done();
    a.run(&["group", "create", "family"]).done();
    let invite = a.json(&["group", "invite", "family"]);
    b.fed(&["group", "join"], invite["link"].as_str().unwrap())
        .done();
    let some = |list: Value| {
        list.as_array()
            .is_some_and(|list| !list.is_empty())
            .then_some(list)
    };
    eventually("the request", || {
        some(a.json(&["group", "requests", "family"]))
    });
    node_b.stop();
    a.run(&["group", "accept", "family", "bert"]).done();
    node_a.kill();

    let node_a = a.start(&[]);
    assert_eq!(
        a.json(&["group", "members", "family"])
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(some(a.json(&["group", "requests", "family"])), None);
    let _node_b = b.start(&["--bootstrap", &node_a.address()]);
    let groups = eventually("membership", || some(b.json(&["group", "list"])));
    assert_eq!(groups[0]["name"], "family");
}
