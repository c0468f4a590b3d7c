//! The format of the sealed file.
//!
//! ```text
//! magic (16) | length of the header (4, little-endian) | header (CBOR) | ciphertext (80) | SHA-256 (32)
//! ```
//!
//! The ciphertext holds the seeds of user and node; everything before it is associated data. The
//! checksum covers everything before it.

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use pelago_groups::{Name, Secret, UserKey};
use rand::random;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    error::{SealedError, UserFileError},
    passphrase::Passphrase,
    sealing::{Sealing, SealingKey, Terms},
    unlocked::UnlockedUser,
};
use crate::decode_row;

/// The first bytes of the file. The digit is the version of the format.
const MAGIC: &[u8; 16] = b"pelago/sealed/1\n";

/// The part of the magic that all versions share.
const FAMILY: &[u8] = b"pelago/sealed/";

/// Bytes of the longest header: 500 more than one with the longest name takes.
const MAX_HEADER_LEN: usize = 1024;

/// Bytes of both seeds, and of the tag that authenticates them.
const SECRETS_LEN: usize = 64;
const CIPHERTEXT_LEN: usize = SECRETS_LEN + 16;

const CHECKSUM_LEN: usize = 32;

/// Bytes of the longest file.
pub(super) const MAX_LEN: usize = MAGIC.len() + 4 + MAX_HEADER_LEN + CIPHERTEXT_LEN + CHECKSUM_LEN;

/// What everyone can read in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    user: UserKey,
    name: Name,
    terms: Terms,
    nonce: ByteArray<24>,
}

/// A sealed user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedUser {
    header: Header,
    /// The bytes of the file up to the ciphertext.
    clear: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl SealedUser {
    /// The exported user in `bytes`.
    ///
    /// # Errors
    ///
    /// [`UserFileError::NotSealed`] if they are anything else.
    pub fn exported(bytes: &[u8]) -> Result<Self, UserFileError> {
        Self::parse(bytes).map_err(|_| UserFileError::NotSealed)
    }

    /// The public key of the user. Proven only once the file was opened.
    #[must_use]
    pub const fn user(&self) -> UserKey {
        self.header.user
    }

    /// The name of the user. Proven only once the file was opened.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.header.name
    }

    /// Whether a passphrase opens it. Without one, the file protects nothing.
    #[must_use]
    pub const fn has_passphrase(&self) -> bool {
        self.header.terms.has_passphrase
    }

    /// Seals the keys of a user, under a new nonce.
    pub(super) fn seal(user: &UnlockedUser) -> Self {
        let header = Header {
            user: user.secret.key(),
            name: user.name.clone(),
            terms: user.sealing.terms.clone(),
            nonce: ByteArray::new(random()),
        };
        let encoded =
            cbor4ii::serde::to_vec(Vec::new(), &header).expect("it has no maps without length");
        let len = u32::try_from(encoded.len()).expect("names are short");
        let clear = [MAGIC, &len.to_le_bytes()[..], &encoded].concat();
        let mut secrets = Zeroizing::new([0; SECRETS_LEN]);
        secrets[..32].copy_from_slice(user.secret.seed());
        secrets[32..].copy_from_slice(&*user.node);
        let payload = Payload {
            msg: &*secrets,
            aad: &clear,
        };
        let ciphertext = cipher(&user.sealing.key).encrypt(&XNonce::from(*header.nonce), payload);
        let ciphertext = ciphertext.expect("64 bytes are not too long");
        Self {
            header,
            clear,
            ciphertext,
        }
    }

    /// The content of the file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.clear[..], &self.ciphertext].concat();
        bytes.extend_from_slice(&Sha256::digest(&bytes));
        bytes
    }

    /// Parses the content of a file. The name and the key in it are not proven yet.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, SealedError> {
        let parsed = Self::parse_this_version(bytes);
        match parsed {
            None if is_of_other_version(bytes) => Err(SealedError::Newer),
            parsed => parsed.ok_or(SealedError::Damaged),
        }
    }

    fn parse_this_version(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_LEN {
            return None;
        }
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>()?;
        if Sha256::digest(content)[..] != checksum[..] {
            return None;
        }
        let (clear, ciphertext) = content.split_last_chunk::<CIPHERTEXT_LEN>()?;
        let (len, encoded) = clear.strip_prefix(MAGIC)?.split_first_chunk()?;
        if u32::from_le_bytes(*len) as usize != encoded.len() {
            return None;
        }
        Some(Self {
            header: decode_row(encoded)?,
            clear: clear.to_vec(),
            ciphertext: ciphertext.to_vec(),
        })
    }

    /// Opens it with its passphrase. Takes as long, and as much memory, as its header says.
    pub(super) fn open(
        &self,
        passphrase: Option<&Passphrase>,
    ) -> Result<UnlockedUser, SealedError> {
        if passphrase.is_none() && self.has_passphrase() {
            return Err(SealedError::WrongPassphrase);
        }
        // A passphrase for a file without one changes nothing.
        let passphrase = passphrase.filter(|_| self.has_passphrase());
        let key = self
            .header
            .terms
            .key(passphrase)
            .ok_or(SealedError::Damaged)?;
        self.open_with(key)
    }

    /// Opens it with the key that its passphrase yields.
    pub(super) fn open_with(&self, key: SealingKey) -> Result<UnlockedUser, SealedError> {
        let payload = Payload {
            msg: &self.ciphertext,
            aad: &self.clear,
        };
        let opened = cipher(&key).decrypt(&XNonce::from(*self.header.nonce), payload);
        let secrets = Zeroizing::new(opened.map_err(|_| SealedError::WrongPassphrase)?);
        let (user, node) = secrets.split_first_chunk().ok_or(SealedError::Damaged)?;
        let user = UnlockedUser {
            secret: Secret::from_seed(*user),
            name: self.header.name.clone(),
            node: Zeroizing::new(node.try_into().map_err(|_| SealedError::Damaged)?),
            sealing: Sealing {
                terms: self.header.terms.clone(),
                key,
            },
        };
        match user.secret.key() == self.header.user {
            true => Ok(user),
            false => Err(SealedError::Damaged),
        }
    }
}

/// Parses a file, and what becomes one with a checksum.
pub(crate) fn fuzz(data: &[u8]) {
    let with_checksum = [data, &Sha256::digest(data)].concat();
    for bytes in [data, &with_checksum] {
        if let Ok(sealed) = SealedUser::parse(bytes) {
            assert_eq!(sealed.to_bytes(), bytes);
        }
    }
}

fn is_of_other_version(bytes: &[u8]) -> bool {
    let magic = bytes.first_chunk::<{ MAGIC.len() }>();
    magic.is_some_and(|magic| magic != MAGIC && magic.starts_with(FAMILY))
}

fn cipher(key: &SealingKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.as_bytes().into())
}
