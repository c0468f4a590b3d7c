//! The part file of a download: the file in which its content grows.
//!
//! Owns how a part file is recognised: by its mark, or, where the file system has no extended
//! attributes, by the record and one block that it proves. Any other file stays.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use pelago_content::Hash;

use super::{
    PartialError, PartialSpec,
    mark::{self, Id, Mark},
    page::RecordedPart,
    part_name::open_parent,
    proof::proves_something,
    records::Records,
    removal::{Removal, remove_entry},
};
use crate::dir::{Dir, EntryType, OpenMode, metadata_of_file};

/// The location of a part file, and the id in its mark.
#[derive(Clone, Debug)]
pub(super) struct PartFile {
    /// The directory that holds it, open for as long as the download lives.
    pub(super) dir: Arc<Dir>,
    /// The path from there.
    pub(super) inner: String,
    /// The id of the download that created it.
    pub(super) id: Id,
}

impl PartFile {
    /// The absolute path, for people and the record.
    pub(super) fn path(&self) -> PathBuf {
        self.dir.path_of(&self.inner)
    }

    /// What the record keeps of it.
    pub(super) fn recorded(&self) -> RecordedPart {
        RecordedPart {
            id: self.id,
            path: self.path(),
            file_system: None,
        }
    }

    /// Opens it again.
    ///
    /// # Errors
    ///
    /// If another file has its path, or another download has locked it.
    pub(super) fn reopen(&self, hash: &Hash) -> io::Result<File> {
        let file = self.dir.file(&self.inner, OpenMode::Write)?;
        match mark::read(&file) {
            Mark::Of(id, of) if id == self.id && of == *hash => {}
            Mark::Unsupported => {}
            _ => return Err(io::Error::other("another file has taken its path")),
        }
        if lock(&file)? {
            Ok(file)
        } else {
            Err(io::Error::other("another download writes to it"))
        }
    }
}

/// Removes the part file at `part`, if the download of `spec` created it and nothing writes to it.
/// Returns its path if it is another file, which stays.
pub(super) fn remove(
    records: &Records,
    spec: &PartialSpec,
    part: &Path,
    id: Option<Id>,
) -> Result<Option<PathBuf>, PartialError> {
    let hash = spec.descriptor.hash();
    remove_if(part, |file| {
        let proves = || proves_something(records, spec, file);
        is_ours(file, id, &hash, true, proves).is_some()
    })
}

/// Removes the part file at `part` as [`remove`] does, where only its mark shows that a download of
/// `hash` created it.
pub(super) fn remove_marked(part: &Path, hash: &Hash) -> Result<Option<PathBuf>, PartialError> {
    remove_if(part, |file| {
        is_ours(file, None, hash, true, || false).is_some()
    })
}

fn remove_if(
    part: &Path,
    is_ours: impl FnOnce(&File) -> bool,
) -> Result<Option<PathBuf>, PartialError> {
    let failed = |source| PartialError::Io {
        path: part.to_owned(),
        source,
    };
    let Ok((dir, inner)) = open_parent(part) else {
        return Ok(None);
    };
    let file = match dir.file(&inner, OpenMode::Write) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // A download creates regular files only.
        Err(_)
            if dir
                .metadata_of(&inner)
                .is_ok_and(|entry| entry.kind != EntryType::File) =>
        {
            return Ok(Some(part.to_owned()));
        }
        Err(error) => return Err(failed(error)),
    };
    if !is_ours(&file) {
        return Ok(Some(part.to_owned()));
    }
    if !lock(&file).map_err(failed)? {
        let target = part.to_owned();
        return Err(PartialError::InUse { target });
    }
    let file_id = metadata_of_file(&file).map_err(failed)?.file_id;
    match remove_entry(&dir, &inner, file_id).map_err(failed)? {
        Removal::Gone => Ok(None),
        Removal::NotOurs => Ok(Some(part.to_owned())),
    }
}

/// Whether a download of `hash` created this file. `recorded` is the id in the record of that
/// download, and `is_recorded` whether there is a record. Returns the id that the file keeps, if it
/// has one already.
#[allow(clippy::option_option, reason = "whether it is ours, and its id")]
pub(super) fn is_ours(
    file: &File,
    recorded: Option<Id>,
    hash: &Hash,
    is_recorded: bool,
    proves: impl FnOnce() -> bool,
) -> Option<Option<Id>> {
    match (mark::read(file), recorded) {
        (Mark::Of(id, _), Some(recorded)) => (id == recorded).then_some(Some(id)),
        (Mark::Of(id, of), None) => (of == *hash).then_some(Some(id)),
        (Mark::Old, None) => is_recorded.then_some(None),
        (Mark::Old, Some(_)) => None,
        // Versions before format 2 removed the mark a moment too early.
        (Mark::None, recorded) => (is_recorded && recorded.is_none() && proves()).then_some(None),
        (Mark::Unsupported, recorded) => {
            let is_blank = || is_blank(file).unwrap_or(false);
            (is_recorded && (is_blank() || proves())).then_some(recorded)
        }
    }
}

/// Whether the file has no data: it is empty, or a single hole.
fn is_blank(file: &File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::{fs::SeekFrom, io::Errno};
        // All other reads and writes state their offset, so the position may change.
        Ok(rustix::fs::seek(file, SeekFrom::Data(0)) == Err(Errno::NXIO))
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    Ok(false)
}

/// Locks the file until it is closed. Returns false if another process has locked it.
pub(super) fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
