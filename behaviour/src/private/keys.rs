//! The keys of a private network.

use std::{fmt, str::FromStr};

use hmac::{Hmac, KeyInit};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of a key.
const KEY_LEN: usize = 32;

/// Keys of one network at a time: one that is valid, and another one while it is replaced.
pub(super) const MAX_KEYS: usize = 2;

/// Separates the id of a key from every other use of it. Fixed by the protocol.
const ID_DOMAIN: &[u8] = b"pelago/network-id/1";

/// A secret that all members of a private network have: 32 random bytes. Never printed, unless
/// [`to_secret_text`](Self::to_secret_text) is called.
#[derive(Clone, PartialEq, Eq)]
pub struct NetworkKey(Zeroizing<[u8; KEY_LEN]>);

/// What a node has of the keys of its network: none in a network that is open to all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkKeys(Vec<NetworkKey>);

/// A text is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a key of a network has 64 hexadecimal digits")]
pub struct InvalidNetworkKey;

/// There are more keys than a network has at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a network has at most {MAX_KEYS} keys at a time: one, and another one while it is replaced"
)]
pub struct TooManyKeys;

impl NetworkKey {
    /// A new key, from the random numbers of the system.
    #[must_use]
    pub fn random() -> Self {
        Self(Zeroizing::new(rand::random()))
    }

    /// What people compare to see whether they have the same key: 16 hexadecimal digits, from which the
    /// key cannot be computed.
    #[must_use]
    pub fn id(&self) -> String {
        let digest = Sha256::new()
            .chain_update(ID_DOMAIN)
            .chain_update(&self.0[..]);
        digest.finalize()[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The key itself, as 64 hexadecimal digits.
    #[must_use]
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub(super) fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.0[..]).expect("HMAC takes keys of any length")
    }
}

impl FromStr for NetworkKey {
    type Err = InvalidNetworkKey;

    fn from_str(text: &str) -> Result<Self, InvalidNetworkKey> {
        if text.len() != 2 * KEY_LEN || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidNetworkKey);
        }
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        for (at, byte) in bytes.iter_mut().enumerate() {
            let digits = &text[2 * at..2 * at + 2];
            *byte = u8::from_str_radix(digits, 16).map_err(|_| InvalidNetworkKey)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for NetworkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkKey({})", self.id())
    }
}

impl NetworkKeys {
    /// These keys: the first one is the newest.
    ///
    /// # Errors
    /// [`TooManyKeys`].
    pub fn new(keys: Vec<NetworkKey>) -> Result<Self, TooManyKeys> {
        match keys.len() {
            0..=MAX_KEYS => Ok(Self(keys)),
            _ => Err(TooManyKeys),
        }
    }

    /// Whether the network is private.
    #[must_use]
    pub fn are_some(&self) -> bool {
        !self.0.is_empty()
    }

    /// The keys, the newest first.
    #[must_use]
    pub fn as_slice(&self) -> &[NetworkKey] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written_and_not_printed() {
        let key = NetworkKey::random();
        let text = key.to_secret_text();
        assert_eq!(text.parse(), Ok(key.clone()));
        assert_eq!(text.to_uppercase().parse(), Ok(key.clone()));
        let shown = format!("{key:?} {:?}", NetworkKeys::new(vec![key.clone()]).unwrap());
        assert!(shown.contains(&key.id()) && !shown.contains(&text[..8]));
        for wrong in [
            "",
            "zz",
            &text[1..],
            &format!("{}g", &text[1..]),
            "é".repeat(32).as_str(),
        ] {
            assert_eq!(
                wrong.parse::<NetworkKey>(),
                Err(InvalidNetworkKey),
                "{wrong}"
            );
        }
        assert_eq!(NetworkKeys::new(vec![key; 3]), Err(TooManyKeys));
    }
}
