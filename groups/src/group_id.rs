//! The id of a group.

use std::{fmt, str::FromStr};

use pelago_content::Hash;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteArray;
use sha2::{Digest, Sha256};

use crate::keys::{InvalidKey, UserKey, bytes_32};

/// Separates group ids from every other use of SHA-256. Fixed by the protocol.
const DOMAIN: &[u8] = b"pelago/group/1";

bytes_32! {
    /// The id of a group. It names the root, so nobody else can found a group of this id.
    GroupId, "the id of a group"
}

impl GroupId {
    /// The group that `root` founds with 16 random bytes.
    #[must_use]
    pub fn new(root: &UserKey, salt: &[u8; 16]) -> Self {
        let digest = Sha256::new_with_prefix(DOMAIN)
            .chain_update(root.as_bytes())
            .chain_update(salt);
        Self(digest.finalize().into())
    }
}
