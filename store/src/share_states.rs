//! Whether each share is available, and why not.
//!
//! Owns the states of shares and of files in shared folders. They are in memory only: inspecting
//! the disk restores them. An available share has no entry. Only metadata is inspected; no file is
//! read, and no share is withdrawn. Errors are those of the database.

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

/// How many states are kept for the files of one shared folder. A folder with more unavailable
/// files is unavailable itself.
pub(super) const MAX_MEMBERS: usize = 10_000;

/// How long a file must be unchanged before it is hashed while a program has it open for writing.
const HELD_OPEN: Duration = Duration::from_secs(600);

/// How many hashes are kept that were withdrawn during this run.
const MAX_WITHDRAWN: usize = 1024;

/// How many folders' missing blocks are kept.
const MAX_FOLDERS_WITH_MISSING_BLOCKS: usize = 64;

/// Whether a share is available.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ShareState {
    /// It is offered to others. Some files of a folder may be unavailable.
    #[default]
    Available,
    /// A program is writing to it.
    BeingWritten,
    /// It is missing from its path, or its disk is not mounted.
    Missing,
    /// Its content differs from what is listed, or is not proven yet.
    Changed,
    /// The operating system does not allow the node to read it.
    Unreadable,
    /// A person withdrew it from a watched folder.
    Excluded,
}

impl ShareState {
    /// The name of the state, which is stable between versions.
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

/// The result of inspecting the metadata of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The state of the file.
    pub state: ShareState,
    /// Whether the file should be hashed again, and for which reason.
    pub rehash: Option<Comparison>,
}

impl Inspection {
    pub(super) const fn new(state: ShareState) -> Self {
        Self {
            state,
            rehash: None,
        }
    }

    /// Inspects `path`, where a file with this fingerprint was hashed.
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
        // A change of permissions also changes the metadata.
        if !is_readable(path) {
            return Self::new(ShareState::Unreadable);
        }
        let is_open = Writers::at(path) == Writers::Present;
        let state = match look {
            Comparison::Changed if is_open => ShareState::BeingWritten,
            Comparison::Changed => ShareState::Changed,
            Comparison::Unchanged | Comparison::InDoubt => ShareState::Available,
        };
        // While it is open for writing it can change at any time, so hashing it cannot remove the
        // doubt.
        let is_left_alone = look == Comparison::Changed && age(&now) >= HELD_OPEN;
        let tells = !listed.is_of_other_content(&now) && (!is_open || is_left_alone);
        Self {
            state,
            rehash: tells.then_some(look),
        }
    }

    /// Inspects `path`, where a folder was shared.
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

/// Whether an error means that nothing is at a path, rather than that the path cannot be inspected.
pub fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Whether nothing is at `path`. What cannot be inspected may exist.
pub fn is_missing(path: &Path) -> bool {
    let found = fs::symlink_metadata(path);
    found.is_err_and(|error| is_gone(&error))
}

/// Whether this process may read the file at `path`.
fn is_readable(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use rustix::fs::{Access, AtFlags, CWD, accessat};
        accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).is_ok()
    }
    #[cfg(not(unix))]
    fs::File::open(path).is_ok()
}

/// The known states.
#[derive(Debug, Default)]
pub(super) struct ShareStates(RwLock<KnownStates>);

#[derive(Debug, Default)]
pub(super) struct KnownStates {
    /// Watched folders, and mounts below them, that are missing or unreadable.
    pub(super) missing: BTreeMap<PathBuf, ShareState>,
    pub(super) shares: HashMap<PathBuf, ShareState>,
    /// Files in shared folders, by the path of the folder.
    pub(super) members: HashMap<PathBuf, BTreeMap<String, ShareState>>,
    /// The blocks of unavailable files, by folder and path in it.
    pub(super) missing_blocks: HashMap<(PathBuf, String), Arc<BlockRanges>>,
    /// Files that could not be read, and when.
    pub(super) unreadable: HashMap<PathBuf, Instant>,
    /// Hashes that were withdrawn, the latest at the end.
    withdrawn: VecDeque<Hash>,
}

impl ShareStates {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, KnownStates> {
        self.0.read()
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, KnownStates> {
        self.0.write()
    }

    /// Removes the states of shares at these paths, which were replaced or withdrawn.
    pub(super) fn forget<'p>(&self, paths: impl IntoIterator<Item = &'p Path>) {
        let mut known = self.write();
        for path in paths {
            known.shares.remove(path);
            known.members.remove(path);
            known.missing_blocks.retain(|(folder, _), _| folder != path);
        }
    }

    /// Records that these hashes are not shared anywhere any more.
    pub(super) fn note_withdrawn(&self, hashes: &[Hash]) {
        let mut known = self.write();
        known.withdrawn.extend(hashes.iter().take(MAX_WITHDRAWN));
        let excess = known.withdrawn.len().saturating_sub(MAX_WITHDRAWN);
        known.withdrawn.drain(..excess);
    }

    /// Whether this hash was withdrawn during this run.
    pub(super) fn was_withdrawn(&self, hash: &Hash) -> bool {
        self.read().withdrawn.contains(hash)
    }

    /// The blocks of unavailable files in `below`, a path in the shared `folder`, if they were
    /// counted since the last change of a state there.
    pub(super) fn missing_blocks(&self, folder: &Path, below: &str) -> Option<Arc<BlockRanges>> {
        let key = (folder.to_owned(), below.to_owned());
        self.read().missing_blocks.get(&key).cloned()
    }

    pub(super) fn keep_missing_blocks(&self, folder: &Path, below: &str, blocks: Arc<BlockRanges>) {
        let mut known = self.write();
        if known.missing_blocks.len() >= MAX_FOLDERS_WITH_MISSING_BLOCKS {
            known.missing_blocks.clear();
        }
        let key = (folder.to_owned(), below.to_owned());
        known.missing_blocks.insert(key, blocks);
    }
}

impl KnownStates {
    /// The state of the missing folder at `path` or above it.
    pub(super) fn missing_above(&self, path: &Path) -> Option<ShareState> {
        let mut missing = self.missing.iter();
        let above = missing.find(|(missing, _)| path.starts_with(missing));
        above.map(|(_, state)| *state)
    }

    /// The unavailable files of folders that are available themselves.
    pub(super) fn members_in_available_folders(
        &self,
    ) -> impl Iterator<Item = (&PathBuf, &BTreeMap<String, ShareState>)> {
        let folders = self.members.iter();
        folders.filter(|(folder, _)| !self.shares.contains_key(*folder))
    }

    pub(super) fn state_of(&self, share: &Share) -> ShareState {
        if matches!(share.origin, Origin::Folder(_))
            && let Some(state) = self.missing_above(&share.path)
        {
            return state;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_below_a_file_nor_at_a_path_that_does_not_exist() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let link = folder.path().join("link");
        #[cfg(unix)]
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert!(!is_missing(&file) && (cfg!(not(unix)) || !is_missing(&link)));
        assert!(is_missing(&file.join("below")) && is_missing(&folder.path().join("other")));
        let too_long = folder.path().join("x".repeat(4096));
        assert!(!is_missing(&too_long), "it cannot be inspected");
    }
}
