//! The store as Kademlia asks for it: the records of others, and our own.

use std::{
    borrow::Cow,
    cmp::Reverse,
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId,
    kad::{
        ProviderRecord, Record, RecordKey,
        store::{Error, RecordStore, Result},
    },
};
use rand::seq::SliceRandom;

use super::{
    key_quotas::KeyQuotas,
    own_keys::{OwnKeys, digest},
    packed::PackedAddresses,
    records::{Records, StoredRecord},
};
use crate::dial::Namer;

/// Bytes of an answer that providers may take: less than half of Kademlia's packet of 16 KiB, the rest
/// being for nodes that are closer to the key.
const MAX_ANSWER_BYTES: usize = 6 << 10;

/// Bytes that a provider takes in an answer, apart from its addresses: its id and lengths.
const ANSWERED_BYTES: usize = 64;

/// How long a record lives that does not say so itself.
const LIFETIME: Duration = Duration::from_secs(48 * 3600);

/// Where a record comes from.
#[derive(Clone, Copy, Debug)]
pub struct Announcer {
    /// The provider, as its connection shows it.
    pub namer: Namer,
    /// Whether this node has connected to it.
    pub is_reached: bool,
}

/// The record store of one node.
pub struct ProviderStore {
    pub(super) local: PeerId,
    own: OwnKeys,
    pub(super) records: Records,
    /// Where the record comes from that Kademlia is about to add.
    expected: Option<Announcer>,
}

impl ProviderStore {
    /// A store for the node `local` that provides `own`.
    #[must_use]
    pub fn new(local: PeerId, own: OwnKeys) -> Self {
        Self {
            local,
            own,
            records: Records::default(),
            expected: None,
        }
    }

    /// How many of strangers' records are held.
    #[must_use]
    pub fn records_held(&self) -> usize {
        self.records.len()
    }

    /// How many bytes strangers' records take: at most [`MAX_BYTES`](super::MAX_BYTES).
    #[must_use]
    pub const fn bytes_held(&self) -> usize {
        self.records.bytes()
    }

    /// Where the next record comes from. One that nobody announced is refused.
    pub fn expect(&mut self, announcer: Option<Announcer>) {
        self.expected = announcer;
    }

    /// This node has connected to a peer, whose records are kept before others' from now on.
    pub fn reached(&mut self, provider: &PeerId) {
        self.records.usage_mut().reached(provider);
    }

    /// Where `provider` of `key` is by its own word, and how far that counts.
    #[must_use]
    pub fn addresses(&self, key: &RecordKey, provider: &PeerId) -> Option<(Namer, Vec<Multiaddr>)> {
        let key = digest(key)?;
        let mut records = self.records.of_key(&key);
        let record = records.find(|record| record.provider == *provider)?;
        Some((record.namer, record.addresses.unpack()))
    }

    /// The records of a key that are told to somebody who asks, as many as fit: those of providers that were
    /// reached, then others at random, and last those of hosts and sites beyond their share.
    fn drawn(&self, key: &RecordKey, now: Instant) -> Vec<ProviderRecord> {
        let Some(digest) = digest(key) else {
            return Vec::new();
        };
        let entries = self.records.of_key(&digest);
        let mut entries: Vec<_> = entries.filter(|entry| entry.expires > now).collect();
        entries.shuffle(&mut rand::rng());
        let (mut quotas, usage) = (KeyQuotas::default(), self.records.usage());
        let ranked = entries.into_iter().map(|entry| {
            quotas.take(entry);
            let is_reached = usage.is_reached(&entry.provider);
            // One without an address is of use only where it happens to be known otherwise.
            let is_useful = entry.addresses.len() > 0 && !quotas.exceeds(entry.origin());
            (Reverse((is_reached, is_useful)), entry)
        });
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        let entries = ranked.into_iter().map(|(_, entry)| entry);
        let mut bytes = 0;
        let fitting = entries.take_while(|entry| {
            bytes += ANSWERED_BYTES + entry.addresses.len();
            bytes <= MAX_ANSWER_BYTES
        });
        fitting
            .map(|entry| ProviderRecord {
                key: key.clone(),
                provider: entry.provider,
                expires: Some(entry.expires),
                addresses: entry.addresses.unpack(),
            })
            .collect()
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

    fn add_provider(&mut self, record: ProviderRecord) -> Result<()> {
        let key = digest(&record.key).ok_or(Error::ValueTooLarge)?;
        if record.provider == self.local {
            // Our own keys live in `own`, put there by whoever quotas.
            return Ok(());
        }
        let announcer = self.expected.take().ok_or(Error::MaxProvidedKeys)?;
        let now = Instant::now();
        let entry = StoredRecord {
            key,
            provider: record.provider,
            namer: announcer.namer,
            addresses: PackedAddresses::new(&record.addresses),
            since: now,
            expires: record.expires.unwrap_or(now + LIFETIME),
            is_renewed: false,
        };
        self.records.add(entry, announcer.is_reached)
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        let ours = self.own.contains(key);
        let ours = ours.then(|| ProviderRecord::new(key.clone(), self.local, Vec::new()));
        let others = self.drawn(key, Instant::now());
        ours.into_iter().chain(others).collect()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        // Read only by the library's republish job, which is off: the publish plan announces.
        std::iter::empty()
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        if let Some(key) = digest(key) {
            self.records.remove(&key, provider);
        }
    }
}
