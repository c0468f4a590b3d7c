//! Collecting the trees and manifests that nothing needs any more.
//!
//! A file is needed by the row of a share or of a member, by the record of a folder that is being
//! downloaded, or by a pin. Its age does not count, because hashing a folder may take hours. Errors
//! are those of the database; a folder that cannot be read is skipped and logged.

use std::collections::HashSet;

use pelago_content::{EntryKind, Hash, Kind};

use crate::{DatabaseError, Store, side_files::StoredByHash};

/// How many hashes are looked up in one transaction.
const BATCH: usize = 1000;

/// How many files were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Stored trees.
    pub trees: usize,
    /// Manifests.
    pub manifests: usize,
}

impl Store {
    /// Removes the trees and manifests that are not needed. Blocks; lists all of them.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`] if the database cannot be read. Files that were removed before were not
    /// needed.
    pub fn collect(&self) -> Result<Collected, DatabaseError> {
        let of_downloads = self.manifests_of_downloads();
        let inner = &self.inner;
        Ok(Collected {
            trees: self.collect_from(&*inner.trees, &HashSet::new())?,
            manifests: self.collect_from(&inner.manifests, &of_downloads)?,
        })
    }

    fn collect_from(
        &self,
        kept: &impl StoredByHash,
        needed: &HashSet<Hash>,
    ) -> Result<usize, DatabaseError> {
        let found = match kept.unpinned() {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the files that nothing needs cannot be listed");
                return Ok(0);
            }
        };
        let mut removed = 0;
        for batch in found.chunks(BATCH) {
            // Usually all of them are needed, which one transaction shows.
            for hash in self.shared_nowhere(batch)? {
                // Shares that were lost with a damaged database have no rows until they are found
                // again.
                if needed.contains(&hash) || self.is_recovering() {
                    continue;
                }
                let is_needed =
                    || Ok(!self.shared_nowhere(&[hash])?.contains(&hash) || self.is_recovering());
                if kept.collect(&hash, is_needed)? {
                    self.inner.open_files.forget(&[hash]);
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// The manifests of all folders that are being downloaded, whether active or not.
    fn manifests_of_downloads(&self) -> HashSet<Hash> {
        let recorded = self.partials().unwrap_or_else(|error| {
            tracing::warn!(%error, "the records of downloads cannot be read");
            Vec::new()
        });
        let folders = recorded
            .iter()
            .filter(|spec| spec.descriptor.kind() == Kind::Folder);
        let mut found = HashSet::new();
        for spec in folders {
            found.extend(self.manifests_below(&spec.descriptor.hash()));
        }
        found
    }

    /// The hashes of a folder and all folders in it whose manifests are stored.
    pub(crate) fn manifests_below(&self, folder: &Hash) -> Vec<Hash> {
        let (mut known, mut found, mut next) = (HashSet::from([*folder]), vec![*folder], 0);
        while let Some(hash) = found.get(next).copied() {
            next += 1;
            let Ok(Some(manifest)) = self.manifest(&hash) else {
                continue;
            };
            for entry in manifest.entries() {
                if let EntryKind::Folder { descriptor, .. } = &entry.kind
                    && known.insert(descriptor.hash())
                {
                    found.push(descriptor.hash());
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::{
        Collected, NewFolder, Origin, Scope,
        testing::{Home, bytes, go_on},
    };

    fn count(home: &Home, folder: &str) -> usize {
        // One entry is the directory of unfinished files.
        fs::read_dir(home.path("data").join(folder))
            .unwrap()
            .count()
            - 1
    }

    #[test]
    fn unshared_content_stays_until_it_is_collected_and_shared_content_stays() {
        let home = Home::on_disk();
        let first = home.share("first", &bytes(300_000, 1));
        let second = home.share("second", &bytes(300_000, 2));
        let withdrawn = [(first.descriptor.hash(), first.path.clone())];
        home.store.remove_shares(&withdrawn).unwrap();
        assert_eq!(count(&home, "trees"), 2);
        // Content that is shared again before that is kept.
        home.store.add_shares(std::slice::from_ref(&first)).unwrap();
        home.store
            .read_chunk(&first.descriptor.hash(), 4, 0, true)
            .unwrap();
        assert_eq!(home.store.collect().unwrap(), Collected::default());
        home.store.remove_shares(&withdrawn).unwrap();
        let removed = home.store.collect().unwrap();
        assert_eq!((removed.trees, removed.manifests), (1, 0));
        home.store
            .read_chunk(&second.descriptor.hash(), 4, 0, true)
            .unwrap();
    }

    #[test]
    fn hashed_content_that_is_not_shared_yet_is_not_collected() {
        let home = Home::on_disk();
        let path = home.path("file");
        fs::write(&path, bytes(300_000, 1)).unwrap();
        let share = home.hash(&path);
        assert_eq!(home.store.collect().unwrap(), Collected::default());
        home.store.add_shares(std::slice::from_ref(&share)).unwrap();
        home.store
            .read_chunk(&share.descriptor.hash(), 4, 0, true)
            .unwrap();
        // From now on, the row keeps it.
        assert_eq!(home.store.collect().unwrap(), Collected::default());
    }

    #[test]
    fn manifests_go_with_the_last_folder_that_has_them() {
        let home = Home::on_disk();
        for (name, same) in [("one", "sub"), ("two", "sub")] {
            let folder = home.path(name).join(same);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("file"), "file").unwrap();
            fs::write(home.path(name).join(name), name).unwrap();
        }
        let share = |name: &str| {
            let folder = NewFolder {
                path: home.path(name),
                name: name.to_owned(),
                scopes: Scope::Everyone.into(),
                origin: Origin::Explicit,
            };
            let (descriptor, _) = home.store.share_folder(&folder, &go_on).unwrap();
            (descriptor.hash(), folder.path)
        };
        let shared = [share("one"), share("two")];
        assert_eq!(count(&home, "manifests"), 3);
        for (at, left) in [(0, 2), (1, 0)] {
            home.store.remove_shares(&shared[at..=at]).unwrap();
            home.store.collect().unwrap();
            assert_eq!(count(&home, "manifests"), left);
        }
    }
}
