//! Nodes on one cable that know no addresses find each other.

use super::{
    namespaces::Cable,
    world::{World, assert_content, eventually, noise},
};

/// ```text
///   ┌ namespace ┐  cable  ┌ namespace ┐
///   │     A     ├─────────┤     B     │     no bootstrap, found by mDNS
///   └───────────┘         └───────────┘
/// ```
#[test]
fn nodes_on_one_network_find_each_other_by_themselves() {
    let Some(cable) = Cable::new() else { return };
    let world = World::new();
    let a = world.home("a").within(&cable.left);
    let b = world.home("b").within(&cable.right);
    let content = noise(1, 2_000_000);
    let _a = a.started(&["start", "-p", "0", "--name", "anna"]);
    let hash = a.share(&world.file("holiday.jpg", &content));

    // Commands that bring their own node.
    b.run(&["download", &hash, "-o", "by hash"]).done();
    assert_content(&b.path("by hash"), &content);
    b.run(&["download", "holiday.jpg"]).done();
    assert_content(&b.path("holiday.jpg"), &content);
    b.run(&["list", "--network"])
        .done()
        .prints("holiday.jpg")
        .prints(&hash);

    // A node that keeps running.
    let _b = b.started(&["start", "-p", "0"]);
    eventually("anna to be met", || {
        b.run(&["peers"])
            .done()
            .stdout
            .contains("anna")
            .then_some(())
    });
    b.run(&["list", "--network", "--wait", "0"])
        .done()
        .prints("holiday.jpg");
    b.run(&["download", "holiday.jpg", "-o", "once more"])
        .done();
    assert_content(&b.path("once more"), &content);
}
