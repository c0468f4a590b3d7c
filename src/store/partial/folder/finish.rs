//! The end of a folder's download: all that is not content, and the whole in its place.

use std::{
    collections::HashMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use pelago_content::{Descriptor, EntryKind, ListedEntry, Listing, Totals};

use super::{FileState, PartialFolder, Reservation};
use crate::store::{
    Fingerprint, FolderError, Member, MemberState, NewShare, Origin, Scopes, ShareError, Store,
    mutex::lock,
    partial::{Ending, FinishError, FinishOptions},
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
    /// Whether nothing was there before.
    pub is_new: bool,
    /// Whether it is shared on.
    pub is_shared: bool,
    pub(super) listing: Arc<Listing>,
}

impl PartialFolder {
    /// Makes what needs no fetching (folders, empty files, files that repeat others, and last the
    /// symbolic links), puts all in its place and removes the record.
    ///
    /// # Errors
    ///
    /// See [`FinishError`]; the download can go on then.
    pub fn finish(
        &self,
        options: FinishOptions,
        ending: &Ending,
    ) -> Result<FinishedFolder, FinishError> {
        let _ended = self.writing.write().unwrap_or_else(PoisonError::into_inner);
        let (target, missing) = (self.spec.target.clone(), self.missing_bytes());
        if missing > 0 {
            return Err(FinishError::Incomplete { target, missing });
        }
        let failed = |(path, source): (PathBuf, io::Error)| FinishError::Io {
            target: path,
            source,
        };
        self.complete().map_err(failed)?;
        if options.durable {
            let synced = self.tree.sync();
            synced.map_err(|source| failed((target.clone(), source)))?;
        }
        if !ending.commit() {
            return Err(FinishError::Stopped { target });
        }
        self.tree
            .finish(options.durable)
            .map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => FinishError::Exists {
                    target: target.clone(),
                },
                _ => failed((target.clone(), source)),
            })?;
        let metadata = fs::metadata(&target).map_err(|source| failed((target.clone(), source)))?;
        let mut finished = FinishedFolder {
            path: target,
            descriptor: self.spec.descriptor,
            totals: self.listing.totals(),
            fingerprint: Fingerprint::new(&metadata),
            members: self.members(),
            is_whole: self.selection.is_all(),
            is_new: !self.tree.is_in_place(),
            is_shared: false,
            listing: Arc::clone(&self.listing),
        };
        finished.is_shared = options.share && self.share(&finished);
        self.remove_record();
        Ok(finished)
    }

    /// Shares the folder on; whether that is written down.
    fn share(&self, finished: &FinishedFolder) -> bool {
        let (name, scopes) = (self.spec.name.clone(), &self.spec.scopes);
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

    fn remove_record(&self) {
        let Reservation { store, key } = &self.reservation;
        // Of large files that came otherwise in the end something may be left.
        let removed = store
            .abandon_parts(&self.spec)
            .map_err(|error| error.to_string());
        let removed = removed.and_then(|()| {
            let removed = store.inner.partials.remove(key);
            removed.map_err(|error| error.to_string())
        });
        if let Err(error) = removed {
            tracing::warn!(hash = %key.hash, %error, "the record of a download cannot be removed");
        }
    }

    /// Makes everything that is wanted and not there yet.
    fn complete(&self) -> Result<(), (PathBuf, io::Error)> {
        let at = |path: &str| {
            let path = self.tree.path(path);
            move |source| (path, source)
        };
        for file in self.files.numbers() {
            let is_done = matches!(lock(&self.state).files[file], FileState::Done(_));
            let Some(listed) = self.files.get(&self.listing, file).filter(|_| !is_done) else {
                continue;
            };
            let path = listed.path();
            if listed.descriptor.size() == 0 {
                let put = self.tree.put(&path, &[], listed.executable);
                self.is_done(file, put.map_err(at(&path))?);
            } else {
                self.repeat(file, &listed).map_err(at(&path))?;
            }
        }
        let is_wanted = |path: &str| self.selection.takes(path);
        let paths = || self.listing.entries().map(|entry| (entry, entry.path()));
        for (entry, path) in paths() {
            if matches!(entry.kind(), EntryKind::Folder { .. }) && is_wanted(&path) {
                self.tree.folder(&path).map_err(at(&path))?;
            }
        }
        // Nothing is written after the links: no path could lead through one.
        for (entry, path) in paths() {
            if let EntryKind::Symlink { target } = entry.kind()
                && is_wanted(&path)
            {
                self.tree.link(&path, target).map_err(at(&path))?;
            }
        }
        Ok(())
    }

    /// All that is in its place, as members of a shared folder.
    fn members(&self) -> Vec<Member> {
        let mut members = Vec::new();
        let mut folders: HashMap<usize, Totals> = HashMap::new();
        let state = lock(&self.state);
        for (file, listed) in self.listing.files().enumerate() {
            let totals = Totals::of_file(&listed.descriptor);
            for folder in std::iter::successors(listed.entry.parent(), |entry| entry.parent()) {
                let sum = folders.entry(folder.index()).or_default();
                *sum = sum.checked_add(totals).unwrap_or(*sum);
            }
            if let FileState::Done(fingerprint) = state.files[file] {
                members.push(Member {
                    path: listed.path(),
                    descriptor: listed.descriptor,
                    state: MemberState::File(fingerprint),
                });
            }
        }
        let folder = |entry: ListedEntry<'_>| match entry.kind() {
            EntryKind::Folder { descriptor, .. } => Some(Member {
                path: entry.path(),
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
        let _sharing = lock(&self.inner.sharing);
        for manifest in folder.listing.manifests() {
            self.keep_manifest(manifest)?;
        }
        let path = folder.path.clone();
        let share = share(name, path, folder.descriptor, folder.fingerprint);
        self.add_folder(&share, folder.totals, &folder.members)
            .map_err(ShareError::into)
    }
}
