//! The store of provider records: which keys we provide, and who else told us that it provides some.
//!
//! The library's memory store counts both together, so that strangers could use up the room for our
//! own keys. Here they are apart: our own keys are a set of 32 bytes each, shared with whoever
//! publishes, out of which records are made when somebody asks; strangers' records have quotas, in
//! all, by key and by provider, so that nobody can fill the store with one identity.
//!
//! Value records are not part of Pelago and always refused.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use libp2p::{
    PeerId,
    kad::{
        ProviderRecord, Record, RecordKey,
        store::{Error, RecordStore, Result},
    },
};
use pelago_content::Hash;

/// Strangers' records that one node keeps, in all. About 300 bytes each: at most some 20 MB.
pub const MAX_RECORDS: usize = 65_536;

/// Strangers' records by one provider: a node that shares more relies on the other nodes near its
/// keys, while one identity can take at most an eighth of the store.
pub const MAX_RECORDS_PER_PROVIDER: usize = 8_192;

/// Providers kept for one key, as many as Kademlia's k.
pub const MAX_PROVIDERS_PER_KEY: usize = 20;

/// How often expired records are looked for when there is no room: it walks all of them, so that a
/// flood of records must not make it the common case.
const PURGE_INTERVAL: Duration = Duration::from_secs(60);

/// Addresses kept with a record: a node has few, a liar many.
const MAX_ADDRESSES: usize = 8;

/// SHA-256 as a multihash: its code and its length, before the digest.
const MULTIHASH_PREFIX: [u8; 2] = [0x12, 32];

/// The Kademlia key that provider records for `hash` are filed under: the sha2-256 multihash of
/// [`Hash::provider_key`], from which the hash cannot be found.
#[must_use]
pub fn record_key(hash: &Hash) -> RecordKey {
    RecordKey::from([&MULTIHASH_PREFIX[..], &hash.provider_key()].concat())
}

/// The digest in a record key; `None` if it is no key of ours.
fn digest(key: &RecordKey) -> Option<[u8; 32]> {
    key.as_ref()
        .strip_prefix(&MULTIHASH_PREFIX)?
        .try_into()
        .ok()
}

/// The keys that this node provides. A handle: clones share one set.
#[derive(Clone, Debug, Default)]
pub struct OwnKeys(Arc<RwLock<HashSet<[u8; 32]>>>);

impl OwnKeys {
    /// Provides `hash` from now on, to those who ask this node.
    pub fn insert(&self, hash: &Hash) {
        self.write().insert(hash.provider_key());
    }

    /// Provides `hash` no longer.
    pub fn remove(&self, hash: &Hash) {
        self.write().remove(&hash.provider_key());
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    fn contains(&self, key: &RecordKey) -> bool {
        digest(key).is_some_and(|digest| self.read().contains(&digest))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashSet<[u8; 32]>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashSet<[u8; 32]>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record store of one node.
#[derive(Debug)]
pub struct ProviderStore {
    local: PeerId,
    own: OwnKeys,
    records: HashMap<[u8; 32], Vec<ProviderRecord>>,
    by_provider: HashMap<PeerId, usize>,
    /// How many records there are in all.
    count: usize,
    /// When expired records were last removed.
    purged: Option<Instant>,
}

impl ProviderStore {
    /// A store for the node `local` that provides `own`.
    #[must_use]
    pub fn new(local: PeerId, own: OwnKeys) -> Self {
        Self {
            local,
            own,
            records: HashMap::new(),
            by_provider: HashMap::new(),
            count: 0,
            purged: None,
        }
    }

    /// How many of strangers' records are held.
    #[must_use]
    pub fn records_held(&self) -> usize {
        self.count
    }

    fn remove_expired(&mut self) {
        let now = Instant::now();
        if self
            .purged
            .is_some_and(|at| now.duration_since(at) < PURGE_INTERVAL)
        {
            return;
        }
        self.purged = Some(now);
        let by_provider = &mut self.by_provider;
        let mut removed = 0;
        self.records.retain(|_, records| {
            records.retain(|record| {
                let expired = record.is_expired(now);
                if expired {
                    removed += 1;
                    forget_one(by_provider, &record.provider);
                }
                !expired
            });
            !records.is_empty()
        });
        self.count -= removed;
    }

    fn has_room_for(&self, provider: &PeerId) -> bool {
        let theirs = self.by_provider.get(provider).copied().unwrap_or(0);
        self.count < MAX_RECORDS && theirs < MAX_RECORDS_PER_PROVIDER
    }
}

fn forget_one(by_provider: &mut HashMap<PeerId, usize>, provider: &PeerId) {
    if let Some(count) = by_provider.get_mut(provider) {
        *count -= 1;
        if *count == 0 {
            by_provider.remove(provider);
        }
    }
}

impl RecordStore for ProviderStore {
    type RecordsIter<'a> = std::iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = std::iter::Empty<Cow<'a, ProviderRecord>>;

    fn get(&self, _: &RecordKey) -> Option<Cow<'_, Record>> {
        None
    }

    fn put(&mut self, _: Record) -> Result<()> {
        Err(Error::MaxRecords)
    }

    fn remove(&mut self, _: &RecordKey) {}

    fn records(&self) -> Self::RecordsIter<'_> {
        std::iter::empty()
    }

    fn add_provider(&mut self, mut record: ProviderRecord) -> Result<()> {
        let digest = digest(&record.key).ok_or(Error::ValueTooLarge)?;
        if record.provider == self.local {
            // Our own keys live in `own`, put there by whoever shares.
            return Ok(());
        }
        record.addresses.truncate(MAX_ADDRESSES);
        let known = self.records.get_mut(&digest);
        let known = known.and_then(|all| all.iter_mut().find(|r| r.provider == record.provider));
        if let Some(known) = known {
            *known = record;
            return Ok(());
        }
        if !self.has_room_for(&record.provider) {
            self.remove_expired();
            if !self.has_room_for(&record.provider) {
                return Err(Error::MaxProvidedKeys);
            }
        }
        let records = self.records.entry(digest).or_default();
        if records.len() >= MAX_PROVIDERS_PER_KEY {
            // The oldest makes room, so that those who are still there and announce again are found.
            let oldest = records.remove(0);
            forget_one(&mut self.by_provider, &oldest.provider);
            self.count -= 1;
        }
        *self.by_provider.entry(record.provider).or_default() += 1;
        self.count += 1;
        records.push(record);
        Ok(())
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        let now = Instant::now();
        let ours = self.own.contains(key);
        let ours = ours.then(|| ProviderRecord::new(key.clone(), self.local, Vec::new()));
        let others = digest(key).and_then(|digest| self.records.get(&digest));
        let others = others
            .into_iter()
            .flatten()
            .filter(|r| !r.is_expired(now))
            .cloned();
        ours.into_iter().chain(others).collect()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        // Read only by the library's republish job, which is off: the publish plan announces.
        std::iter::empty()
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        let Some(digest) = digest(key) else { return };
        let Some(records) = self.records.get_mut(&digest) else {
            return;
        };
        let before = records.len();
        records.retain(|record| record.provider != *provider);
        if records.len() < before {
            self.count -= 1;
            forget_one(&mut self.by_provider, provider);
        }
        if records.is_empty() {
            self.records.remove(&digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> Hash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        Hash::from_bytes(bytes)
    }

    fn record(n: u64, provider: PeerId) -> ProviderRecord {
        ProviderRecord::new(record_key(&hash(n)), provider, Vec::new())
    }

    fn store() -> (ProviderStore, OwnKeys) {
        let own = OwnKeys::default();
        (ProviderStore::new(PeerId::random(), own.clone()), own)
    }

    #[test]
    fn a_hundred_thousand_own_keys_leave_the_room_of_strangers_alone() {
        let (mut store, own) = store();
        (0..100_000).for_each(|n| own.insert(&hash(n)));
        let stranger = PeerId::random();
        store.add_provider(record(5, stranger)).unwrap();
        let providers: Vec<_> = store
            .providers(&record_key(&hash(5)))
            .iter()
            .map(|r| r.provider)
            .collect();
        assert_eq!(providers, [store.local, stranger]);
        assert_eq!(store.records_held(), 1);
    }

    #[test]
    fn one_provider_cannot_fill_the_store() {
        let (mut store, _) = store();
        let greedy = PeerId::random();
        let kept =
            (0..MAX_RECORDS as u64).filter(|n| store.add_provider(record(*n, greedy)).is_ok());
        assert_eq!(kept.count(), MAX_RECORDS_PER_PROVIDER);
        store.add_provider(record(0, PeerId::random())).unwrap();
    }

    #[test]
    fn the_store_is_bounded_in_all_and_expired_records_make_room() {
        let (mut store, own) = store();
        for _ in 0..MAX_RECORDS / MAX_RECORDS_PER_PROVIDER {
            let provider = PeerId::random();
            for n in 0..MAX_RECORDS_PER_PROVIDER as u64 {
                let mut record = record(n, provider);
                record.expires = Some(Instant::now() + Duration::from_millis(1));
                let _ = store.add_provider(record);
            }
        }
        assert_eq!(store.records_held(), MAX_RECORDS);
        std::thread::sleep(Duration::from_millis(2)); // the records' own clock is the real one
        store.add_provider(record(1, PeerId::random())).unwrap();
        assert_eq!(store.records_held(), 1);
        own.insert(&hash(1));
        assert_eq!(store.providers(&record_key(&hash(1))).len(), 2);
    }

    #[test]
    fn the_newest_providers_of_a_key_are_kept() {
        let (mut store, _) = store();
        let peers: Vec<_> = (0..30).map(|_| PeerId::random()).collect();
        peers
            .iter()
            .for_each(|peer| store.add_provider(record(1, *peer)).unwrap());
        let kept = store.providers(&record_key(&hash(1)));
        assert_eq!(kept.len(), MAX_PROVIDERS_PER_KEY);
        assert!(
            kept.iter()
                .all(|record| peers[10..].contains(&record.provider))
        );
        peers
            .iter()
            .for_each(|peer| store.remove_provider(&record_key(&hash(1)), peer));
        assert_eq!((store.records_held(), store.by_provider.len()), (0, 0));
    }

    #[test]
    fn values_and_foreign_keys_are_refused() {
        let (mut store, _) = store();
        assert!(
            store
                .put(Record::new(record_key(&hash(1)), vec![1]))
                .is_err()
        );
        let foreign = RecordKey::from(vec![1, 2, 3]);
        let record = ProviderRecord::new(foreign, PeerId::random(), Vec::new());
        assert!(store.add_provider(record).is_err());
    }
}
