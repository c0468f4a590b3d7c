//! The states of shares: read, recorded, and determined by inspecting metadata.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use pelago_content::Kind;

use crate::{Fingerprint, Inspection, Share, ShareState, Store, share_states::MAX_MEMBERS};

/// How long a file counts as unreadable after an error, before it is tried again.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(60);

/// How many unreadable files are remembered.
const MAX_UNREADABLE: usize = 1024;

/// An unavailable file: a share, or a file in a shared folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unavailable {
    /// The file or folder.
    pub path: PathBuf,
    /// Its state.
    pub state: ShareState,
    /// The shared folder that contains it, if it is not a share itself.
    pub folder: Option<PathBuf>,
}

impl Store {
    /// The state of a share, from the last inspection.
    #[must_use]
    pub fn state_of(&self, share: &Share) -> ShareState {
        self.inner.share_states.read().state_of(share)
    }

    /// Records the state of a share. Returns whether it changed.
    pub fn set_state(&self, share: &Share, state: ShareState) -> bool {
        let path = &share.path;
        let mut known = self.inner.share_states.write();
        let before = if state.is_available() {
            known.shares.remove(path)
        } else {
            known.shares.insert(path.clone(), state)
        };
        drop(known);
        let is_news = before.unwrap_or_default() != state;
        if is_news {
            self.inner.share_feed.note([share.hash]);
        }
        self.note_states(is_news)
    }

    /// Records the `states` of the unavailable files of the shared `folder`. Returns whether they
    /// changed. If there are too many, the folder itself becomes unavailable.
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
        let now = known.members.get(folder);
        let is_news = before.as_ref() != now;
        let is_full =
            |members: Option<&BTreeMap<_, _>>| members.map_or(0, BTreeMap::len) >= MAX_MEMBERS;
        // The state of the folder itself follows from that; its hash is not at hand.
        let is_turn = is_full(before.as_ref()) != is_full(now);
        if is_news {
            known.missing_blocks.retain(|(other, _), _| other != folder);
        }
        drop(known);
        if is_turn {
            self.inner.share_feed.note_everything();
        }
        self.note_states(is_news)
    }

    /// The state of one file of the shared `folder`, from the last inspection.
    #[must_use]
    pub fn member_state(&self, folder: &Path, member: &str) -> ShareState {
        let known = self.inner.share_states.read();
        let members = known.members.get(folder);
        members
            .and_then(|members| members.get(member))
            .copied()
            .unwrap_or_default()
    }

    /// Records the state of one file of a shared folder; see
    /// [`set_member_states`](Self::set_member_states).
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

    /// Records that the file at `path` could not be read, although its metadata look good.
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

    /// Inspects the metadata at the path of a share.
    #[must_use]
    pub fn inspect_share(&self, share: &Share) -> Inspection {
        match share.descriptor.kind() {
            Kind::File => self.inspect_file(&share.path, &share.fingerprint),
            Kind::Folder => Inspection::of_folder(&share.path),
        }
    }

    /// Inspects the metadata at `path`, where a file with this fingerprint was hashed.
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

    /// Records the `missing` folders among the watched `folder` and the mounts below it around
    /// `path`. Returns the newly missing ones, and those that are present again.
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
        let is_news = !gone.is_empty() || !back.is_empty();
        if is_news {
            self.inner.share_feed.note_everything();
        }
        self.note_states(is_news);
        (gone, back)
    }

    /// Whether `path` is in a watched folder, or on a mount below one, that is missing.
    #[must_use]
    pub fn is_below_missing(&self, path: &Path) -> bool {
        self.inner.share_states.read().is_below_missing(path)
    }

    /// How many files of the folder shared at `path` are unavailable.
    #[must_use]
    pub fn unavailable_members(&self, path: &Path) -> u64 {
        let known = self.inner.share_states.read();
        known
            .members
            .get(path)
            .map_or(0, |members| members.len() as u64)
    }

    /// The paths of unavailable files in the folder shared at `folder`.
    #[must_use]
    pub(crate) fn unavailable_paths(&self, folder: &Path) -> Vec<String> {
        let known = self.inner.share_states.read();
        let members = known.members.get(folder).into_iter();
        members.flat_map(BTreeMap::keys).cloned().collect()
    }

    /// The number of unavailable files in shared folders, and up to `limit` of them, ordered by
    /// path.
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
