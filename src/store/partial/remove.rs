//! The end of what was downloaded, when nobody wants it any more: only the very file that the download
//! made is removed, and only if it still holds what it was given.
//!
//! Owns how that is told: by the file's number and times, and where these do not tell, by its content.
//! Never follows a link: a folder that was moved away, with a link in its place, stays as it is.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use pelago_content::Descriptor;

use super::Finished;
use crate::store::{
    Fingerprint, Look,
    dir::{Dir, Entry, Identity, Kind, Mode},
    disk, hashing,
};

/// The directory that something was put into, to be found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Home {
    /// Without links on the way.
    folder: PathBuf,
    name: String,
}

impl Home {
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
    /// Removes the file, if it is the one that was downloaded and was not changed since. One that is gone
    /// is removed already.
    ///
    /// # Errors
    ///
    /// [`RemoveError::Changed`], [`RemoveError::Io`].
    pub fn remove(&self) -> Result<(), RemoveError> {
        let failed = |source| RemoveError::Io {
            path: self.path.clone(),
            source,
        };
        let (dir, name) = match self.home.open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if is_link_in_the_way(&error) => return Err(self.changed()),
            opened => opened.map_err(failed)?,
        };
        let made = Made {
            descriptor: self.descriptor,
            fingerprint: self.fingerprint,
        };
        match made.remove(&dir, name).map_err(failed)? {
            Removal::Gone => dir.sync().map_err(failed),
            Removal::NotOurs => Err(self.changed()),
        }
    }

    fn changed(&self) -> RemoveError {
        RemoveError::Changed {
            path: self.path.clone(),
        }
    }
}

/// A file that a download made, as it was then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    pub(super) descriptor: Descriptor,
    pub(super) fingerprint: Fingerprint,
}

/// What came of removing a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// It is not there any more, or was not.
    Gone,
    /// It is another file, or holds something else: it stays.
    NotOurs,
}

impl Made {
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
    hashing::has_content(file, descriptor, None)
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
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The folder was there before: what in it was downloaded is not told from what was not.
    #[error("{} was there before the download: it is not removed", path.display())]
    InPlace {
        /// The folder.
        path: PathBuf,
    },
    /// The system said no; what can be removed is.
    #[error("{} cannot be removed: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
