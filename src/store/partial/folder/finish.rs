//! The end of a folder's download: all that is not content, and the whole in its place.

use std::{collections::HashMap, fs, io, path::PathBuf, sync::Arc};

use pelago_content::{Descriptor, EntryKind, ListedEntry, ListedFile, Listing, Totals};

use super::{
    CompleteFile, Differences, FileState, PartialFolder, PlacedFolder, Reservation, staging::Base,
};
use crate::store::{
    Fingerprint, FolderError, Look, Member, MemberState, NewShare, Origin, Scopes, ShareError,
    Store,
    dir::Kind,
    hashing,
    partial::{Ending, FinishError, FinishOptions, Receipt, removal::Destination},
};

/// A folder that was downloaded, or what was chosen of it.
#[derive(Clone, Debug)]
pub struct FinishedFolder {
    /// Where it lies.
    pub path: PathBuf,
    /// Kind, size and root of its manifest.
    pub descriptor: Descriptor,
    /// What all of the folder weighs.
    pub totals: Totals,
    /// The directory as it is now.
    pub fingerprint: Fingerprint,
    /// What is in it, as it is now: share it with these.
    pub members: Vec<Member>,
    /// Whether all of it is there, or only what was chosen.
    pub is_whole: bool,
    /// Whether it is shared on.
    pub is_shared: bool,
    /// What of it lies here other than its manifests say.
    pub differences: Differences,
    pub(super) listing: Arc<Listing>,
}

fn failed((target, source): (PathBuf, io::Error)) -> FinishError {
    FinishError::Io { target, source }
}

impl PartialFolder {
    /// Makes what needs no fetching (folders, empty files, files that repeat others, and last the
    /// symbolic links), puts all in its place and removes the record. Files that somebody else wrote to
    /// meanwhile are found before, and are missing from then on.
    ///
    /// # Errors
    ///
    /// See [`FinishError`]; the download can go on then.
    pub fn finish(
        &self,
        options: FinishOptions,
        ending: &Ending,
    ) -> Result<FinishedFolder, FinishError> {
        let _ended = self.writing.write();
        let (target, missing) = (self.spec.target.clone(), self.missing_bytes());
        if missing > 0 {
            return Err(FinishError::Incomplete { target, missing });
        }
        if let Err(error) = self.complete() {
            // What was to be copied may be what another program changed: then it is fetched again.
            self.check_unharmed()?;
            return Err(failed(error));
        }
        if options.durable {
            self.sync()
                .map_err(|source| failed((target.clone(), source)))?;
        }
        self.check_unharmed()?;
        self.check_free()?;
        if !ending.commit() {
            return Err(FinishError::Stopped { target });
        }
        let home = Destination::of(&target).map_err(|source| failed((target.clone(), source)))?;
        if options.receipt {
            self.keep_receipt(&home, &self.members());
        }
        self.keep_differences()
            .map_err(|source| failed((target.clone(), source)))?;
        self.put_in_place(options.durable)?;
        let metadata = fs::metadata(&target).map_err(|source| failed((target.clone(), source)))?;
        let members = self.members();
        if options.receipt {
            self.keep_receipt(&home, &members);
        }
        let mut finished = FinishedFolder {
            path: target,
            descriptor: self.spec.descriptor,
            totals: self.listing.totals(),
            fingerprint: Fingerprint::new(&metadata),
            members,
            is_whole: self.selection.is_all(),
            is_shared: false,
            differences: self.differences(),
            listing: Arc::clone(&self.listing),
        };
        finished.is_shared = options.share && self.share(&finished);
        self.remove_record(options.durable);
        Ok(finished)
    }

    fn keep_receipt(&self, home: &Destination, members: &[Member]) {
        let is_new = !self.tree.is_in_place();
        let placed = PlacedFolder::new(members, &self.local, is_new);
        let Reservation { store, key } = &self.reservation;
        let receipt = Receipt::of_folder(&self.spec.target, home, placed);
        store.keep_receipt_or_log(&key.hash, receipt);
    }

    /// Writes down how the folder lies here, before it does, so that it is recognised when it is shared
    /// again.
    fn keep_differences(&self) -> io::Result<()> {
        let received = self.local.received();
        let folders = &self.reservation.store.inner.received;
        folders.set(&self.spec.target, self.tree.final_dir(), received.as_ref())
    }

    /// Makes all that was written durable.
    pub(in crate::store::partial) fn sync(&self) -> io::Result<()> {
        let Reservation { store, key } = &self.reservation;
        self.tree.sync().inspect_err(|_| {
            let partials = &store.inner.partials;
            partials.note_failed_sync(key);
            let growing: Vec<_> = self.growing.lock().values().map(Arc::clone).collect();
            for part in growing {
                partials.note_failed_sync(&part.spec().key());
            }
        })
    }

    /// Compares all files with what they were when they were whole, and takes the mark off them. Those that
    /// changed are hashed; what is not right any more is missing from then on.
    fn check_unharmed(&self) -> Result<(), FinishError> {
        let mut harmed = None;
        for file in self.files.numbers() {
            let FileState::Complete(done) = self.state.lock().files[file] else {
                continue;
            };
            let Some(listed) = self.files.get(&self.listing, file) else {
                continue;
            };
            let path = self.local.path(listed.entry);
            let at = || self.tree.path(done.at, &path);
            match self
                .checked(done, &listed, &path)
                .map_err(|source| failed((at(), source)))?
            {
                Some(done) => self.state.lock().files[file] = FileState::Complete(done),
                None => {
                    tracing::warn!(path = %at().display(), "another program changed it: fetching it again");
                    self.is_missing(file);
                    harmed = Some(at());
                }
            }
        }
        match harmed {
            Some(path) => Err(FinishError::Altered {
                path,
                missing: self.missing_bytes(),
            }),
            None => Ok(()),
        }
    }

    /// A file that is still what it was; none if it is not.
    fn checked(
        &self,
        done: CompleteFile,
        listed: &ListedFile<'_>,
        path: &str,
    ) -> io::Result<Option<CompleteFile>> {
        let Some(entry) = self.tree.find(done.at, path)? else {
            return Ok(None);
        };
        if entry.kind != Kind::File {
            return Ok(None);
        }
        let mut now = done;
        now.fingerprint = entry.fingerprint;
        let is_sure = done.fingerprint.compare(&entry.fingerprint) == Look::Sure;
        if !is_sure || entry.fingerprint.is_coarse() {
            let Some(file) = self.tree.existing(done.at, path)? else {
                return Ok(None);
            };
            let is_stopped = || self.reservation.is_interrupted();
            if !hashing::has_content(&file, &listed.descriptor, None, &is_stopped)? {
                return Ok(None);
            }
            now.fingerprint = Fingerprint::new(&file.metadata()?);
        }
        if done.is_marked {
            now.fingerprint = self.tree.unmark(path)?;
            now.is_marked = false;
        }
        Ok(Some(now))
    }

    /// Refuses what came to lie where something is to be put, unless it may be replaced.
    fn check_free(&self) -> Result<(), FinishError> {
        let Some(into) = self.tree.merged_into().filter(|_| !self.tree.may_replace()) else {
            return Ok(());
        };
        for path in self.to_merge() {
            let is_staged = self
                .tree
                .find(Base::Staging, &path)
                .is_ok_and(|found| found.is_some());
            if is_staged && into.find(&path).is_ok_and(|found| found.is_some()) {
                let target = self.tree.target(&path);
                return Err(FinishError::Exists { target });
            }
        }
        Ok(())
    }

    /// The files and links that are wanted.
    fn to_merge(&self) -> impl Iterator<Item = String> + '_ {
        self.listing.entries().filter_map(|entry| {
            let is_merged = !matches!(entry.kind(), EntryKind::Folder { .. });
            let is_merged = is_merged && self.local.has(entry);
            (is_merged && self.selection.takes(&entry.path())).then(|| self.local.path(entry))
        })
    }

    /// The folders of the listing that are meant, each before what is in it.
    fn folders(&self, is_meant: impl Fn(&str) -> bool) -> Vec<String> {
        let entries = self.listing.entries();
        let folders = entries.filter(|entry| matches!(entry.kind(), EntryKind::Folder { .. }));
        let folders = folders.filter(|folder| is_meant(&folder.path()));
        folders.map(|folder| self.local.path(folder)).collect()
    }

    /// Renames the tree, or moves what is in it into the folder that was there before.
    fn put_in_place(&self, durable: bool) -> Result<(), FinishError> {
        let target = || self.spec.target.clone();
        let Some(into) = self.tree.merged_into() else {
            let put = self.tree.put_in_place();
            put.map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => FinishError::Exists { target: target() },
                _ => failed((target(), source)),
            })?;
            return self.sync_target(durable);
        };
        for folder in self.folders(|path| self.selection.takes(path)) {
            into.make(&folder)
                .map_err(|source| failed((self.tree.target(&folder), source)))?;
        }
        for path in self.to_merge() {
            let merged = match path.rsplit_once('/') {
                Some((folder, _)) => into.make(folder).and_then(|()| self.tree.merge(&path)),
                None => self.tree.merge(&path),
            };
            merged.map_err(|source| failed((self.tree.target(&path), source)))?;
        }
        for state in &mut self.state.lock().files {
            if let FileState::Complete(done) = state {
                done.at = Base::Target;
            }
        }
        self.sync_target(durable)?;
        match self.tree.remove_staged(&self.folders(|_| true)) {
            Ok(None) => {}
            Ok(Some(left)) => {
                tracing::warn!(path = %left.display(), "something else is in it: it stays");
            }
            Err(error) => tracing::warn!(%error, "what the folder grew in cannot be removed"),
        }
        Ok(())
    }

    fn sync_target(&self, durable: bool) -> Result<(), FinishError> {
        if durable && let Err(error) = self.tree.sync_target() {
            let target = self.spec.target.display();
            tracing::warn!(%target, %error, "the folder cannot be synced");
        }
        Ok(())
    }

    /// Shares the folder on; whether that is written down.
    fn share(&self, finished: &FinishedFolder) -> bool {
        let (name, scopes) = (self.spec.name.clone(), self.scopes());
        let shared = self
            .reservation
            .store
            .share_finished(finished, name, scopes);
        if let Err(error) = &shared {
            let path = finished.path.display();
            tracing::warn!(%path, %error, "downloaded, but not shared on");
        }
        shared.is_ok()
    }

    fn remove_record(&self, durably: bool) {
        let Reservation { store, key } = &self.reservation;
        // Of large files that came otherwise in the end something may be left.
        let removed = store
            .remove_parts(&self.spec)
            .map_err(|error| error.to_string());
        let removed = removed.and_then(|_| {
            let removed = store.inner.partials.remove(key, durably);
            removed.map_err(|error| error.to_string())
        });
        if let Err(error) = removed {
            tracing::warn!(hash = %key.hash, %error, "the record of a download cannot be removed");
        }
    }

    /// Makes everything that is wanted and not there yet.
    pub(super) fn complete(&self) -> Result<(), (PathBuf, io::Error)> {
        let at = |path: &str| {
            let path = self.tree.path(Base::Staging, path);
            move |source| (path, source)
        };
        let go_on = |path: &str| match self.reservation.is_interrupted() {
            true => Err(at(path)(io::ErrorKind::Interrupted.into())),
            false => Ok(()),
        };
        for file in self.files.numbers() {
            let is_done = matches!(self.state.lock().files[file], FileState::Complete(_));
            let Some(listed) = self.files.get(&self.listing, file).filter(|_| !is_done) else {
                continue;
            };
            let path = self.local.path(listed.entry);
            go_on(&path)?;
            if listed.descriptor.size() == 0 {
                let put = self
                    .tree
                    .put(&path, &[], listed.executable)
                    .map_err(at(&path))?;
                self.is_done(file, CompleteFile::staged(put, false));
            } else {
                self.repeat(file, &listed).map_err(at(&path))?;
            }
        }
        for folder in self.folders(|path| self.selection.takes(path)) {
            go_on(&folder)?;
            self.tree.folder(&folder).map_err(at(&folder))?;
        }
        // Nothing is written after the links: no path could lead through one.
        for entry in self.listing.entries() {
            let EntryKind::Symlink { target } = entry.kind() else {
                continue;
            };
            let path = self.local.path(entry);
            go_on(&path)?;
            if !self.local.has(entry) {
                self.tree.remove_link(&path, target).map_err(at(&path))?;
            } else if self.selection.takes(&entry.path()) {
                self.tree.link(&path, target).map_err(at(&path))?;
            }
        }
        Ok(())
    }

    /// All that is in its place, as members of a shared folder.
    fn members(&self) -> Vec<Member> {
        let mut members = Vec::new();
        let mut folders: HashMap<usize, Totals> = HashMap::new();
        let state = self.state.lock();
        for (file, listed) in self.listing.files().enumerate() {
            let totals = Totals::of_file(&listed.descriptor);
            for folder in std::iter::successors(listed.entry.parent(), |entry| entry.parent()) {
                let sum = folders.entry(folder.index()).or_default();
                *sum = sum.checked_add(totals).unwrap_or(*sum);
            }
            if let FileState::Complete(done) = state.files[file] {
                members.push(Member {
                    path: self.local.path(listed.entry),
                    descriptor: listed.descriptor,
                    state: MemberState::File(done.fingerprint),
                });
            }
        }
        let folder = |entry: ListedEntry<'_>| match entry.kind() {
            EntryKind::Folder { descriptor, .. } => Some(Member {
                path: self.local.path(entry),
                descriptor: *descriptor,
                state: MemberState::Folder(folders.remove(&entry.index()).unwrap_or_default()),
            }),
            _ => None,
        };
        members.extend(self.listing.entries().filter_map(folder));
        members
    }
}

impl Store {
    /// Shares a folder that was downloaded, from where it lies and without hashing it again; of one
    /// that is not whole, the files that are there.
    ///
    /// # Errors
    ///
    /// See [`FolderError`].
    pub fn share_finished(
        &self,
        folder: &FinishedFolder,
        name: String,
        scopes: &Scopes,
    ) -> Result<(), FolderError> {
        let share = |name, path, descriptor, fingerprint| NewShare {
            descriptor,
            name,
            path,
            scopes: scopes.clone(),
            origin: Origin::Downloaded,
            fingerprint,
        };
        if !folder.is_whole {
            let file = |member: &Member| match member.state {
                MemberState::File(fingerprint) => {
                    let (path, descriptor) = (folder.path.join(&member.path), member.descriptor);
                    Some(share(member.path.clone(), path, descriptor, fingerprint))
                }
                MemberState::Folder(_) => None,
            };
            let files: Vec<_> = folder.members.iter().filter_map(file).collect();
            return Ok(self.add_shares(&files)?);
        }
        for manifest in folder.listing.manifests() {
            self.keep_manifest(manifest)?;
        }
        let path = folder.path.clone();
        let share = share(name, path, folder.descriptor, folder.fingerprint);
        self.add_folder(&share, folder.totals, &folder.members)
            .map_err(ShareError::into)
    }
}
