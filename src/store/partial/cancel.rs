//! The end of a download that nobody wants any more: nothing is left of it.
//!
//! Owns the order: the data goes before the record, so that whatever fails can be tried again. Removes
//! what a download made and nothing else: in a folder that was there before, only what has not found
//! its place yet.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use pelago_content::{Descriptor, Hash, Kind};

use super::{
    Links, PartialError, PartialSpec,
    download::{Reservation, known, record_path},
    folder,
    mark::Id,
    part_file::{self, default_path},
    record::{EarlierRun, Recorded},
    spec::Key,
};
use crate::store::{Scopes, Store, files};

impl Store {
    /// Removes what is here of a download that does not run, and its record, for good: it does not return
    /// after a power cut. One that is not recorded has left nothing. Where the record is torn, it was for
    /// `target`, as far as the caller knows. Gives what lies where it grew and is not ours: that stays.
    ///
    /// # Errors
    ///
    /// [`PartialError::InUse`] if it runs; [`PartialError::Io`] if something cannot be removed: the
    /// record stays then.
    pub fn cancel_partial(
        &self,
        hash: &Hash,
        target: Option<&Path>,
    ) -> Result<Vec<PathBuf>, PartialError> {
        let key = Key::of(*hash);
        let partials = &self.inner.partials;
        let known = partials.known(&key);
        let recorded = match known.map_err(|source| self.failed_at(&key, source))? {
            EarlierRun::None => return Ok(Vec::new()),
            EarlierRun::Recorded(recorded) => *recorded,
            EarlierRun::Damaged => return self.cancel_damaged(key, target),
        };
        let spec = &recorded.spec;
        let _reservation = Reservation::new(self, spec)?;
        let left = match spec.descriptor.kind() {
            Kind::File => {
                let (left, part) = (self.remove_part_file(&recorded)?, recorded.part_path());
                // Gone for good, also through a power cut. Where its folder is gone, so is the file.
                if part.parent().is_some_and(Path::exists) {
                    files::sync_folder_of(&part).map_err(|source| self.failed(spec, source))?;
                }
                left
            }
            Kind::Folder => {
                let mut left = self.remove_parts(spec)?;
                left.extend(folder::remove_staged(self, &recorded)?);
                self.release_manifests(&self.manifests_below(hash));
                left
            }
        };
        self.remove_record(spec, true)?;
        Ok(left)
    }

    /// What grew is told by its mark, which names the content, too.
    fn cancel_damaged(
        &self,
        key: Key,
        target: Option<&Path>,
    ) -> Result<Vec<PathBuf>, PartialError> {
        let mut left = Vec::new();
        let manifest = self.manifest(&key.hash).ok().flatten();
        match (target, manifest) {
            (Some(target), Some(manifest)) => {
                left.extend(self.cancel_damaged_folder(target, manifest.descriptor())?);
            }
            (Some(target), None) => {
                let part = default_path(target);
                left.extend(part_file::remove_marked(&part, None, &key.hash)?);
            }
            (None, _) => {}
        }
        let removed = self.inner.partials.remove(&key, true);
        removed.map_err(|source| self.failed_at(&key, source))?;
        Ok(left)
    }

    fn cancel_damaged_folder(
        &self,
        target: &Path,
        descriptor: Descriptor,
    ) -> Result<Vec<PathBuf>, PartialError> {
        let hash = descriptor.hash();
        let spec = PartialSpec {
            descriptor,
            target: target.to_owned(),
            name: hash.to_string(),
            scopes: Scopes::default(),
            resume_on_start: false,
            only: Vec::new(),
            part_of: None,
            overwrite: false,
            is_named: false,
            links: Links::default(),
            strict_names: false,
        };
        let mut left = self.remove_parts(&spec)?;
        let recorded = Recorded {
            spec,
            part: None,
            sync_failed: false,
        };
        left.extend(folder::remove_staged(self, &recorded)?);
        let removed = self.inner.partials.remove_parts_of(&hash);
        removed.map_err(|source| self.failed(&recorded.spec, source))?;
        self.release_manifests(&self.manifests_below(&hash));
        Ok(left)
    }

    /// Removes what is left of the large files of a folder that have not found their places.
    pub(super) fn remove_parts(&self, folder: &PartialSpec) -> Result<Vec<PathBuf>, PartialError> {
        let mut left = Vec::new();
        for part in self.parts_of(folder)? {
            left.extend(self.remove_part(&part)?);
        }
        Ok(left)
    }

    /// Removes what is here of one part of something, which nobody downloads, and its record. Gives what
    /// lies there and is not ours.
    ///
    /// # Errors
    ///
    /// As [`Store::cancel_partial`].
    pub(in crate::store) fn remove_part(
        &self,
        part: &PartialSpec,
    ) -> Result<Option<PathBuf>, PartialError> {
        let _reservation = Reservation::new(self, part)?;
        let left = match known(self, part)? {
            EarlierRun::Recorded(recorded) => self.remove_part_file(&recorded)?.pop(),
            EarlierRun::Damaged | EarlierRun::None => None,
        };
        self.remove_record(part, false)?;
        Ok(left)
    }

    /// Removes the file in which the content grows, if it is ours.
    fn remove_part_file(&self, recorded: &Recorded) -> Result<Vec<PathBuf>, PartialError> {
        let Recorded { spec, part, .. } = recorded;
        let id: Option<Id> = part.as_ref().map(|part| part.id);
        let left = part_file::remove(&self.inner.partials, spec, &recorded.part_path(), id)?;
        Ok(left.into_iter().collect())
    }

    /// The same, once nothing is written to it any more, which may take as long as `patience`.
    ///
    /// # Errors
    ///
    /// As [`Store::cancel_partial`].
    pub(in crate::store) fn remove_part_within(
        &self,
        part: &PartialSpec,
        patience: Duration,
    ) -> Result<(), PartialError> {
        self.inner.partials.is_free_within(&part.key(), patience);
        self.remove_part(part).map(drop)
    }

    /// Removes the record of a download that does not run, and of those that are parts of it. What was
    /// written stays, as bytes that nothing is known of.
    ///
    /// # Errors
    ///
    /// As [`Store::cancel_partial`].
    pub fn forget_partial(&self, hash: &Hash) -> Result<(), PartialError> {
        let key = Key::of(*hash);
        let known = self.inner.partials.known(&key);
        let spec = match known.map_err(|source| self.failed_at(&key, source))? {
            EarlierRun::Recorded(recorded) => recorded.spec,
            EarlierRun::Damaged => {
                let removed = self.inner.partials.remove(&key, true);
                return removed.map_err(|source| self.failed_at(&key, source));
            }
            EarlierRun::None => return Ok(()),
        };
        let _reservation = Reservation::new(self, &spec)?;
        for part in self.parts_of(&spec)? {
            let _reservation = Reservation::new(self, &part)?;
            self.remove_record(&part, false)?;
        }
        self.remove_record(&spec, true)
    }

    /// Removes the record of a download that does not run, if it is of one to this target.
    ///
    /// # Errors
    ///
    /// As [`Store::cancel_partial`].
    pub fn forget_partial_at(&self, hash: &Hash, target: &Path) -> Result<(), PartialError> {
        match self.inner.partials.known(&Key::of(*hash)) {
            Ok(EarlierRun::Recorded(recorded)) if recorded.spec.target == target => {
                self.forget_partial(hash)
            }
            _ => Ok(()),
        }
    }

    /// Ends what is being proven for a download of this hash that was stopped, within a moment. What was
    /// recorded stays, and is proven by the next run.
    pub fn interrupt(&self, hash: &Hash) {
        self.inner.partials.interrupt(*hash);
    }

    /// Waits until no download of this hash runs; false if one does for longer than `patience`. One
    /// that was stopped runs until what it was writing is written.
    pub fn is_free_within(&self, hash: &Hash, patience: Duration) -> bool {
        self.inner
            .partials
            .is_free_within(&Key::of(*hash), patience)
    }

    /// The files that are recorded as parts of a folder.
    fn parts_of(&self, folder: &PartialSpec) -> Result<Vec<PartialSpec>, PartialError> {
        if folder.descriptor.kind() != Kind::Folder {
            return Ok(Vec::new());
        }
        let recorded = self.partials();
        let mut recorded = recorded.map_err(|source| self.failed(folder, source))?;
        let hash = folder.descriptor.hash();
        recorded.retain(|part| part.part_of == Some(hash));
        Ok(recorded)
    }

    fn remove_record(&self, spec: &PartialSpec, durably: bool) -> Result<(), PartialError> {
        let removed = self.inner.partials.remove(&spec.key(), durably);
        removed.map_err(|source| self.failed(spec, source))
    }

    fn failed_at(&self, key: &Key, source: io::Error) -> PartialError {
        let path = self.inner.partials.path(key).unwrap_or_default();
        PartialError::Io { path, source }
    }

    fn failed(&self, spec: &PartialSpec, source: io::Error) -> PartialError {
        let path = record_path(&self.inner.partials, spec);
        PartialError::Io { path, source }
    }
}
