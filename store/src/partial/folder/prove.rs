//! Finds out which content of a folder is here already: from an earlier run, from another program,
//! or in another share.
//!
//! Never trusts a name, a length or a time: every file is hashed, on all cores. Content of another
//! share is copied, and hashed like any other.

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
    PartialFolder,
    download::Held,
    executable::finalize,
    progress::{CompleteFile, FileState},
    staging::{Base, MAX_ATOMIC},
};
use crate::{
    Store, dir,
    escape::shown,
    files,
    hashing::{self, GROUP_SIZE},
    open_files::{Location, SharedFile},
    partial::{PartialError, WriteError, mark, spec::Key},
};

impl PartialFolder {
    /// Finds the content that is here already. `progress` receives the bytes examined so far.
    pub(super) fn prove(
        &self,
        store: &Store,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), PartialError> {
        let has_shares = store.count()? > 0;
        let shares = has_shares.then_some(store);
        if self.staging.is_new() && !has_shares {
            return Ok(());
        }
        self.check_target_entries()?;
        let numbers: Vec<usize> = self.files.numbers().collect();
        let (next, examined) = (AtomicUsize::new(0), AtomicU64::new(0));
        let failed = Mutex::new(None);
        let work = || {
            while let Some(file) = numbers.get(next.fetch_add(1, Ordering::Relaxed))
                && failed.lock().is_none()
                && !self.reservation.is_interrupted()
            {
                match self.prove_file(*file, shares) {
                    Ok(bytes) => progress(examined.fetch_add(bytes, Ordering::Relaxed) + bytes),
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

    /// Refuses to write into an existing folder that has no content in common with this one, unless
    /// a person chose it: a peer chooses the name of the content, and may choose `bin`.
    pub(super) fn check_chosen(&self) -> Result<(), PartialError> {
        let is_done = |state: &FileState| matches!(state, FileState::Complete(_));
        let has_some = || {
            let mut numbers = self.files.numbers();
            let progress = self.progress.lock();
            let is_here = |file| is_done(&progress.files[file]) && !self.is_empty(file);
            numbers.any(is_here)
        };
        // Files that were chosen another time count too.
        let has_others = || {
            let mut files = self.listing.files();
            files.any(|listed| {
                let existing = self
                    .staging
                    .existing(Base::Target, &self.local.path(listed.entry));
                let existing = existing.ok().flatten();
                let existing = existing.filter(|_| listed.descriptor.size() > 0);
                existing.is_some_and(|file| self.is_same(&file, &listed).unwrap_or(false))
            })
        };
        let is_unchosen = self.staging.is_unchosen() && !self.staging.may_replace();
        if is_unchosen && !has_some() && !has_others() {
            let path = self.spec.target.clone();
            return Err(PartialError::Exists { path });
        }
        Ok(())
    }

    fn is_empty(&self, file: usize) -> bool {
        self.sequence.blocks_of_file(file).is_empty()
    }

    /// Refuses entries at the target that are in the way of folders and links, unless they may be
    /// replaced, before anything is fetched.
    fn check_target_entries(&self) -> Result<(), PartialError> {
        let Some(into) = self.staging.protected_target() else {
            return Ok(());
        };
        for entry in self
            .listing
            .entries()
            .filter(|entry| self.local.has(*entry))
        {
            if self.reservation.is_interrupted() {
                break;
            }
            let path = self.local.path(entry);
            let there = into.find(&path).ok().flatten();
            let is_free = match (entry.kind(), there.map(|there| there.kind)) {
                (EntryKind::File { .. }, _) | (_, None) => true,
                (EntryKind::Folder { .. }, there) => there == Some(dir::EntryType::Folder),
                (EntryKind::Symlink { target }, _) => {
                    let leads_to = into.read_link(&path);
                    leads_to.is_ok_and(|there| there == Path::new(target))
                }
            };
            if !is_free && self.selection.takes(&entry.path()) {
                let path = self.staging.target(&path);
                return Err(PartialError::Exists { path });
            }
        }
        Ok(())
    }

    /// Finds the content of one file that is here already. `shares` is the store, if it shares
    /// anything. Returns the bytes examined.
    fn prove_file(&self, file: usize, shares: Option<&Store>) -> Result<u64, PartialError> {
        let Some(listed) = self.files.get(&self.listing, file) else {
            return Ok(0);
        };
        let (path, size) = (self.local.path(listed.entry), listed.descriptor.size());
        if self.staging.has_existing_target() && self.prove_target(file, &path, &listed)? {
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
            && let Some(store) = shares
            && let Some(done) = self.copy_from_share(store, &path, &listed)?
        {
            self.set_complete(file, done);
            self.copied.fetch_add(size, Ordering::Relaxed);
            return Ok(size);
        }
        Ok(0)
    }

    /// Whether a file is in the existing folder. Other content is refused, unless it may be
    /// replaced.
    fn prove_target(
        &self,
        file: usize,
        path: &str,
        listed: &ListedFile<'_>,
    ) -> Result<bool, PartialError> {
        let existing = self.staging.existing(Base::Target, path);
        let same = existing.and_then(|existing| match existing {
            Some(existing) if self.is_same(&existing, listed)? => {
                finalize(&existing, listed.executable).map(Some)
            }
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => Ok(None),
        });
        match same {
            Ok(Some(fingerprint)) => {
                let done = CompleteFile {
                    fingerprint,
                    base: Base::Target,
                    is_marked: false,
                };
                self.set_complete(file, done);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(_) if self.staging.may_replace() => Ok(false),
            Err(_) => {
                let path = self.staging.target(path);
                Err(PartialError::Exists { path })
            }
        }
    }

    /// Whether a file is whole in the staging directory.
    fn prove_staged(&self, file: usize, path: &str, listed: &ListedFile<'_>) -> bool {
        let Ok(Some(existing)) = self.staging.existing(Base::Staging, path) else {
            return false;
        };
        if !self.is_same(&existing, listed).unwrap_or(false) {
            return false;
        }
        if self.write_again && self.staging.write_again(path).is_err() {
            return false;
        }
        let Ok(fingerprint) = finalize(&existing, listed.executable) else {
            return false;
        };
        self.set_complete(
            file,
            CompleteFile::in_staging(fingerprint, mark::is_there(&existing)),
        );
        true
    }

    /// Whether a file has the listed content. If so, the tree of a large file is kept.
    fn is_same(&self, file: &File, listed: &ListedFile<'_>) -> io::Result<bool> {
        let trees = &self.workspace.trees;
        let is_stopped = || self.reservation.is_interrupted();
        hashing::has_content(file, &listed.descriptor, Some(trees), &is_stopped)
    }

    /// Copies the file from another share that has its content, and of which the peers of the download
    /// may know.
    fn copy_from_share(
        &self,
        store: &Store,
        path: &str,
        listed: &ListedFile<'_>,
    ) -> Result<Option<CompleteFile>, PartialError> {
        let scopes = self.scopes();
        let places = store.locations_in(&listed.descriptor.hash(), |of| scopes.may_copy(of))?;
        for place in places {
            let from = place.path.clone();
            match self.copy(place, path, listed) {
                Ok(Some(done)) => return Ok(Some(done)),
                Ok(None) => {}
                // The file is fetched instead. The same error may occur again then.
                Err(error) => {
                    tracing::debug!(
                        from = %from.display(),
                        %error,
                        "cannot copy the file from a share"
                    );
                }
            }
        }
        Ok(None)
    }

    fn copy(
        &self,
        place: Location,
        path: &str,
        listed: &ListedFile<'_>,
    ) -> io::Result<Option<CompleteFile>> {
        let (descriptor, from) = (listed.descriptor, place.path.clone());
        // Fails if it changed since it was hashed.
        SharedFile::open(place, &self.workspace.trees).map_err(io::Error::other)?;
        let mut from = File::open(from)?;
        self.workspace
            .check_space(&self.spec, self.staging.dir().as_ref(), descriptor.size())?;
        if descriptor.size() <= GROUP_SIZE {
            let data = files::read_vec_at(&from, 0, descriptor.size() as usize)?;
            if !is_small(&descriptor, &data) {
                return Ok(None);
            }
            let fingerprint = self.staging.create_whole(path, &data, listed.executable)?;
            return Ok(Some(CompleteFile::in_staging(
                fingerprint,
                data.len() > MAX_ATOMIC,
            )));
        }
        let copy = self.staging.copy(path, &mut from)?;
        if !self.is_same(&copy, listed)? {
            return Ok(None);
        }
        let fingerprint = finalize(&copy, listed.executable)?;
        Ok(Some(CompleteFile::in_staging(fingerprint, true)))
    }

    /// Resumes a large file that an earlier run began. Returns the bytes that are here of it. None
    /// if no earlier run began it.
    fn resume_file(
        &self,
        file: usize,
        listed: &ListedFile<'_>,
    ) -> Result<Option<u64>, PartialError> {
        let hash = listed.descriptor.hash();
        let is_first = self.files.first_with(&hash) == Some(file);
        let key = Key::part(hash, self.hash());
        let is_recorded = || {
            let earlier = self.workspace.records.earlier_run(&key);
            earlier.is_ok_and(|earlier| earlier.is_some())
        };
        if !is_first || listed.descriptor.size() <= GROUP_SIZE || !is_recorded() {
            return Ok(None);
        }
        let failed = |error| match error {
            WriteError::Partial(error) => *error,
            WriteError::Disk { path, source, .. } => PartialError::Io { path, source },
            WriteError::Proof(error) => PartialError::Io {
                path: self
                    .staging
                    .path(Base::Staging, &self.local.path(listed.entry)),
                source: io::Error::other(error),
            },
        };
        let Some(partial) = self.open_file(file, listed).map_err(failed)? else {
            return Ok(Some(0));
        };
        for run in partial.verified().iter() {
            self.add_verified(file, run);
        }
        self.complete_if_whole(file, &partial, listed)
            .map_err(failed)?;
        Ok(Some(listed.descriptor.size() - partial.missing()))
    }

    /// Creates a file from another one that has its content and is whole.
    pub(super) fn repeat(&self, file: usize, listed: &ListedFile<'_>) -> io::Result<()> {
        let Some(Held::Whole(done)) = self.held(&listed.descriptor.hash()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        match self.copy(done.clone(), &self.local.path(listed.entry), listed)? {
            Some(copy) => {
                self.set_complete(file, copy);
                Ok(())
            }
            None => {
                let path = shown(&done.path);
                let changed = format!("{path} changed since it was verified");
                Err(io::Error::other(changed))
            }
        }
    }
}

/// Whether this data, of at most one group, is the content.
fn is_small(descriptor: &Descriptor, data: &[u8]) -> bool {
    let height = descriptor.geometry().height().min(STORED_LEVEL);
    let root = subtree(data, height);
    Descriptor::new(Kind::File, data.len() as u64, root).is_ok_and(|found| found == *descriptor)
}
