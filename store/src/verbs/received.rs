//! The records of received folders, removed with the folders.

use std::path::Path;

use crate::Store;

impl Store {
    /// Removes the record of the folder at `path`, if nothing exists there any more.
    pub fn forget_received(&self, path: &Path) {
        if path.symlink_metadata().is_ok() {
            return;
        }
        if let Err(error) = self.inner.received.remove(path) {
            let path = path.display();
            tracing::debug!(%path, %error, "the record of a received folder cannot be removed");
        }
    }
}
