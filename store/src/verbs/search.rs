//! Searching shares by parts of their names.

use std::ops::Bound;

use redb::ReadableTable;

use crate::{
    Cursor, DatabaseError, Page, Share, Store,
    database::SHARES,
    name_index::{PREFIX_BITS, Postings, grams, least, postings, prefix},
};

/// How many rows one page examines, even if the filter accepts few: about 5 ms.
const MAX_ROWS_PER_PAGE: usize = 10_000;

impl Store {
    /// Up to `limit` live shares that the filter accepts, ordered by hash, from after the cursor,
    /// whose lower-case names contain each of `words`. The filter may also see other shares.
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
            let (mut shares, mut examined) = (Vec::new(), 0);
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
                    examined += 1;
                    if share.origin.is_live(&folders) && filter(&share) {
                        shares.push(share);
                    }
                    if shares.len() >= limit || examined >= MAX_ROWS_PER_PAGE {
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
        // Locked while the index is built; shares added in the meantime follow afterwards.
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
    use crate::testing::on_every_store;

    /// The names of all shares whose names have these words, read in pages of two.
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
    fn names_are_found_by_their_parts_while_shares_change() {
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
    fn a_page_reads_only_the_matching_shares() {
        on_every_store(|home| {
            for n in 0..40 {
                home.share(&format!("holiday {n}"), &[n]);
            }
            home.share("needle", b"1");
            let mut examined = 0;
            let filter = |_: &Share| {
                examined += 1;
                true
            };
            let page = home
                .store
                .shares_with(&["needle".to_owned()], None, 10, filter);
            assert_eq!((page.unwrap().shares.len(), examined), (1, 1));
        });
    }
}
