//! Files hashed to be shared.

use std::{ops::ControlFlow, path::Path};

use crate::store::{HashError, Hashed, Store, hashing::hash};

impl Store {
    /// Hashes a file to be shared, and keeps its tree. `progress` is given the bytes hashed so
    /// far, and may say to stop.
    ///
    /// # Errors
    ///
    /// See [`HashError`].
    pub fn hash_file(
        &self,
        path: &Path,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<Hashed, HashError> {
        hash(path, Some(&self.inner.trees), progress)
    }
}
