//! Files that a person withdrew from watched folders, so that the node does not share them again by
//! itself.
//!
//! Owns the file `exclusions` in the data folder. An exclusion covers its path and everything below
//! it, until a person shares that path again. A folder above is shared without it. Errors are those
//! of the operating system.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{Store, saved_values::Exclusions};

/// The highest number of exclusions: each change writes all of them.
const MAX_EXCLUSIONS: usize = 100_000;

/// A path in a watched folder that is not shared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exclusion {
    /// The file or folder.
    pub path: PathBuf,
    /// The watched folder.
    pub folder: PathBuf,
}

impl Store {
    /// Excludes these paths from their watched folders. Existing shares are not withdrawn.
    ///
    /// # Errors
    ///
    /// The error of the operating system, or there are too many. Nothing is excluded then.
    pub fn exclude(&self, added: Vec<Exclusion>) -> io::Result<()> {
        let excluded = self.inner.exclusions.get().len();
        if excluded + added.len() > MAX_EXCLUSIONS {
            let most = format!(
                "{excluded} paths are excluded already, and the limit is {MAX_EXCLUSIONS}: use \
                 patterns in .pelagoignore instead"
            );
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, most));
        }
        self.inner.exclusions.change(|exclusions| {
            for Exclusion { path, folder } in added {
                exclusions.insert(path, folder);
            }
        })?;
        self.states_changed();
        Ok(())
    }

    /// Removes the exclusion of `path`, if there is one, and returns it.
    ///
    /// # Errors
    ///
    /// The error of the operating system. The exclusions are then unchanged.
    pub fn include(&self, path: &Path) -> io::Result<Option<Exclusion>> {
        let folder = self.inner.exclusions.get().get(path).cloned();
        let Some(folder) = folder else {
            return Ok(None);
        };
        let remove = |exclusions: &mut Exclusions| drop(exclusions.remove(path));
        self.inner.exclusions.change(remove)?;
        self.states_changed();
        let path = path.to_owned();
        Ok(Some(Exclusion { path, folder }))
    }

    /// All exclusions, ordered by path.
    #[must_use]
    pub fn exclusions(&self) -> Vec<Exclusion> {
        let exclusions = self.inner.exclusions.get();
        let place = |(path, folder): (&PathBuf, &PathBuf)| Exclusion {
            path: path.clone(),
            folder: folder.clone(),
        };
        exclusions.iter().map(place).collect()
    }

    /// Whether `path`, or a folder above it, is excluded.
    #[must_use]
    pub fn is_excluded(&self, path: &Path) -> bool {
        let exclusions = self.inner.exclusions.get();
        !exclusions.is_empty() && path.ancestors().any(|above| exclusions.contains_key(above))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Home, open};

    #[test]
    fn exclusions_cover_what_is_below_and_last_until_they_are_undone() {
        let home = Home::on_disk();
        let place = |name: &str| Exclusion {
            path: home.path("watched").join(name),
            folder: home.path("watched"),
        };
        let (file, folder) = (place("file"), place("folder"));
        home.store
            .exclude(vec![folder.clone(), file.clone()])
            .unwrap();
        let path = home.folder.path().to_owned();
        let Home {
            store,
            folder: kept,
        } = home;
        drop(store);
        let store = open(&path);
        assert_eq!(store.exclusions(), [file.clone(), folder.clone()]);
        assert!(store.is_excluded(&folder.path.join("deep/down")));
        assert!(!store.is_excluded(&folder.folder) && !store.is_excluded(&path.join("watched/f")));
        assert_eq!(store.include(&folder.folder).unwrap(), None);
        assert_eq!(store.include(&folder.path).unwrap(), Some(folder.clone()));
        assert!(!store.is_excluded(&folder.path.join("deep/down")));
        assert_eq!(store.include(&folder.path).unwrap(), None);
        assert_eq!(store.exclusions(), [file]);
        drop(kept);
    }
}
