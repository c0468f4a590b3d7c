//! Moves a folder from its staging directory to the target.

use std::{io, path::PathBuf, sync::atomic::Ordering};

use super::Staging;
use crate::{
    dir::{Dir, OpenMode},
    partial::{
        folder::cleanup::{remove_empty_folders, remove_if_empty},
        mark,
        part_name::part_name,
        removal::Proceed,
    },
};

impl Staging {
    /// Waits until everything that is written survives a power cut.
    pub(in super::super) fn sync(&self) -> io::Result<()> {
        self.dir.sync_file_system()
    }

    /// Renames the staging directory to the target, which does not exist.
    pub(in super::super) fn rename_to_target(&self) -> io::Result<()> {
        let there = self.parent.metadata_of(&self.name)?;
        if there.file_id != self.dir.metadata()?.file_id {
            return Err(io::Error::other(format!(
                "{} was moved away, and something else has its path",
                self.parent.path_of(&self.name).display()
            )));
        }
        self.parent
            .rename(&self.name, &self.target_parent, &self.target_name, false)?;
        self.is_at_target.store(true, Ordering::Release);
        if let Some(file) = self.dir.as_file() {
            mark::remove(file);
        }
        Ok(())
    }

    /// Moves a file or link into the existing folder. An entry at its path is replaced only if that
    /// is allowed, and never if it is a folder.
    pub(in super::super) fn merge(&self, inner: &str) -> io::Result<()> {
        let Some(into) = &self.existing_target else {
            return Ok(());
        };
        if self.dir.find(inner)?.is_none() {
            return Ok(());
        }
        match self.dir.rename(inner, into, inner, self.overwrite) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                self.merge_by_copy(into, inner)
            }
            renamed => renamed,
        }
    }

    /// Copies a file into the existing folder, where another disk is mounted below that.
    fn merge_by_copy(&self, into: &Dir, inner: &str) -> io::Result<()> {
        let mut from = self.dir.file(inner, OpenMode::Read)?;
        let (folder, name) = inner.rsplit_once('/').unwrap_or(("", inner));
        let copy = match folder {
            "" => part_name(name, 1),
            folder => format!("{folder}/{}", part_name(name, 1)),
        };
        let mut to = into.file(&copy, OpenMode::New)?;
        let copied = io::copy(&mut from, &mut to)
            .and_then(|_| to.set_permissions(from.metadata()?.permissions()))
            .and_then(|()| to.sync_all())
            .and_then(|()| into.rename(&copy, into, inner, self.overwrite))
            .and_then(|()| match folder {
                "" => into.sync(),
                folder => into.sub(folder)?.sync(),
            });
        if copied.is_err() {
            let _ = into.remove_file(&copy);
        }
        copied?;
        self.dir.remove_file(inner)
    }

    /// Makes the target durable.
    pub(in super::super) fn sync_target(&self) -> io::Result<()> {
        match &self.existing_target {
            Some(into) => into.sync_file_system(),
            None => self.target_parent.sync(),
        }
    }

    /// Removes the staging directory after its files were moved. Returns its path if files of
    /// others are still in it.
    pub(in super::super) fn remove_emptied(
        &self,
        folders: &[String],
        proceed: Proceed<'_>,
    ) -> io::Result<Option<PathBuf>> {
        remove_empty_folders(&self.dir, folders, proceed)?;
        remove_if_empty(&self.parent, &self.name)
    }
}
