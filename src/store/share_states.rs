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
use pelago_content::{BlockRanges, Hash, Kind};

use super::{Comparison, Fingerprint, Origin, Share, Store, Writers, hashing::age};

/// Files of one shared folder whose states are remembered, at most. A folder with more that are not
/// available is not available itself.
const MAX_MEMBERS: usize = 10_000;

/// How long a file that a program has open for writing has to be unchanged before it is hashed.
const HELD_OPEN: Duration = Duration::from_secs(600);

/// How long a file that could not be read is taken to be unreadable: then it is tried again.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(60);

/// Files that could not be read and are remembered, at most.
const MAX_UNREADABLE: usize = 1024;

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
    pub rehash: Option<Look>,
}

impl Inspection {
    const fn new(state: ShareState) -> Self {
        Self {
            state,
            rehash: None,
        }
    }

    /// What is at `path`, where a file with this fingerprint was hashed.
    fn of_file(path: &Path, listed: &Fingerprint) -> Self {
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
    fn of_folder(path: &Path) -> Self {
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
struct KnownStates {
    /// Watched folders, and mounts below them, that are not there.
    missing: Vec<PathBuf>,
    shares: HashMap<PathBuf, ShareState>,
    /// Files in shared folders, by the path of the folder.
    members: HashMap<PathBuf, BTreeMap<String, ShareState>>,
    /// The blocks of files that are not available, by folder and path in it.
    lacking: HashMap<(PathBuf, String), Arc<BlockRanges>>,
    /// Files that could not be read, and when.
    unreadable: HashMap<PathBuf, Instant>,
    /// Content that was shared until some time ago, the last at the end.
    withdrawn: VecDeque<Hash>,
}

impl ShareStates {
    fn read(&self) -> RwLockReadGuard<'_, KnownStates> {
        self.0.read()
    }

    fn write(&self) -> RwLockWriteGuard<'_, KnownStates> {
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
    fn is_below_missing(&self, path: &Path) -> bool {
        self.missing.iter().any(|missing| path.starts_with(missing))
    }

    fn state_of(&self, share: &Share) -> ShareState {
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

/// A shared file that is not available: a share of its own, or a file in a shared folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unavailable {
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub state: ShareState,
    /// The shared folder that it is in, if it is not a share of its own.
    pub folder: Option<PathBuf>,
}

impl Store {
    /// Whether a share can be had, by the last look at it.
    #[must_use]
    pub fn state_of(&self, share: &Share) -> ShareState {
        self.inner.share_states.read().state_of(share)
    }

    /// Takes note of the state of the share at `path`, and tells whether it is another than before.
    pub fn set_state(&self, path: &Path, state: ShareState) -> bool {
        let mut known = self.inner.share_states.write();
        let before = if state.is_available() {
            known.shares.remove(path)
        } else {
            known.shares.insert(path.to_owned(), state)
        };
        drop(known);
        self.note_states(before.unwrap_or_default() != state)
    }

    /// Takes `states` for the files of the shared `folder` that are not available, and tells whether
    /// they are others than before. Those that there is no room for make the folder unavailable.
    pub fn set_member_states(
        &self,
        folder: &Path,
        mut states: BTreeMap<String, ShareState>,
    ) -> bool {
        while states.len() > MAX_MEMBERS {
            states.pop_last();
        }
        let mut known = self.inner.share_states.write();
        let before = if states.is_empty() {
            known.members.remove(folder)
        } else {
            known.members.insert(folder.to_owned(), states)
        };
        let is_news = before.as_ref() != known.members.get(folder);
        if is_news {
            known.lacking.retain(|(other, _), _| other != folder);
        }
        drop(known);
        self.note_states(is_news)
    }

    /// The state of one file of the shared `folder`, by the last look at it.
    #[must_use]
    pub fn member_state(&self, folder: &Path, member: &str) -> ShareState {
        let known = self.inner.share_states.read();
        let members = known.members.get(folder);
        members
            .and_then(|members| members.get(member))
            .copied()
            .unwrap_or_default()
    }

    /// The same as [`set_member_states`](Self::set_member_states) for one file: the others stay.
    pub fn set_member_state(&self, folder: &Path, member: &str, state: ShareState) -> bool {
        let known = self.inner.share_states.read();
        let mut members = known.members.get(folder).cloned().unwrap_or_default();
        drop(known);
        if state.is_available() {
            members.remove(member);
        } else {
            members.insert(member.to_owned(), state);
        }
        self.set_member_states(folder, members)
    }

    /// The file at `path` could not be read, though it looks as if it could.
    pub fn note_unreadable(&self, path: &Path) {
        let mut known = self.inner.share_states.write();
        let unreadable = &mut known.unreadable;
        if unreadable.len() >= MAX_UNREADABLE {
            unreadable.retain(|_, at| at.elapsed() < UNREADABLE_PAUSE);
        }
        if unreadable.len() < MAX_UNREADABLE {
            unreadable.insert(path.to_owned(), Instant::now());
        }
    }

    /// What is at the path of a share. Looks at its metadata.
    #[must_use]
    pub fn inspect_share(&self, share: &Share) -> Inspection {
        match share.descriptor.kind() {
            Kind::File => self.inspect_file(&share.path, &share.fingerprint),
            Kind::Folder => Inspection::of_folder(&share.path),
        }
    }

    /// What is at `path`, where a file with this fingerprint was hashed. Looks at its metadata.
    #[must_use]
    pub fn inspect_file(&self, path: &Path, listed: &Fingerprint) -> Inspection {
        let sight = Inspection::of_file(path, listed);
        let failed = self.inner.share_states.read().unreadable.get(path).copied();
        let is_recent = |at: Instant| at.elapsed() < UNREADABLE_PAUSE;
        if sight.state.is_available() && failed.is_some_and(is_recent) {
            return Inspection::new(ShareState::Unreadable);
        }
        sight
    }

    /// Takes `missing` for the watched `folder`, or the mounts below it around `path`, that are not
    /// there. Gives those that were there before, and those that are there again.
    pub fn set_missing(
        &self,
        folder: &Path,
        path: &Path,
        missing: &[PathBuf],
    ) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let mut known = self.inner.share_states.write();
        let is_around = |known: &PathBuf| {
            let is_near = known.starts_with(path) || path.starts_with(known);
            known.starts_with(folder) && is_near
        };
        let back = known
            .missing
            .extract_if(.., |known| is_around(known) && !missing.contains(known));
        let back: Vec<_> = back.collect();
        let gone = missing.iter().filter(|path| !known.missing.contains(path));
        let gone: Vec<_> = gone.cloned().collect();
        known.missing.extend_from_slice(&gone);
        drop(known);
        self.note_states(!gone.is_empty() || !back.is_empty());
        (gone, back)
    }

    /// Whether `path` is in a watched folder, or on a mount below one, that is not there.
    #[must_use]
    pub fn is_below_missing(&self, path: &Path) -> bool {
        self.inner.share_states.read().is_below_missing(path)
    }

    /// How many files of the folder shared at `path` are not available.
    #[must_use]
    pub fn unavailable_members(&self, path: &Path) -> u64 {
        let known = self.inner.share_states.read();
        known
            .members
            .get(path)
            .map_or(0, |members| members.len() as u64)
    }

    /// The paths in the folder shared at `folder` of files that are not available.
    #[must_use]
    pub(super) fn members_lacking(&self, folder: &Path) -> Vec<String> {
        let known = self.inner.share_states.read();
        let members = known.members.get(folder).into_iter();
        members.flat_map(BTreeMap::keys).cloned().collect()
    }

    /// Files in shared folders that are not available, by path, and how many there are; at most `limit`
    /// are named.
    #[must_use]
    pub fn unavailable_files(&self, limit: usize) -> (u64, Vec<Unavailable>) {
        let known = self.inner.share_states.read();
        let count: usize = known.members.values().map(BTreeMap::len).sum();
        let members = known.members.iter().flat_map(|(folder, members)| {
            let file = move |(member, state): (&String, &ShareState)| Unavailable {
                path: folder.join(member),
                state: *state,
                folder: Some(folder.clone()),
            };
            members.iter().take(limit).map(file)
        });
        let mut files: Vec<_> = members.collect();
        drop(known);
        files.sort_unstable();
        files.truncate(limit);
        (count as u64, files)
    }

    fn note_states(&self, is_news: bool) -> bool {
        if is_news {
            self.states_changed();
        }
        is_news
    }
}
