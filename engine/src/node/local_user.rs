//! The user whose node this is.

use pelago_groups::{Name, Secret, UserKey};

/// The user whose node runs in this process, with the key that signs for this user.
#[derive(Clone, Debug)]
pub struct LocalUser {
    /// The key of the user.
    pub secret: Secret<UserKey>,
    /// What the user is called when the node starts: see [`Node::rename_user`](super::Node::rename_user).
    pub name: Name,
}
