//! Whether a shared folder is there, or its disk is not.
//!
//! Owns the file `mounts` in the data folder: on which device each watched folder was when it was last
//! read, and which file systems were mounted below it. An unmounted disk leaves an empty directory on
//! another device behind: that is not a folder from which somebody removed everything. Device numbers
//! differ between starts of a machine, so only an empty directory is judged by them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The file in the data folder.
pub(super) const MOUNTS_FILE: &str = "mounts";

/// What is at the path of a shared folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The folder: what is not in it was removed.
    There,
    /// Nothing, no directory, or one that cannot be read.
    Gone,
    /// An empty directory on another device than before: the disk is not mounted.
    OtherDevice,
}

/// The folders whose devices are known.
pub(super) type Mounts = BTreeMap<PathBuf, Mount>;

/// On which device a folder was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mount {
    #[serde(rename = "d")]
    pub(super) device: u64,
    /// Whether the folder above was on another device.
    #[serde(rename = "m")]
    pub(super) is_mount: bool,
}

impl Mount {
    /// What is mounted at `path` now; none if that is no directory.
    pub(super) fn at(path: &Path) -> io::Result<Option<Self>> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_dir() {
            return Ok(None);
        }
        let device = device(&metadata);
        // The folder above a link is not the folder above the directory that it leads to.
        let resolved = fs::canonicalize(path)?;
        let above = resolved.parent().map(fs::metadata).transpose()?;
        let is_mount = above.is_some_and(|above| self::device(&above) != device);
        Ok(Some(Self { device, is_mount }))
    }
}

/// The number of the file system; always the same where the platform has none.
pub(crate) fn device(metadata: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::dev(metadata);
    #[cfg(not(unix))]
    {
        let _ = metadata;
        0
    }
}

impl Presence {
    /// Whether the folder is there.
    #[must_use]
    pub const fn is_there(self) -> bool {
        matches!(self, Self::There)
    }
}
