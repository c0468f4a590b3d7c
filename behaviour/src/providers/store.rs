//! The record store in the form that Kademlia uses: the records of others, and our own.

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

/// Bytes of an answer for providers: less than half of Kademlia's packet of 16 KiB, as the rest is
/// for nodes closer to the key.
const MAX_ANSWER_BYTES: usize = 6 << 10;

/// Bytes of a provider in an answer, in addition to its addresses: its id and lengths.
const ANSWERED_BYTES: usize = 64;

/// How long a record lives that does not specify it.
const LIFETIME: Duration = Duration::from_secs(48 * 3600);

/// The peer that announces a record.
#[derive(Clone, Copy, Debug)]
pub struct Announcer {
    /// The provider, as its connection describes it.
    pub namer: Namer,
    /// Whether this node has connected to it.
    pub is_reached: bool,
}

/// The record store of one node.
pub struct ProviderStore {
    pub(super) local: PeerId,
    own: OwnKeys,
    pub(super) records: Records,
    /// The announcer of the record that Kademlia is about to add.
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

    /// How many records of other nodes are stored.
    #[must_use]
    pub fn records_held(&self) -> usize {
        self.records.len()
    }

    /// How many bytes the records of other nodes take: at most [`MAX_BYTES`](super::MAX_BYTES).
    #[must_use]
    pub const fn bytes_held(&self) -> usize {
        self.records.bytes()
    }

    /// Sets the announcer of the next record. Records without one are refused.
    pub fn expect(&mut self, announcer: Option<Announcer>) {
        self.expected = announcer;
    }

    /// Records that this node has connected to a peer, whose records now take precedence.
    pub fn reached(&mut self, provider: &PeerId) {
        self.records.usage_mut().reached(provider);
    }

    /// The addresses that `provider` of `key` announced, with the provider as their namer.
    #[must_use]
    pub fn addresses(&self, key: &RecordKey, provider: &PeerId) -> Option<(Namer, Vec<Multiaddr>)> {
        let key = digest(key)?;
        let mut records = self.records.of_key(&key);
        let record = records.find(|record| record.provider == *provider)?;
        Some((record.namer, record.addresses.unpack()))
    }

    /// The records of a key for an answer, as many as fit: first those of providers that were
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
            quotas.add(entry.origin());
            let is_reached = usage.is_reached(&entry.provider);
            // A provider without an address is of use only if its address is known by other means.
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
            // Our own keys are in `own`, where the publisher puts them.
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
        // Only the library's republish job, which is off, reads this: the publish plan announces.
        std::iter::empty()
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        if let Some(key) = digest(key) {
            self.records.remove(&key, provider);
        }
    }
}
