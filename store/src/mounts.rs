//! The mounts of watched folders: whether a folder is present, or its disk is not mounted.
//!
//! Owns the file `mounts` in the data folder: the device of each watched folder when it was last
//! read, and the file systems that were mounted below it. An unmounted disk leaves a directory on
//! another device, or on the same device where a directory was mounted on another; this must not be
//! mistaken for a folder whose files were removed. Device numbers change when the machine starts, so
//! only an empty directory is judged by them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The name of the file in the data folder.
pub(super) const MOUNTS_FILE: &str = "mounts";

/// What is at the path of a shared folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The folder. Files that are not in it were removed.
    There,
    /// Nothing, or something other than a directory.
    Gone,
    /// Something that the operating system does not allow the node to read.
    Unreadable,
    /// An empty directory on another device than before: the disk is not mounted.
    OtherDevice,
    /// A directory with files where a disk was mounted: they are not those of the disk.
    WithoutDisk,
}

/// The folders whose devices are known.
pub(super) type Mounts = BTreeMap<PathBuf, Mount>;

/// The device of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mount {
    #[serde(rename = "d")]
    pub(super) device: u64,
    /// Whether something was mounted there.
    #[serde(rename = "m")]
    pub(super) is_mount: bool,
}

impl Mount {
    /// The current device of `path`; `None` if it is not a directory.
    pub(super) fn at(path: &Path) -> io::Result<Option<Self>> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_dir() {
            return Ok(None);
        }
        let device = device(&metadata);
        // The parent of a link may differ from the parent of its target.
        let resolved = fs::canonicalize(path)?;
        let above = resolved.parent().and_then(FileSystemAt::of);
        let is_mount = above.is_some_and(|above| Some(above) != FileSystemAt::of(&resolved));
        Ok(Some(Self { device, is_mount }))
    }
}

/// The file system that is visible at a path, and the mount that shows it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystemAt {
    device: u64,
    /// `None` where the system does not number mounts. One file system may have several.
    mount: Option<u64>,
}

impl FileSystemAt {
    /// The file system at `path`; `None` if nothing is there. Follows links.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let device = device(&fs::metadata(path).ok()?);
        let mount = mount(path);
        Some(Self { device, mount })
    }
}

/// The number of the mount at `path`.
#[cfg(target_os = "linux")]
fn mount(path: &Path) -> Option<u64> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok()?;
    let is_known = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    is_known.then_some(found.stx_mnt_id)
}

#[cfg(not(target_os = "linux"))]
const fn mount(_: &Path) -> Option<u64> {
    None
}

/// The device number; a constant where the platform has none.
fn device(metadata: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::dev(metadata);
    #[cfg(not(unix))]
    {
        let _ = metadata;
        0
    }
}

impl Presence {
    /// Whether the folder is present, although its disk may not be.
    #[must_use]
    pub const fn is_there(self) -> bool {
        matches!(self, Self::There | Self::WithoutDisk)
    }
}
