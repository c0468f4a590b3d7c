//! The directory in which a folder grows: that of an earlier run, if it is proven to be ours, or a new one.
//!
//! Owns the choice of its name. What has that name and is not ours stays, and another name is chosen. Failures
//! leave as a [`PartialError`].

use std::{io, sync::Arc};

use pelago_content::Hash;

use super::staging::MAX_NAMES;
use crate::store::{
    PartialError, PartialSpec,
    dir::Dir,
    partial::{
        mark::{self, Id, Mark},
        part_file::{default_path, part_name, place_of},
        record::EarlierRun,
    },
};

/// A tree that is about to grow.
pub(super) struct StagingDir {
    pub(super) dir: Dir,
    pub(super) home: Arc<Dir>,
    pub(super) name: String,
    pub(super) id: Id,
    pub(super) is_new: bool,
}

/// One attempt to open a tree.
pub(super) struct StagingSearch<'a> {
    pub(super) spec: &'a PartialSpec,
    pub(super) hash: Hash,
    /// Of the target.
    pub(super) home: &'a Arc<Dir>,
    pub(super) name: &'a str,
}

impl StagingSearch<'_> {
    /// The tree of an earlier run, moved here if it was for another target.
    pub(super) fn earlier(&self, known: &EarlierRun) -> Result<Option<StagingDir>, PartialError> {
        let path = match known {
            EarlierRun::Recorded(recorded) => recorded.part_path(),
            EarlierRun::Damaged => default_path(&self.spec.target),
            EarlierRun::None => return Ok(None),
        };
        let Ok((home, name)) = place_of(&path) else {
            return Ok(None);
        };
        let recorded = match known {
            EarlierRun::Recorded(recorded) => recorded.part.as_ref().map(|part| part.id),
            _ => None,
        };
        let Some(staged) = self.take(home, name, recorded, true)? else {
            return Ok(None);
        };
        if known.is_for(&self.spec.target) {
            return Ok(Some(staged));
        }
        Ok(self.moved(&staged))
    }

    fn moved(&self, staged: &StagingDir) -> Option<StagingDir> {
        for attempt in 1..=MAX_NAMES {
            let name = part_name(self.name, attempt);
            match staged.home.rename(&staged.name, self.home, &name, false) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let path = staged.home.path_of(&staged.name);
                    tracing::warn!(path = %path.display(), %error, "cannot be moved: it stays there, and is fetched again");
                    return None;
                }
                Ok(()) => {
                    return Some(StagingDir {
                        dir: self.home.sub(&name).ok()?,
                        home: Arc::clone(self.home),
                        name,
                        id: staged.id,
                        is_new: staged.is_new,
                    });
                }
            }
        }
        None
    }

    /// The tree at this place, if it is ours and nobody writes to it.
    fn take(
        &self,
        home: Arc<Dir>,
        name: String,
        recorded: Option<Id>,
        is_recorded: bool,
    ) -> Result<Option<StagingDir>, PartialError> {
        let Ok(dir) = home.sub(&name) else {
            return Ok(None);
        };
        let mark = dir.as_file().map_or(Mark::Unsupported, mark::read);
        let id = match (mark, recorded) {
            (Mark::Of(id, _), Some(recorded)) if id == recorded => id,
            (Mark::Of(id, of), None) if of == self.hash => id,
            (Mark::Old, None) if is_recorded => Id::random(),
            (Mark::Unsupported, recorded) if is_recorded => recorded.unwrap_or_else(Id::random),
            _ => return Ok(None),
        };
        self.lock(&dir)?;
        if let Some(file) = dir.as_file() {
            mark::set(file, id, &self.hash);
        }
        Ok(Some(StagingDir {
            dir,
            home,
            name,
            id,
            is_new: false,
        }))
    }

    /// A new tree, under the first name that is free.
    pub(super) fn make(&self) -> Result<StagingDir, PartialError> {
        for attempt in 1..=MAX_NAMES {
            let name = part_name(self.name, attempt);
            let failed = |source| PartialError::Io {
                path: self.home.path_of(&name),
                source,
            };
            match self.home.make_new(&name) {
                Ok(()) => {
                    let dir = self.home.sub(&name).map_err(failed)?;
                    self.lock(&dir)?;
                    let id = Id::random();
                    if let Some(file) = dir.as_file() {
                        mark::set(file, id, &self.hash);
                    }
                    let home = Arc::clone(self.home);
                    return Ok(StagingDir {
                        dir,
                        home,
                        name,
                        id,
                        is_new: true,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
            // A run whose record was lost may have left it.
            if let Some(left) = self.take(Arc::clone(self.home), name.clone(), None, false)? {
                return Ok(left);
            }
            self.check_idle(&name)?;
            let path = self.home.path_of(&name);
            tracing::info!(path = %path.display(), "not ours: growing under another name");
        }
        let path = self.home.path_of(&part_name(self.name, 1));
        Err(PartialError::Exists { path })
    }

    /// Refuses to begin where other content is being downloaded to the same target: only one of them could
    /// end there.
    fn check_idle(&self, name: &str) -> Result<(), PartialError> {
        match self.home.sub(name) {
            Ok(dir) if dir.as_file().is_some_and(mark::is_there) => self.lock(&dir),
            _ => Ok(()),
        }
    }

    fn lock(&self, dir: &Dir) -> Result<(), PartialError> {
        match dir.try_lock() {
            Ok(true) => Ok(()),
            Ok(false) => {
                let target = self.spec.target.clone();
                Err(PartialError::InUse { target })
            }
            Err(source) => Err(PartialError::Io {
                path: dir.path().to_owned(),
                source,
            }),
        }
    }
}
