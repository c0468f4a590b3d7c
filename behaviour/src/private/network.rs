//! What a node knows of its private network.

use super::{NetworkKeys, Outsiders};

/// The private network of a node; open to all without a key. A handle: clones share who was found to
/// have no key, and is not dialed for a while.
#[derive(Clone, Debug, Default)]
pub struct PrivateNetwork {
    pub(super) keys: NetworkKeys,
    pub(super) outsiders: Outsiders,
}

impl PrivateNetwork {
    /// The network of those who have one of `keys`.
    #[must_use]
    pub fn new(keys: NetworkKeys) -> Self {
        Self {
            keys,
            outsiders: Outsiders::default(),
        }
    }

    /// Who had no key.
    pub(crate) const fn outsiders(&self) -> &Outsiders {
        &self.outsiders
    }
}
