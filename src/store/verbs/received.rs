//! How folders were received, forgotten when they are gone.

use std::path::Path;

use crate::store::Store;

impl Store {
    /// Forgets how the folder at `path` was received, if nothing lies there any more.
    pub(crate) fn forget_received(&self, path: &Path) {
        if path.symlink_metadata().is_ok() {
            return;
        }
        if let Err(error) = self.inner.received.remove(path) {
            tracing::debug!(path = %path.display(), %error, "what is kept of a folder stays");
        }
    }
}
