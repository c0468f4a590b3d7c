//! Whether watched folders, and the mounts below them, are present.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Origin, Presence, Share, Store, is_gone, is_missing,
    mounts::{Mount, Mounts},
};

/// How many shares are read from the database at a time.
const PAGE: usize = 1000;

/// How many mounted file systems are remembered.
const MAX_MOUNTS: usize = 1000;

impl Store {
    /// Whether the folder at `path` is present. Costs a few system calls.
    #[must_use]
    pub fn presence(&self, path: &Path) -> Presence {
        let before = self.inner.mounts.get().get(path).copied();
        let at = path.to_owned();
        let presence = self.on_disk_of(path, move || presence_at(&at, before));
        presence.unwrap_or(Presence::Unreadable)
    }

    /// Makes a `call` to the disk that shows `path`, and waits for it only for some seconds if the
    /// disk is one that another machine or a program serves.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut): the disk does not respond.
    pub fn on_disk_of<T: Send + 'static>(
        &self,
        path: &Path,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        self.inner.remote_disks.call(path, call)
    }

    /// Whether the disk that shows `path` does not respond, as the last call to it showed. Makes no
    /// call.
    #[must_use]
    pub fn is_unresponsive(&self, path: &Path) -> bool {
        let disk = self.inner.remote_disks.of(path);
        disk.is_some_and(|disk| disk.is_unresponsive())
    }

    /// Remembers the devices of the watched `folder`, which was just read, and of the `mounted`
    /// folders that were found below it. Mounts that are missing now stay remembered, until files
    /// are there in place of all that the disk had.
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
        let is_mounted = |path: &Path| matches!(Mount::at(path), Ok(Some(now)) if now.is_mount);
        let mut over = Vec::new();
        for path in self.mounts_below(folder) {
            match self.presence(&path) {
                Presence::WithoutDisk if self.misses_files(folder, &path) => {
                    found.remove(&path);
                }
                Presence::There | Presence::WithoutDisk
                    if !found.contains_key(&path) && !is_mounted(&path) =>
                {
                    over.push(path);
                }
                _ => {}
            }
        }
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

    /// The mount points at, above or below `path` whose disk is missing, while there are other files.
    #[must_use]
    pub fn folders_without_disk(&self, folder: &Path, path: &Path) -> Vec<PathBuf> {
        let mut around = self.mounts_below(folder);
        around.retain(|mount| path.starts_with(mount) || mount.starts_with(path));
        around.retain(|mount| self.presence(mount) == Presence::WithoutDisk);
        around
    }

    /// Whether a file below `mount` that the watched `folder` shares is gone.
    fn misses_files(&self, folder: &Path, mount: &Path) -> bool {
        let is_lost = |share: &Share| {
            let is_here = || matches!(&share.origin, Origin::Folder(from) if from == folder);
            is_here() && is_missing(&share.path)
        };
        let mut after: Option<PathBuf> = None;
        // A database that cannot be read does not tell that nothing is missing.
        while let Ok(page) = self.shares_under(mount, after.as_deref(), PAGE) {
            if page.iter().any(is_lost) {
                return true;
            }
            match page.last() {
                Some(last) => after = Some(last.path.clone()),
                None => return false,
            }
        }
        true
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

/// What is at `path`, whose device was `before` when it was last read.
fn presence_at(path: &Path, before: Option<Mount>) -> Presence {
    let unless_gone = |error: io::Error| match is_gone(&error) {
        true => Presence::Gone,
        false => Presence::Unreadable,
    };
    let now = match Mount::at(path) {
        Ok(Some(now)) => now,
        Ok(None) => return Presence::Gone,
        Err(error) => return unless_gone(error),
    };
    let Some(before) = before else {
        return Presence::There;
    };
    let is_without_disk = before.is_mount && !now.is_mount;
    let is_other = now.device != before.device || is_without_disk;
    match is_empty(path) {
        Err(error) => unless_gone(error),
        Ok(true) if is_other => Presence::OtherDevice,
        Ok(false) if is_without_disk => Presence::WithoutDisk,
        Ok(_) => Presence::There,
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
    use crate::{
        NewShare,
        testing::{Home, open},
    };

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
    fn files_in_place_of_a_disk_do_not_stand_for_those_of_the_disk() {
        let home = Home::on_disk();
        let (folder, mount) = (home.path("all"), home.path("all/disk"));
        fs::create_dir_all(&mount).unwrap();
        let share = |name: &str| {
            fs::write(home.path(name), name).unwrap();
            let found = NewShare {
                origin: Origin::Folder(folder.clone()),
                ..home.hash(&home.path(name))
            };
            home.store.add_shares(&[found]).unwrap();
        };
        share("all/disk/film");
        let mounted = std::slice::from_ref(&mount);
        home.store.remember_mounts(&folder, mounted).unwrap();
        let was_mounted = |mounts: &mut Mounts| {
            if let Some(mount) = mounts.get_mut(&mount) {
                mount.is_mount = true;
            }
        };
        home.store.inner.mounts.change(was_mounted).unwrap();
        fs::remove_file(mount.join("film")).unwrap();
        assert_eq!(home.store.presence(&mount), Presence::OtherDevice);
        assert_eq!(home.store.missing_folders(&folder, &folder), mounted);
        share("all/disk/other");
        for _ in 0..2 {
            assert_eq!(home.store.presence(&mount), Presence::WithoutDisk);
            assert!(home.store.missing_folders(&folder, &folder).is_empty());
            let without = home.store.folders_without_disk(&folder, &folder);
            assert_eq!(without, mounted);
            home.store.remember_mounts(&folder, &[]).unwrap();
        }
        // All that the disk had is there: the folder takes its place.
        fs::write(mount.join("film"), "again").unwrap();
        home.store.remember_mounts(&folder, &[]).unwrap();
        assert_eq!(home.store.presence(&mount), Presence::There);
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
