//! Manifests, kept and read.

use pelago_content::{Descriptor, Hash, Manifest};

use crate::store::{ManifestsError, Store, side_files::StoredByHash};

impl Store {
    /// The manifest that is kept under this hash, proven; none if there is none, or it is damaged.
    ///
    /// # Errors
    ///
    /// [`ManifestsError`] if it cannot be read.
    pub fn manifest(&self, hash: &Hash) -> Result<Option<Manifest>, ManifestsError> {
        let kept = self.inner.manifests.open(hash)?;
        Ok(kept.and_then(|manifest| manifest.decode()))
    }

    /// Keeps a manifest, and gives its descriptor: from then on its chunks are read under its hash,
    /// by whoever the scopes of that hash allow. It stays until no share and no download needs it.
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

    /// Nobody is going to share a folder with these manifests: those that no row needs are collected.
    pub fn release_manifests(&self, hashes: &[Hash]) {
        self.inner.manifests.unpin(hashes);
    }
}
