//! The list of downloads that a node resumes when it starts.
//!
//! Owns `downloads` in the data folder, or the list in memory. The list is replaced as a whole. Its
//! content is opaque: the caller encodes and decodes it.

use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// The name of the file.
pub(super) const LIST_FILE: &str = "downloads";

/// Where the list is stored.
pub(super) enum Downloads {
    File(PathBuf),
    Memory(Mutex<Option<Vec<u8>>>),
}

impl Downloads {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self::File(folder.join(LIST_FILE))
    }

    pub(super) fn in_memory() -> Self {
        Self::Memory(Mutex::default())
    }
}
