//! Real nodes in the lab.

use super::{Lab, nat::Nat};
use crate::world::{World, assert_content, noise};

/// ```text
///   a ── ix ── router ── b      b downloads from a, whose address it has from a link
/// ```
#[test]
fn a_node_behind_a_router_downloads_from_a_public_one() {
    let Some(lab) = Lab::new() else { return };
    let (public, hidden) = (lab.public(), lab.host(Nat::PortRestricted));
    let world = World::new();
    let a = world.home("a").within(&public.namespace);
    let b = world.home("b").within(&hidden.namespace);
    let content = noise(1, 300_000);
    let _a = a.start(&["-p", "8080"]);
    let hash = a.share(&world.file("film.mkv", &content));
    let link = a.run(&["link", &hash]).done().stdout;
    assert!(link.contains(&public.at(0).ip().to_string()), "{link}");
    b.run(&["download", link.trim(), "-o", "film.mkv"]).done();
    assert_content(&b.path("film.mkv"), &content);
}
