//! The list of downloads that a node goes on with when it starts again.
//!
//! Owns `downloads` in the data folder, or the same in memory, and that it is replaced whole. What is
//! in it is for whoever wrote it to read.

use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// The file with the list.
pub(super) const LIST_FILE: &str = "downloads";

/// Where the list is kept.
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
