//! The keys that this node provides, and how content becomes a key.

use std::{collections::HashSet, sync::Arc};

use libp2p::kad::RecordKey;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use pelago_content::Hash;

/// The prefix of a SHA-256 multihash: its code and its length.
const MULTIHASH_PREFIX: [u8; 2] = [0x12, 32];

/// The Kademlia key of provider records for `hash`: the sha2-256 multihash of
/// [`Hash::provider_key`], which does not reveal the hash.
#[must_use]
pub fn record_key(hash: &Hash) -> RecordKey {
    RecordKey::from([&MULTIHASH_PREFIX[..], &hash.provider_key()].concat())
}

/// The digest in a record key; `None` if it is not a valid key.
pub(super) fn digest(key: &RecordKey) -> Option<[u8; 32]> {
    key.as_ref()
        .strip_prefix(&MULTIHASH_PREFIX)?
        .try_into()
        .ok()
}

/// The keys that this node provides. A handle: clones share one set.
#[derive(Clone, Debug, Default)]
pub struct OwnKeys(Arc<RwLock<HashSet<[u8; 32]>>>);

impl OwnKeys {
    /// Starts to provide `hash`.
    pub fn insert(&self, hash: &Hash) {
        self.write().insert(hash.provider_key());
    }

    /// Stops providing `hash`.
    pub fn remove(&self, hash: &Hash) {
        self.write().remove(&hash.provider_key());
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    pub(super) fn contains(&self, key: &RecordKey) -> bool {
        digest(key).is_some_and(|digest| self.read().contains(&digest))
    }

    fn read(&self) -> RwLockReadGuard<'_, HashSet<[u8; 32]>> {
        self.0.read()
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashSet<[u8; 32]>> {
        self.0.write()
    }
}
