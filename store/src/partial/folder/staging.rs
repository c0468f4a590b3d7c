//! The staging directory of a folder's download, and the target.
//!
//! A folder is assembled in `NAME.part/` beside the target. If NAME does not exist, the staging
//! directory is renamed to it at the end. If it does, its files are moved there one by one.
//!
//! Owns every directory that a folder download writes to, as handles. Paths come from `local_paths`
//! and consist of safe names, and nothing below a handle is reached through a symbolic link, so no
//! write leaves the directory. Never writes to, replaces or removes a file that no download
//! created: if one is in the way, it is renamed.
//!
//! | file | owns |
//! |---|---|
//! | `search` | which directory is the staging directory |
//! | `files` | the files in it |
//! | `placing` | moving them to the target |

mod files;
mod placing;
mod search;

use std::{
    fs::File,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use pelago_content::{Hash, Listing};

use self::search::StagingSearch;
use super::{file_system::FileSystem, probe};
use crate::{
    PartialError, PartialSpec,
    dir::{Dir, EntryMetadata, EntryType, OpenMode},
    partial::{earlier_run::EarlierRun, mark::Id, page::RecordedPart, part_name::open_parent},
};

/// Bytes of the longest file that the system writes in one go or not at all. Longer ones carry a
/// mark while the folder grows, as a crash may leave a part of them.
pub(super) const MAX_ATOMIC: usize = 4096;

/// The directory that a path in the folder starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// The staging directory.
    Staging,
    /// The folder that existed at the target before.
    Target,
}

/// The directories of one download. No other download writes to them.
pub(in crate::partial) struct Staging {
    target: PathBuf,
    hash: Hash,
    id: Id,
    /// The directory that holds the target, and the name of the target in it.
    target_parent: Arc<Dir>,
    target_name: String,
    dir: Arc<Dir>,
    /// The directory that holds the staging directory, and its name there.
    parent: Arc<Dir>,
    name: String,
    /// The folder that existed at the target before.
    existing_target: Option<Dir>,
    /// Whether this run created the staging directory.
    is_created: bool,
    /// Whether content of others at the target may be replaced.
    overwrite: bool,
    /// What the file system supports, as the first run that probed it found.
    file_system: FileSystem,
    /// Whether an earlier run had this target, a person chose it, or it is an empty folder.
    is_chosen: bool,
    is_at_target: AtomicBool,
}

impl Staging {
    /// Opens the staging directory of `spec`: the one of an earlier run, which is moved if that had
    /// another target, or a new one.
    pub(super) fn open(
        spec: &PartialSpec,
        earlier: &EarlierRun,
        listing: &Listing,
    ) -> Result<Self, PartialError> {
        let target = spec.target.clone();
        let (target_parent, target_name) = open_parent(&target)?;
        let failed = |source| PartialError::Io {
            path: target.clone(),
            source,
        };
        let existing_target = match target_parent.find(&target_name).map_err(failed)? {
            Some(entry) if entry.kind == EntryType::Folder => {
                Some(target_parent.sub(&target_name).map_err(failed)?)
            }
            Some(_) => return Err(PartialError::InTheWay { path: target }),
            None => None,
        };
        let search = StagingSearch {
            spec,
            hash: spec.descriptor.hash(),
            target_parent: &target_parent,
            target_name: &target_name,
        };
        let found = match search.resume(earlier)? {
            Some(found) => found,
            None => search.create()?,
        };
        let file_system = match earlier {
            EarlierRun::Recorded(recorded) if !found.is_created => recorded.file_system().cloned(),
            _ => None,
        };
        let file_system = match file_system {
            Some(file_system) => file_system,
            None => probe::file_system(&found.dir, listing).map_err(failed)?,
        };
        let is_empty = |existing: &Dir| existing.is_empty().unwrap_or(false);
        Ok(Self {
            hash: search.hash,
            id: found.id,
            is_chosen: earlier.had_target(&target)
                || spec.is_named
                || existing_target.as_ref().is_some_and(is_empty),
            target_parent: Arc::clone(&target_parent),
            dir: Arc::new(found.dir),
            parent: found.parent,
            name: found.name,
            existing_target,
            is_created: found.is_created,
            overwrite: spec.overwrite,
            file_system,
            is_at_target: AtomicBool::new(false),
            target_name,
            target,
        })
    }

    /// What the record keeps of it.
    pub(super) fn recorded(&self) -> RecordedPart {
        RecordedPart {
            id: self.id,
            path: self.parent.path_of(&self.name),
            file_system: Some(self.file_system.clone()),
        }
    }

    /// What the file system supports.
    pub(super) const fn file_system(&self) -> &FileSystem {
        &self.file_system
    }

    /// The directory that is or will be at the target.
    pub(super) fn final_dir(&self) -> Option<&File> {
        self.existing_target.as_ref().unwrap_or(&self.dir).as_file()
    }

    /// Whether the target is an existing folder that only a peer's choice of name leads to.
    pub(super) const fn is_unchosen(&self) -> bool {
        self.existing_target.is_some() && !self.is_chosen
    }

    /// Whether there is nothing yet, neither in the staging directory nor at the target.
    pub(super) const fn is_new(&self) -> bool {
        self.is_created && self.existing_target.is_none()
    }

    /// Removes the staging directory if this run created it. Returns whether it is removed.
    pub(super) fn roll_back(&self) -> bool {
        let removed = self
            .is_created
            .then(|| self.parent.remove_folder(&self.name));
        removed.is_some_and(|removed| removed.is_ok())
    }

    /// Whether a folder existed at the target before. Files are moved into it.
    pub(super) const fn has_existing_target(&self) -> bool {
        self.existing_target.is_some()
    }

    /// Whether other content in the existing folder may be replaced.
    pub(super) const fn may_replace(&self) -> bool {
        self.overwrite
    }

    /// The staging directory.
    pub(in crate::partial) const fn dir(&self) -> &Arc<Dir> {
        &self.dir
    }

    /// The folder that existed at the target before.
    pub(super) const fn existing_target(&self) -> Option<&Dir> {
        self.existing_target.as_ref()
    }

    /// The same, unless content in it may be replaced.
    pub(super) fn protected_target(&self) -> Option<&Dir> {
        self.existing_target().filter(|_| !self.may_replace())
    }

    fn base_dir(&self, base: Base) -> &Dir {
        match (base, &self.existing_target) {
            (Base::Target, Some(existing)) => existing,
            _ => &self.dir,
        }
    }

    /// The present path of an entry.
    pub(super) fn path(&self, base: Base, inner: &str) -> PathBuf {
        if base == Base::Target || self.is_at_target.load(Ordering::Acquire) {
            self.target(inner)
        } else {
            self.dir.path_of(inner)
        }
    }

    /// The path of an entry once the download is done.
    pub(super) fn target(&self, inner: &str) -> PathBuf {
        self.target.join(inner)
    }

    /// Looks up a path.
    pub(super) fn find(&self, base: Base, inner: &str) -> io::Result<Option<EntryMetadata>> {
        self.base_dir(base).find(inner)
    }

    /// Opens the file at a path. None if nothing is there.
    ///
    /// # Errors
    ///
    /// Also if it is not a regular file.
    pub(super) fn existing(&self, base: Base, inner: &str) -> io::Result<Option<File>> {
        match self.find(base, inner)? {
            Some(_) => self.base_dir(base).file(inner, OpenMode::Read).map(Some),
            None => Ok(None),
        }
    }
}
