//! Hashing files that are going to be shared.

use std::{ops::ControlFlow, path::Path};

use crate::{HashError, Hashed, Store, hashing::hash};

impl Store {
    /// Hashes a file to be shared, and stores its tree. `progress` receives the number of bytes
    /// hashed so far, and may stop the operation.
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
