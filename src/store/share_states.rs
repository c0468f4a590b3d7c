//! Whether what is shared can be had at present, and why not.
//!
//! Owns the states of shares and of files in shared folders, in memory: a look at the disk finds them
//! again. What is available has no entry. Only looks at metadata, never reads a file, and never
//! withdraws a share. Failures leave as the database's.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use pelago_content::{BlockRanges, Hash};

use super::{Comparison, Fingerprint, Origin, Share, Writers, hashing::age};

/// Files of one shared folder whose states are remembered, at most. A folder with more that are not
/// available is not available itself.
pub(super) const MAX_MEMBERS: usize = 10_000;

/// How long a file that a program has open for writing has to be unchanged before it is hashed.
const HELD_OPEN: Duration = Duration::from_secs(600);

/// Contents that were shared in this run and are not any more, and are remembered, at most.
const MAX_WITHDRAWN: usize = 1024;

/// Folders whose missing blocks are remembered, at most.
const MAX_LACKING: usize = 64;

/// Whether a share can be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ShareState {
    /// It is offered to others. Of a folder, some files may not be available.
    #[default]
    Available,
    /// A program writes to it.
    BeingWritten,
    /// It is not at its path, or its disk is not mounted.
    Missing,
    /// Its content is not what is listed, or is not proven to be yet.
    Changed,
    /// The system does not let the node read it.
    Unreadable,
    /// A person withdrew it from a watched folder.
    Excluded,
}

impl ShareState {
    /// The word for it, which stays the same between versions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::BeingWritten => "being written",
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Unreadable => "unreadable",
            Self::Excluded => "excluded",
        }
    }

    /// Whether it is offered to others.
    #[must_use]
    pub const fn is_available(self) -> bool {
        matches!(self, Self::Available)
    }
}

/// What the metadata of a file tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Whether it can be had.
    pub state: ShareState,
    /// Whether hashing it again may tell more, and for which reason.
    pub rehash: Option<Comparison>,
}

impl Inspection {
    pub(super) const fn new(state: ShareState) -> Self {
        Self {
            state,
            rehash: None,
        }
    }

    /// What is at `path`, where a file with this fingerprint was hashed.
    pub(super) fn of_file(path: &Path, listed: &Fingerprint) -> Self {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => return Self::new(state_after(&error)),
        };
        if !metadata.is_file() {
            return Self::new(ShareState::Changed);
        }
        let now = Fingerprint::new(&metadata);
        let look = listed.compare(&now);
        if look == Comparison::Unchanged {
            return Self::new(ShareState::Available);
        }
        // A change of permissions is a change of metadata.
        if !is_readable(path) {
            return Self::new(ShareState::Unreadable);
        }
        let is_open = Writers::at(path) == Writers::Present;
        let state = match look {
            Comparison::Changed if is_open => ShareState::BeingWritten,
            Comparison::Changed => ShareState::Changed,
            Comparison::Unchanged | Comparison::InDoubt => ShareState::Available,
        };
        // While it is open it stays in doubt whatever its hash is, and it may change at any time.
        let is_left_alone = look == Comparison::Changed && age(&now) >= HELD_OPEN;
        let tells = !listed.is_of_other_content(&now) && (!is_open || is_left_alone);
        Self {
            state,
            rehash: tells.then_some(look),
        }
    }

    /// What is at `path`, where a folder was shared.
    pub(super) fn of_folder(path: &Path) -> Self {
        Self::new(match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.is_dir() => ShareState::Changed,
            Ok(_) if !is_readable(path) => ShareState::Unreadable,
            Ok(_) => ShareState::Available,
            Err(error) => state_after(&error),
        })
    }
}

fn state_after(error: &io::Error) -> ShareState {
    if is_gone(error) {
        ShareState::Missing
    } else {
        ShareState::Unreadable
    }
}

/// Whether an error says that there is nothing at a path, and not that it cannot be looked at.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Whether this process may read what is at `path`.
fn is_readable(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use rustix::fs::{Access, AtFlags, CWD, accessat};
        accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).is_ok()
    }
    #[cfg(not(unix))]
    fs::File::open(path).is_ok()
}

/// The states that are known.
#[derive(Debug, Default)]
pub(super) struct ShareStates(RwLock<KnownStates>);

#[derive(Debug, Default)]
pub(super) struct KnownStates {
    /// Watched folders, and mounts below them, that are not there.
    pub(super) missing: Vec<PathBuf>,
    pub(super) shares: HashMap<PathBuf, ShareState>,
    /// Files in shared folders, by the path of the folder.
    pub(super) members: HashMap<PathBuf, BTreeMap<String, ShareState>>,
    /// The blocks of files that are not available, by folder and path in it.
    pub(super) lacking: HashMap<(PathBuf, String), Arc<BlockRanges>>,
    /// Files that could not be read, and when.
    pub(super) unreadable: HashMap<PathBuf, Instant>,
    /// Content that was shared until some time ago, the last at the end.
    withdrawn: VecDeque<Hash>,
}

impl ShareStates {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, KnownStates> {
        self.0.read()
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, KnownStates> {
        self.0.write()
    }

    /// Forgets what was known of shares at these paths: they are others now, or withdrawn.
    pub(super) fn forget<'p>(&self, paths: impl IntoIterator<Item = &'p Path>) {
        let mut known = self.write();
        for path in paths {
            known.shares.remove(path);
            known.members.remove(path);
            known.lacking.retain(|(folder, _), _| folder != path);
        }
    }

    /// These are shared nowhere any more.
    pub(super) fn note_withdrawn(&self, hashes: &[Hash]) {
        let mut known = self.write();
        known.withdrawn.extend(hashes.iter().take(MAX_WITHDRAWN));
        let excess = known.withdrawn.len().saturating_sub(MAX_WITHDRAWN);
        known.withdrawn.drain(..excess);
    }

    /// Whether this was shared until some time ago.
    pub(super) fn was_withdrawn(&self, hash: &Hash) -> bool {
        self.read().withdrawn.contains(hash)
    }

    /// The blocks of unavailable files in `below`, a path in the shared `folder`, if they were counted
    /// since a state changed there.
    pub(super) fn lacking(&self, folder: &Path, below: &str) -> Option<Arc<BlockRanges>> {
        let key = (folder.to_owned(), below.to_owned());
        self.read().lacking.get(&key).cloned()
    }

    pub(super) fn keep_lacking(&self, folder: &Path, below: &str, blocks: Arc<BlockRanges>) {
        let mut known = self.write();
        if known.lacking.len() >= MAX_LACKING {
            known.lacking.clear();
        }
        let key = (folder.to_owned(), below.to_owned());
        known.lacking.insert(key, blocks);
    }
}

impl KnownStates {
    pub(super) fn is_below_missing(&self, path: &Path) -> bool {
        self.missing.iter().any(|missing| path.starts_with(missing))
    }

    pub(super) fn state_of(&self, share: &Share) -> ShareState {
        if matches!(share.origin, Origin::Folder(_)) && self.is_below_missing(&share.path) {
            return ShareState::Missing;
        }
        let known = self.shares.get(&share.path).copied().unwrap_or_default();
        let members = self.members.get(&share.path);
        let is_hopeless = members.is_some_and(|members| members.len() >= MAX_MEMBERS);
        if known.is_available() && is_hopeless {
            return ShareState::Changed;
        }
        known
    }
}
