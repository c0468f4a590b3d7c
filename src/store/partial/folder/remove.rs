//! Removes a folder that was downloaded: what was put there, and directories that are empty then.

use std::{cmp::Reverse, fs, io, path::Path};

use pelago_content::EntryKind;

use super::FinishedFolder;
use crate::store::{
    MemberState,
    partial::{
        RemoveError,
        remove::{check_unchanged, unless_gone},
    },
};

impl FinishedFolder {
    /// Removes the folder, if nothing in it was changed since. What others put into it stays, and so do
    /// the directories that lead there.
    ///
    /// # Errors
    ///
    /// See [`RemoveError`].
    pub fn remove(&self) -> Result<(), RemoveError> {
        if !self.is_new {
            let path = self.path.clone();
            return Err(RemoveError::InPlace { path });
        }
        let files = || {
            self.members.iter().filter_map(|member| match member.state {
                MemberState::File(fingerprint) => Some((self.path.join(&member.path), fingerprint)),
                MemberState::Folder(_) => None,
            })
        };
        for (path, fingerprint) in files() {
            check_unchanged(&path, &fingerprint)?;
        }
        for (path, _) in files() {
            unless_gone(&path, fs::remove_file(&path))?;
        }
        self.remove_links()?;
        self.remove_directories()
    }

    fn remove_links(&self) -> Result<(), RemoveError> {
        for entry in self.listing.entries() {
            let EntryKind::Symlink { target } = entry.kind() else {
                continue;
            };
            let path = self.path.join(entry.path());
            if fs::read_link(&path).is_ok_and(|leads_to| leads_to == Path::new(target)) {
                unless_gone(&path, fs::remove_file(&path))?;
            }
        }
        Ok(())
    }

    fn remove_directories(&self) -> Result<(), RemoveError> {
        let is_folder = |kind: &EntryKind| matches!(kind, EntryKind::Folder { .. });
        let folders = self.listing.entries().filter(|e| is_folder(e.kind()));
        let mut paths: Vec<_> = folders.map(|entry| self.path.join(entry.path())).collect();
        paths.push(self.path.clone());
        // What is in a directory has a longer path.
        paths.sort_by_key(|path| Reverse(path.as_os_str().len()));
        for path in paths {
            unless_gone(&path, remove_if_empty(&path))?;
        }
        Ok(())
    }
}

fn remove_if_empty(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        removed => removed,
    }
}
