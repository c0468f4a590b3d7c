//! The end of a download that nobody wants any more: nothing is left of it.
//!
//! Owns the order: the data goes before the record, so that whatever fails can be tried again. Removes
//! what a download made and nothing else: in a folder that was there before, only what has not found
//! its place yet.

use std::{collections::HashSet, io, path::Path, time::Duration};

use pelago_content::{EntryKind, Hash, Kind};

use super::{
    PartialError, PartialSpec,
    download::{Reservation, record_path},
    folder, part,
    spec::Key,
};
use crate::store::{Store, mutex::lock};

impl Store {
    /// Removes what is here of a download that does not run, and its record. One that is not recorded
    /// has left nothing.
    ///
    /// # Errors
    ///
    /// [`PartialError::InUse`] if it runs; [`PartialError::Io`] if something cannot be removed: the
    /// record stays then.
    pub fn abandon(&self, hash: &Hash) -> Result<(), PartialError> {
        let Some(spec) = self.inner.partials.recorded(&Key::of(*hash)) else {
            return Ok(());
        };
        let _reservation = Reservation::new(self, &spec)?;
        match spec.descriptor.kind() {
            Kind::File => part::remove(&spec.target)?,
            Kind::Folder => {
                self.abandon_parts(&spec)?;
                folder::remove_tree(&spec.target)?;
                self.drop_manifests_below(hash);
            }
        }
        self.remove_record(&spec)
    }

    /// Removes what is left of the large files of a folder that have not found their places.
    pub(super) fn abandon_parts(&self, folder: &PartialSpec) -> Result<(), PartialError> {
        for part in self.parts_of(folder)? {
            let _reservation = Reservation::new(self, &part)?;
            part::remove(&part.target)?;
            self.remove_record(&part)?;
        }
        Ok(())
    }

    /// Removes the record of a download that does not run, and of those that are parts of it. What was
    /// written stays, as bytes that nothing is known of.
    ///
    /// # Errors
    ///
    /// As [`Store::abandon`].
    pub fn forget_partial(&self, hash: &Hash) -> Result<(), PartialError> {
        let Some(spec) = self.inner.partials.recorded(&Key::of(*hash)) else {
            return Ok(());
        };
        let _reservation = Reservation::new(self, &spec)?;
        for part in self.parts_of(&spec)? {
            let _reservation = Reservation::new(self, &part)?;
            self.remove_record(&part)?;
        }
        self.remove_record(&spec)
    }

    /// Removes the record of a download that does not run, if it is of one to this target.
    ///
    /// # Errors
    ///
    /// As [`Store::abandon`].
    pub fn forget_partial_at(&self, hash: &Hash, target: &Path) -> Result<(), PartialError> {
        match self.inner.partials.recorded(&Key::of(*hash)) {
            Some(spec) if spec.target == target => self.forget_partial(hash),
            _ => Ok(()),
        }
    }

    /// Waits until no download of this hash runs; false if one does for longer than `patience`. One
    /// that was stopped runs until what it was writing is written.
    pub fn is_free_within(&self, hash: &Hash, patience: Duration) -> bool {
        self.inner
            .partials
            .is_free_within(&Key::of(*hash), patience)
    }

    /// Removes the manifests that were fetched for a folder, but for those of shared ones.
    fn drop_manifests_below(&self, folder: &Hash) {
        let _sharing = lock(&self.inner.sharing);
        let (mut known, mut found, mut next) = (HashSet::from([*folder]), vec![*folder], 0);
        while let Some(hash) = found.get(next).copied() {
            next += 1;
            let Ok(Some(manifest)) = self.manifest(&hash) else {
                continue;
            };
            for entry in manifest.entries() {
                if let EntryKind::Folder { descriptor, .. } = &entry.kind
                    && known.insert(descriptor.hash())
                {
                    found.push(descriptor.hash());
                }
            }
        }
        if let Err(error) = self.drop_manifests(&found) {
            tracing::warn!(%folder, %error, "manifests that are not needed cannot be removed");
        }
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

    fn remove_record(&self, spec: &PartialSpec) -> Result<(), PartialError> {
        let removed = self.inner.partials.remove(&spec.key());
        removed.map_err(|source| self.failed(spec, source))
    }

    fn failed(&self, spec: &PartialSpec, source: io::Error) -> PartialError {
        let path = record_path(&self.inner.partials, spec);
        PartialError::Io { path, source }
    }
}
