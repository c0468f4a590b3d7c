//! Whether a shared folder is there, or its disk is not.
//!
//! Owns the file `mounts` in the data folder: on which device each watched folder was when it was last
//! read, and which file systems were mounted below it. An unmounted disk leaves an empty directory on
//! another device behind: that is not a folder from which somebody removed everything. Device numbers
//! differ between starts of a machine, so only an empty directory is judged by them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::Store;

/// The file in the data folder.
pub(super) const MOUNTS_FILE: &str = "mounts";

/// Mounted file systems that are remembered, at most.
const MAX_MOUNTS: usize = 1000;

/// What is at the path of a shared folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The folder: what is not in it was removed.
    There,
    /// Nothing, no directory, or one that cannot be read.
    Gone,
    /// An empty directory on another device than before: the disk is not mounted.
    OtherDevice,
}

/// The folders whose devices are known.
pub(super) type Mounts = BTreeMap<PathBuf, Mount>;

/// On which device a folder was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mount {
    #[serde(rename = "d")]
    device: u64,
    /// Whether the folder above was on another device.
    #[serde(rename = "m")]
    is_mount: bool,
}

impl Mount {
    /// What is mounted at `path` now; none if that is no directory.
    fn at(path: &Path) -> io::Result<Option<Self>> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_dir() {
            return Ok(None);
        }
        let device = device(&metadata);
        // The folder above a link is not the folder above the directory that it leads to.
        let resolved = fs::canonicalize(path)?;
        let above = resolved.parent().map(fs::metadata).transpose()?;
        let is_mount = above.is_some_and(|above| self::device(&above) != device);
        Ok(Some(Self { device, is_mount }))
    }
}

/// The number of the file system; always the same where the platform has none.
pub(crate) fn device(metadata: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::dev(metadata);
    #[cfg(not(unix))]
    {
        let _ = metadata;
        0
    }
}

impl Presence {
    /// Whether the folder is there.
    #[must_use]
    pub const fn is_there(self) -> bool {
        matches!(self, Self::There)
    }
}

impl Store {
    /// Whether the folder at `path` is there. Costs a few calls of the system.
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

    /// Remembers the device of the watched `folder`, which was just read, and of the `mounted` folders
    /// that were found below it. Those below it that are not there now stay remembered.
    ///
    /// # Errors
    ///
    /// What the system said; nothing is remembered then.
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

    /// The folders at or above `path`, down from the watched `folder`, and those below `path`, that are
    /// not there, though files of them are shared.
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

    /// Whether a watched folder is there of which no device is known yet: where files of it are listed,
    /// it was not empty.
    fn is_there_though_unknown(&self, folder: &Path) -> bool {
        let was_empty = || {
            let shares = self.shares_under(folder, None, 1);
            shares.is_ok_and(|shares| shares.is_empty())
        };
        self.presence(folder).is_there() && (!is_empty(folder).unwrap_or(true) || was_empty())
    }

    /// The folders whose devices are known, `folder` and below.
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
    use crate::store::testing::{Home, open};

    /// Takes the device of `path` to have been another one.
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
        // Numbers of devices are others after a start of the machine.
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
        // A look at the rest does not forget it, and a new store knows it.
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
