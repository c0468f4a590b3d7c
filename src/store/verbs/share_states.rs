//! The states of shares: looked up, noted, and found by a look at metadata.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use pelago_content::Kind;

use crate::store::{Fingerprint, Inspection, Share, ShareState, Store, share_states::MAX_MEMBERS};

/// How long a file that could not be read is taken to be unreadable: then it is tried again.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(60);

/// Files that could not be read and are remembered, at most.
const MAX_UNREADABLE: usize = 1024;

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
    pub(in crate::store) fn members_lacking(&self, folder: &Path) -> Vec<String> {
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
