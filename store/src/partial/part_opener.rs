//! Opens the part file of a download: the one that an earlier run left, or a new one.
//!
//! Owns the choice of its name: `<target>.part`, or a numbered one if another file has that name. A
//! file is reused only if it is proven to be what an earlier run left. Failures leave as a
//! [`PartialError`].

use std::{
    fs::{File, TryLockError},
    io,
    path::PathBuf,
    sync::Arc,
};

use pelago_content::Hash;

use super::{
    PartialError, PartialSpec,
    earlier_run::EarlierRun,
    mark::{self, Id},
    part_file::{PartFile, is_ours, lock},
    part_name::{MAX_ATTEMPTS, open_parent, part_name},
    proof::proves_something,
    records::Records,
};
use crate::dir::{Dir, OpenMode, metadata_of_file};

/// A part file that is open and locked.
pub(super) type LockedPart = (PartFile, File);

/// Opens and locks the part file of `spec`. What an earlier run left is moved here if it had
/// another target.
pub(super) fn open(
    records: &Records,
    spec: &PartialSpec,
    earlier: &EarlierRun,
) -> Result<LockedPart, PartialError> {
    let (dir, name) = open_parent(&spec.target)?;
    let opener = PartOpener {
        records,
        spec,
        hash: spec.descriptor.hash(),
        dir,
        name,
    };
    match opener.resume(earlier)? {
        Some(found) => Ok(found),
        None => opener.create(),
    }
}

/// Opens and locks the part file of a file in a folder, which has the path `inner` in `dir` from
/// the start. `clear_path` makes sure that nothing else has that path.
pub(super) fn open_in(
    records: &Records,
    spec: &PartialSpec,
    earlier: &EarlierRun,
    dir: Arc<Dir>,
    inner: String,
    clear_path: &dyn Fn() -> io::Result<()>,
) -> Result<LockedPart, PartialError> {
    let opener = PartOpener {
        records,
        spec,
        hash: spec.descriptor.hash(),
        dir,
        name: inner,
    };
    let path = opener.dir.path_of(&opener.name);
    let mut left = opener.recorded_part(earlier)?;
    if left.is_none() {
        // The staging directory may have been moved, or the record lost: then only the mark tells.
        let (dir, inner) = (Arc::clone(&opener.dir), opener.name.clone());
        left = opener
            .reuse(dir, inner, earlier)?
            .map(|here| (here, path.clone()));
    }
    let clear_path = || {
        clear_path().map_err(|source| PartialError::Io {
            path: path.clone(),
            source,
        })
    };
    match left {
        Some((left, recorded)) if recorded == path => Ok(left),
        Some((left, _)) => {
            clear_path()?;
            opener.move_in(left)
        }
        None => {
            clear_path()?;
            opener.create_at_name()
        }
    }
}

/// One attempt to open a part file.
struct PartOpener<'a> {
    records: &'a Records,
    spec: &'a PartialSpec,
    hash: Hash,
    dir: Arc<Dir>,
    /// The name of the target. For a file in a folder, its path in `dir`.
    name: String,
}

impl PartOpener<'_> {
    /// The part file that an earlier run left, moved if that run had another target.
    fn resume(&self, earlier: &EarlierRun) -> Result<Option<LockedPart>, PartialError> {
        let Some((left, recorded)) = self.recorded_part(earlier)? else {
            return Ok(None);
        };
        let is_here = recorded.parent() == self.spec.target.parent();
        if is_here && earlier.had_target(&self.spec.target) {
            return Ok(Some(left));
        }
        for attempt in 1..=MAX_ATTEMPTS {
            let inner = part_name(&self.name, attempt);
            match left.0.dir.rename(&left.0.inner, &self.dir, &inner, false) {
                Ok(()) => return Ok(Some(self.moved(left, inner))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    // The old one stays if the new one cannot be created.
                    self.require_other_disk(&error)?;
                    let created = self.create()?;
                    self.discard(&left.0);
                    return Ok(Some(created));
                }
            }
        }
        Ok(None)
    }

    /// Returns the error of a rename, unless it failed because the disks differ.
    fn require_other_disk(&self, error: &io::Error) -> Result<(), PartialError> {
        if error.kind() == io::ErrorKind::CrossesDevices {
            return Ok(());
        }
        Err(PartialError::Io {
            path: self.spec.target.clone(),
            source: io::Error::new(error.kind(), error.to_string()),
        })
    }

    /// Moves the part file of a file in a folder to its path. Before format 2 it was `<path>.part`,
    /// and if the folder existed before, it was there.
    fn move_in(&self, left: LockedPart) -> Result<LockedPart, PartialError> {
        let (dir, inner) = (&left.0.dir, &left.0.inner);
        match dir.rename(inner, &self.dir, &self.name, false) {
            Ok(()) => Ok(self.moved(left, self.name.clone())),
            Err(error) => {
                self.require_other_disk(&error)?;
                let created = self.create_at_name()?;
                self.discard(&left.0);
                Ok(created)
            }
        }
    }

    /// The part file of the earlier run and its path, if it exists, is ours, and is not in use.
    fn recorded_part(
        &self,
        earlier: &EarlierRun,
    ) -> Result<Option<(LockedPart, PathBuf)>, PartialError> {
        let Some(path) = earlier.part_path(&self.spec.target) else {
            return Ok(None);
        };
        let Ok((dir, inner)) = open_parent(&path) else {
            return Ok(None);
        };
        let reused = self.reuse(dir, inner, earlier)?;
        Ok(reused.map(|left| (left, path)))
    }

    /// Opens the file, if it is ours.
    fn reuse(
        &self,
        dir: Arc<Dir>,
        inner: String,
        earlier: &EarlierRun,
    ) -> Result<Option<LockedPart>, PartialError> {
        let Ok(file) = dir.file(&inner, OpenMode::Write) else {
            return Ok(None);
        };
        let proves = || proves_something(self.records, self.spec, &file);
        let ours = is_ours(&file, earlier.id(), &self.hash, earlier.is_some(), proves);
        let Some(id) = ours.filter(|_| metadata_of_file(&file).is_ok_and(|entry| entry.links == 1))
        else {
            return Ok(None);
        };
        let path = dir.path_of(&inner);
        if !lock(&file).map_err(|source| PartialError::Io { path, source })? {
            return Err(self.in_use());
        }
        let id = id.unwrap_or_else(Id::random);
        mark::set(&file, id, &self.hash);
        Ok(Some((PartFile { dir, inner, id }, file)))
    }

    fn in_use(&self) -> PartialError {
        let target = self.spec.target.clone();
        PartialError::InUse { target }
    }

    fn moved(&self, (left, file): LockedPart, inner: String) -> LockedPart {
        let dir = Arc::clone(&self.dir);
        (PartFile { dir, inner, ..left }, file)
    }

    /// Removes the part file of an earlier run on another disk. Its content is fetched again.
    fn discard(&self, left: &PartFile) {
        let (from, to) = (left.path(), &self.spec.target);
        let (from, to) = (from.display(), to.display());
        tracing::info!(
            %from,
            %to,
            "the earlier part file is on another disk: fetching the content again"
        );
        if let Err(error) = left.dir.remove_file(&left.inner) {
            tracing::warn!(%from, %error, "cannot remove the earlier part file");
        }
    }

    /// Creates a part file under the first name that is free.
    fn create(&self) -> Result<LockedPart, PartialError> {
        for attempt in 1..=MAX_ATTEMPTS {
            let inner = part_name(&self.name, attempt);
            if let Some(created) = self.create_at(&inner)? {
                return Ok(created);
            }
            // A run whose record was lost may have left it.
            let dir = Arc::clone(&self.dir);
            if let Some(left) = self.reuse(dir, inner.clone(), &EarlierRun::None)? {
                return Ok(left);
            }
            if self.is_busy(&inner) {
                return Err(self.in_use());
            }
            let path = self.dir.path_of(&inner);
            tracing::info!(
                path = %path.display(),
                "another file has this name: trying the next one"
            );
        }
        let path = self.dir.path_of(&part_name(&self.name, 1));
        Err(PartialError::InTheWay { path })
    }

    /// Whether other content is being downloaded to the same target: only one of them could end
    /// there.
    fn is_busy(&self, inner: &str) -> bool {
        let file = self.dir.file(inner, OpenMode::Read);
        file.is_ok_and(|file| {
            mark::is_there(&file) && matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
        })
    }

    fn create_at_name(&self) -> Result<LockedPart, PartialError> {
        let created = self.create_at(&self.name)?;
        let path = self.dir.path_of(&self.name);
        created.ok_or(PartialError::InTheWay { path })
    }

    /// Creates a part file with this name. None if the name is taken.
    fn create_at(&self, inner: &str) -> Result<Option<LockedPart>, PartialError> {
        let failed = |source| PartialError::Io {
            path: self.dir.path_of(inner),
            source,
        };
        let file = match self.dir.file(inner, OpenMode::New) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            created => created.map_err(failed)?,
        };
        if !lock(&file).map_err(failed)? {
            return Ok(None);
        }
        let id = Id::random();
        mark::set(&file, id, &self.hash);
        let part_file = PartFile {
            dir: Arc::clone(&self.dir),
            inner: inner.to_owned(),
            id,
        };
        Ok(Some((part_file, file)))
    }
}
