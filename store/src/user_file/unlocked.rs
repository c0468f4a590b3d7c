//! The keys of a user while they are in memory.

use std::fmt;

use libp2p_identity::Keypair;
use pelago_groups::{Name, Secret, UserKey};
use zeroize::Zeroizing;

use super::sealing::{Sealing, SealingKey};

/// The keys of a user and of the node, which a [`UserFile`](super::UserFile) can seal again.
pub struct UnlockedUser {
    pub(super) secret: Secret<UserKey>,
    pub(super) name: Name,
    /// The seed of the node.
    pub(super) node: Zeroizing<[u8; 32]>,
    pub(super) sealing: Sealing,
}

impl UnlockedUser {
    /// The secret of the user.
    #[must_use]
    pub const fn secret(&self) -> &Secret<UserKey> {
        &self.secret
    }

    /// The name of the user.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The key pair of the node.
    #[must_use]
    #[allow(clippy::missing_panics_doc, reason = "it never does")]
    pub fn keypair(&self) -> Keypair {
        // A copy, which this call overwrites.
        let mut seed = *self.node;
        Keypair::ed25519_from_bytes(&mut seed).expect("any 32 bytes are the seed of a key")
    }

    /// What opens the sealed file as it is now, without its passphrase.
    #[must_use]
    pub const fn sealing_key(&self) -> &SealingKey {
        &self.sealing.key
    }

    /// Whether the file is sealed with a passphrase.
    #[must_use]
    pub const fn has_passphrase(&self) -> bool {
        self.sealing.terms.has_passphrase
    }
}

/// Reveals nothing that is secret.
impl fmt::Debug for UnlockedUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnlockedUser")
            .field(&self.secret)
            .field(&self.name)
            .finish()
    }
}

impl UnlockedUser {
    /// The same keys with another name, or to be sealed in another way.
    pub(super) fn with(&self, name: Name, sealing: Sealing) -> Self {
        Self {
            secret: self.secret.clone(),
            name,
            node: self.node.clone(),
            sealing,
        }
    }
}
