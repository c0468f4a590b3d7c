//! The states of shares: read, recorded, and determined by inspecting metadata.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use pelago_content::Kind;

use crate::{
    Fingerprint, Inspection, Presence, Share, ShareState, Store, share_states::MAX_MEMBERS,
};

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
            Kind::Folder => {
                let path = share.path.clone();
                self.inspect_at(&share.path, move || Inspection::of_folder(&path))
            }
        }
    }

    /// An inspection of the disk at `path`; a disk that does not respond is unreadable.
    fn inspect_at(
        &self,
        path: &Path,
        inspect: impl FnOnce() -> Inspection + Send + 'static,
    ) -> Inspection {
        let seen = self.inner.remote_disks.call(path, inspect);
        seen.unwrap_or(Inspection::new(ShareState::Unreadable))
    }

    /// Inspects the metadata at `path`, where a file with this fingerprint was hashed.
    #[must_use]
    pub fn inspect_file(&self, path: &Path, listed: &Fingerprint) -> Inspection {
        let (at, before) = (path.to_owned(), *listed);
        let sight = self.inspect_at(path, move || Inspection::of_file(&at, &before));
        let failed = self.inner.share_states.read().unreadable.get(path).copied();
        let Some(failed) = failed else { return sight };
        match sight.state {
            ShareState::Available if failed.elapsed() < UNREADABLE_PAUSE => {
                Inspection::new(ShareState::Unreadable)
            }
            ShareState::Available => sight,
            // Once the metadata are good again, so is reading: its disk was mounted again.
            _ => {
                self.inner.share_states.write().unreadable.remove(path);
                sight
            }
        }
    }

    /// Records the `missing` folders among the watched `folder` and the mounts below it around
    /// `path`, or that some cannot be read. Returns the newly missing ones, and those that are
    /// present again.
    pub fn set_missing(
        &self,
        folder: &Path,
        path: &Path,
        missing: &[PathBuf],
    ) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let state = |path| match self.presence(path) {
            Presence::Unreadable => ShareState::Unreadable,
            _ => ShareState::Missing,
        };
        let now: Vec<_> = missing.iter().map(|path| (path, state(path))).collect();
        let mut known = self.inner.share_states.write();
        let is_around = |known: &PathBuf| {
            let is_near = known.starts_with(path) || path.starts_with(known);
            known.starts_with(folder) && is_near
        };
        let is_back =
            |known: &PathBuf, _: &mut ShareState| is_around(known) && !missing.contains(known);
        let back = known.missing.extract_if(.., is_back);
        let back: Vec<_> = back.map(|(path, _)| path).collect();
        let (mut gone, mut is_news) = (Vec::new(), !back.is_empty());
        for (path, state) in now {
            let before = known.missing.insert(path.clone(), state);
            is_news |= before != Some(state);
            gone.extend(before.is_none().then(|| path.clone()));
        }
        drop(known);
        if is_news {
            self.inner.share_feed.note_everything();
        }
        self.note_states(is_news);
        (gone, back)
    }

    /// Whether `path` is in a watched folder, or on a mount below one, that is missing or cannot be
    /// read.
    #[must_use]
    pub fn is_below_missing(&self, path: &Path) -> bool {
        self.inner.share_states.read().missing_above(path).is_some()
    }

    /// How many files of the folder shared at `path` are unavailable, while the folder itself is
    /// available.
    #[must_use]
    pub fn unavailable_members(&self, path: &Path) -> u64 {
        let known = self.inner.share_states.read();
        let members = known.members_in_available_folders();
        let mut of_folder = members.filter(|(folder, _)| *folder == path);
        of_folder
            .next()
            .map_or(0, |(_, members)| members.len() as u64)
    }

    /// The paths of unavailable files in the folder shared at `folder`.
    #[must_use]
    pub(crate) fn unavailable_paths(&self, folder: &Path) -> Vec<String> {
        let known = self.inner.share_states.read();
        let members = known.members.get(folder).into_iter();
        members.flat_map(BTreeMap::keys).cloned().collect()
    }

    /// How many files in shared folders that are available themselves are in each other state, and
    /// up to `limit` of them, ordered by path.
    #[must_use]
    pub fn unavailable_files(&self, limit: usize) -> (BTreeMap<ShareState, u64>, Vec<Unavailable>) {
        let known = self.inner.share_states.read();
        let (mut counts, mut files) = (BTreeMap::new(), Vec::new());
        for (folder, members) in known.members_in_available_folders() {
            for state in members.values() {
                *counts.entry(*state).or_default() += 1;
            }
            let file = |(member, state): (&String, &ShareState)| Unavailable {
                path: folder.join(member),
                state: *state,
                folder: Some(folder.clone()),
            };
            files.extend(members.iter().take(limit).map(file));
        }
        drop(known);
        files.sort_unstable();
        files.truncate(limit);
        (counts, files)
    }

    fn note_states(&self, is_news: bool) -> bool {
        if is_news {
            self.states_changed();
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::{Home, bytes};

    #[test]
    fn a_file_that_failed_to_be_read_is_available_as_soon_as_its_disk_was_mounted_again() {
        let home = Home::in_memory();
        let share = home.share("film", &bytes(300_000, 1));
        let (path, away) = (home.path("film"), home.path("away"));
        let state = || home.store.inspect_file(&path, &share.fingerprint).state;
        home.store.note_unreadable(&path);
        assert_eq!(state(), ShareState::Unreadable);
        fs::rename(&path, &away).unwrap();
        assert_eq!(state(), ShareState::Missing);
        fs::rename(&away, &path).unwrap();
        assert_eq!(state(), ShareState::Available);
    }

    #[test]
    fn files_of_an_unavailable_folder_are_not_counted_beside_it() {
        let home = Home::in_memory();
        let share = home.share("folder", b"any share");
        let share = home.store.share_at(&share.path).unwrap().unwrap();
        let (folder, store) = (&share.path, &home.store);
        store.set_member_state(folder, "a", ShareState::Changed);
        store.set_member_state(folder, "b", ShareState::Missing);
        let (counts, files) = store.unavailable_files(1);
        assert_eq!(
            counts,
            [(ShareState::Changed, 1), (ShareState::Missing, 1)].into()
        );
        assert_eq!(files.len(), 1);
        assert_eq!(store.unavailable_members(folder), 2);
        store.set_state(&share, ShareState::Missing);
        assert_eq!(store.unavailable_files(1), Default::default());
        assert_eq!(store.unavailable_members(folder), 0);
        store.set_state(&share, ShareState::Available);
        assert_eq!(store.unavailable_members(folder), 2);
    }

    #[test]
    #[cfg(unix)]
    fn the_shares_of_a_watched_folder_that_cannot_be_read_are_unreadable() {
        let home = Home::in_memory();
        let folder = home.path("watched");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("file"), "file").unwrap();
        let share = crate::NewShare {
            origin: crate::Origin::Folder(folder.clone()),
            ..home.hash(&folder.join("file"))
        };
        home.store.set_live_folders(vec![folder.clone()]);
        home.store.add_shares(std::slice::from_ref(&share)).unwrap();
        let share = home.store.share_at(&share.path).unwrap().unwrap();
        let state = || {
            let missing = home.store.missing_folders(&folder, &folder);
            home.store.set_missing(&folder, &folder, &missing);
            home.store.state_of(&share)
        };
        assert_eq!(state(), ShareState::Available);
        let away = home.path("away");
        fs::rename(&folder, &away).unwrap();
        assert_eq!(state(), ShareState::Missing);
        // A link to itself cannot be read, not even by root.
        std::os::unix::fs::symlink(&folder, &folder).unwrap();
        assert_eq!(state(), ShareState::Unreadable);
        fs::remove_file(&folder).unwrap();
        fs::rename(&away, &folder).unwrap();
        assert_eq!(state(), ShareState::Available);
    }
}
