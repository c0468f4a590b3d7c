//! What of a folder is here already: from an earlier run, from whoever put it there, or in another
//! share.
//!
//! Never trusts a name, a length or a time: what is there is hashed, on all cores, and is of use or is
//! not. Content that another share has is copied and hashed like anything else.

use std::{
    fs::File,
    io,
    num::NonZero,
    ops::ControlFlow,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use pelago_content::{Descriptor, EntryKind, Kind, ListedFile, STORED_LEVEL, subtree};

use super::{FileState, Held, PartialFolder, tree::finished};
use crate::store::{
    Fingerprint, files,
    handles::{Place, SharedFile},
    hashing::GROUP_SIZE,
    mutex::lock,
    partial::{PartialError, WriteError, part, spec::Key},
};

impl PartialFolder {
    /// Finds out what is here already. `progress` is given the bytes looked at so far.
    pub(super) fn prove(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<(), PartialError> {
        let has_shares = self.reservation.store.count()? > 0;
        if self.tree.is_new() && !has_shares {
            return Ok(());
        }
        self.check_places()?;
        let numbers: Vec<usize> = self.files.numbers().collect();
        let (next, looked_at) = (AtomicUsize::new(0), AtomicU64::new(0));
        let failed = Mutex::new(None);
        let work = || {
            while let Some(file) = numbers.get(next.fetch_add(1, Ordering::Relaxed))
                && lock(&failed).is_none()
            {
                match self.prove_file(*file, has_shares) {
                    Ok(bytes) => progress(looked_at.fetch_add(bytes, Ordering::Relaxed) + bytes),
                    Err(error) => {
                        lock(&failed).get_or_insert(error);
                    }
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..thread::available_parallelism().map_or(1, NonZero::get) {
                scope.spawn(work);
            }
            work();
        });
        match failed.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Refuses to grow in a folder that is there and has nothing of this one, if nobody said that it
    /// should: whoever has the content says what it is called, and may say `bin`.
    pub(super) fn check_chosen(&self) -> Result<(), PartialError> {
        let is_done = |state: &FileState| matches!(state, FileState::Done(_));
        let has_some = || {
            let mut numbers = self.files.numbers();
            let state = lock(&self.state);
            numbers.any(|file| is_done(&state.files[file]) && !self.is_empty(file))
        };
        // What was chosen another time tells as well.
        let has_others = || {
            let mut files = self.listing.files();
            files.any(|listed| {
                let path = listed.path();
                let existing = self.tree.existing(&path).ok().flatten();
                let existing = existing.filter(|_| listed.descriptor.size() > 0);
                let same = existing.and_then(|file| self.same(&file, &path, &listed).ok()?);
                same.is_some()
            })
        };
        let is_by_chance = self.tree.is_by_chance() && !self.tree.may_replace();
        if is_by_chance && !has_some() && !has_others() {
            let path = self.spec.target.clone();
            return Err(PartialError::Exists { path });
        }
        Ok(())
    }

    fn is_empty(&self, file: usize) -> bool {
        self.sequence.blocks_of_file(file).is_empty()
    }

    /// Refuses what lies where a folder or a link is to be, unless it may be replaced: before anything is
    /// fetched.
    fn check_places(&self) -> Result<(), PartialError> {
        if self.tree.is_new() || self.tree.may_replace() {
            return Ok(());
        }
        for entry in self.listing.entries() {
            let path = entry.path();
            let is_free = match entry.kind() {
                EntryKind::File { .. } => true,
                EntryKind::Folder { .. } => self.tree.is_free_for_folder(&path),
                EntryKind::Symlink { target } => self.tree.is_free_for_link(&path, target),
            };
            if !is_free && self.selection.takes(&path) {
                let path = self.tree.target(&path);
                return Err(PartialError::Exists { path });
            }
        }
        Ok(())
    }

    /// Finds out what is here of one file; gives the bytes that were looked at.
    fn prove_file(&self, file: usize, has_shares: bool) -> Result<u64, PartialError> {
        let Some(listed) = self.files.get(&self.listing, file) else {
            return Ok(0);
        };
        let path = listed.path();
        let existing = match self.tree.existing(&path) {
            Ok(Some(existing)) => Some(self.same(&existing, &path, &listed)),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        };
        match existing {
            Some(Ok(Some(fingerprint))) => {
                self.is_done(file, fingerprint);
                return Ok(listed.descriptor.size());
            }
            Some(_) if !self.tree.may_replace() => {
                let path = self.tree.target(&path);
                return Err(PartialError::Exists { path });
            }
            _ if self.tree.is_in_the_way(&path) => {
                let path = part::path_of(&self.tree.target(&path));
                return Err(PartialError::Exists { path });
            }
            _ => {}
        }
        if listed.descriptor.size() == 0 {
            return Ok(0);
        }
        if has_shares && let Some(fingerprint) = self.copied(&path, &listed)? {
            self.is_done(file, fingerprint);
            return Ok(listed.descriptor.size());
        }
        self.resume_file(file, &path, &listed)
    }

    /// The fingerprint of a file that is what is listed.
    fn same(
        &self,
        file: &File,
        path: &str,
        listed: &ListedFile<'_>,
    ) -> io::Result<Option<Fingerprint>> {
        let size = listed.descriptor.size();
        if file.metadata()?.len() != size {
            return Ok(None);
        }
        let is_same = if size > GROUP_SIZE {
            self.is_large(&listed.descriptor, &self.tree.path(path))
        } else {
            let data = files::read_vec_at(file, 0, size as usize)?;
            is_small(&listed.descriptor, &data)
        };
        if is_same {
            finished(file, listed.executable).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Whether the file at `path` is this content. Its tree is kept then.
    fn is_large(&self, descriptor: &Descriptor, path: &Path) -> bool {
        let store = &self.reservation.store;
        let go_on = |_| ControlFlow::Continue(());
        let Ok(hashed) = store.hash_file(path, &go_on) else {
            return false;
        };
        let found = hashed.descriptor.hash();
        let is_same = hashed.descriptor == *descriptor;
        // What it is instead may be of another share.
        if !is_same && store.shared_nowhere(&[found]).is_ok_and(|f| !f.is_empty()) {
            store.inner.trees.remove(&found);
        }
        is_same
    }

    /// Copies the file from wherever else it is shared.
    fn copied(
        &self,
        path: &str,
        listed: &ListedFile<'_>,
    ) -> Result<Option<Fingerprint>, PartialError> {
        let places = self
            .reservation
            .store
            .places_of(&listed.descriptor.hash())?;
        for place in places {
            let from = place.path.clone();
            match self.copy(place, path, listed) {
                Ok(Some(fingerprint)) => return Ok(Some(fingerprint)),
                Ok(None) => {}
                // It is fetched then, and whatever is in the way is met again.
                Err(error) => tracing::debug!(from = %from.display(), %error, "not copied"),
            }
        }
        Ok(None)
    }

    fn copy(
        &self,
        place: Place,
        path: &str,
        listed: &ListedFile<'_>,
    ) -> io::Result<Option<Fingerprint>> {
        let (descriptor, from) = (listed.descriptor, place.path.clone());
        // Whether it is still what it was.
        SharedFile::open(place, &self.reservation.store.inner.trees).map_err(io::Error::other)?;
        let mut from = File::open(from)?;
        if descriptor.size() <= GROUP_SIZE {
            let data = files::read_vec_at(&from, 0, descriptor.size() as usize)?;
            let put = || self.tree.put(path, &data, listed.executable);
            return is_small(&descriptor, &data).then(put).transpose();
        }
        let part = self.tree.copy_part(path, &mut from)?;
        let place = || {
            let size = descriptor.size();
            self.tree.place_part(path, size, listed.executable)
        };
        self.is_large(&descriptor, &part).then(place).transpose()
    }

    /// Goes on with a large file that an earlier run began.
    fn resume_file(
        &self,
        file: usize,
        path: &str,
        listed: &ListedFile<'_>,
    ) -> Result<u64, PartialError> {
        let hash = listed.descriptor.hash();
        let is_first = self.files.first_with(&hash) == Some(file);
        let key = Key::part(hash, self.reservation.key.hash);
        let recorded = || self.reservation.store.inner.partials.recorded(&key);
        if !is_first || listed.descriptor.size() <= GROUP_SIZE || recorded().is_none() {
            return Ok(0);
        }
        let failed = |error| match error {
            WriteError::Partial(error) => *error,
            WriteError::Disk { path, source, .. } => PartialError::Io { path, source },
            WriteError::Proof(error) => PartialError::Io {
                path: self.tree.path(path),
                source: io::Error::other(error),
            },
        };
        let Some(partial) = self.open_file(file, listed).map_err(failed)? else {
            return Ok(0);
        };
        for run in partial.verified().iter() {
            self.large_has(file, run);
        }
        self.close_if_whole(file, &partial, listed)
            .map_err(failed)?;
        Ok(listed.descriptor.size() - partial.missing())
    }

    /// Makes the files that have the content of another, which is in its place.
    pub(super) fn repeat(&self, file: usize, listed: &ListedFile<'_>) -> io::Result<()> {
        let Some(Held::Whole(done)) = self.held(&listed.descriptor.hash()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let changed = || io::Error::other(format!("{} has changed", done.path.display()));
        match self.copy(done.clone(), &listed.path(), listed)? {
            Some(fingerprint) => self.is_done(file, fingerprint),
            None => return Err(changed()),
        }
        Ok(())
    }
}

/// Whether this is the content, of at most one group.
fn is_small(descriptor: &Descriptor, data: &[u8]) -> bool {
    let height = descriptor.geometry().height().min(STORED_LEVEL);
    let root = subtree(data, height);
    Descriptor::new(Kind::File, data.len() as u64, root).is_ok_and(|found| found == *descriptor)
}
