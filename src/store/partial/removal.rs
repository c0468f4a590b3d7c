//! Removes what a download put in place: only the very files that it made, and only if they still hold
//! what they were given.
//!
//! Owns how that is decided: by a file's number and times, and where these do not tell, by its content.
//! Never follows a link: a folder that was moved away, with a link in its place, stays as it is.
//! A [`Receipt`] can be kept, so that a later run of the node removes as surely as this one.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use pelago_content::Descriptor;
use serde::{Deserialize, Serialize};

use super::{Finished, folder::PlacedFolder};
use crate::store::{
    Fingerprint, Look,
    dir::{Dir, Entry, Identity, Kind, Mode},
    disk,
    escape::shown,
    hashing,
};

/// The directory that something was put into, to be found again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Destination {
    /// Without links on the way.
    #[serde(rename = "f")]
    folder: PathBuf,
    #[serde(rename = "n")]
    name: String,
}

/// What a download put in place, as it was then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Where it is.
    #[serde(rename = "p")]
    path: PathBuf,
    #[serde(rename = "h")]
    home: Destination,
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

impl Destination {
    /// The home of what lies at `path`.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self {
            folder: fs::canonicalize(folder)?,
            name: name.ok_or(io::ErrorKind::InvalidInput)?.to_owned(),
        })
    }

    /// The directory, if no link leads to it that did not before; and the name in it.
    pub(super) fn open(&self) -> io::Result<(Dir, &str)> {
        if fs::canonicalize(&self.folder)? != self.folder {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok((Dir::open(&self.folder)?, &self.name))
    }
}

impl Finished {
    /// What is needed to remove the file later.
    pub fn receipt(&self) -> Receipt {
        let made = PlacedFile {
            descriptor: self.descriptor,
            fingerprint: self.fingerprint,
        };
        Receipt::new(&self.path, &self.home, Placed::File(made))
    }
}

impl Receipt {
    fn new(path: &Path, home: &Destination, placed: Placed) -> Self {
        Self {
            path: path.to_owned(),
            home: home.clone(),
            placed,
        }
    }

    pub(super) fn of_folder(path: &Path, home: &Destination, placed: PlacedFolder) -> Self {
        Self::new(path, home, Placed::Folder(placed))
    }

    /// That of a file.
    #[cfg(test)]
    pub(in crate::store) fn of_file(
        path: &Path,
        descriptor: Descriptor,
        fingerprint: Fingerprint,
    ) -> io::Result<Self> {
        let made = PlacedFile {
            descriptor,
            fingerprint,
        };
        Ok(Self::new(path, &Destination::of(path)?, Placed::File(made)))
    }

    /// Whether an earlier receipt can change what this one says.
    pub(in crate::store) const fn may_continue(&self) -> bool {
        matches!(&self.placed, Placed::Folder(folder) if !folder.is_new())
    }

    /// The same, where an attempt of the same download that was cut short kept the `earlier` one.
    #[must_use]
    pub(in crate::store) fn continued_from(mut self, earlier: &Self) -> Self {
        if let (Placed::Folder(now), Placed::Folder(before)) = (&mut self.placed, &earlier.placed)
            && self.path == earlier.path
        {
            now.continue_from(before);
        }
        self
    }

    /// Where the file or folder was put.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file, or the folder but for files in it that were changed since, what others put into
    /// it, and the directories that lead there. Gives what was downloaded and stays, as it is not what it
    /// was. What is gone is removed already.
    ///
    /// # Errors
    ///
    /// See [`RemoveError`].
    pub fn remove(&self) -> Result<Vec<PathBuf>, RemoveError> {
        match &self.placed {
            Placed::File(made) => self.remove_file(made).map(|()| Vec::new()),
            Placed::Folder(folder) => folder.remove(&self.path, &self.home),
        }
    }

    fn remove_file(&self, made: &PlacedFile) -> Result<(), RemoveError> {
        let path = || self.path.clone();
        let failed = |source| RemoveError::Io {
            path: path(),
            source,
        };
        let (dir, name) = match self.home.open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if is_link_in_the_way(&error) => {
                return Err(RemoveError::Changed { path: path() });
            }
            opened => opened.map_err(failed)?,
        };
        match made.remove(&dir, name).map_err(failed)? {
            Removal::Gone => dir.sync().map_err(failed),
            Removal::NotOurs => Err(RemoveError::Changed { path: path() }),
        }
    }
}

/// A file that a download made, as it was then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlacedFile {
    #[serde(rename = "d", with = "descriptor_bytes")]
    pub(super) descriptor: Descriptor,
    #[serde(rename = "f")]
    pub(super) fingerprint: Fingerprint,
}

/// A descriptor as the bytes that hashes are made of.
mod descriptor_bytes {
    use pelago_content::Descriptor;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use serde_bytes::ByteBuf;

    pub(super) fn serialize<S: Serializer>(
        descriptor: &Descriptor,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&descriptor.to_bytes())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Descriptor, D::Error> {
        let bytes = ByteBuf::deserialize(deserializer)?;
        Descriptor::from_bytes(&bytes).map_err(D::Error::custom)
    }
}

/// What came of removing a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// It is not there any more, or was not.
    Gone,
    /// It is another file, or holds something else: it stays.
    NotOurs,
}

impl PlacedFile {
    /// Removes the file at `inner`, if it is this one.
    pub(super) fn remove(&self, dir: &Dir, inner: &str) -> io::Result<Removal> {
        let entry = match dir.find(inner) {
            Ok(Some(entry)) if entry.kind == Kind::File => entry,
            Ok(Some(_)) => return Ok(Removal::NotOurs),
            Ok(None) => return Ok(Removal::Gone),
            Err(error) if is_link_in_the_way(&error) => return Ok(Removal::NotOurs),
            Err(error) => return Err(error),
        };
        let file = dir.file(inner, Mode::Read)?;
        if !self.is(&file, &entry)? {
            return Ok(Removal::NotOurs);
        }
        remove_this(dir, inner, entry.identity)
    }

    /// Whether a file is this one.
    fn is(&self, file: &File, entry: &Entry) -> io::Result<bool> {
        let is_same_inode = self.fingerprint.has_inode_of(&entry.fingerprint);
        if !is_same_inode && disk::keeps_inodes(file) {
            return Ok(false);
        }
        let times_tell = is_same_inode && !self.fingerprint.is_coarse();
        Ok(match self.fingerprint.compare(&entry.fingerprint) {
            Look::Sure if times_tell => true,
            _ => has_content(file, &self.descriptor)?,
        })
    }
}

/// Whether the file holds this content.
pub(super) fn has_content(file: &File, descriptor: &Descriptor) -> io::Result<bool> {
    hashing::has_content(file, descriptor, None, &|| false)
}

/// Removes an entry, if it is still the one that was looked at.
pub(super) fn remove_this(dir: &Dir, inner: &str, identity: Identity) -> io::Result<Removal> {
    match dir.find(inner)? {
        Some(entry) if entry.identity == identity => {}
        Some(_) => return Ok(Removal::NotOurs),
        None => return Ok(Removal::Gone),
    }
    match dir.remove_file(inner) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(Removal::Gone),
    }
}

/// Whether something on the way is no directory (any more).
pub(super) fn is_link_in_the_way(error: &io::Error) -> bool {
    use io::ErrorKind::NotADirectory;
    // `ErrorKind::FilesystemLoop` is not stable.
    #[cfg(unix)]
    let is_loop = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    #[cfg(not(unix))]
    let is_loop = false;
    error.kind() == NotADirectory || is_loop
}

/// Why what was downloaded was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// Somebody wrote to the file, or it is another one, or a link leads there now.
    #[error(
        "{} is not what was downloaded any more: it stays; remove it yourself if you do not need it",
        shown(path)
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The folder was there before: what in it was downloaded is not told from what was not.
    #[error("{} was there before the download: it is not removed", shown(path))]
    InPlace {
        /// The folder.
        path: PathBuf,
    },
    /// The system said no; what can be removed is.
    #[error("{} cannot be removed: {source}", shown(path))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
