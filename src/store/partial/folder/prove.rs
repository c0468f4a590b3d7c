//! What of a folder is here already: from an earlier run, from whoever put it there, or in another
//! share.
//!
//! Never trusts a name, a length or a time: what is there is hashed, on all cores, and is of use or is
//! not. Content that another share has is copied and hashed like anything else.

use std::{
    fs::File,
    io,
    num::NonZero,
    path::Path,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
};

use parking_lot::Mutex;
use pelago_content::{Descriptor, EntryKind, Kind, ListedFile, STORED_LEVEL, subtree};

use super::{
    CompleteFile, FileState, Held, PartialFolder,
    staging::{Base, MAX_ATOMIC, finished},
};
use crate::store::{
    dir, files,
    handles::{Place, SharedFile},
    hashing::{self, GROUP_SIZE},
    partial::{PartialError, WriteError, mark, spec::Key},
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
                && failed.lock().is_none()
                && !self.reservation.is_interrupted()
            {
                match self.prove_file(*file, has_shares) {
                    Ok(bytes) => progress(looked_at.fetch_add(bytes, Ordering::Relaxed) + bytes),
                    Err(error) => {
                        failed.lock().get_or_insert(error);
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
        failed.into_inner().map_or(Ok(()), Err)
    }

    /// Refuses to grow in a folder that is there and has nothing of this one, if nobody said that it
    /// should: whoever has the content says what it is called, and may say `bin`.
    pub(super) fn check_chosen(&self) -> Result<(), PartialError> {
        let is_done = |state: &FileState| matches!(state, FileState::Complete(_));
        let has_some = || {
            let mut numbers = self.files.numbers();
            let state = self.state.lock();
            let is_here = |file| is_done(&state.files[file]) && !self.is_empty(file);
            numbers.any(is_here)
        };
        // What was chosen another time tells as well.
        let has_others = || {
            let mut files = self.listing.files();
            files.any(|listed| {
                let existing = self
                    .tree
                    .existing(Base::Target, &self.local.path(listed.entry));
                let existing = existing.ok().flatten();
                let existing = existing.filter(|_| listed.descriptor.size() > 0);
                existing.is_some_and(|file| self.is_same(&file, &listed).unwrap_or(false))
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
        let Some(into) = self.tree.merged_into().filter(|_| !self.tree.may_replace()) else {
            return Ok(());
        };
        for entry in self
            .listing
            .entries()
            .filter(|entry| self.local.has(*entry))
        {
            let path = self.local.path(entry);
            let there = into.find(&path).ok().flatten();
            let is_free = match (entry.kind(), there.map(|there| there.kind)) {
                (EntryKind::File { .. }, _) | (_, None) => true,
                (EntryKind::Folder { .. }, there) => there == Some(dir::Kind::Folder),
                (EntryKind::Symlink { target }, _) => {
                    let leads_to = into.read_link(&path);
                    leads_to.is_ok_and(|there| there == Path::new(target))
                }
            };
            if !is_free && self.selection.takes(&entry.path()) {
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
        let (path, size) = (self.local.path(listed.entry), listed.descriptor.size());
        if self.tree.is_in_place() && self.prove_target(file, &path, &listed)? {
            return Ok(size);
        }
        let resumed = self.resume_file(file, &listed)?;
        if resumed.is_some() {
            return Ok(resumed.unwrap_or_default());
        }
        if self.prove_staged(file, &path, &listed) {
            return Ok(size);
        }
        if size > 0
            && has_shares
            && let Some(done) = self.copied(&path, &listed)?
        {
            self.is_done(file, done);
            return Ok(size);
        }
        Ok(0)
    }

    /// Whether a file is in the folder that was there before. Other content is refused, unless it may be
    /// replaced.
    fn prove_target(
        &self,
        file: usize,
        path: &str,
        listed: &ListedFile<'_>,
    ) -> Result<bool, PartialError> {
        let existing = self.tree.existing(Base::Target, path);
        let same = existing.and_then(|existing| match existing {
            Some(existing) if self.is_same(&existing, listed)? => {
                finished(&existing, listed.executable).map(Some)
            }
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => Ok(None),
        });
        match same {
            Ok(Some(fingerprint)) => {
                let done = CompleteFile {
                    fingerprint,
                    at: Base::Target,
                    is_marked: false,
                };
                self.is_done(file, done);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(_) if self.tree.may_replace() => Ok(false),
            Err(_) => {
                let path = self.tree.target(path);
                Err(PartialError::Exists { path })
            }
        }
    }

    /// Whether a file is whole in the tree that grows.
    fn prove_staged(&self, file: usize, path: &str, listed: &ListedFile<'_>) -> bool {
        let Ok(Some(existing)) = self.tree.existing(Base::Staging, path) else {
            return false;
        };
        if !self.is_same(&existing, listed).unwrap_or(false) {
            return false;
        }
        if self.write_again && self.tree.write_again(path).is_err() {
            return false;
        }
        let Ok(fingerprint) = finished(&existing, listed.executable) else {
            return false;
        };
        self.is_done(
            file,
            CompleteFile::staged(fingerprint, mark::is_there(&existing)),
        );
        true
    }

    /// Whether a file is what is listed. The tree of a large one is kept then.
    fn is_same(&self, file: &File, listed: &ListedFile<'_>) -> io::Result<bool> {
        let trees = &self.reservation.store.inner.trees;
        let is_stopped = || self.reservation.is_interrupted();
        hashing::has_content(file, &listed.descriptor, Some(trees), &is_stopped)
    }

    /// Copies the file from wherever else it is shared.
    fn copied(
        &self,
        path: &str,
        listed: &ListedFile<'_>,
    ) -> Result<Option<CompleteFile>, PartialError> {
        let places = self
            .reservation
            .store
            .places_of(&listed.descriptor.hash())?;
        for place in places {
            let from = place.path.clone();
            match self.copy(place, path, listed) {
                Ok(Some(done)) => return Ok(Some(done)),
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
    ) -> io::Result<Option<CompleteFile>> {
        let (descriptor, from) = (listed.descriptor, place.path.clone());
        // Whether it is still what it was.
        SharedFile::open(place, &self.reservation.store.inner.trees).map_err(io::Error::other)?;
        let mut from = File::open(from)?;
        let store = &self.reservation.store;
        store.check_room(&self.spec, self.tree.staged().as_ref(), descriptor.size())?;
        if descriptor.size() <= GROUP_SIZE {
            let data = files::read_vec_at(&from, 0, descriptor.size() as usize)?;
            if !is_small(&descriptor, &data) {
                return Ok(None);
            }
            let fingerprint = self.tree.put(path, &data, listed.executable)?;
            return Ok(Some(CompleteFile::staged(
                fingerprint,
                data.len() > MAX_ATOMIC,
            )));
        }
        let copy = self.tree.copy(path, &mut from)?;
        if !self.is_same(&copy, listed)? {
            return Ok(None);
        }
        let fingerprint = finished(&copy, listed.executable)?;
        Ok(Some(CompleteFile::staged(fingerprint, true)))
    }

    /// Goes on with a large file that an earlier run began; the bytes of it that are there, if one did.
    fn resume_file(
        &self,
        file: usize,
        listed: &ListedFile<'_>,
    ) -> Result<Option<u64>, PartialError> {
        let hash = listed.descriptor.hash();
        let is_first = self.files.first_with(&hash) == Some(file);
        let key = Key::part(hash, self.reservation.key.hash);
        let is_recorded = || {
            let known = self.reservation.store.inner.partials.known(&key);
            known.is_ok_and(|known| known.is_some())
        };
        if !is_first || listed.descriptor.size() <= GROUP_SIZE || !is_recorded() {
            return Ok(None);
        }
        let failed = |error| match error {
            WriteError::Partial(error) => *error,
            WriteError::Disk { path, source, .. } => PartialError::Io { path, source },
            WriteError::Proof(error) => PartialError::Io {
                path: self
                    .tree
                    .path(Base::Staging, &self.local.path(listed.entry)),
                source: io::Error::other(error),
            },
        };
        let Some(partial) = self.open_file(file, listed).map_err(failed)? else {
            return Ok(Some(0));
        };
        for run in partial.verified().iter() {
            self.large_has(file, run);
        }
        self.close_if_whole(file, &partial, listed)
            .map_err(failed)?;
        Ok(Some(listed.descriptor.size() - partial.missing()))
    }

    /// Makes the files that have the content of another, which is in its place.
    pub(super) fn repeat(&self, file: usize, listed: &ListedFile<'_>) -> io::Result<()> {
        let Some(Held::Whole(done)) = self.held(&listed.descriptor.hash()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let changed =
            || io::Error::other(format!("{} has changed", crate::store::shown(&done.path)));
        match self.copy(done.clone(), &self.local.path(listed.entry), listed)? {
            Some(done) => self.is_done(file, done),
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
