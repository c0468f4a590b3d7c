//! An index of the names of shares, for searches by parts of names.
//!
//! There is one index for each catalogue, in memory. For every three bytes of a lower-case name, it lists the shares with
//! these bytes. It is built from all its rows at the first search, and then follows each change. It
//! only yields candidates, which are compared with their rows, so that entries of withdrawn shares
//! do no harm. A name of twenty bytes takes 144 bytes: a million shares take 144 MB, and building
//! the index takes about two seconds.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use parking_lot::Mutex;
use pelago_content::Hash;

use super::{Scope, Share, share::CatalogueKey};

/// The length of a part of a name, in bytes.
const GRAM: usize = 3;

/// A part of a name, followed by the first bits of a hash. Within each part, postings have the
/// order of the list of shares.
type Posting = u64;

/// How many bits of a hash the index holds. Among a million shares, one in a million shares them
/// with another.
const PREFIX_BITS: u32 = 40;

/// The lowest number of postings that wait to be sorted in.
const MIN_RECENT: usize = 4096;

/// The lowest number of withdrawn shares after which the index is rebuilt, which limits its growth.
const MIN_WITHDRAWN: usize = 4096;

/// How many catalogues have an index at a time. Beyond it, all are built again when they are needed.
const MAX_INDEXES: usize = 64;

/// The indexes that were built.
#[derive(Default)]
pub(super) struct NameIndex(pub(super) Mutex<Indexes>);

#[derive(Default)]
pub(super) struct Indexes(HashMap<CatalogueKey, Postings>);

#[derive(Default)]
pub(super) struct Postings {
    pub(super) sorted: Vec<Posting>,
    recent: BTreeSet<Posting>,
    /// Shares in the index, and withdrawn shares that may still be in it.
    pub(super) shares: usize,
    withdrawn: usize,
}

impl NameIndex {
    /// Adds shares to the catalogues of their scopes.
    pub(super) fn add<'s>(&self, shares: impl IntoIterator<Item = &'s Share>) {
        let mut indexes = self.0.lock();
        if indexes.0.is_empty() {
            return;
        }
        for share in shares {
            for catalogue in share.scopes.iter().filter_map(Scope::catalogue) {
                if let Some(postings) = indexes.0.get_mut(&catalogue) {
                    postings.add(&share.hash, &share.name);
                }
            }
        }
    }

    /// Counts withdrawn shares, which may have been in any catalogue.
    pub(super) fn withdrawn(&self, count: usize) {
        self.0.lock().0.retain(|_, postings| {
            postings.withdrawn += count;
            postings.withdrawn <= MIN_WITHDRAWN.max(postings.shares / 2)
        });
    }
}

impl Indexes {
    pub(super) fn get(&self, catalogue: &CatalogueKey) -> Option<&Postings> {
        self.0.get(catalogue)
    }

    pub(super) fn keep(&mut self, catalogue: CatalogueKey, postings: Postings) {
        if self.0.len() >= MAX_INDEXES {
            self.0.clear();
        }
        self.0.insert(catalogue, postings);
    }
}

impl Postings {
    fn add(&mut self, hash: &Hash, name: &str) {
        self.shares += 1;
        self.recent.extend(postings(hash, name));
        if self.recent.len() > MIN_RECENT.max(self.sorted.len() / 8) {
            self.sorted.extend(std::mem::take(&mut self.recent));
            self.sorted.sort_unstable();
            self.sorted.dedup();
        }
    }

    /// The sorted postings of a gram, and the range of all its postings.
    fn of(&self, gram: u64) -> (&[Posting], Range<Posting>) {
        let range = gram << PREFIX_BITS..(gram + 1) << PREFIX_BITS;
        let start = self
            .sorted
            .partition_point(|posting| *posting < range.start);
        let end = self.sorted.partition_point(|posting| *posting < range.end);
        (&self.sorted[start..end], range)
    }

    /// The first bits of the hashes of shares whose names may have all grams, beginning with
    /// `from`.
    pub(super) fn candidates(&self, grams: &[u64], from: u64) -> Vec<u64> {
        let mut lists: Vec<_> = grams.iter().map(|gram| self.of(*gram)).collect();
        lists.sort_by_key(|(sorted, range)| {
            sorted.len() + self.recent.range(range.clone()).take(MIN_RECENT).count()
        });
        let Some(((sorted, range), others)) = lists.split_first() else {
            return Vec::new();
        };
        let start = range.start + from;
        let sorted = sorted[sorted.partition_point(|posting| *posting < start)..].iter();
        let recent = self.recent.range(start..range.end);
        let prefixes = sorted.chain(recent).map(|posting| posting - range.start);
        let is_in = |prefix: u64| {
            others.iter().all(|(sorted, range)| {
                let posting = range.start + prefix;
                sorted.binary_search(&posting).is_ok() || self.recent.contains(&posting)
            })
        };
        let mut found: Vec<_> = prefixes.filter(|prefix| is_in(*prefix)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Each sequence of three bytes of a text, as a number.
pub(super) fn grams(text: &str) -> BTreeSet<u64> {
    let grams = text.as_bytes().windows(GRAM);
    let number = |gram: &[u8]| gram.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    grams.map(number).collect()
}

pub(super) fn postings(hash: &Hash, name: &str) -> impl Iterator<Item = Posting> + use<> {
    let prefix = prefix(hash);
    let grams = grams(&name.to_lowercase()).into_iter();
    grams.map(move |gram| gram << PREFIX_BITS | prefix)
}

/// The first bits of a hash.
pub(super) fn prefix(hash: &Hash) -> u64 {
    let bytes = hash.as_bytes().first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(bytes) >> (u64::BITS - PREFIX_BITS)
}

/// The lowest hash with these first bits.
pub(super) fn least(prefix: u64) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&(prefix << (u64::BITS - PREFIX_BITS)).to_be_bytes());
    hash
}

/// The greatest hash with these first bits.
pub(super) fn greatest(prefix: u64) -> [u8; 32] {
    let mut hash = least(prefix);
    hash[PREFIX_BITS as usize / 8..].fill(0xff);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_names_are_found_like_sorted_ones() {
        let mut index = Postings::default();
        for n in 0..3 * MIN_RECENT as u32 {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&n.to_be_bytes());
            index.add(&Hash::from_bytes(hash), &format!("{n:05} file"));
        }
        assert!(!index.sorted.is_empty() && !index.recent.is_empty());
        let query: Vec<_> = grams("00").into_iter().chain(grams("12345")).collect();
        let found = index.candidates(&query, 0);
        assert!(found.is_empty(), "there are fewer");
        let query: Vec<_> = grams("12287 file").into_iter().collect();
        assert_eq!(index.candidates(&query, 0), [12287 << 8]);
        assert!(index.candidates(&query, (12287 << 8) + 1).is_empty());
    }
}
