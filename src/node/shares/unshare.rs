//! What a person stops sharing: a place, the places of a name, or all places of some content. Blocks.
//!
//! Owns what a word means, and that a place in a watched folder stays withdrawn. Failures leave as an
//! [`UnshareError`]; nothing is withdrawn then.

use std::path::Path;

use super::{Shared, UnshareError, each_page, select::select};
use crate::store::{DatabaseError, Exclusion, Origin, Share, Store};

/// Withdraws what `what` means: a hash or its first digits mean all places of that content, a name those
/// of that name, a path that place and all that a watched folder shares below it. `path` is the path that
/// `what` is, if it is one, for what nothing is called. Gives what was withdrawn, each place.
///
/// # Errors
/// Nothing is called so, or several contents are; or it cannot be kept.
pub fn unshare(
    store: &Store,
    what: &str,
    path: Option<&Path>,
) -> Result<Vec<Shared>, UnshareError> {
    let given = Path::new(what);
    let (shares, excluded) = if given.is_absolute() {
        at(store, given)?
    } else {
        match (select(store, what)?, path) {
            (shares, Some(path)) if shares.is_empty() => at(store, path)?,
            (shares, _) => excluding(shares),
        }
    };
    if shares.is_empty() && excluded.is_empty() {
        return Err(not_shared(store, what, path.unwrap_or(given))?);
    }
    // First: what is withdrawn must not come back.
    store.exclude(excluded).map_err(UnshareError::NotKept)?;
    let places: Vec<_> = shares.iter().map(|s| (s.hash, s.path.clone())).collect();
    store.remove_shares(&places)?;
    Ok(shares.into_iter().map(Shared::from).collect())
}

/// These shares, and the exclusions that keep watched folders from sharing them again.
fn excluding(shares: Vec<Share>) -> (Vec<Share>, Vec<Exclusion>) {
    let exclusion = |share: &Share| match &share.origin {
        Origin::Folder(folder) => Some(Exclusion {
            path: share.path.clone(),
            folder: folder.clone(),
        }),
        Origin::Explicit | Origin::Downloaded => None,
    };
    let excluded = shares.iter().filter_map(exclusion).collect();
    (shares, excluded)
}

/// What is shared at `path`; else what watched folders share below it.
fn at(store: &Store, path: &Path) -> Result<(Vec<Share>, Vec<Exclusion>), DatabaseError> {
    if let Some(share) = store.share_at(path)? {
        return Ok(excluding(vec![share]));
    }
    let mut below = store.shares_under(path, None, usize::MAX)?;
    below.retain(|share| matches!(share.origin, Origin::Folder(_)));
    let folder = below.iter().find_map(|share| match &share.origin {
        Origin::Folder(folder) => Some(folder.clone()),
        Origin::Explicit | Origin::Downloaded => None,
    });
    let exclusion = folder.map(|folder| Exclusion {
        path: path.to_owned(),
        folder,
    });
    Ok((below, exclusion.into_iter().collect()))
}

/// Why nothing is withdrawn: a file of a shared folder is part of that.
fn not_shared(store: &Store, what: &str, path: &Path) -> Result<UnshareError, DatabaseError> {
    let what = what.to_owned();
    let over = store.members_at(path)?.into_iter().next();
    if let Some((folder, _)) = over {
        return Ok(UnshareError::InFolder { what, folder });
    }
    let mut folder = None;
    each_page(store, |page| {
        let over = page.into_iter().find(|share| {
            let is_over = path.starts_with(&share.path);
            is_over && share.path != path
        });
        folder = folder.take().or(over.map(|share| share.path));
        Ok(())
    })?;
    Ok(match folder {
        Some(folder) => UnshareError::InFolder { what, folder },
        None => UnshareError::NotShared { what },
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, ops::ControlFlow, path::PathBuf};

    use super::*;
    use crate::{
        node::shares::{ShareRequest, share},
        store::{NewShare, Scope},
    };

    struct Home {
        store: Store,
        folder: tempfile::TempDir,
    }

    impl Home {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::in_memory();
            store.set_live_folders(vec![folder.path().join("watched")]);
            Self { store, folder }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// Shares a file, from the watched folder if it is there.
        fn share(&self, name: &str, called: &str, content: &str) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            let go_on = |_| ControlFlow::Continue(());
            let hashed = self.store.hash_file(&path, &go_on).unwrap();
            let watched = self.path("watched");
            let share = NewShare {
                descriptor: hashed.descriptor,
                name: called.to_owned(),
                origin: match path.starts_with(&watched) {
                    true => Origin::Folder(watched),
                    false => Origin::Explicit,
                },
                path,
                scopes: Scope::Everyone.into(),
                fingerprint: hashed.fingerprint,
            };
            self.store.add_shares(&[share]).unwrap();
        }

        fn withdraw(&self, what: &str) -> Result<Vec<PathBuf>, UnshareError> {
            let path = self.path(what);
            let withdrawn = unshare(&self.store, what, Some(&path))?;
            Ok(withdrawn.into_iter().map(|shared| shared.path).collect())
        }

        fn left(&self) -> usize {
            self.store.count().unwrap() as usize
        }
    }

    #[test]
    fn a_path_withdraws_a_place_a_name_its_places_and_a_hash_all_of_them() {
        let home = Home::new();
        for (path, name) in [("one", "a"), ("two", "a"), ("three", "b"), ("four", "c")] {
            home.share(path, name, "the same");
        }
        let one = home.path("one");
        assert_eq!(home.withdraw(one.to_str().unwrap()).unwrap(), [one]);
        home.share("one", "a", "the same");
        let mut of_name = home.withdraw("a").unwrap();
        of_name.sort();
        assert_eq!(of_name, [home.path("one"), home.path("two")]);
        assert_eq!(home.left(), 2, "others of the same content stay");
        // Nothing is called so: it is a path.
        assert_eq!(home.withdraw("three").unwrap(), [home.path("three")]);
        home.share("three", "b", "the same");
        let hash = home
            .store
            .share_at(&home.path("four"))
            .unwrap()
            .unwrap()
            .hash;
        assert_eq!(home.withdraw(&hash.to_string()).unwrap().len(), 2);
        assert_eq!(home.left(), 0);
        assert!(matches!(
            home.withdraw("a"),
            Err(UnshareError::NotShared { .. })
        ));
    }

    #[test]
    fn a_name_of_several_contents_withdraws_none() {
        let home = Home::new();
        home.share("one", "a", "1");
        home.share("two", "a", "2");
        assert!(matches!(
            home.withdraw("a"),
            Err(UnshareError::Ambiguous { .. })
        ));
        assert_eq!(home.left(), 2);
    }

    #[test]
    fn what_is_withdrawn_from_a_watched_folder_is_excluded_until_it_is_shared_again() {
        let home = Home::new();
        home.share("watched/file", "file", "1");
        home.share("watched/sub/a", "sub/a", "2");
        home.share("watched/sub/b", "sub/b", "3");
        home.withdraw("file").unwrap();
        assert_eq!(home.withdraw("watched/sub").unwrap().len(), 2);
        let excluded = |home: &Home| {
            let paths = home.store.exclusions().into_iter();
            paths.map(|exclusion| exclusion.path).collect::<Vec<_>>()
        };
        assert_eq!(
            excluded(&home),
            [home.path("watched/file"), home.path("watched/sub")]
        );
        let request = ShareRequest {
            path: home.path("watched/file"),
            name: None,
            unlisted: false,
            rehash: false,
            skip_unsupported: false,
        };
        share(&home.store, &request, &|_| ControlFlow::Continue(())).unwrap();
        assert_eq!(excluded(&home), [home.path("watched/sub")]);
        let shared = home.store.share_at(&request.path).unwrap().unwrap();
        assert_eq!(shared.origin, Origin::Folder(home.path("watched")));
        assert_eq!(shared.name, "file");
    }

    #[test]
    fn a_file_of_a_shared_folder_is_withdrawn_with_it_only() {
        let home = Home::new();
        fs::create_dir(home.path("box")).unwrap();
        fs::write(home.path("box/file"), "1").unwrap();
        let request = ShareRequest {
            path: home.path("box"),
            name: None,
            unlisted: false,
            rehash: false,
            skip_unsupported: false,
        };
        share(&home.store, &request, &|_| ControlFlow::Continue(())).unwrap();
        let file = home.path("box/file");
        let error = home.withdraw(file.to_str().unwrap()).unwrap_err();
        assert!(matches!(error, UnshareError::InFolder { .. }), "{error}");
        assert_eq!(home.left(), 1);
    }
}
