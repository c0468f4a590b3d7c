//! The hash: 32 bytes that name content, as people type them and as records are filed under them.
//!
//! Owns the text form and the provider key. Never hashes content itself: the tree and the
//! descriptor do. Invalid text results in a [`HashError`].

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

/// Separates provider keys from every other use of SHA-256. Fixed by the protocol.
const PROVIDER_DOMAIN: &[u8] = b"pelago/provider/1";

/// Reserved for plain SHA-256 file digests, which name no content here.
const RESERVED_PREFIX: &str = "sha256:";

/// The name of content: SHA-256 over its descriptor.
///
/// Unlike a bare root it binds kind and length. Displays as 64 lowercase hex digits; parsing takes
/// either case. `{:.8}` displays the first 8 digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// How many bytes a hash has.
    pub const LEN: usize = 32;

    /// How many hex digits a hash has in text.
    pub const DIGITS: usize = 2 * Self::LEN;

    /// Interprets 32 bytes, from a message or a record, as a hash.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key under which providers of this content are recorded in the DHT.
    ///
    /// One-way: nodes that store a provider record cannot fetch the content with it.
    pub fn provider_key(&self) -> [u8; 32] {
        Sha256::new_with_prefix(PROVIDER_DOMAIN)
            .chain_update(self.0)
            .finalize()
            .into()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGIT: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; Self::DIGITS];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGIT[usize::from(byte >> 4)];
            pair[1] = DIGIT[usize::from(byte & 15)];
        }
        f.pad(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self:.8})")
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let prefix = text.get(..RESERVED_PREFIX.len());
        if prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(RESERVED_PREFIX)) {
            return Err(HashError::Reserved);
        }
        let found = text.chars().count();
        if found != Self::DIGITS {
            return Err(HashError::Length { found });
        }
        let mut bytes = [0; Self::LEN];
        for (at, digit) in text.chars().enumerate() {
            let value = digit
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok());
            let value = value.ok_or(HashError::Digit {
                position: at + 1,
                found: digit,
            })?;
            bytes[at / 2] = bytes[at / 2] << 4 | value;
        }
        Ok(Self(bytes))
    }
}

/// Why a text is not a valid hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// Not 64 characters.
    #[error("a hash has 64 hex digits, this has {found}")]
    Length {
        /// How many characters there are.
        found: usize,
    },
    /// 64 characters, but one is not a hex digit.
    #[error("digit {position} of the hash is {found:?}; expected 0-9 or a-f")]
    Digit {
        /// Which character, counted from 1.
        position: usize,
        /// The character.
        found: char,
    },
    /// Starts with `sha256:`, which is reserved for another meaning.
    #[error(
        "`sha256:` is reserved: a SHA-256 of the file's bytes is not its hash here; \
         give the 64 hex digits that `share` or `hash` printed"
    )]
    Reserved,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "d3a73dbb60af7a6640fe82a8964e44b4cc2d3bf054803efd5ee4e8a721a79c8d";

    #[test]
    fn both_cases_parse_and_lowercase_is_displayed() {
        let hash: Hash = TEXT.parse().unwrap();
        assert_eq!(TEXT.to_uppercase().parse(), Ok(hash));
        assert_eq!(hash.to_string(), TEXT);
        assert_eq!(format!("{hash:?}"), "Hash(d3a73dbb)");
    }

    #[test]
    fn errors_count_characters_from_one() {
        assert_eq!("".parse::<Hash>(), Err(HashError::Length { found: 0 }));
        assert_eq!(
            TEXT[1..].parse::<Hash>(),
            Err(HashError::Length { found: 63 })
        );
        let error = Err(HashError::Digit {
            position: 64,
            found: 'é',
        });
        assert_eq!(format!("{}é", &TEXT[..63]).parse::<Hash>(), error);
        assert_eq!(
            format!("g{}", &TEXT[1..])
                .parse::<Hash>()
                .unwrap_err()
                .to_string(),
            "digit 1 of the hash is 'g'; expected 0-9 or a-f"
        );
    }

    #[test]
    fn a_plain_digest_is_pointed_out() {
        assert_eq!(
            format!("SHA256:{TEXT}").parse::<Hash>(),
            Err(HashError::Reserved)
        );
    }

    #[test]
    fn the_provider_key_is_hashed_with_its_domain() {
        let hash: Hash = TEXT.parse().unwrap();
        let mut preimage = b"pelago/provider/1".to_vec();
        preimage.extend_from_slice(hash.as_bytes());
        assert_eq!(hash.provider_key()[..], Sha256::digest(preimage)[..]);
    }
}
