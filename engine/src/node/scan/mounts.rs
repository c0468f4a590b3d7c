//! The mounts below a path, found while it is walked.

use std::path::{Path, PathBuf};

use walkdir::DirEntry;

use crate::store::device;

/// The file systems that are mounted below a path, found while it is walked.
pub(super) struct Mounts {
    /// The devices of the folders down to the one that is being walked, beginning with the parent
    /// of the path.
    devices: Vec<Option<u64>>,
    pub(super) found: Vec<PathBuf>,
}

impl Mounts {
    pub(super) fn above(path: &Path) -> Self {
        let above = path.parent().and_then(|above| above.metadata().ok());
        Self {
            devices: vec![above.as_ref().map(device)],
            found: Vec::new(),
        }
    }

    pub(super) fn enter(&mut self, folder: &DirEntry) {
        let own = folder.metadata().ok().as_ref().map(device);
        self.devices.truncate(folder.depth() + 1);
        if self.devices.last() != Some(&own) {
            self.found.push(folder.path().to_owned());
        }
        self.devices.push(own);
    }
}
