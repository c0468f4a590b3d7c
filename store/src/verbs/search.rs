//! The catalogue of each scope, page by page: all of it, or the shares whose names have some words.
//!
//! A page is read from the index of catalogues, so that no share outside the scope has an effect on
//! where it ends or on how long it takes.

use std::{
    hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState},
    ops::Bound,
};

use redb::TableError;

use crate::{
    Cursor, DatabaseError, Page, Scope, Share, Store,
    database::{CATALOGUES, SHARES},
    name_index::{Postings, grams, greatest, least, postings, prefix},
    share::CatalogueKey,
    share_tables::{PAST_ALL_PATHS, Tables, row},
};

/// How many rows one page examines, even if the filter accepts few: about 5 ms.
const MAX_ROWS_PER_PAGE: usize = 10_000;

/// The hashes of a whole catalogue.
const ALL_HASHES: ([u8; 32], [u8; 32]) = ([0; 32], [0xff; 32]);

impl Store {
    /// Up to `limit` live shares in `scope` that the filter accepts, ordered by hash, from after the
    /// cursor, whose lower-case names contain each of `words`. The filter may also see other shares
    /// in the scope. Nothing unlisted is in a catalogue.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn catalogue_page(
        &self,
        scope: Scope,
        words: &[String],
        after: Option<&Cursor>,
        limit: usize,
        mut filter: impl FnMut(&Share) -> bool,
    ) -> Result<Page, DatabaseError> {
        let Some(catalogue) = scope.catalogue() else {
            return Ok(Page::default());
        };
        self.index_catalogues()?;
        let grams: Vec<_> = words.iter().flat_map(|word| grams(word)).collect();
        let runs = match grams.is_empty() {
            true => vec![ALL_HASHES],
            false => {
                let from = after.map_or(0, |cursor| prefix(&cursor.hash));
                let candidates = self.candidates(&catalogue, &grams, from)?.into_iter();
                candidates
                    .map(|prefix| (least(prefix), greatest(prefix)))
                    .collect()
            }
        };
        let folders = self.live_folders();
        self.inner.database.read(|transaction| {
            let listed = transaction.open_table(CATALOGUES)?;
            let table = transaction.open_table(SHARES)?;
            let (mut page, mut examined) = (Page::default(), 0);
            for (first, last) in runs {
                let start = match after {
                    Some(cursor) if *cursor.hash.as_bytes() >= first => {
                        let hash = cursor.hash.as_bytes();
                        Bound::Excluded((&catalogue, hash, cursor.path.as_str()))
                    }
                    _ => Bound::Included((&catalogue, &first, "")),
                };
                let end = Bound::Excluded((&catalogue, &last, PAST_ALL_PATHS));
                for entry in listed.range::<(&CatalogueKey, &[u8; 32], &str)>((start, end))? {
                    let (key, _) = entry?;
                    let (_, hash, path) = key.value();
                    let Some(share) = row(&table, hash, path)? else {
                        continue;
                    };
                    let next = Cursor {
                        hash: share.hash,
                        path: path.to_owned(),
                    };
                    examined += 1;
                    if share.origin.is_live(&folders) && filter(&share) {
                        page.shares.push(share);
                    }
                    if page.shares.len() >= limit || examined >= MAX_ROWS_PER_PAGE {
                        page.next = Some(next);
                        return Ok(page);
                    }
                }
            }
            Ok(page)
        })
    }

    /// Stands for what the catalogue of `scope` shows by the states of the shares: another number once
    /// that changes, by keys of the caller. Reads all of its rows.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn catalogue_digest(&self, scope: Scope, keys: &RandomState) -> Result<u64, DatabaseError> {
        let (mut hasher, mut after) = (keys.build_hasher(), None);
        scope.catalogue().hash(&mut hasher);
        loop {
            let page = self.catalogue_page(scope, &[], after.as_ref(), 1, |share| {
                if self.state_of(share).is_available() {
                    (share.hash.as_bytes(), &share.name).hash(&mut hasher);
                }
                false
            })?;
            after = page.next;
            if after.is_none() {
                return Ok(hasher.finish());
            }
        }
    }

    /// Makes the index of catalogues, if a version without one wrote the database.
    fn index_catalogues(&self) -> Result<(), DatabaseError> {
        let database = &self.inner.database;
        let has_index = database.read(|transaction| match transaction.open_table(CATALOGUES) {
            Ok(_) => Ok(true),
            Err(TableError::TableDoesNotExist(_)) => Ok(false),
            Err(error) => Err(error.into()),
        })?;
        match has_index {
            true => Ok(()),
            false => database.write(|transaction| Tables::open(transaction).map(drop)),
        }
    }

    /// The first bits of the hashes in the catalogue whose names may have all grams, beginning with
    /// `from`.
    fn candidates(
        &self,
        catalogue: &CatalogueKey,
        grams: &[u64],
        from: u64,
    ) -> Result<Vec<u64>, DatabaseError> {
        let mut indexes = self.inner.names.0.lock();
        if let Some(postings) = indexes.get(catalogue) {
            return Ok(postings.candidates(grams, from));
        }
        // Locked while the index is built; shares added in the meantime follow afterwards.
        let mut made = Postings::default();
        self.inner.database.read(|transaction| {
            let listed = transaction.open_table(CATALOGUES)?;
            let table = transaction.open_table(SHARES)?;
            let (first, last) = ALL_HASHES;
            let all = (catalogue, &first, "")..(catalogue, &last, PAST_ALL_PATHS);
            for entry in listed.range::<(&CatalogueKey, &[u8; 32], &str)>(all)? {
                let (key, _) = entry?;
                let (_, hash, path) = key.value();
                if let Some(share) = row(&table, hash, path)? {
                    made.sorted.extend(postings(&share.hash, &share.name));
                    made.shares += 1;
                }
            }
            Ok(())
        })?;
        made.sorted.sort_unstable();
        made.sorted.dedup();
        let found = made.candidates(grams, from);
        indexes.keep(*catalogue, made);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pelago_groups::GroupId;

    use super::*;
    use crate::{
        NewShare, ShareState,
        testing::{Home, on_every_store, open},
    };

    /// The names of all shares whose names have these words, read in pages of two.
    fn found(store: &Store, words: &[&str]) -> Vec<String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let is_meant = |share: &Share| {
                let name = share.name.to_lowercase();
                words.iter().all(|word| name.contains(word))
            };
            let page = store.catalogue_page(Scope::Everyone, &words, after.as_ref(), 2, is_meant);
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
            let words = ["needle".to_owned()];
            let everyone = Scope::Everyone;
            let page = home
                .store
                .catalogue_page(everyone, &words, None, 10, filter);
            assert_eq!((page.unwrap().shares.len(), examined), (1, 1));
        });
    }

    const GROUP: Scope = Scope::Group(GroupId::from_bytes([7; 32]));
    const OTHER: Scope = Scope::Group(GroupId::from_bytes([8; 32]));

    /// The names in the catalogue of `scope`, by a query or all, and how many shares were examined.
    fn catalogue(store: &Store, scope: Scope, words: &[&str]) -> (Vec<String>, usize) {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut examined = 0;
        let page = store.catalogue_page(scope, &words, None, 100, |share| {
            examined += 1;
            share.name.contains(words.first().map_or("", |word| word))
        });
        let shares = page.unwrap().shares.into_iter();
        let mut names: Vec<_> = shares.map(|share| share.name).collect();
        names.sort();
        (names, examined)
    }

    impl Home {
        fn share_with(&self, name: &str, scopes: &[Scope]) -> NewShare {
            let path = self.path(name);
            fs::write(&path, name).unwrap();
            let mut share = self.hash(&path);
            share.scopes.remove(Scope::Everyone);
            scopes.iter().for_each(|scope| share.scopes.insert(*scope));
            self.store.add_shares(std::slice::from_ref(&share)).unwrap();
            share
        }
    }

    #[test]
    fn each_catalogue_has_its_scope_alone_and_reads_nothing_else() {
        on_every_store(|home| {
            let store = &home.store;
            assert!(catalogue(store, GROUP, &["e"]).0.is_empty());
            home.share_with("everyone", &[Scope::Everyone]);
            home.share_with("secret", &[Scope::Unlisted]);
            let theirs = home.share_with("theirs", &[GROUP]);
            home.share_with("the others", &[OTHER]);
            let all = home.share_with("the whole", &[Scope::Everyone, GROUP, OTHER]);
            for (scope, names) in [
                (Scope::Everyone, &["everyone", "the whole"][..]),
                (Scope::Unlisted, &[]),
                (GROUP, &["the whole", "theirs"]),
                (OTHER, &["the others", "the whole"]),
            ] {
                let expected: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
                let found = catalogue(store, scope, &[]);
                assert_eq!(found, (expected.clone(), names.len()), "{scope:?}");
                let the: Vec<_> = expected.into_iter().filter(|n| n.contains("the")).collect();
                let found = catalogue(store, scope, &["the"]);
                assert_eq!(found, (the.clone(), the.len()), "{scope:?}");
            }

            let places = [&theirs, &all].map(|new| (new.descriptor.hash(), new.path.clone()));
            assert_eq!(store.remove_scopes(&places, &GROUP.into()).unwrap(), 2);
            assert_eq!(store.remove_scopes(&places, &GROUP.into()).unwrap(), 0);
            assert!(catalogue(store, GROUP, &[]).0.is_empty());
            assert_eq!(catalogue(store, OTHER, &[]).0.len(), 2);
            assert_eq!(
                store.share_at(&theirs.path).unwrap(),
                None,
                "it was its last scope"
            );
            let left = store.share_at(&all.path).unwrap().unwrap();
            assert!(left.scopes.contains(OTHER) && !left.scopes.contains(GROUP));
        });
    }

    #[test]
    fn the_digest_of_a_catalogue_changes_with_what_it_shows_alone() {
        on_every_store(|home| {
            let (store, keys) = (&home.store, RandomState::new());
            let digest = |scope| store.catalogue_digest(scope, &keys).unwrap();
            let none = digest(GROUP);
            assert_ne!(none, digest(OTHER), "equal catalogues look different");
            home.share_with("everyone", &[Scope::Everyone]);
            home.share_with("the others", &[OTHER]);
            assert_eq!(digest(GROUP), none);
            let theirs = home.share_with("theirs", &[GROUP]);
            let one = digest(GROUP);
            assert_ne!(one, none);
            let share = store.share_at(&theirs.path).unwrap().unwrap();
            store.set_state(&share, ShareState::Missing);
            assert_eq!(digest(GROUP), none);
            store.set_state(&share, ShareState::Available);
            assert_eq!(digest(GROUP), one);
            let renamed = NewShare {
                name: "renamed".to_owned(),
                ..theirs
            };
            store.add_shares(&[renamed]).unwrap();
            assert!(![none, one].contains(&digest(GROUP)));
        });
    }

    #[test]
    fn a_database_without_the_index_gets_it() {
        let home = Home::on_disk();
        home.share_with("theirs", &[GROUP]);
        let forget = |transaction: &redb::WriteTransaction| {
            assert!(transaction.delete_table(CATALOGUES)?);
            Ok(())
        };
        home.store.inner.database.write(forget).unwrap();
        let Home { store, folder } = home;
        drop(store);
        assert_eq!(catalogue(&open(folder.path()), GROUP, &[]).0, ["theirs"]);
    }
}
