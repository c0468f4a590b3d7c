//! Keys of users, nodes and invites, and signatures with them.
//!
//! A public key is 32 bytes that displays as 64 hex digits. Which kind it is, the type says. Whether
//! the bytes are a point on the curve shows when a signature is verified.

use std::{fmt, str::FromStr};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use pelago_content::Hash;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteArray;

/// Bytes of a signature.
pub const SIGNATURE_LEN: usize = 64;

/// Separates consents of nodes from everything else that they sign. Fixed by the protocol.
const CONSENT_DOMAIN: &[u8] = b"pelago/node/1";

/// A text that is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not {expected}, which has 64 hexadecimal digits")]
pub struct InvalidKey {
    found: String,
    expected: &'static str,
}

impl InvalidKey {
    pub(crate) fn of(text: &str, expected: &'static str) -> Self {
        let found = text.into();
        Self { found, expected }
    }
}

/// Declares a type of 32 bytes: a key or an id, and what it is in a message.
macro_rules! bytes_32 {
    ($(#[$meta:meta])* $name:ident, $what:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Interprets 32 bytes, from a message or a record.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Hash::from_bytes(self.0).fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:.8})"), self)
            }
        }

        impl FromStr for $name {
            type Err = InvalidKey;

            fn from_str(text: &str) -> Result<Self, InvalidKey> {
                let parsed = text.parse::<Hash>();
                let parsed = parsed.map_err(|_| InvalidKey::of(text, $what));
                Ok(Self(*parsed?.as_bytes()))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                ByteArray::new(self.0).serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(Self(ByteArray::deserialize(deserializer)?.into_array()))
            }
        }
    };
}
pub(crate) use bytes_32;

bytes_32! {
    /// The public key of a user, which is who the user is.
    UserKey, "the key of a user"
}

bytes_32! {
    /// The public key of a node, from which libp2p makes its peer id.
    NodeKey, "the key of a node"
}

bytes_32! {
    /// The public key of an invite, whose secret is in a link.
    InviteKey, "an invite"
}

/// The secret of a key of this kind. Its memory is overwritten when it is dropped.
#[derive(Clone)]
pub struct Secret<Key> {
    signing: SigningKey,
    key: Key,
}

impl<Key: From<[u8; 32]> + Copy> Secret<Key> {
    /// The secret that follows from 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(&seed);
        let key = signing.verifying_key().to_bytes().into();
        Self { signing, key }
    }

    /// The random bytes from which it was made.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        self.signing.as_bytes()
    }

    /// Its public key.
    #[must_use]
    pub const fn key(&self) -> Key {
        self.key
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.signing.sign(message).to_bytes()
    }
}

/// Reveals the public key only.
impl<Key: fmt::Debug> fmt::Debug for Secret<Key> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secret").field(&self.key).finish()
    }
}

impl From<[u8; 32]> for UserKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<[u8; 32]> for InviteKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// What a node signs to agree that `user` names it: no other user can name it, then.
#[must_use]
pub fn consent_message(user: &UserKey) -> Vec<u8> {
    [CONSENT_DOMAIN, user.as_bytes()].concat()
}

/// Whether `signature` is one of `key` over `message`, by the strict rules: one signature has one
/// form, and keys of small order sign nothing.
pub(crate) fn verifies(key: &[u8; 32], message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| {
        let signature = Signature::from_bytes(signature);
        key.verify_strict(message, &signature).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_hex_digits_and_a_secret_shows_only_its_key() {
        let secret = Secret::<UserKey>::from_seed([7; 32]);
        let key = secret.key();
        assert_eq!(key.to_string().parse(), Ok(key));
        let wrong = "abc".parse::<UserKey>().unwrap_err().to_string();
        assert!(
            wrong.contains("\"abc\" is not the key of a user"),
            "{wrong}"
        );
        assert!(!format!("{secret:?}").contains("0707"));
    }

    #[test]
    fn a_signature_is_good_for_one_message_and_key() {
        let [a, b] = [1, 2].map(|seed| Secret::<UserKey>::from_seed([seed; 32]));
        let signature = a.sign(b"in");
        assert!(verifies(a.key().as_bytes(), b"in", &signature));
        assert!(!verifies(a.key().as_bytes(), b"out", &signature));
        assert!(!verifies(b.key().as_bytes(), b"in", &signature));
        // A key of small order, which some rules let sign everything.
        let weak = [[1].as_slice(), &[0; 31]].concat().try_into().unwrap();
        assert!(!verifies(&weak, b"in", &[0; SIGNATURE_LEN]));
    }
}
