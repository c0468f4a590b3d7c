//! Stops sharing a place, the places of a name, or all places of some content. Blocks.
//!
//! A place in a watched folder is also excluded, so that it stays unshared. An error is an
//! [`UnshareError`]; then nothing has been unshared.

use std::path::{Path, PathBuf};

use pelago_content::Kind;
use pelago_groups::GroupId;

use super::{Shared, UnshareError, each_page, select::select};
use crate::store::{DatabaseError, Exclusion, Origin, Scope, Scopes, Share, Store};

/// What to stop sharing, and with whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnshareRequest {
    /// A hash or at least 6 of its first digits selects all places of that content; a name those of
    /// that name; an absolute path that place, or all that a watched folder shares below it.
    pub what: String,
    /// `what` as an absolute path, which counts if no hash or name matches.
    pub path: Option<PathBuf>,
    /// Stop sharing with this group only.
    pub group: Option<GroupId>,
    /// Stop sharing outside groups only: with everyone, or with everyone who has the hash.
    pub is_public: bool,
}

impl UnshareRequest {
    /// A request to stop sharing `what` with everyone.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ..Self::default()
        }
    }

    /// The only scopes to take away; none if all are.
    fn scopes(&self) -> Scopes {
        let group = self.group.map(Scope::Group);
        let public = [Scope::Everyone, Scope::Unlisted];
        let public = public.into_iter().filter(|_| self.is_public);
        group.into_iter().chain(public).collect()
    }
}

/// Stops sharing what the request selects, with all or with some. A hash or its first digits selects
/// all places of that content; a name those of that name; an absolute path that place, or all that a
/// watched folder shares below it. Returns each place: as it was shared, or as it is shared still.
///
/// # Errors
/// No share matches, or shares with different contents do; or the change cannot be recorded.
pub fn unshare(store: &Store, request: &UnshareRequest) -> Result<Vec<Shared>, UnshareError> {
    let (shares, excluded) = selected(store, &request.what, request.path.as_deref())?;
    let scopes = request.scopes();
    match scopes.is_empty() {
        true => {
            // Exclude first, so that the watch does not share it again.
            store.exclude(excluded).map_err(UnshareError::NotKept)?;
            let places: Vec<_> = shares.iter().map(|s| (s.hash, s.path.clone())).collect();
            store.remove_shares(&places)?;
            Ok(shares.into_iter().map(Shared::from).collect())
        }
        false => unshare_with(store, request, &scopes, (shares, excluded)),
    }
}

/// Takes `scopes` from the shares that have one of them. Those that have no other end.
fn unshare_with(
    store: &Store,
    request: &UnshareRequest,
    scopes: &Scopes,
    (mut shares, excluded): (Vec<Share>, Vec<Exclusion>),
) -> Result<Vec<Shared>, UnshareError> {
    shares.retain(|share| share.scopes.clone().remove_all(scopes));
    if shares.is_empty() {
        let what = request.what.clone();
        return Err(UnshareError::NotShared { what });
    }
    let left = |share: &Share| {
        let mut left = share.scopes.clone();
        left.remove_all(scopes);
        left
    };
    let ends = |path: &Path| {
        let mut shares = shares.iter();
        shares.any(|share| share.path == path && left(share).is_empty())
    };
    let excluded = excluded.into_iter().filter(|excluded| ends(&excluded.path));
    // Exclude first, so that the watch does not share it again.
    store
        .exclude(excluded.collect())
        .map_err(UnshareError::NotKept)?;
    let places: Vec<_> = shares.iter().map(|s| (s.hash, s.path.clone())).collect();
    store.remove_scopes(&places, scopes)?;
    let as_left = |share: Share| match left(&share) {
        left if left.is_empty() => Shared::from(share),
        scopes => Shared {
            is_still_shared: true,
            ..Shared::from(Share { scopes, ..share })
        },
    };
    Ok(shares.into_iter().map(as_left).collect())
}

/// The shares that `what` selects, and the exclusions that keep watched folders from sharing them
/// again.
fn selected(
    store: &Store,
    what: &str,
    path: Option<&Path>,
) -> Result<(Vec<Share>, Vec<Exclusion>), UnshareError> {
    let given = Path::new(what);
    let (shares, excluded) = if given.is_absolute() {
        at(store, given)?
    } else {
        match (select(store, what)?, path) {
            (shares, Some(path)) if shares.is_empty() => at(store, path)?,
            (shares, _) => excluding(store, shares)?,
        }
    };
    if shares.is_empty() && excluded.is_empty() {
        return Err(not_shared(store, what, path.unwrap_or(given))?);
    }
    Ok((shares, excluded))
}

/// The shares, with what watched folders share below those that are folders; and the exclusions
/// that prevent watched folders from sharing them again. How a share came about does not matter: a
/// watch would also share what a person shared or downloaded there.
fn excluding(
    store: &Store,
    shares: Vec<Share>,
) -> Result<(Vec<Share>, Vec<Exclusion>), DatabaseError> {
    let watched = store.folders_served();
    let (mut all, mut excluded) = (Vec::new(), Vec::new());
    for share in shares {
        let path = &share.path;
        let is_inside = |folder: &&PathBuf| path.starts_with(folder) && path != *folder;
        let folder = match &share.origin {
            Origin::Folder(folder) => Some(folder),
            Origin::Explicit | Origin::Downloaded => watched.iter().find(is_inside),
        };
        if let Some(folder) = folder.cloned() {
            if share.descriptor.kind() == Kind::Folder {
                all.extend(watched_below(store, path)?);
            }
            let path = path.clone();
            excluded.push(Exclusion { path, folder });
        }
        all.push(share);
    }
    Ok((all, excluded))
}

/// The shares of watched folders below `path`.
fn watched_below(store: &Store, path: &Path) -> Result<Vec<Share>, DatabaseError> {
    let mut below = store.shares_under(path, None, usize::MAX)?;
    below.retain(|share| matches!(share.origin, Origin::Folder(_)));
    Ok(below)
}

/// The share at `path`; else the shares of watched folders below it.
fn at(store: &Store, path: &Path) -> Result<(Vec<Share>, Vec<Exclusion>), DatabaseError> {
    if let Some(share) = store.share_at(path)? {
        return excluding(store, vec![share]);
    }
    let below = watched_below(store, path)?;
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

/// Why nothing is shared at `path`: it may be part of a shared folder.
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
    use std::{fs, ops::ControlFlow};

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

        /// Shares a file; as part of the watched folder if it is in there.
        fn share(&self, name: &str, share_name: &str, content: &str) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            let progress = |_| ControlFlow::Continue(());
            let hashed = self.store.hash_file(&path, &progress).unwrap();
            let watched = self.path("watched");
            let share = NewShare {
                descriptor: hashed.descriptor,
                name: share_name.to_owned(),
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

        fn unshare(&self, what: &str) -> Result<Vec<PathBuf>, UnshareError> {
            let path = self.path(what);
            let request = UnshareRequest {
                path: Some(path),
                ..UnshareRequest::new(what)
            };
            let unshared = unshare(&self.store, &request)?;
            Ok(unshared.into_iter().map(|shared| shared.path).collect())
        }

        fn left(&self) -> usize {
            self.store.count().unwrap() as usize
        }
    }

    #[test]
    fn a_path_selects_a_place_a_name_its_places_and_a_hash_all_places() {
        let home = Home::new();
        for (path, name) in [("one", "a"), ("two", "a"), ("three", "b"), ("four", "c")] {
            home.share(path, name, "the same");
        }
        let one = home.path("one");
        assert_eq!(home.unshare(one.to_str().unwrap()).unwrap(), [one]);
        home.share("one", "a", "the same");
        let mut of_name = home.unshare("a").unwrap();
        of_name.sort();
        assert_eq!(of_name, [home.path("one"), home.path("two")]);
        assert_eq!(home.left(), 2, "others of the same content stay");
        // No share has this name: it is a path.
        assert_eq!(home.unshare("three").unwrap(), [home.path("three")]);
        home.share("three", "b", "the same");
        let hash = home
            .store
            .share_at(&home.path("four"))
            .unwrap()
            .unwrap()
            .hash;
        assert_eq!(home.unshare(&hash.to_string()).unwrap().len(), 2);
        assert_eq!(home.left(), 0);
        assert!(matches!(
            home.unshare("a"),
            Err(UnshareError::NotShared { .. })
        ));
    }

    #[test]
    fn a_name_of_several_contents_selects_none() {
        let home = Home::new();
        home.share("one", "a", "1");
        home.share("two", "a", "2");
        assert!(matches!(
            home.unshare("a"),
            Err(UnshareError::Ambiguous { .. })
        ));
        assert_eq!(home.left(), 2);
    }

    #[test]
    fn an_unshared_file_of_a_watched_folder_is_excluded_until_it_is_shared_again() {
        let home = Home::new();
        home.share("watched/file", "file", "1");
        home.share("watched/sub/a", "sub/a", "2");
        home.share("watched/sub/b", "sub/b", "3");
        home.unshare("file").unwrap();
        assert_eq!(home.unshare("watched/sub").unwrap().len(), 2);
        let excluded = |home: &Home| {
            let paths = home.store.exclusions().into_iter();
            paths.map(|exclusion| exclusion.path).collect::<Vec<_>>()
        };
        assert_eq!(
            excluded(&home),
            [home.path("watched/file"), home.path("watched/sub")]
        );
        let request = ShareRequest::new(home.path("watched/file"));
        share(&home.store, &request, &|_| ControlFlow::Continue(())).unwrap();
        assert_eq!(excluded(&home), [home.path("watched/sub")]);
        let shared = home.store.share_at(&request.path).unwrap().unwrap();
        assert_eq!(shared.origin, Origin::Folder(home.path("watched")));
        assert_eq!(shared.name, "file");
    }

    #[test]
    fn how_a_share_in_a_watched_folder_came_about_does_not_bring_it_back() {
        let home = Home::new();
        let request = |name: &str, unlisted| ShareRequest {
            unlisted,
            ..ShareRequest::new(home.path(name))
        };
        let share_as = |request| share(&home.store, &request, &|_| ControlFlow::Continue(()));
        home.share("watched/sub/file", "sub/file", "1");
        home.share("watched/other", "other", "2");
        fs::write(home.path("watched/secret"), "3").unwrap();
        share_as(request("watched/secret", true)).unwrap();
        share_as(request("watched/sub", false)).unwrap();
        let secret = home.path("watched/secret");
        assert_eq!(
            home.unshare(secret.to_str().unwrap()).unwrap(),
            [secret.as_path()]
        );
        // The folder, and what the watch shares below it.
        assert_eq!(home.unshare("watched/sub").unwrap().len(), 2);
        assert_eq!(home.left(), 1);
        let excluded = home.store.exclusions().into_iter();
        let excluded: Vec<_> = excluded.map(|exclusion| exclusion.path).collect();
        assert_eq!(excluded, [secret, home.path("watched/sub")]);
        // The watched folder as a whole is another matter: it stays watched, and is shared without
        // what is excluded.
        let whole = share_as(request("watched", false)).unwrap();
        assert!(whole.notes[0].contains("2 paths"), "{:?}", whole.notes);
        let members = home.store.members(&home.path("watched")).unwrap();
        let members: Vec<_> = members.into_iter().map(|member| member.path).collect();
        assert_eq!(members, ["other"]);
        home.unshare("watched").unwrap();
        assert_eq!(home.store.exclusions().len(), 2);
        assert_eq!(home.left(), 1);
    }

    #[test]
    fn a_file_of_a_shared_folder_cannot_be_unshared_alone() {
        let home = Home::new();
        fs::create_dir(home.path("box")).unwrap();
        fs::write(home.path("box/file"), "1").unwrap();
        let request = ShareRequest::new(home.path("box"));
        share(&home.store, &request, &|_| ControlFlow::Continue(())).unwrap();
        let file = home.path("box/file");
        let error = home.unshare(file.to_str().unwrap()).unwrap_err();
        assert!(matches!(error, UnshareError::InFolder { .. }), "{error}");
        assert_eq!(home.left(), 1);
    }
}
