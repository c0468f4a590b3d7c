//! What a person decides about who may list content. Errors are those of the database.

use std::path::Path;

use redb::{ReadableTableMetadata, TableError};

use crate::{DatabaseError, Scopes, Store, database::UNLISTED, share_tables::Tables};

impl Store {
    /// Applies what a person decided by sharing `path`, which is recorded, in `scopes`: watched
    /// folders share the same content, and all files at `path` and below, in these scopes. Content
    /// that is unlisted stays so wherever a watched folder finds it, until this lists it. Returns how
    /// many files and folders below `path` were unlisted and are listed now.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn decide_scopes(&self, path: &Path, scopes: &Scopes) -> Result<u64, DatabaseError> {
        let Some(path) = path.to_str() else {
            return Ok(0);
        };
        // Then everything that watched folders found is listed.
        if scopes.is_listed() && self.has_nothing_unlisted()? {
            return Ok(0);
        }
        let decide = |transaction: &redb::WriteTransaction| {
            Tables::open(transaction)?.decide_scopes(path, scopes)
        };
        let (changed, revealed) = self.inner.database.write(decide)?;
        self.shares_changed(changed, &[]);
        Ok(revealed)
    }

    fn has_nothing_unlisted(&self) -> Result<bool, DatabaseError> {
        self.inner.database.read(|transaction| {
            match transaction.open_table(UNLISTED) {
                Ok(unlisted) => Ok(unlisted.is_empty()?),
                // An earlier version wrote the database.
                Err(TableError::TableDoesNotExist(_)) => Ok(true),
                Err(error) => Err(error.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        NewFolder, NewShare, Origin, Scope,
        testing::{Home, go_on, on_every_store, open},
    };

    impl Home {
        /// Shares the file as a watched folder does that is the whole home.
        fn find(&self, name: &str, data: &[u8]) -> bool {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, data).unwrap();
            let found = NewShare {
                origin: Origin::Folder(self.folder.path().to_owned()),
                ..self.hash(&path)
            };
            self.store.add_shares(&[found]).unwrap();
            self.is_listed(name)
        }

        /// Shares the file as a person does.
        fn share_in(&self, name: &str, data: &[u8], scope: Scope) {
            let path = self.path(name);
            fs::write(&path, data).unwrap();
            let scopes = scope.into();
            let share = NewShare {
                scopes,
                ..self.hash(&path)
            };
            self.store.add_shares(std::slice::from_ref(&share)).unwrap();
            self.store.decide_scopes(&path, &share.scopes).unwrap();
        }

        fn remove(&self, name: &str) {
            let path = self.path(name);
            let hash = self.store.share_at(&path).unwrap().unwrap().hash;
            assert_eq!(self.store.remove_shares(&[(hash, path)]).unwrap(), 1);
        }

        fn is_listed(&self, name: &str) -> bool {
            let share = self.store.share_at(&self.path(name)).unwrap();
            share.unwrap().scopes.is_listed()
        }
    }

    #[test]
    fn unlisted_content_stays_unlisted_until_a_person_lists_it() {
        on_every_store(|home| {
            assert!(home.find("public", b"public") && home.find("copy", b"secret"));
            home.share_in("secret", b"secret", Scope::Unlisted);
            assert!(!home.is_listed("copy"), "one that was found before");
            assert!(home.is_listed("public"));
            assert!(!home.find("renamed", b"secret"));
            for name in ["secret", "copy", "renamed"] {
                home.remove(name);
            }
            assert!(!home.find("back", b"secret"), "shared nowhere meanwhile");
            // A share stays what it is when its file is edited, and so does the new content.
            assert!(!home.find("back", b"edited"));
            assert!(!home.find("moved", b"edited"));
            assert!(!home.find("public", b"secret"), "a copy over a listed file");

            home.share_in("moved", b"edited", Scope::Everyone);
            assert!(home.is_listed("back"));
            assert!(home.find("again", b"edited"));
            assert!(!home.is_listed("public"), "that is other content");
        });
    }

    #[test]
    fn what_is_in_an_unlisted_folder_stays_unlisted() {
        on_every_store(|home| {
            assert!(home.find("box/deep/a", b"a") && home.find("other", b"other"));
            let folder = |scope: Scope| NewFolder {
                path: home.path("box"),
                name: "box".to_owned(),
                scopes: scope.into(),
                origin: Origin::Explicit,
            };
            let share = |scope| {
                let folder = folder(scope);
                home.store.share_folder(&folder, &go_on).unwrap();
                let decided = home.store.decide_scopes(&folder.path, &folder.scopes);
                decided.unwrap()
            };
            share(Scope::Unlisted);
            assert!(!home.is_listed("box/deep/a") && home.is_listed("other"));
            assert!(!home.find("moved/a", b"a"), "its content is known");
            assert!(!home.find("box/new", b"new"), "the folder is unlisted");
            assert!(!home.find("moved/new", b"new"));
            // Content that is listed elsewhere stays listed there.
            assert!(!home.find("box/other", b"other"));
            assert!(home.is_listed("other") && home.find("others", b"other"));
            assert_eq!(share(Scope::Everyone), 3, "deep, a and new");
            for name in ["box/deep/a", "box/new", "box/other", "moved/a", "moved/new"] {
                assert!(home.is_listed(name), "{name}");
            }
            assert!(home.find("box/last", b"last"));
        });
    }

    #[test]
    fn a_download_by_hash_hides_nothing_and_is_not_revealed() {
        on_every_store(|home| {
            assert!(home.find("public", b"public"));
            for content in ["public", "secret"] {
                let path = home.path(&format!("got {content}"));
                fs::write(&path, content).unwrap();
                let download = NewShare {
                    scopes: Scope::Unlisted.into(),
                    origin: Origin::Downloaded,
                    ..home.hash(&path)
                };
                home.store.add_shares(&[download]).unwrap();
            }
            assert!(home.is_listed("public") && home.find("copy", b"public"));
            assert!(!home.find("got secret", b"secret"));
            home.remove("got secret");
            assert!(!home.find("renamed", b"secret"));
        });
    }

    #[test]
    fn a_database_of_an_earlier_version_tells_by_its_shares() {
        let home = Home::on_disk();
        home.share_in("secret", b"secret", Scope::Unlisted);
        let forget = |transaction: &redb::WriteTransaction| {
            assert!(transaction.delete_table(UNLISTED)?);
            Ok(())
        };
        home.store.inner.database.write(forget).unwrap();
        let Home { store, folder } = home;
        drop(store);
        let store = open(folder.path());
        let home = Home { store, folder };
        assert!(home.store.has_nothing_unlisted().unwrap());
        assert!(!home.find("copy", b"secret"));
        assert!(!home.store.has_nothing_unlisted().unwrap());
    }
}
