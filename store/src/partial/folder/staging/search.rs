//! Finds the staging directory of a download: the one of an earlier run, or a new one.
//!
//! Owns the choice of its name. Another directory that has the name stays, and the next name is
//! tried. Failures leave as a [`PartialError`].

use std::{io, sync::Arc};

use pelago_content::Hash;

use crate::{
    PartialError, PartialSpec,
    dir::Dir,
    partial::{
        earlier_run::EarlierRun,
        mark::{self, Id, Mark},
        part_name::{MAX_ATTEMPTS, open_parent, part_name},
    },
};

/// A staging directory, open and locked.
pub(super) struct StagingDir {
    pub(super) dir: Dir,
    /// The directory that holds it, and its name there.
    pub(super) parent: Arc<Dir>,
    pub(super) name: String,
    pub(super) id: Id,
    /// Whether this run created it.
    pub(super) is_created: bool,
}

/// One search for a staging directory.
pub(super) struct StagingSearch<'a> {
    pub(super) spec: &'a PartialSpec,
    pub(super) hash: Hash,
    /// The directory that holds the target, and the name of the target there.
    pub(super) target_parent: &'a Arc<Dir>,
    pub(super) target_name: &'a str,
}

impl StagingSearch<'_> {
    /// The staging directory of an earlier run, moved if that had another target.
    pub(super) fn resume(&self, earlier: &EarlierRun) -> Result<Option<StagingDir>, PartialError> {
        let Some(path) = earlier.part_path(&self.spec.target) else {
            return Ok(None);
        };
        let Ok((parent, name)) = open_parent(&path) else {
            return Ok(None);
        };
        let Some(found) = self.reuse(parent, name, earlier.id(), true)? else {
            return Ok(None);
        };
        if earlier.had_target(&self.spec.target) {
            return Ok(Some(found));
        }
        Ok(self.moved(&found))
    }

    fn moved(&self, found: &StagingDir) -> Option<StagingDir> {
        for attempt in 1..=MAX_ATTEMPTS {
            let name = part_name(self.target_name, attempt);
            match found
                .parent
                .rename(&found.name, self.target_parent, &name, false)
            {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let path = found.parent.path_of(&found.name);
                    tracing::warn!(
                        path = %path.display(),
                        %error,
                        "cannot move the earlier staging directory: fetching its content again"
                    );
                    return None;
                }
                Ok(()) => {
                    return Some(StagingDir {
                        dir: self.target_parent.sub(&name).ok()?,
                        parent: Arc::clone(self.target_parent),
                        name,
                        id: found.id,
                        is_created: found.is_created,
                    });
                }
            }
        }
        None
    }

    /// The directory at this path, if a download of this content created it.
    ///
    /// # Errors
    ///
    /// [`PartialError::InUse`] if a download runs there.
    fn reuse(
        &self,
        parent: Arc<Dir>,
        name: String,
        recorded: Option<Id>,
        is_recorded: bool,
    ) -> Result<Option<StagingDir>, PartialError> {
        let Ok(dir) = parent.sub(&name) else {
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
            parent,
            name,
            id,
            is_created: false,
        }))
    }

    /// Creates a staging directory under the first name that is free.
    pub(super) fn create(&self) -> Result<StagingDir, PartialError> {
        for attempt in 1..=MAX_ATTEMPTS {
            let name = part_name(self.target_name, attempt);
            let failed = |source| PartialError::Io {
                path: self.target_parent.path_of(&name),
                source,
            };
            match self.target_parent.make_new(&name) {
                Ok(()) => {
                    let dir = self.target_parent.sub(&name).map_err(failed)?;
                    self.lock(&dir)?;
                    let id = Id::random();
                    if let Some(file) = dir.as_file() {
                        mark::set(file, id, &self.hash);
                    }
                    let parent = Arc::clone(self.target_parent);
                    return Ok(StagingDir {
                        dir,
                        parent,
                        name,
                        id,
                        is_created: true,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
            // A run whose record was lost may have left it.
            if let Some(left) =
                self.reuse(Arc::clone(self.target_parent), name.clone(), None, false)?
            {
                return Ok(left);
            }
            self.check_idle(&name)?;
            let path = self.target_parent.path_of(&name);
            tracing::info!(
                path = %path.display(),
                "another directory has this name: trying the next one"
            );
        }
        let path = self.target_parent.path_of(&part_name(self.target_name, 1));
        Err(PartialError::InTheWay { path })
    }

    /// Refuses to begin if other content is being downloaded to the same target: only one of them
    /// could end there.
    fn check_idle(&self, name: &str) -> Result<(), PartialError> {
        match self.target_parent.sub(name) {
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
