//! What a download put in place, kept so that a later run of the node can remove exactly that.

use std::{
    io,
    path::{Path, PathBuf},
};

#[cfg(test)]
use pelago_content::Descriptor;
use serde::{Deserialize, Serialize};

use super::{
    folder::PlacedFolder,
    removal::{Destination, PlacedFile, Proceed, Removal, RemoveError, is_link_in_the_way},
};
#[cfg(test)]
use crate::Fingerprint;

/// What a download put in place, as it was then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The target.
    #[serde(rename = "p")]
    path: PathBuf,
    #[serde(rename = "h")]
    destination: Destination,
    #[serde(rename = "c")]
    placed: Placed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Placed {
    #[serde(rename = "f")]
    File(PlacedFile),
    #[serde(rename = "d")]
    Folder(PlacedFolder),
}

impl Receipt {
    fn new(path: &Path, destination: &Destination, placed: Placed) -> Self {
        Self {
            path: path.to_owned(),
            destination: destination.clone(),
            placed,
        }
    }

    pub(super) fn of_file(path: &Path, destination: &Destination, file: PlacedFile) -> Self {
        Self::new(path, destination, Placed::File(file))
    }

    pub(super) fn of_folder(path: &Path, destination: &Destination, placed: PlacedFolder) -> Self {
        Self::new(path, destination, Placed::Folder(placed))
    }

    /// The receipt of a file, for tests outside of this module.
    #[cfg(test)]
    pub(crate) fn of_test_file(
        path: &Path,
        descriptor: Descriptor,
        fingerprint: Fingerprint,
    ) -> io::Result<Self> {
        let file = PlacedFile {
            descriptor,
            fingerprint,
        };
        Ok(Self::of_file(path, &Destination::of(path)?, file))
    }

    /// Whether an earlier receipt of the same download is relevant to this one.
    pub(crate) const fn may_continue(&self) -> bool {
        matches!(&self.placed, Placed::Folder(folder) if !folder.is_new())
    }

    /// Takes over what an `earlier` attempt of the same download, which was interrupted, put in
    /// place.
    #[must_use]
    pub(crate) fn continued_from(mut self, earlier: &Self) -> Self {
        if let (Placed::Folder(now), Placed::Folder(before)) = (&mut self.placed, &earlier.placed)
            && self.path == earlier.path
        {
            now.continue_from(before);
        }
        self
    }

    /// The path at which the file or folder was put.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file or folder. In a folder, files that changed since, files of others and the
    /// directories that hold them stay. Returns the downloaded files that stay, as they changed.
    /// A missing file is not an error. A removal that `proceed` stopped can be repeated.
    ///
    /// # Errors
    ///
    /// See [`RemoveError`].
    pub fn remove(&self, proceed: Proceed<'_>) -> Result<Vec<PathBuf>, RemoveError> {
        match &self.placed {
            Placed::File(made) => self.remove_file(made, proceed).map(|()| Vec::new()),
            Placed::Folder(folder) => folder.remove(&self.path, &self.destination, proceed),
        }
    }

    fn remove_file(&self, made: &PlacedFile, proceed: Proceed<'_>) -> Result<(), RemoveError> {
        let path = || self.path.clone();
        let failed = |source| RemoveError::Io {
            path: path(),
            source,
        };
        let (dir, name) = match self.destination.open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if is_link_in_the_way(&error) => {
                return Err(RemoveError::Changed { path: path() });
            }
            opened => opened.map_err(failed)?,
        };
        match made.remove(&dir, name, proceed).map_err(failed)? {
            Removal::Gone => dir.sync().map_err(failed),
            Removal::NotOurs => Err(RemoveError::Changed { path: path() }),
        }
    }
}
