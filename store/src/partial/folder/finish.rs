//! The end of a folder's download: everything is at its target.

use std::{fs, io, ops::ControlFlow, path::PathBuf, sync::Arc};

use pelago_content::{Descriptor, EntryKind, ListedFile, Listing, Totals};

use super::{
    Differences, PartialFolder, PlacedFolder,
    progress::{CompleteFile, FileState},
    staging::Base,
};
use crate::{
    Comparison, Fingerprint, Member, Store,
    dir::EntryType,
    hashing,
    partial::{
        Ending, FinishError, FinishOptions, Receipt,
        removal::{Destination, Proceed, step, to_the_end},
    },
};

/// A folder that was downloaded, or the chosen part of it.
#[derive(Clone, Debug)]
pub struct FinishedFolder {
    /// The path of the folder.
    pub path: PathBuf,
    /// Kind, size and root of its manifest.
    pub descriptor: Descriptor,
    /// Files and bytes of the whole folder.
    pub totals: Totals,
    /// The directory as it is now.
    pub fingerprint: Fingerprint,
    /// Its members, as they are now. The folder is shared with these.
    pub members: Vec<Member>,
    /// Whether it is whole. Otherwise it holds only the chosen files.
    pub is_whole: bool,
    /// Whether it is shared.
    pub is_shared: bool,
    /// How it differs from its manifests on this disk.
    pub differences: Differences,
    pub(super) listing: Arc<Listing>,
}

fn failed((target, source): (PathBuf, io::Error)) -> FinishError {
    FinishError::Io { target, source }
}

impl PartialFolder {
    /// Creates what needs no fetching (folders, empty files, files that repeat others, and last the
    /// symbolic links), puts everything in place and removes the record. Files that another program
    /// changed are found first, and are missing from then on. Until the last file is in place, a stop
    /// is heard between two entries; files that are already in an existing folder stay there.
    ///
    /// # Errors
    ///
    /// See [`FinishError`]. The download can resume then.
    pub fn finish(
        &self,
        store: &Store,
        options: FinishOptions,
        ending: &Ending,
    ) -> Result<FinishedFolder, FinishError> {
        let _ended = self.writing.write();
        let (target, missing) = (self.spec.target.clone(), self.missing_bytes());
        if missing > 0 {
            return Err(FinishError::Incomplete { target, missing });
        }
        let proceed = |_| match ending.is_stopped() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        if let Err(error) = self.complete() {
            // The source of a copy may be a file that another program changed: it is fetched again.
            self.check_unchanged(&proceed)?;
            return Err(failed(error));
        }
        if options.durable {
            self.sync()
                .map_err(|source| failed((target.clone(), source)))?;
        }
        self.check_unchanged(&proceed)?;
        self.check_free(&proceed)?;
        let commit = || match ending.commit() {
            true => Ok(()),
            false => Err(FinishError::Stopped {
                target: self.spec.target.clone(),
            }),
        };
        if !self.staging.has_existing_target() {
            commit()?;
        }
        let destination =
            Destination::of(&target).map_err(|source| failed((target.clone(), source)))?;
        if options.receipt {
            self.keep_receipt(store, &destination, &self.members());
        }
        self.keep_differences(store)
            .map_err(|source| failed((target.clone(), source)))?;
        self.put_in_place(options.durable, &proceed)?;
        commit()?;
        let metadata = fs::metadata(&target).map_err(|source| failed((target.clone(), source)))?;
        let members = self.members();
        if options.receipt {
            self.keep_receipt(store, &destination, &members);
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
        finished.is_shared = options.share && self.share(store, &finished);
        if !finished.is_shared {
            let hashes = finished
                .members
                .iter()
                .map(|member| member.descriptor.hash());
            let hashes: Vec<_> = hashes.chain([self.hash()]).collect();
            store.confine_or_log(&finished.path, self.scopes(), &hashes);
        }
        self.remove_record(store, options.durable);
        Ok(finished)
    }

    fn keep_receipt(&self, store: &Store, destination: &Destination, members: &[Member]) {
        let is_new = !self.staging.has_existing_target();
        let placed = PlacedFolder::new(members, &self.local, is_new);
        let receipt = Receipt::of_folder(&self.spec.target, destination, placed);
        store.keep_receipt_or_log(&self.hash(), receipt);
    }

    /// Records how the folder differs from its manifests, before it is in place, so that it keeps
    /// its hash when it is shared again.
    fn keep_differences(&self, store: &Store) -> io::Result<()> {
        let received = self.local.received();
        let folders = &store.inner.received;
        folders.set(
            &self.spec.target,
            self.staging.final_dir(),
            received.as_ref(),
        )
    }

    /// Makes everything that is written durable.
    pub(in crate::partial) fn sync(&self) -> io::Result<()> {
        self.staging.sync().inspect_err(|_| {
            let records = &self.workspace.records;
            records.note_failed_sync(&self.reservation.key);
            let growing: Vec<_> = self.growing.lock().values().map(Arc::clone).collect();
            for part in growing {
                records.note_failed_sync(&part.spec().key());
            }
        })
    }

    /// Compares all files with their fingerprints from when they were whole, and removes their
    /// marks. Files whose fingerprints differ are hashed. Files with other content are missing from
    /// then on.
    fn check_unchanged(&self, proceed: Proceed<'_>) -> Result<(), FinishError> {
        let mut changed = None;
        for file in self.files.numbers() {
            self.go_on(proceed)?;
            let FileState::Complete(done) = self.progress.lock().files[file] else {
                continue;
            };
            let Some(listed) = self.files.get(&self.listing, file) else {
                continue;
            };
            let path = self.local.path(listed.entry);
            let at = || self.staging.path(done.base, &path);
            let checked = self.checked(done, &listed, &path);
            match checked.map_err(|source| failed((at(), source)))? {
                Some(done) => self.progress.lock().files[file] = FileState::Complete(done),
                None => {
                    // A file of which the check was stopped may be whole.
                    self.go_on(proceed)?;
                    tracing::warn!(
                        path = %at().display(),
                        "another program changed the file: fetching it again"
                    );
                    self.set_missing(file);
                    changed = Some(at());
                }
            }
        }
        match changed {
            Some(path) => Err(FinishError::Altered {
                path,
                missing: self.missing_bytes(),
            }),
            None => Ok(()),
        }
    }

    /// Checks a file. None if it is gone or has other content.
    fn checked(
        &self,
        done: CompleteFile,
        listed: &ListedFile<'_>,
        path: &str,
    ) -> io::Result<Option<CompleteFile>> {
        let Some(entry) = self.staging.find(done.base, path)? else {
            return Ok(None);
        };
        if entry.kind != EntryType::File {
            return Ok(None);
        }
        let mut now = done;
        now.fingerprint = entry.fingerprint;
        let is_sure = done.fingerprint.compare(&entry.fingerprint) == Comparison::Unchanged;
        if !is_sure || entry.fingerprint.is_coarse() {
            let Some(file) = self.staging.existing(done.base, path)? else {
                return Ok(None);
            };
            let is_stopped = || self.reservation.is_interrupted();
            if !hashing::has_content(&file, &listed.descriptor, None, &is_stopped)? {
                return Ok(None);
            }
            now.fingerprint = Fingerprint::new(&file.metadata()?);
        }
        if done.is_marked {
            now.fingerprint = self.staging.unmark(path)?;
            now.is_marked = false;
        }
        Ok(Some(now))
    }

    /// Refuses files at the target that are in the way, unless they may be replaced.
    fn check_free(&self, proceed: Proceed<'_>) -> Result<(), FinishError> {
        let Some(into) = self.staging.protected_target() else {
            return Ok(());
        };
        for path in self.to_merge() {
            self.go_on(proceed)?;
            let is_in_staging = self
                .staging
                .find(Base::Staging, &path)
                .is_ok_and(|found| found.is_some());
            if is_in_staging && into.find(&path).is_ok_and(|found| found.is_some()) {
                let target = self.staging.target(&path);
                return Err(FinishError::Exists { target });
            }
        }
        Ok(())
    }

    /// The paths of the wanted files and links.
    fn to_merge(&self) -> impl Iterator<Item = String> + '_ {
        self.listing.entries().filter_map(|entry| {
            let is_merged = !matches!(entry.kind(), EntryKind::Folder { .. });
            let is_merged = is_merged && self.local.has(entry);
            (is_merged && self.selection.takes(&entry.path())).then(|| self.local.path(entry))
        })
    }

    /// The paths of the folders that are wanted, each before those in it.
    pub(super) fn folders(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let entries = self.listing.entries();
        let folders = entries.filter(|entry| matches!(entry.kind(), EntryKind::Folder { .. }));
        let folders = folders.filter(|folder| is_wanted(&folder.path()));
        folders.map(|folder| self.local.path(folder)).collect()
    }

    /// Refuses to continue a download that was stopped.
    fn go_on(&self, proceed: Proceed<'_>) -> Result<(), FinishError> {
        let target = || self.spec.target.clone();
        step(0, proceed).map_err(|_| FinishError::Stopped { target: target() })
    }

    /// Renames the staging directory, or moves its files into the existing folder. Moving them can
    /// be stopped and repeated.
    pub(super) fn put_in_place(
        &self,
        durable: bool,
        proceed: Proceed<'_>,
    ) -> Result<(), FinishError> {
        let target = || self.spec.target.clone();
        let Some(into) = self.staging.existing_target() else {
            let renamed = self.staging.rename_to_target();
            renamed.map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => FinishError::Appeared { target: target() },
                _ => failed((target(), source)),
            })?;
            return self.sync_target(durable);
        };
        for folder in self.folders(|path| self.selection.takes(path)) {
            self.go_on(proceed)?;
            into.make(&folder)
                .map_err(|source| failed((self.staging.target(&folder), source)))?;
        }
        for path in self.to_merge() {
            self.go_on(proceed)?;
            let merged = match path.rsplit_once('/') {
                Some((folder, _)) => into.make(folder).and_then(|()| self.staging.merge(&path)),
                None => self.staging.merge(&path),
            };
            merged.map_err(|source| failed((self.staging.target(&path), source)))?;
        }
        for state in &mut self.progress.lock().files {
            if let FileState::Complete(done) = state {
                done.base = Base::Target;
            }
        }
        self.sync_target(durable)?;
        match self
            .staging
            .remove_emptied(&self.folders(|_| true), proceed)
        {
            Ok(None) => {}
            Err(_) if proceed(0).is_break() => {}
            Ok(Some(left)) => {
                tracing::warn!(
                    path = %left.display(),
                    "other files are in the staging directory: it stays"
                );
            }
            Err(error) => tracing::warn!(%error, "cannot remove the staging directory"),
        }
        Ok(())
    }

    fn sync_target(&self, durable: bool) -> Result<(), FinishError> {
        if durable && let Err(error) = self.staging.sync_target() {
            let target = self.spec.target.display();
            tracing::warn!(
                %target,
                %error,
                "cannot sync the folder: a power cut may lose the download"
            );
        }
        Ok(())
    }

    fn remove_record(&self, store: &Store, durably: bool) {
        let key = &self.reservation.key;
        // A large file that was copied in the end may have a part file and a record left.
        let removed = store
            .remove_parts(&self.spec, &to_the_end)
            .map_err(|error| error.to_string());
        let removed = removed.and_then(|_| {
            let removed = self.workspace.records.remove(key, durably);
            removed.map_err(|error| error.to_string())
        });
        if let Err(error) = removed {
            tracing::warn!(hash = %key.hash, %error, "cannot remove the record of a download");
        }
    }
}
