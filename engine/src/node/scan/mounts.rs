//! The mounts below a path, found while it is walked.

use std::path::{Path, PathBuf};

use walkdir::DirEntry;

use crate::store::FileSystemAt;

/// The file systems that are mounted below a path, found while it is walked.
pub(super) struct Mounts {
    /// The file systems of the folders down to the one that is being walked, beginning with the
    /// parent of the path.
    walked: Vec<Option<FileSystemAt>>,
    pub(super) found: Vec<PathBuf>,
}

impl Mounts {
    pub(super) fn above(path: &Path) -> Self {
        Self {
            walked: vec![path.parent().and_then(FileSystemAt::of)],
            found: Vec::new(),
        }
    }

    pub(super) fn enter(&mut self, folder: &DirEntry) {
        let own = FileSystemAt::of(folder.path());
        self.walked.truncate(folder.depth() + 1);
        if self.walked.last() != Some(&own) {
            self.found.push(folder.path().to_owned());
        }
        self.walked.push(own);
    }
}
