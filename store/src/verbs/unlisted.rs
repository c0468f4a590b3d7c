//! What a person decides about who may list content. Errors are those of the database.

use std::path::Path;

use pelago_content::Hash;
use redb::{ReadableTableMetadata, TableError};

use crate::{
    DatabaseError, Scopes, Store,
    database::{CONFINED, UNLISTED},
    share_tables::Tables,
};

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
        self.inner.names.add(&changed);
        self.inner.names.withdrawn(changed.len());
        self.shares_changed(changed.iter().map(|share| share.hash), &[]);
        Ok(revealed)
    }

    /// Notes that content which was downloaded to `path` in `scopes`, and is not shared, belongs to
    /// their groups: a folder that is watched for everyone later does not share it. Does nothing
    /// without groups. If that fails, it is logged.
    pub(crate) fn confine_or_log(&self, path: &Path, scopes: &Scopes, hashes: &[Hash]) {
        if scopes.groups().next().is_none() {
            return;
        }
        let confine =
            |transaction: &redb::WriteTransaction| Tables::open(transaction)?.confine(hashes);
        if let Err(error) = self.inner.database.write(confine) {
            let path = path.display();
            tracing::warn!(
                %path, %error, "cannot record that this is of a group: a folder with it that is \
                 watched later shares it"
            );
        }
    }

    fn has_nothing_unlisted(&self) -> Result<bool, DatabaseError> {
        self.inner.database.read(|transaction| {
            for table in [UNLISTED, CONFINED] {
                match transaction.open_table(table) {
                    Ok(kept) if kept.is_empty()? => {}
                    Ok(_) => return Ok(false),
                    // An earlier version wrote the database.
                    Err(TableError::TableDoesNotExist(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pelago_groups::GroupId;

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

    const GROUP: Scope = Scope::Group(GroupId::from_bytes([7; 32]));
    const OTHER: Scope = Scope::Group(GroupId::from_bytes([8; 32]));

    impl Home {
        fn scopes_of(&self, name: &str) -> Vec<Scope> {
            let share = self.store.share_at(&self.path(name)).unwrap();
            share.unwrap().scopes.iter().collect()
        }

        /// Shares the file as a folder does that is watched for a group.
        fn find_for(&self, scope: Scope, name: &str, data: &[u8]) {
            let path = self.path(name);
            fs::write(&path, data).unwrap();
            let found = NewShare {
                origin: Origin::Folder(self.folder.path().to_owned()),
                scopes: scope.into(),
                ..self.hash(&path)
            };
            self.store.add_shares(&[found]).unwrap();
        }
    }

    #[test]
    fn what_is_a_groups_stays_in_it_wherever_a_watched_folder_finds_it() {
        on_every_store(|home| {
            assert!(home.find("public", b"public"));
            home.share_in("theirs", b"theirs", GROUP);
            home.share_in("ours too", b"public", GROUP);
            assert!(home.is_listed("public"), "a group takes nothing away");
            home.find("copy", b"theirs");
            assert_eq!(home.scopes_of("copy"), [GROUP]);
            home.find("another", b"public");
            assert_eq!(home.scopes_of("another"), [Scope::Everyone]);
            // What was downloaded and not shared counts, too, unless it is listed.
            for (name, is_listed) in [("got", false), ("public", true)] {
                fs::write(home.path(name), name).unwrap();
                let hash = home.hash(&home.path(name)).descriptor.hash();
                let scopes = GROUP.into();
                home.store
                    .confine_or_log(&home.path(name), &scopes, &[hash]);
                let copy = format!("copy of {name}");
                assert_eq!(home.find(&copy, name.as_bytes()), is_listed, "{copy}");
            }
            // Once the group has lost it, no peer gets it.
            for name in ["theirs", "copy"] {
                home.remove(name);
            }
            home.find("back", b"theirs");
            assert_eq!(home.scopes_of("back"), []);
            home.share_in("listed", b"theirs", Scope::Everyone);
            assert!(home.is_listed("back") && home.find("again", b"theirs"));
        });
    }

    #[test]
    fn a_folder_that_is_watched_for_a_group_shares_with_it() {
        on_every_store(|home| {
            assert!(home.find("before", b"before"));
            for name in ["before", "new"] {
                home.find_for(GROUP, name, name.as_bytes());
                assert_eq!(home.scopes_of(name), [GROUP], "{name}");
            }
            home.share_in("secret", b"secret", Scope::Unlisted);
            home.find_for(GROUP, "copy", b"secret");
            assert_eq!(home.scopes_of("copy"), [Scope::Unlisted, GROUP]);
            // What a person shares with everyone, or another group, stays shared with them.
            home.share_in("open", b"open", Scope::Everyone);
            home.share_in("others", b"others", OTHER);
            for (name, also) in [("open", Scope::Everyone), ("others", OTHER)] {
                home.find_for(GROUP, name, name.as_bytes());
                let scopes = home.scopes_of(name);
                assert!(
                    scopes.contains(&GROUP) && scopes.contains(&also),
                    "{scopes:?}"
                );
            }
            // The folder is watched for everyone again.
            home.find("new", b"edited");
            assert_eq!(home.scopes_of("new"), [GROUP]);
        });
    }

    #[test]
    fn what_is_found_in_a_groups_folder_is_the_groups() {
        on_every_store(|home| {
            fs::create_dir(home.path("box")).unwrap();
            fs::write(home.path("box/a"), "a").unwrap();
            let folder = NewFolder {
                path: home.path("box"),
                name: "box".to_owned(),
                scopes: GROUP.into(),
                origin: Origin::Explicit,
            };
            home.store.share_folder(&folder, &go_on).unwrap();
            home.find("box/new", b"new");
            assert_eq!(home.scopes_of("box/new"), [GROUP]);
            home.find("moved", b"a");
            assert!(!home.is_listed("moved"), "its content is known");
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
