//! Storing and reading manifests.

use pelago_content::{Descriptor, Hash, Manifest};

use crate::{ManifestsError, Store, side_files::StoredByHash};

impl Store {
    /// The proven manifest with this hash; `None` if there is none, or it is damaged.
    ///
    /// # Errors
    ///
    /// [`ManifestsError`] if it cannot be read.
    pub fn manifest(&self, hash: &Hash) -> Result<Option<Manifest>, ManifestsError> {
        let kept = self.inner.manifests.open(hash)?;
        Ok(kept.and_then(|manifest| manifest.decode()))
    }

    /// Stores a manifest, and returns its descriptor. From then on its chunks can be read under its
    /// hash. It stays until no share and no download needs it.
    ///
    /// # Errors
    ///
    /// [`ManifestsError`] if it cannot be written.
    pub fn keep_manifest(&self, manifest: &Manifest) -> Result<Descriptor, ManifestsError> {
        let bytes = manifest.to_bytes();
        let descriptor = manifest.descriptor();
        self.inner.manifests.keep(&descriptor.hash(), &bytes)?;
        Ok(descriptor)
    }

    /// Releases these manifests: no folder with them is going to be shared. Those without a row are
    /// collected.
    pub fn release_manifests(&self, hashes: &[Hash]) {
        self.inner.manifests.unpin(hashes);
    }
}
