//! Removes a folder that was downloaded: the files that the download put there, and directories
//! that are empty then.

use std::{
    io,
    path::{Path, PathBuf},
};

use pelago_content::EntryKind;
use serde::{Deserialize, Serialize};

use super::{
    cleanup::{remove_empty_folders, remove_if_empty},
    local_paths::LocalPaths,
};
use crate::{
    Member, MemberState,
    dir::Dir,
    partial::{
        RemoveError,
        removal::{Destination, PlacedFile, Proceed, Removal, is_link_in_the_way, step},
    },
};

/// What a download put into a folder, by paths in the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::partial) struct PlacedFolder {
    #[serde(rename = "f")]
    files: Vec<(String, PlacedFile)>,
    /// With their targets.
    #[serde(rename = "l")]
    links: Vec<(String, String)>,
    /// Each before those in it.
    #[serde(rename = "d")]
    folders: Vec<String>,
    /// Whether the folder did not exist before.
    #[serde(rename = "n")]
    is_new: bool,
}

impl PlacedFolder {
    /// `is_new`: the folder did not exist before.
    pub(super) fn new(members: &[Member], local: &LocalPaths, is_new: bool) -> Self {
        let files = members.iter().filter_map(|member| match member.state {
            MemberState::File(fingerprint) => {
                let descriptor = member.descriptor;
                let made = PlacedFile {
                    descriptor,
                    fingerprint,
                };
                Some((member.path.clone(), made))
            }
            MemberState::Folder(_) => None,
        });
        let (mut links, mut folders) = (Vec::new(), Vec::new());
        let entries = local.listing().entries();
        for entry in entries.filter(|entry| local.has(*entry)) {
            match entry.kind() {
                EntryKind::Symlink { target } => links.push((local.path(entry), target.clone())),
                EntryKind::Folder { .. } => folders.push(local.path(entry)),
                EntryKind::File { .. } => {}
            }
        }
        Self {
            files: files.collect(),
            links,
            folders,
            is_new,
        }
    }

    pub(in crate::partial) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Takes over what an earlier attempt knew: the folder may have existed only because of that
    /// attempt.
    pub(in crate::partial) fn continue_from(&mut self, earlier: &Self) {
        self.is_new |= earlier.is_new;
    }

    /// Removes the folder at `at`. Returns the downloaded files that stay, as they changed. If it is
    /// stopped, it can be repeated.
    pub(in crate::partial) fn remove(
        &self,
        at: &Path,
        destination: &Destination,
        proceed: Proceed<'_>,
    ) -> Result<Vec<PathBuf>, RemoveError> {
        let path = || at.to_owned();
        if !self.is_new {
            return Err(RemoveError::InPlace { path: path() });
        }
        let failed = |source| RemoveError::Io {
            path: path(),
            source,
        };
        let opened = destination.open().and_then(|(parent, name)| {
            let top = parent.sub(name)?;
            Ok((parent, name, top))
        });
        let (parent, name, top) = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) if is_link_in_the_way(&error) => {
                return Err(RemoveError::Changed { path: path() });
            }
            opened => opened.map_err(failed)?,
        };
        let mut left = self.remove_files(&top, proceed).map_err(failed)?;
        left.extend(self.remove_links(&top, proceed).map_err(failed)?);
        remove_empty_folders(&top, &self.folders, proceed).map_err(failed)?;
        drop(top);
        remove_if_empty(&parent, name).map_err(failed)?;
        parent.sync_file_system().map_err(failed)?;
        Ok(left.into_iter().map(|inner| at.join(inner)).collect())
    }

    /// Returns those that stay.
    fn remove_files(&self, top: &Dir, proceed: Proceed<'_>) -> io::Result<Vec<&String>> {
        let mut left = Vec::new();
        for (path, made) in &self.files {
            step(1, proceed)?;
            if made.remove(top, path, proceed)? == Removal::NotOurs {
                left.push(path);
            }
        }
        Ok(left)
    }

    /// Returns those that stay.
    fn remove_links(&self, top: &Dir, proceed: Proceed<'_>) -> io::Result<Vec<&String>> {
        let mut left = Vec::new();
        for (path, target) in &self.links {
            step(1, proceed)?;
            match top.read_link(path) {
                Ok(leads_to) if leads_to == Path::new(target) => top.remove_file(path)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                _ => left.push(path),
            }
        }
        Ok(left)
    }
}
