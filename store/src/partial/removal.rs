//! Removes what a download put in place: only the files that it created, and only if they are
//! unchanged.
//!
//! Owns how that is decided: by inode and times, and where these do not tell, by content. Never
//! follows a symbolic link: if a folder was moved and a link took its place, everything stays. A
//! removal can be stopped between two entries and repeated later.

use std::{
    fs::{self, File},
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use pelago_content::Descriptor;
use serde::{Deserialize, Serialize};

pub(super) use crate::dir::is_link_in_the_way;
use crate::{
    Comparison, Fingerprint,
    dir::{Dir, EntryMetadata, EntryType, FileId, OpenMode},
    escape::shown,
    file_system, hashing,
};

/// Is called with the number of entries that were dealt with since the last call, often and at least
/// once for each entry. [`ControlFlow::Break`] stops the removal.
pub type Proceed<'a> = &'a dyn Fn(u64) -> ControlFlow<()>;

/// Never stops.
pub(super) const fn to_the_end(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Reports the entries that were dealt with.
///
/// # Errors
///
/// [`io::ErrorKind::Interrupted`] if the removal is stopped.
pub(super) fn step(entries: u64, proceed: Proceed<'_>) -> io::Result<()> {
    match proceed(entries) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(io::ErrorKind::Interrupted.into()),
    }
}

/// The directory that a target is in, so that it can be found again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Destination {
    /// Without symbolic links in the path.
    #[serde(rename = "f")]
    folder: PathBuf,
    #[serde(rename = "n")]
    name: String,
}

impl Destination {
    /// The destination of the target at `path`.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self {
            folder: fs::canonicalize(folder)?,
            name: name.ok_or(io::ErrorKind::InvalidInput)?.to_owned(),
        })
    }

    /// Opens the directory, unless a symbolic link has appeared in its path. Returns it with the
    /// name of the target.
    pub(super) fn open(&self) -> io::Result<(Dir, &str)> {
        if fs::canonicalize(&self.folder)? != self.folder {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok((Dir::open(&self.folder)?, &self.name))
    }
}

/// A file that a download created, as it was when it was put in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlacedFile {
    #[serde(rename = "d", with = "descriptor_bytes")]
    pub(super) descriptor: Descriptor,
    #[serde(rename = "f")]
    pub(super) fingerprint: Fingerprint,
}

/// Serializes a descriptor as the bytes that its hash is computed from.
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

/// The outcome of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// The file is gone.
    Gone,
    /// It is another file, or has other content: it stays.
    NotOurs,
}

impl PlacedFile {
    /// Removes the file at `inner`, if it is this one and unchanged.
    pub(super) fn remove(
        &self,
        dir: &Dir,
        inner: &str,
        proceed: Proceed<'_>,
    ) -> io::Result<Removal> {
        let entry = match dir.find(inner) {
            Ok(Some(entry)) if entry.kind == EntryType::File => entry,
            Ok(Some(_)) => return Ok(Removal::NotOurs),
            Ok(None) => return Ok(Removal::Gone),
            Err(error) if is_link_in_the_way(&error) => return Ok(Removal::NotOurs),
            Err(error) => return Err(error),
        };
        let file = dir.file(inner, OpenMode::Read)?;
        if !self.is(&file, &entry, proceed)? {
            return Ok(Removal::NotOurs);
        }
        remove_entry(dir, inner, entry.file_id)
    }

    /// Whether a file is this one, unchanged.
    fn is(&self, file: &File, entry: &EntryMetadata, proceed: Proceed<'_>) -> io::Result<bool> {
        let is_same_inode = self.fingerprint.has_inode_of(&entry.fingerprint);
        if !is_same_inode && file_system::keeps_inodes(file) {
            return Ok(false);
        }
        let times_tell = is_same_inode && !self.fingerprint.is_coarse();
        Ok(match self.fingerprint.compare(&entry.fingerprint) {
            Comparison::Unchanged if times_tell => true,
            _ => has_content(file, &self.descriptor, proceed)?,
        })
    }
}

/// Whether the file has this content.
///
/// # Errors
///
/// The error of the system; [`io::ErrorKind::Interrupted`] if it was stopped.
pub(super) fn has_content(
    file: &File,
    descriptor: &Descriptor,
    proceed: Proceed<'_>,
) -> io::Result<bool> {
    let is_stopped = || proceed(0).is_break();
    let has_content = hashing::has_content(file, descriptor, None, &is_stopped)?;
    if !has_content {
        step(0, proceed)?;
    }
    Ok(has_content)
}

/// Removes an entry, if it is still the file with this id.
pub(super) fn remove_entry(dir: &Dir, inner: &str, file_id: FileId) -> io::Result<Removal> {
    match dir.find(inner)? {
        Some(entry) if entry.file_id == file_id => {}
        Some(_) => return Ok(Removal::NotOurs),
        None => return Ok(Removal::Gone),
    }
    match dir.remove_file(inner) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(Removal::Gone),
    }
}

/// Why a removal left something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// The file was changed or replaced, or a symbolic link has appeared in its path.
    #[error(
        "{} changed since it was downloaded, so it was not removed: remove it yourself if you do \
         not need it",
        shown(path)
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The folder existed before the download: it also holds other files.
    #[error(
        "{} existed before the download, so it was not removed: remove what you do not need \
         yourself",
        shown(path)
    )]
    InPlace {
        /// The folder.
        path: PathBuf,
    },
    /// The system refused. Everything else is removed.
    #[error("{} cannot be removed: {source}", shown(path))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}
