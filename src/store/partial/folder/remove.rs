//! Removes a folder that was downloaded: the very files that were put there, and directories that are empty
//! then.

use std::{
    io,
    path::{Path, PathBuf},
};

use pelago_content::EntryKind;

use super::{
    FinishedFolder,
    tree::{remove_folders, remove_root},
};
use crate::store::{
    MemberState,
    dir::Dir,
    partial::{
        RemoveError,
        remove::{Made, Removal, is_link_in_the_way},
    },
};

impl FinishedFolder {
    /// Removes the folder, but for files in it that were changed since, what others put into it, and the
    /// directories that lead there. Gives what was downloaded and stays, as it is not what it was.
    ///
    /// # Errors
    ///
    /// See [`RemoveError`].
    pub fn remove(&self) -> Result<Vec<PathBuf>, RemoveError> {
        let path = || self.path.clone();
        if !self.is_new {
            return Err(RemoveError::InPlace { path: path() });
        }
        let failed = |source| RemoveError::Io {
            path: path(),
            source,
        };
        let opened = self.home.open().and_then(|(home, name)| {
            let top = home.sub(name)?;
            Ok((home, name, top))
        });
        let (home, name, top) = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) if is_link_in_the_way(&error) => {
                return Err(RemoveError::Changed { path: path() });
            }
            opened => opened.map_err(failed)?,
        };
        let mut left = self.remove_files(&top).map_err(failed)?;
        self.remove_links(&top, &mut left).map_err(failed)?;
        let entries = self.listing.entries();
        let folders = entries.filter(|entry| matches!(entry.kind(), EntryKind::Folder { .. }));
        let folders: Vec<_> = folders.map(|folder| folder.path()).collect();
        remove_folders(&top, &folders).map_err(failed)?;
        drop(top);
        remove_root(&home, name).map_err(failed)?;
        home.sync_file_system().map_err(failed)?;
        Ok(left)
    }

    fn remove_files(&self, top: &Dir) -> io::Result<Vec<PathBuf>> {
        let mut left = Vec::new();
        for member in &self.members {
            let MemberState::File(fingerprint) = member.state else {
                continue;
            };
            let made = Made {
                descriptor: member.descriptor,
                fingerprint,
            };
            if made.remove(top, &member.path)? == Removal::NotOurs {
                left.push(self.path.join(&member.path));
            }
        }
        Ok(left)
    }

    fn remove_links(&self, top: &Dir, left: &mut Vec<PathBuf>) -> io::Result<()> {
        for entry in self.listing.entries() {
            let EntryKind::Symlink { target } = entry.kind() else {
                continue;
            };
            let path = entry.path();
            match top.read_link(&path) {
                Ok(leads_to) if leads_to == Path::new(target) => top.remove_file(&path)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                _ => left.push(self.path.join(path)),
            }
        }
        Ok(())
    }
}
