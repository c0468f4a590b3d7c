//! Whether watched folders, and the mounts below them, are present.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Presence, Store,
    mounts::{Mount, Mounts},
};

/// How many mounted file systems are remembered.
const MAX_MOUNTS: usize = 1000;

impl Store {
    /// Whether the folder at `path` is present. Costs a few system calls.
    #[must_use]
    pub fn presence(&self, path: &Path) -> Presence {
        let Ok(Some(now)) = Mount::at(path) else {
            return Presence::Gone;
        };
        let Some(before) = self.inner.mounts.get().get(path).copied() else {
            return Presence::There;
        };
        let is_other = now.device != before.device || before.is_mount && !now.is_mount;
        match is_empty(path) {
            Err(_) => Presence::Gone,
            Ok(true) if is_other => Presence::OtherDevice,
            Ok(_) => Presence::There,
        }
    }

    /// Remembers the devices of the watched `folder`, which was just read, and of the `mounted`
    /// folders that were found below it. Mounts below it that are missing now stay remembered.
    ///
    /// # Errors
    ///
    /// The error of the operating system. Nothing is remembered then.
    pub fn remember_mounts(&self, folder: &Path, mounted: &[PathBuf]) -> io::Result<()> {
        let mut found = Mounts::new();
        for path in std::iter::once(folder).chain(mounted.iter().map(PathBuf::as_path)) {
            if let Ok(Some(mount)) = Mount::at(path) {
                found.insert(path.to_owned(), mount);
            }
        }
        let known = self.mounts_below(folder);
        let is_mounted = |path: &Path| matches!(Mount::at(path), Ok(Some(now)) if now.is_mount);
        let is_over = |path: &PathBuf| {
            let is_known = found.contains_key(path) || is_mounted(path);
            !is_known && self.presence(path).is_there()
        };
        let over: Vec<_> = known.into_iter().filter(is_over).collect();
        self.inner.mounts.change(|mounts| {
            mounts.retain(|path, _| !over.contains(path));
            for (path, mount) in found {
                if mounts.len() < MAX_MOUNTS || mounts.contains_key(&path) {
                    mounts.insert(path, mount);
                }
            }
        })
    }

    /// The missing folders: those at or above `path`, up to the watched `folder`, and those below
    /// `path`.
    #[must_use]
    pub fn missing_folders(&self, folder: &Path, path: &Path) -> Vec<PathBuf> {
        let mut around = self.mounts_below(folder);
        around.retain(|mount| path.starts_with(mount) || mount.starts_with(path));
        let is_known = around.iter().any(|mount| mount == folder);
        around.retain(|mount| !self.presence(mount).is_there());
        if !is_known && !self.is_there_though_unknown(folder) {
            around.push(folder.to_owned());
        }
        around
    }

    /// Whether a watched folder without a known device is present. If files of it are listed, it
    /// was not empty.
    fn is_there_though_unknown(&self, folder: &Path) -> bool {
        let was_empty = || {
            let shares = self.shares_under(folder, None, 1);
            shares.is_ok_and(|shares| shares.is_empty())
        };
        self.presence(folder).is_there() && (!is_empty(folder).unwrap_or(true) || was_empty())
    }

    /// The folders at and below `folder` whose devices are known.
    fn mounts_below(&self, folder: &Path) -> Vec<PathBuf> {
        let mounts = self.inner.mounts.get();
        let below = mounts.keys().filter(|path| path.starts_with(folder));
        below.cloned().collect()
    }
}

fn is_empty(path: &Path) -> io::Result<bool> {
    fs::read_dir(path)?
        .next()
        .transpose()
        .map(|entry| entry.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Home, open};

    /// Records another device for `path` than it has.
    fn on_another_device(store: &Store, path: &Path) {
        let other = |mounts: &mut Mounts| {
            if let Some(mount) = mounts.get_mut(path) {
                mount.device += 1;
            }
        };
        store.inner.mounts.change(other).unwrap();
    }

    #[test]
    fn an_empty_folder_on_another_device_is_not_the_one_that_was_shared() {
        let home = Home::on_disk();
        let folder = home.path("disk");
        assert_eq!(home.store.presence(&folder), Presence::Gone);
        fs::create_dir(&folder).unwrap();
        assert_eq!(home.store.presence(&folder), Presence::There);
        home.store.remember_mounts(&folder, &[]).unwrap();
        assert_eq!(home.store.presence(&folder), Presence::There, "emptied");
        on_another_device(&home.store, &folder);
        assert_eq!(home.store.presence(&folder), Presence::OtherDevice);
        assert_eq!(
            home.store.missing_folders(&folder, &folder),
            std::slice::from_ref(&folder)
        );
        // Device numbers change when the machine starts.
        fs::write(folder.join("file"), "file").unwrap();
        assert_eq!(home.store.presence(&folder), Presence::There);
        fs::remove_dir_all(&folder).unwrap();
        fs::write(&folder, "file").unwrap();
        assert_eq!(home.store.presence(&folder), Presence::Gone);
    }

    #[test]
    fn a_mount_below_a_watched_folder_is_missing_until_it_is_there_again() {
        let home = Home::on_disk();
        let (folder, mount) = (home.path("all"), home.path("all/disk"));
        fs::create_dir_all(&mount).unwrap();
        let mounted = std::slice::from_ref(&mount);
        home.store.remember_mounts(&folder, mounted).unwrap();
        on_another_device(&home.store, &mount);
        let missing = |path: &Path| home.store.missing_folders(&folder, path);
        for path in [&folder, &mount, &mount.join("file")] {
            assert_eq!(missing(path), std::slice::from_ref(&mount), "{path:?}");
        }
        assert!(missing(&folder.join("other")).is_empty());
        // A scan of the rest keeps this state, and so does a new store.
        home.store.remember_mounts(&folder, &[]).unwrap();
        assert_eq!(missing(&folder), std::slice::from_ref(&mount));
        let Home {
            store,
            folder: place,
        } = home;
        drop(store);
        let store = open(place.path());
        assert_eq!(
            store.missing_folders(&folder, &folder),
            std::slice::from_ref(&mount)
        );
        fs::write(mount.join("file"), "file").unwrap();
        assert!(store.missing_folders(&folder, &folder).is_empty());
        store.remember_mounts(&folder, &[]).unwrap();
        fs::remove_file(mount.join("file")).unwrap();
        assert!(
            store.missing_folders(&folder, &folder).is_empty(),
            "no mount any more"
        );
    }
}
