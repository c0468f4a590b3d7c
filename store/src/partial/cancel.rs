//! Cancels downloads: removes what they left.
//!
//! Owns the order: data is removed before its record, so that a removal that fails can be repeated.
//! Removes only what a download created. In a folder that existed before, files that are already in
//! place stay.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use pelago_content::{Descriptor, Hash, Kind};

use super::{
    Links, PartialError, PartialSpec,
    earlier_run::EarlierRun,
    folder,
    page::Recorded,
    part_file,
    part_name::default_part_path,
    records::Records,
    removal::{Proceed, step},
    reservations::{Reservation, Reservations},
    spec::Key,
};
use crate::{Scopes, Store, files};

impl Store {
    /// Removes the data and the record of a download that does not run. They do not return after a
    /// power cut. `target` is used if the record is damaged. Returns the paths of other files that
    /// were in the way, which stay.
    ///
    /// # Errors
    ///
    /// [`PartialError::InUse`] if it runs. [`PartialError::Io`] if something cannot be removed, or
    /// `proceed` stopped the removal: its record stays then, and the removal can be repeated.
    pub fn cancel_partial(
        &self,
        hash: &Hash,
        target: Option<&Path>,
        proceed: Proceed<'_>,
    ) -> Result<Vec<PathBuf>, PartialError> {
        let key = Key::standalone(*hash);
        let earlier = self.records().earlier_run(&key);
        let recorded = match earlier.map_err(|source| self.failed_at(&key, source))? {
            EarlierRun::None => return Ok(Vec::new()),
            EarlierRun::Recorded(recorded) => *recorded,
            EarlierRun::Damaged => return self.cancel_damaged(key, target, proceed),
        };
        let spec = &recorded.spec;
        let _reservation = self.reserve(spec)?;
        let left = match spec.descriptor.kind() {
            Kind::File => {
                let (left, part) = (self.remove_part_file(&recorded)?, recorded.part_path());
                // A sync, so that it does not return. If its folder is gone, so is the file.
                if part.parent().is_some_and(Path::exists) {
                    files::sync_folder_of(&part)
                        .map_err(|source| self.records().failed(spec, source))?;
                }
                left
            }
            Kind::Folder => {
                let mut left = self.remove_parts(spec, proceed)?;
                left.extend(folder::remove_staged(self, &recorded, proceed)?);
                self.release_manifests(&self.manifests_below(hash));
                left
            }
        };
        self.remove_record(spec, true)?;
        Ok(left)
    }

    /// Without a readable record, the mark identifies what the download created.
    fn cancel_damaged(
        &self,
        key: Key,
        target: Option<&Path>,
        proceed: Proceed<'_>,
    ) -> Result<Vec<PathBuf>, PartialError> {
        let mut left = Vec::new();
        let manifest = self.manifest(&key.hash).ok().flatten();
        match (target, manifest) {
            (Some(target), Some(manifest)) => {
                left.extend(self.cancel_damaged_folder(target, manifest.descriptor(), proceed)?);
            }
            (Some(target), None) => {
                let part = default_part_path(target);
                left.extend(part_file::remove_marked(&part, &key.hash)?);
            }
            (None, _) => {}
        }
        let removed = self.records().remove(&key, true);
        removed.map_err(|source| self.failed_at(&key, source))?;
        Ok(left)
    }

    fn cancel_damaged_folder(
        &self,
        target: &Path,
        descriptor: Descriptor,
        proceed: Proceed<'_>,
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
        let mut left = self.remove_parts(&spec, proceed)?;
        let recorded = Recorded {
            spec,
            part: None,
            sync_failed: false,
        };
        left.extend(folder::remove_staged(self, &recorded, proceed)?);
        let removed = self.records().remove_parts_of(&hash);
        removed.map_err(|source| self.records().failed(&recorded.spec, source))?;
        self.release_manifests(&self.manifests_below(&hash));
        Ok(left)
    }

    /// Removes the part files and records of a folder's large files that are not done.
    pub(super) fn remove_parts(
        &self,
        folder: &PartialSpec,
        proceed: Proceed<'_>,
    ) -> Result<Vec<PathBuf>, PartialError> {
        let mut left = Vec::new();
        for part in self.parts_of(folder)? {
            step(0, proceed).map_err(|source| self.records().failed(folder, source))?;
            left.extend(self.remove_part(&part)?);
        }
        Ok(left)
    }

    /// Removes the data and the record of one part that does not run. Returns the path of another
    /// file that was in the way.
    ///
    /// # Errors
    ///
    /// See [`Store::cancel_partial`].
    pub(crate) fn remove_part(&self, part: &PartialSpec) -> Result<Option<PathBuf>, PartialError> {
        let _reservation = self.reserve(part)?;
        let left = match self.records().earlier_run_of(part)? {
            EarlierRun::Recorded(recorded) => self.remove_part_file(&recorded)?.pop(),
            EarlierRun::Damaged | EarlierRun::None => None,
        };
        self.remove_record(part, false)?;
        Ok(left)
    }

    /// Removes a part file, if the download created it.
    fn remove_part_file(&self, recorded: &Recorded) -> Result<Vec<PathBuf>, PartialError> {
        let Recorded { spec, part, .. } = recorded;
        let id = part.as_ref().map(|part| part.id);
        let left = part_file::remove(self.records(), spec, &recorded.part_path(), id)?;
        Ok(left.into_iter().collect())
    }

    /// Waits up to `patience` until one part does not run, then removes its data and record.
    ///
    /// # Errors
    ///
    /// See [`Store::cancel_partial`].
    pub(crate) fn remove_part_within(
        &self,
        part: &PartialSpec,
        patience: Duration,
    ) -> Result<(), PartialError> {
        self.reservations().is_free_within(&part.key(), patience);
        self.remove_part(part).map(drop)
    }

    /// Removes the record of a download that does not run, and those of its parts. Its data stays.
    ///
    /// # Errors
    ///
    /// See [`Store::cancel_partial`].
    pub fn forget_partial(&self, hash: &Hash) -> Result<(), PartialError> {
        let key = Key::standalone(*hash);
        let earlier = self.records().earlier_run(&key);
        let spec = match earlier.map_err(|source| self.failed_at(&key, source))? {
            EarlierRun::Recorded(recorded) => recorded.spec,
            EarlierRun::Damaged => {
                let removed = self.records().remove(&key, true);
                return removed.map_err(|source| self.failed_at(&key, source));
            }
            EarlierRun::None => return Ok(()),
        };
        let _reservation = self.reserve(&spec)?;
        for part in self.parts_of(&spec)? {
            let _reservation = self.reserve(&part)?;
            self.remove_record(&part, false)?;
        }
        self.remove_record(&spec, true)
    }

    /// Removes the record of a download that does not run, if it had this target. Its data stays.
    ///
    /// # Errors
    ///
    /// See [`Store::cancel_partial`].
    pub fn forget_partial_at(&self, hash: &Hash, target: &Path) -> Result<(), PartialError> {
        match self.records().earlier_run(&Key::standalone(*hash)) {
            Ok(EarlierRun::Recorded(recorded)) if recorded.spec.target == target => {
                self.forget_partial(hash)
            }
            _ => Ok(()),
        }
    }

    /// Interrupts the proofs of a download that was stopped. Recorded blocks stay, and the next run
    /// proves them.
    pub fn interrupt(&self, hash: &Hash) {
        self.reservations().interrupt(hash);
    }

    /// Waits until no download of this hash runs. Returns false if one still does after `patience`.
    /// A stopped download runs until its writes are complete.
    pub fn is_free_within(&self, hash: &Hash, patience: Duration) -> bool {
        self.reservations()
            .is_free_within(&Key::standalone(*hash), patience)
    }

    /// The recorded parts of a folder.
    fn parts_of(&self, folder: &PartialSpec) -> Result<Vec<PartialSpec>, PartialError> {
        if folder.descriptor.kind() != Kind::Folder {
            return Ok(Vec::new());
        }
        let recorded = self.partials();
        let mut recorded = recorded.map_err(|source| self.records().failed(folder, source))?;
        let hash = folder.descriptor.hash();
        recorded.retain(|part| part.part_of == Some(hash));
        Ok(recorded)
    }

    fn remove_record(&self, spec: &PartialSpec, durably: bool) -> Result<(), PartialError> {
        let removed = self.records().remove(&spec.key(), durably);
        removed.map_err(|source| self.records().failed(spec, source))
    }

    fn failed_at(&self, key: &Key, source: io::Error) -> PartialError {
        let path = self.records().path(key).unwrap_or_default();
        PartialError::Io { path, source }
    }

    fn reserve(&self, spec: &PartialSpec) -> Result<Reservation, PartialError> {
        self.reservations().reserve(spec)
    }

    fn records(&self) -> &Records {
        self.inner.partials.records()
    }

    fn reservations(&self) -> &Arc<Reservations> {
        &self.inner.partials.workspace.reservations
    }
}
