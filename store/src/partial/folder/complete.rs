//! Completes a folder in its staging directory: everything that needs no fetching.

use std::{io, path::PathBuf};

use pelago_content::EntryKind;

use super::{
    PartialFolder,
    progress::{CompleteFile, FileState},
    staging::Base,
};

impl PartialFolder {
    /// Creates everything that is wanted and not here yet: empty files, files that repeat others,
    /// folders, and last the symbolic links.
    ///
    /// # Errors
    ///
    /// The path that could not be created, and why.
    pub(super) fn complete(&self) -> Result<(), (PathBuf, io::Error)> {
        let at = |path: &str| {
            let path = self.staging.path(Base::Staging, path);
            move |source| (path, source)
        };
        let check_running = |path: &str| match self.reservation.is_interrupted() {
            true => Err(at(path)(io::ErrorKind::Interrupted.into())),
            false => Ok(()),
        };
        for file in self.files.numbers() {
            let is_done = matches!(self.progress.lock().files[file], FileState::Complete(_));
            let Some(listed) = self.files.get(&self.listing, file).filter(|_| !is_done) else {
                continue;
            };
            let path = self.local.path(listed.entry);
            check_running(&path)?;
            if listed.descriptor.size() == 0 {
                let created = self
                    .staging
                    .create_whole(&path, &[], listed.executable)
                    .map_err(at(&path))?;
                self.set_complete(file, CompleteFile::in_staging(created, false));
            } else {
                self.repeat(file, &listed).map_err(at(&path))?;
            }
        }
        for folder in self.folders(|path| self.selection.takes(path)) {
            check_running(&folder)?;
            self.staging.create_folder(&folder).map_err(at(&folder))?;
        }
        // Links come last, so that no path that is written can lead through one.
        for entry in self.listing.entries() {
            let EntryKind::Symlink { target } = entry.kind() else {
                continue;
            };
            let path = self.local.path(entry);
            check_running(&path)?;
            if !self.local.has(entry) {
                self.staging.remove_link(&path, target).map_err(at(&path))?;
            } else if self.selection.takes(&entry.path()) {
                self.staging.create_link(&path, target).map_err(at(&path))?;
            }
        }
        Ok(())
    }
}
