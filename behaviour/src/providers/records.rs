//! The records of other nodes, with their quotas, and which one is replaced when the store is
//! full.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::{
    PeerId,
    kad::store::{Error, Result},
};
use rand::RngExt;

use super::{key_quotas::KeyQuotas, packed::PackedAddresses, usage::Usage};
use crate::{Origin, dial::Namer};

/// Records of other nodes, at most.
pub const MAX_RECORDS: usize = 65_536;

/// Memory for records of other nodes, in bytes: [`MAX_RECORDS`] with a few addresses each.
pub const MAX_BYTES: usize = 64 << 20;

/// Memory of a record in addition to its addresses, in bytes: the record, its key, and the counts
/// of its provider and host, each with the spare space of hash tables.
const RECORD_BYTES: usize = 960;

/// The share of one host, an eighth of the store: it keeps more only while others do not need the
/// space.
pub const MAX_RECORDS_PER_HOST: usize = 8_192;

/// The share of one site: two full hosts.
const MAX_RECORDS_PER_SITE: usize = 2 * MAX_RECORDS_PER_HOST;

/// Providers kept for one key: three answers, so that liars have to replace many before an honest
/// one is missing.
pub const MAX_PROVIDERS_PER_KEY: usize = 64;

/// Records that are compared to find the one to replace.
const SAMPLE: usize = 16;

/// Attempts to find a record of a host that has an eighth of the store, or more: one in 5,000
/// searches fails.
const TRIES: usize = 64;

/// A provider that announces again after this long is likely to stay. Honest ones announce every
/// 22 h; a liar has to come back.
const RENEWED_AFTER: Duration = Duration::from_secs(3600);

/// One record.
pub(super) struct StoredRecord {
    pub(super) key: [u8; 32],
    pub(super) provider: PeerId,
    pub(super) namer: Namer,
    pub(super) addresses: PackedAddresses,
    pub(super) since: Instant,
    pub(super) expires: Instant,
    pub(super) is_renewed: bool,
}

/// All records, with the quotas of each key and each origin.
#[derive(Default)]
pub(super) struct Records {
    entries: Vec<StoredRecord>,
    /// The indexes in `entries` of the records of each key.
    keys: HashMap<[u8; 32], Vec<u32>>,
    usage: Usage,
    bytes: usize,
}

impl StoredRecord {
    fn cost(&self) -> usize {
        RECORD_BYTES + self.addresses.len()
    }

    pub(super) fn origin(&self) -> Origin {
        self.namer.origin
    }
}

impl Records {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn usage(&self) -> &Usage {
        &self.usage
    }

    pub(super) fn usage_mut(&mut self) -> &mut Usage {
        &mut self.usage
    }

    /// The records of a key.
    pub(super) fn of_key(&self, key: &[u8; 32]) -> impl Iterator<Item = &StoredRecord> {
        let indexes = self.keys.get(key).into_iter().flatten();
        indexes.map(|index| &self.entries[*index as usize])
    }

    /// Removes the record of a provider.
    pub(super) fn remove(&mut self, key: &[u8; 32], provider: &PeerId) {
        if let Some(index) = self.index_of(key, provider) {
            self.remove_at(index);
        }
    }

    /// Stores a record; replaces another one if the store is full.
    pub(super) fn add(&mut self, entry: StoredRecord, is_reached: bool) -> Result<()> {
        let known = self.index_of(&entry.key, &entry.provider);
        if let Some(known) = known {
            self.renew(known, entry, is_reached);
            return Ok(());
        }
        let now = entry.since;
        let origin = entry.origin();
        if let Some(index) = self.spare_of_key(&entry.key, origin, now) {
            self.remove_at(index);
        }
        let is_full = |records: &Self| {
            records.entries.len() >= MAX_RECORDS || records.bytes + entry.cost() > MAX_BYTES
        };
        if is_full(self) {
            // A host or site with more than its share replaces its own records; others replace
            // those of hosts and sites that have more.
            if self.usage.of_host(origin) >= MAX_RECORDS_PER_HOST {
                self.remove_one(|other| other.origin() == origin)?;
            } else if self.usage.of_site(origin) >= MAX_RECORDS_PER_SITE {
                self.remove_one(|other| other.origin().site() == origin.site())?;
            }
        }
        while is_full(self) {
            let sample = (0..SAMPLE).map(|_| self.random_index());
            let Some(index) = sample.min_by_key(|index| self.worth(*index, now)) else {
                break;
            };
            self.remove_at(index);
        }
        self.push(entry, is_reached);
        Ok(())
    }

    fn push(&mut self, entry: StoredRecord, is_reached: bool) {
        self.usage.add(entry.origin(), entry.provider, is_reached);
        self.bytes += entry.cost();
        // There are fewer than fit 32 bits.
        let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.keys.entry(entry.key).or_default().push(index);
        self.entries.push(entry);
    }

    /// Updates the record of a provider that announces again.
    fn renew(&mut self, index: usize, new: StoredRecord, is_reached: bool) {
        let known = &self.entries[index];
        let (since, is_renewed) = (known.since, known.is_renewed);
        let is_old = new.since.duration_since(since) >= RENEWED_AFTER;
        // Added first: without a record, the provider would lose the mark of having been reached.
        self.usage.add(new.origin(), new.provider, is_reached);
        self.usage.remove(known.origin(), &known.provider);
        self.bytes = self.bytes + new.cost() - known.cost();
        self.entries[index] = StoredRecord {
            since,
            is_renewed: is_renewed || is_old,
            ..new
        };
    }

    /// The record to replace by another one of its key from `origin`, if the key is full: one of
    /// the same host or site if that has its share, otherwise one of a host or site that has more.
    fn spare_of_key(&self, key: &[u8; 32], origin: Origin, now: Instant) -> Option<usize> {
        let indexes = self.keys.get(key)?;
        if indexes.len() < MAX_PROVIDERS_PER_KEY {
            return None;
        }
        let quotas = KeyQuotas::of(
            indexes
                .iter()
                .map(|index| self.entries[*index as usize].origin()),
        );
        let is_crowd = |index: &usize| quotas.exceeds(self.entries[*index].origin());
        let is_own = |index: &usize| {
            let other = self.entries[*index].origin();
            let is_same_site = origin.site().is_some() && other.site() == origin.site();
            other == origin || (is_same_site && !quotas.is_host_full(origin))
        };
        let of = |is_one: &dyn Fn(&usize) -> bool| {
            let indexes = indexes.iter().map(|index| *index as usize);
            indexes
                .filter(|index| is_one(index))
                .min_by_key(|index| self.worth(*index, now))
        };
        if quotas.is_host_full(origin) || quotas.is_site_full(origin) {
            return of(&is_own);
        }
        of(&is_crowd).or_else(|| of(&|_| true))
    }

    /// How much a record is worth keeping; random among equals.
    fn worth(&self, index: usize, now: Instant) -> (u8, u32) {
        let entry = &self.entries[index];
        let origin = entry.origin();
        let is_over = self.usage.of_host(origin) > MAX_RECORDS_PER_HOST
            || self.usage.of_site(origin) > MAX_RECORDS_PER_SITE;
        let rank = if entry.expires <= now {
            0
        } else if is_over {
            1
        } else {
            let is_reached = self.usage.is_reached(&entry.provider);
            2 + u8::from(entry.is_renewed) + 2 * u8::from(is_reached)
        };
        (rank, rand::rng().random())
    }

    /// Removes a random one of the records that are `theirs`, which are an eighth of the store.
    fn remove_one(&mut self, theirs: impl Fn(&StoredRecord) -> bool) -> Result<()> {
        let mut indexes = (0..TRIES).map(|_| self.random_index());
        let index = indexes.find(|index| theirs(&self.entries[*index]));
        self.remove_at(index.ok_or(Error::MaxProvidedKeys)?);
        Ok(())
    }

    fn random_index(&self) -> usize {
        rand::rng().random_range(0..self.entries.len().max(1))
    }

    fn index_of(&self, key: &[u8; 32], provider: &PeerId) -> Option<usize> {
        let mut indexes = self.keys.get(key)?.iter().map(|index| *index as usize);
        indexes.find(|index| self.entries[*index].provider == *provider)
    }

    fn remove_at(&mut self, index: usize) {
        if index >= self.entries.len() {
            return;
        }
        let last = self.entries.len() - 1;
        let removed = self.entries.swap_remove(index);
        self.usage.remove(removed.origin(), &removed.provider);
        self.bytes -= removed.cost();
        if let Some(indexes) = self.keys.get_mut(&removed.key) {
            indexes.retain(|known| *known as usize != index);
            if indexes.is_empty() {
                self.keys.remove(&removed.key);
            }
        }
        if let Some(moved) = self.entries.get(index)
            && let Some(indexes) = self.keys.get_mut(&moved.key)
        {
            let known = indexes.iter_mut().find(|known| **known as usize == last);
            known.into_iter().for_each(|known| *known = index as u32);
        }
    }
}
