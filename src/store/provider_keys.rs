//! Which hash belongs to a provider key: a peer that has a hash names it by that key, to a node that
//! may not have the hash.
//!
//! Owns an index in memory of everything that is shared, by itself or in a folder: 12 bytes for each
//! hash, made when the first peer asks. It holds the beginnings of keys and of hashes, so that what it
//! finds is looked up in the database and compared. Hashes without a row may stay in it; they are found
//! nowhere. Never decides who may know of what. Failures leave as the database's.

use parking_lot::Mutex;
use pelago_content::Hash;

/// Shards of the index. A hash is put in its place in its shard: of ten million, some 2,400 are in
/// each.
const SHARDS: usize = 1 << 12;

/// Bytes of a key that are compared in a shard, behind the 12 bits that choose the shard.
const KEY_BYTES: usize = 4;

/// Bytes of a hash that are kept: enough that hardly any two begin with the same.
pub(super) const HASH_BYTES: usize = 8;

/// The beginning of a hash.
pub(super) type Beginning = [u8; HASH_BYTES];

/// The index of one store; none until it is needed.
#[derive(Default)]
pub(super) struct ProviderKeys(pub(super) Mutex<Option<Index>>);

/// The entries of all keys, by shard.
pub(super) struct Index(pub(super) Box<[Vec<[u8; KEY_BYTES + HASH_BYTES]>]>);

impl ProviderKeys {
    /// Some hashes have rows from now on, and others have none any more. Called once for each commit, in
    /// the order of the commits.
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

/// The shard of a key, and what is compared in it.
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
