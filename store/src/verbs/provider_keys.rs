//! Looking up the hash of a provider key.

use pelago_content::Hash;
use redb::ReadableTable;

use crate::{
    DatabaseError, Store,
    database::{MEMBER_HASHES, SHARES},
    provider_keys::{Beginning, HASH_BYTES, Index},
};

/// How many hashes with the same beginning are examined: chance hardly makes two.
const MAX_ALIKE: usize = 16;

/// Sorts after every absolute path.
const PAST_ALL_PATHS: &str = "\u{10FFFF}";

impl Store {
    /// The hash of shared or downloading content, by its provider key. Takes about the same time
    /// whether the content is here or not, so that the time reveals nothing.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn hash_of_key(&self, key: &[u8; 32]) -> Result<Option<Hash>, DatabaseError> {
        self.index_provider_keys()?;
        let found: Vec<_> = match &*self.inner.provider_keys.0.lock() {
            Some(index) => index.find(key).take(MAX_ALIKE).collect(),
            None => Vec::new(),
        };
        // A key that is not in the index is looked up as well, so that both cases take the same
        // time.
        let absent = key.first_chunk().filter(|_| found.is_empty()).copied();
        let mut shared = None;
        for beginning in found.into_iter().chain(absent) {
            shared = shared.or(self.hash_with(key, beginning)?);
        }
        let downloaded = self.inner.partials.hash_of_key(key);
        Ok(shared.or(downloaded))
    }

    /// Builds the index if there is none: reads all rows once, and computes the key of each hash.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn index_provider_keys(&self) -> Result<(), DatabaseError> {
        let mut index = self.inner.provider_keys.0.lock();
        if index.is_none() {
            // Threads that add a row meanwhile wait until the index is built.
            *index = Some(self.read_provider_keys()?);
        }
        Ok(())
    }

    fn read_provider_keys(&self) -> Result<Index, DatabaseError> {
        self.inner.database.read(|transaction| {
            let mut index = Index::new();
            let mut last = None;
            let mut add = |hash: [u8; 32]| {
                // Rows of one hash follow each other.
                if last.replace(hash) != Some(hash) {
                    index.add(&Hash::from_bytes(hash));
                }
            };
            for entry in transaction.open_table(SHARES)?.iter()? {
                add(*entry?.0.value().0);
            }
            for entry in transaction.open_table(MEMBER_HASHES)?.iter()? {
                add(*entry?.0.value().0);
            }
            Ok(index)
        })
    }

    /// The hash with this beginning and this key that has a row.
    fn hash_with(
        &self,
        key: &[u8; 32],
        beginning: Beginning,
    ) -> Result<Option<Hash>, DatabaseError> {
        let mut first = [0; 32];
        first[..HASH_BYTES].copy_from_slice(&beginning);
        let mut last = [0xff; 32];
        last[..HASH_BYTES].copy_from_slice(&beginning);
        self.inner.database.read(|transaction| {
            let shares = transaction.open_table(SHARES)?;
            let members = transaction.open_table(MEMBER_HASHES)?;
            let mut found = None;
            let (mut share, mut member) = (first, first);
            for _ in 0..MAX_ALIKE {
                let end = (&last, PAST_ALL_PATHS);
                let Some(entry) = shares.range((&share, "")..end)?.next() else {
                    break;
                };
                let hash = *entry?.0.value().0;
                found = found.or(Some(hash).filter(|hash| is_of(hash, key)));
                let Some(next) = after(hash) else { break };
                share = next;
            }
            for _ in 0..MAX_ALIKE {
                let end = (&last, PAST_ALL_PATHS, "");
                let Some(entry) = members.range((&member, "", "")..end)?.next() else {
                    break;
                };
                let hash = *entry?.0.value().0;
                found = found.or(Some(hash).filter(|hash| is_of(hash, key)));
                let Some(next) = after(hash) else { break };
                member = next;
            }
            Ok(found.map(Hash::from_bytes))
        })
    }
}

fn is_of(hash: &[u8; 32], key: &[u8; 32]) -> bool {
    Hash::from_bytes(*hash).provider_key() == *key
}

/// The next number, most significant byte first.
fn after(mut bytes: [u8; 32]) -> Option<[u8; 32]> {
    for byte in bytes.iter_mut().rev() {
        let (next, is_over) = byte.overflowing_add(1);
        *byte = next;
        if !is_over {
            return Some(bytes);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        NewFolder, Origin, Scope,
        testing::{absent, bytes, go_on, on_every_store},
    };

    fn hash(number: u32) -> Hash {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Hash::from_bytes(bytes)
    }

    #[test]
    fn a_hash_costs_some_12_bytes() {
        let mut index = Index::new();
        let hashes = 200_000;
        (0..hashes).for_each(|number| index.add(&hash(number)));
        let entries: usize = index.0.iter().map(Vec::len).sum();
        let bytes: usize = index.0.iter().map(|shard| shard.capacity() * 12).sum();
        assert_eq!(entries, hashes as usize);
        assert!(bytes < 26 * entries, "{bytes}");
        for number in [0, 1, 77_777, hashes - 1] {
            let found: Vec<_> = index.find(&hash(number).provider_key()).collect();
            let beginning = *hash(number).as_bytes().first_chunk().unwrap();
            assert!(found.contains(&beginning));
        }
        (1..hashes).for_each(|number| index.remove(&hash(number)));
        let bytes: usize = index.0.iter().map(|shard| shard.capacity() * 12).sum();
        assert!(bytes < entries, "{bytes}");
    }

    #[test]
    fn what_is_shared_is_found_by_its_key_before_and_after_the_index_is_made() {
        on_every_store(|home| {
            let store = &home.store;
            let known = |hash: Hash| store.hash_of_key(&hash.provider_key()).unwrap();
            let first = home.share("first", &bytes(100, 1)).descriptor.hash();

            assert_eq!(known(first), Some(first));
            assert_eq!(known(absent()), None);
            let second = home.share("second", &bytes(100, 2)).descriptor.hash();
            assert_eq!(known(second), Some(second));
            store.remove_shares(&[(first, home.path("first"))]).unwrap();
            assert_eq!(known(first), None);
            assert_eq!(known(second), Some(second));
        });
    }

    #[test]
    fn what_is_in_a_shared_folder_is_found_by_its_own_key() {
        on_every_store(|home| {
            let path = home.path("folder");
            fs::create_dir(&path).unwrap();
            fs::write(path.join("file"), "inside").unwrap();
            let new = NewFolder {
                path,
                name: "folder".into(),
                scopes: Scope::Unlisted.into(),
                origin: Origin::Explicit,
            };
            let store = &home.store;
            let root = store.share_folder(&new, &go_on).unwrap().0.hash();
            let members = store.members(&new.path).unwrap();
            let file = members[0].descriptor.hash();
            for hash in [root, file] {
                let found = store.hash_of_key(&hash.provider_key()).unwrap();
                assert_eq!(found, Some(hash));
            }
            store.remove_shares(&[(root, new.path.clone())]).unwrap();
            for hash in [root, file] {
                assert_eq!(store.hash_of_key(&hash.provider_key()).unwrap(), None);
            }
        });
    }
}
