//! An index from provider keys to hashes. A peer that has a hash names it by its key, because the
//! other node may not have the hash.
//!
//! The index is in memory, covers everything that is shared, by itself or in a folder, and is built
//! when the first peer asks. It takes 12 bytes for each hash: the beginnings of its key and of the
//! hash, which are then compared with the database. Hashes without a row may stay in it, and are
//! not found. Errors are those of the database.

use parking_lot::Mutex;
use pelago_content::Hash;

/// The number of shards. Each is sorted; with ten million hashes, each has some 2,400.
const SHARDS: usize = 1 << 12;

/// How many bytes of a key are compared in a shard, after the 12 bits that choose the shard.
const KEY_BYTES: usize = 4;

/// How many bytes of a hash are stored: enough that hardly any two begin alike.
pub(super) const HASH_BYTES: usize = 8;

/// The beginning of a hash.
pub(super) type Beginning = [u8; HASH_BYTES];

/// The index of one store; `None` until it is built.
#[derive(Default)]
pub(super) struct ProviderKeys(pub(super) Mutex<Option<Index>>);

/// The entries of all keys, by shard.
pub(super) struct Index(pub(super) Box<[Vec<[u8; KEY_BYTES + HASH_BYTES]>]>);

impl ProviderKeys {
    /// Updates the index after a commit: `added` have rows now, and `gone` have none. Called once
    /// for each commit, in the order of commits.
    pub(super) fn change(&self, added: &[Hash], gone: &[Hash]) {
        if let Some(index) = &mut *self.0.lock() {
            gone.iter().for_each(|hash| index.remove(hash));
            added.iter().for_each(|hash| index.add(hash));
        }
    }
}

impl Index {
    pub(super) fn new() -> Self {
        Self(vec![Vec::new(); SHARDS].into())
    }

    pub(super) fn add(&mut self, hash: &Hash) {
        let (shard, entry) = place(hash);
        let shard = &mut self.0[shard];
        if let Err(at) = shard.binary_search(&entry) {
            shard.insert(at, entry);
        }
    }

    pub(super) fn remove(&mut self, hash: &Hash) {
        let (shard, entry) = place(hash);
        let shard = &mut self.0[shard];
        if let Ok(at) = shard.binary_search(&entry) {
            shard.remove(at);
            if shard.len() < shard.capacity() / 4 {
                shard.shrink_to(2 * shard.len());
            }
        }
    }

    /// The beginnings of the hashes that may have this key.
    pub(super) fn find<'i>(&'i self, key: &[u8; 32]) -> impl Iterator<Item = Beginning> + 'i {
        let (shard, key) = split(key);
        let shard = &self.0[shard];
        let first = shard.partition_point(|entry| entry[..KEY_BYTES] < key[..]);
        let alike = shard[first..].iter();
        let alike = alike.take_while(move |entry| entry[..KEY_BYTES] == key);
        alike.filter_map(|entry| entry.last_chunk().copied())
    }
}

/// The shard of a key, and its bytes that are compared in it.
fn split(key: &[u8; 32]) -> (usize, [u8; KEY_BYTES]) {
    let shard = usize::from(key[0]) << 4 | usize::from(key[1] >> 4);
    (shard, [key[2], key[3], key[4], key[5]])
}

fn place(hash: &Hash) -> (usize, [u8; KEY_BYTES + HASH_BYTES]) {
    let (shard, key) = split(&hash.provider_key());
    let mut entry = [0; KEY_BYTES + HASH_BYTES];
    entry[..KEY_BYTES].copy_from_slice(&key);
    entry[KEY_BYTES..].copy_from_slice(&hash.as_bytes()[..HASH_BYTES]);
    (shard, entry)
}
