//! For tests of the modules above: a node without peers.

use std::path::{Path, PathBuf};

use libp2p::identity::Keypair;
use pelago_groups::Secret;

use super::{LocalUser, Node, Settings};
use crate::{access::Memberships, network::TransportKind, store::Store};

/// The groups of peers, as the node knows them: a test sets them.
#[must_use]
pub fn memberships(node: &Node) -> Memberships {
    node.core.memberships.clone()
}

/// A node in memory, without a network.
pub async fn alone() -> Node {
    with(Vec::new(), None).await
}

/// A node in memory, without a network, of a user with this name.
pub async fn of_user(name: &str) -> Node {
    let user = LocalUser {
        secret: Secret::from_seed(rand::random()),
        name: name.parse().expect("a test gives a valid name"),
    };
    with(Vec::new(), Some(user)).await
}

/// A node in memory, without a network, that shares the files in a folder.
pub async fn sharing(folder: &Path) -> Node {
    with(vec![folder.to_owned()], None).await
}

async fn with(share_folders: Vec<PathBuf>, user: Option<LocalUser>) -> Node {
    let settings = Settings {
        share_folders,
        transport: TransportKind::Memory,
        listen: Vec::new(),
        mdns: false,
        ..Settings::default()
    };
    let identity = Keypair::generate_ed25519();
    Node::start(settings, Store::in_memory(), &identity, user)
        .await
        .expect("a node on loopback starts")
}
