//! Shares found by parts of their names.
//!
//! Owns an index in memory: for every three bytes of a name in lower case, the shares whose names have
//! them. It is made when somebody first searches, from all rows, and follows changes from then on. What it gives
//! are candidates: the rows decide, so that what it knows of withdrawn shares does no harm. A name of twenty bytes
//! takes 144 bytes: a million shares take 144 MB, and making it takes some two seconds.

use std::{
    collections::BTreeSet,
    ops::{Bound, Range},
};

use parking_lot::Mutex;
use pelago_content::Hash;
use redb::ReadableTable;

use super::{Cursor, Page};
use crate::store::{DatabaseError, Share, Store, database::SHARES};

/// Bytes of a part of a name.
const GRAM: usize = 3;

/// A part of a name above the first bits of a hash: the order of the list of shares within each part.
type Posting = u64;

/// Bits of a hash that the index holds: among a million shares, one in a million has those of another.
const PREFIX_BITS: u32 = 40;

/// Postings that wait to be sorted in, at least.
const MIN_RECENT: usize = 4096;

/// Shares withdrawn before the index is made again, at least: it grows no further by them.
const MIN_WITHDRAWN: usize = 4096;

/// Rows that one page looks at, however few the filter lets through: about 5 ms.
const MAX_ROWS_PER_PAGE: usize = 10_000;

/// The index, once it was made.
#[derive(Default)]
pub(in crate::store) struct NameIndex(Mutex<Option<Postings>>);

#[derive(Default)]
struct Postings {
    sorted: Vec<Posting>,
    recent: BTreeSet<Posting>,
    /// Shares that are here, and shares withdrawn that may be.
    shares: usize,
    withdrawn: usize,
}

impl NameIndex {
    /// These are shared now.
    pub(super) fn add<'n>(&self, shares: impl Iterator<Item = (Hash, &'n str)>) {
        if let Some(postings) = &mut *self.0.lock() {
            shares.for_each(|(hash, name)| postings.add(&hash, name));
        }
    }

    /// So many are shared no more.
    pub(super) fn withdrawn(&self, count: usize) {
        let mut index = self.0.lock();
        if let Some(postings) = &mut *index {
            postings.withdrawn += count;
            if postings.withdrawn > MIN_WITHDRAWN.max(postings.shares / 2) {
                *index = None;
            }
        }
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

    /// What begins with these grams: of each, what is sorted, and how much is recent.
    fn of(&self, gram: u64) -> (&[Posting], Range<Posting>) {
        let range = gram << PREFIX_BITS..(gram + 1) << PREFIX_BITS;
        let start = self
            .sorted
            .partition_point(|posting| *posting < range.start);
        let end = self.sorted.partition_point(|posting| *posting < range.end);
        (&self.sorted[start..end], range)
    }

    /// The first bits of the hashes of shares whose names may have all grams, from these bits on.
    fn candidates(&self, grams: &[u64], from: u64) -> Vec<u64> {
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

/// Each three bytes of a text, as a number.
fn grams(text: &str) -> BTreeSet<u64> {
    let grams = text.as_bytes().windows(GRAM);
    let number = |gram: &[u8]| gram.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    grams.map(number).collect()
}

fn postings(hash: &Hash, name: &str) -> impl Iterator<Item = Posting> + use<> {
    let prefix = prefix(hash);
    let grams = grams(&name.to_lowercase()).into_iter();
    grams.map(move |gram| gram << PREFIX_BITS | prefix)
}

/// The first bits of a hash.
fn prefix(hash: &Hash) -> u64 {
    let bytes = hash.as_bytes().first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(bytes) >> (u64::BITS - PREFIX_BITS)
}

/// The least hash with these first bits.
fn least(prefix: u64) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&(prefix << (u64::BITS - PREFIX_BITS)).to_be_bytes());
    hash
}

impl Store {
    /// Up to `limit` live shares that the filter lets through, ordered by hash, from behind the cursor, of those
    /// whose names in lower case have each of `words`. The filter may be given others.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn shares_with(
        &self,
        words: &[String],
        after: Option<&Cursor>,
        limit: usize,
        mut filter: impl FnMut(&Share) -> bool,
    ) -> Result<Page, DatabaseError> {
        let grams: Vec<_> = words.iter().flat_map(|word| grams(word)).collect();
        if grams.is_empty() {
            return self.shares_page(after, limit, filter);
        }
        let from = after.map_or(0, |cursor| prefix(&cursor.hash));
        let candidates = self.candidates(&grams, from)?;
        let folders = self.live_folders();
        self.inner.database.read(|transaction| {
            let table = transaction.open_table(SHARES)?;
            let (mut shares, mut looked_at) = (Vec::new(), 0);
            for prefix in candidates {
                let (start, end) = (least(prefix), least(prefix + 1));
                let start = match after {
                    Some(cursor) if *cursor.hash.as_bytes() >= start => {
                        Bound::Excluded((cursor.hash.as_bytes(), cursor.path.as_str()))
                    }
                    _ => Bound::Included((&start, "")),
                };
                let is_last = prefix + 1 == 1 << PREFIX_BITS;
                let end = match is_last {
                    true => Bound::Unbounded,
                    false => Bound::Excluded((&end, "")),
                };
                for entry in table.range::<(&[u8; 32], &str)>((start, end))? {
                    let (key, row) = entry?;
                    let (hash, path) = key.value();
                    let share = Share::from_row(hash, path, row.value())?;
                    let next = Cursor {
                        hash: share.hash,
                        path: path.to_owned(),
                    };
                    looked_at += 1;
                    if share.origin.is_live(&folders) && filter(&share) {
                        shares.push(share);
                    }
                    if shares.len() >= limit || looked_at >= MAX_ROWS_PER_PAGE {
                        let next = Some(next);
                        return Ok(Page { shares, next });
                    }
                }
            }
            Ok(Page { shares, next: None })
        })
    }

    fn candidates(&self, grams: &[u64], from: u64) -> Result<Vec<u64>, DatabaseError> {
        let mut index = self.inner.names.0.lock();
        if let Some(postings) = &*index {
            return Ok(postings.candidates(grams, from));
        }
        // Held while it is made: what is shared meanwhile is added behind.
        let mut made = Postings::default();
        self.inner.database.read(|transaction| {
            for entry in transaction.open_table(SHARES)?.iter()? {
                let (key, row) = entry?;
                let (hash, path) = key.value();
                let share = Share::from_row(hash, path, row.value())?;
                made.sorted.extend(postings(&share.hash, &share.name));
                made.shares += 1;
            }
            Ok(())
        })?;
        made.sorted.sort_unstable();
        made.sorted.dedup();
        Ok(index.insert(made).candidates(grams, from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::on_every_store;

    /// The names of all shares whose names have these words, page by page of two.
    fn found(store: &Store, words: &[&str]) -> Vec<String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let is_meant = |share: &Share| {
                let name = share.name.to_lowercase();
                words.iter().all(|word| name.contains(word))
            };
            let page = store.shares_with(&words, after.as_ref(), 2, is_meant);
            let page = page.unwrap();
            names.extend(page.shares.into_iter().map(|share| share.name));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        names.sort();
        names
    }

    #[test]
    fn names_are_found_by_their_parts_also_as_shares_come_and_go() {
        on_every_store(|home| {
            home.share("Seashells.txt", b"1");
            home.share("seashore.txt", b"2");
            home.share("sea", b"3");
            assert_eq!(found(&home.store, &["shell"]), ["Seashells.txt"]);
            home.share("shell", b"4");
            home.share("shell of the sea", b"5");
            home.share("\u{e4}pfel", b"6");
            let shells = ["Seashells.txt", "shell", "shell of the sea"];
            assert_eq!(found(&home.store, &["shell"]), shells);
            let both = ["Seashells.txt", "shell of the sea"];
            assert_eq!(found(&home.store, &["shell", "sea"]), both);
            assert_eq!(found(&home.store, &["\u{e4}pf"]), ["\u{e4}pfel"]);
            assert_eq!(
                found(&home.store, &["se"]).len(),
                4,
                "too short for the index"
            );
            assert_eq!(found(&home.store, &["absent"]), [""; 0]);
            let [share] = &home.store.shares_named("shell").unwrap()[..] else {
                panic!("one share");
            };
            let place = (share.hash, share.path.clone());
            home.store.remove_shares(&[place]).unwrap();
            assert_eq!(found(&home.store, &["shell"]), both);
        });
    }

    #[test]
    fn a_page_looks_at_no_more_than_the_shares_that_are_meant() {
        on_every_store(|home| {
            for n in 0..40 {
                home.share(&format!("holiday {n}"), &[n]);
            }
            home.share("needle", b"1");
            let mut looked_at = 0;
            let filter = |_: &Share| {
                looked_at += 1;
                true
            };
            let page = home
                .store
                .shares_with(&["needle".to_owned()], None, 10, filter);
            assert_eq!((page.unwrap().shares.len(), looked_at), (1, 1));
        });
    }

    #[test]
    fn what_is_recent_is_found_like_what_is_sorted() {
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
