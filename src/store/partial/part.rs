//! The `.part` file of a download.
//!
//! Owns how it is opened: created if missing, a regular file, locked for as long as it is open.
//! Never follows a link and never empties the file. Failures leave as a [`PartialError`].

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::PartialError;
use crate::store::files;

/// Appended to the name of the target.
pub(super) const PART_SUFFIX: &str = ".part";

/// The attribute by which our own are known, also when their record is lost: its value says nothing.
#[cfg(any(target_os = "linux", target_os = "macos"))]
const MARK: &str = "user.pelago.part";

/// Bytes in the longest name that a file may have on usual systems.
const MAX_NAME: usize = 255;

/// Where the content grows before it is whole. A name that is too long to have something behind it is
/// cut off, and told from others by a part of its hash.
pub(super) fn path_of(target: &Path) -> PathBuf {
    let name = target.file_name().map(OsStr::to_string_lossy);
    match name.filter(|name| name.len() + PART_SUFFIX.len() > MAX_NAME) {
        None => files::with_suffix(target, PART_SUFFIX),
        Some(name) => {
            let hash = Sha256::digest(name.as_bytes());
            let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            let room = MAX_NAME - PART_SUFFIX.len() - 1 - hash.len();
            let start = &name[..name.floor_char_boundary(room)];
            target.with_file_name(format!("{start}-{hash}{PART_SUFFIX}"))
        }
    }
}

/// Opens and locks the `.part` of `target`. One of an `earlier` target is moved here, so that what
/// was downloaded is not lost when somebody prefers another place. One that is not known to be ours
/// has to be marked or empty: somebody else may have called their file so.
pub(super) fn open(
    target: &Path,
    earlier: Option<&Path>,
    is_ours: bool,
) -> Result<File, PartialError> {
    if let Some(file) = earlier.and_then(|earlier| adopt(earlier, target)) {
        return Ok(file);
    }
    let path = path_of(target);
    match open_locked(&path, true) {
        Ok(Some(file)) => {
            let is_empty = || file.metadata().is_ok_and(|found| found.len() == 0);
            if is_ours || is_marked(&file) || is_empty() {
                mark(&file);
                Ok(file)
            } else {
                Err(PartialError::Exists { path })
            }
        }
        Ok(None) => Err(PartialError::InUse {
            target: target.to_owned(),
        }),
        Err(source) => Err(PartialError::Io { path, source }),
    }
}

/// Marks a file or folder as one that grows, where the file system can.
pub(super) fn mark(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    // Without the mark, only the record says so.
    let _ = rustix::fs::fsetxattr(file, MARK, b"", rustix::fs::XattrFlags::empty());
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    let _ = file;
}

/// Takes the mark off what is about to be in its place.
pub(super) fn unmark(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    let _ = rustix::fs::fremovexattr(file, MARK);
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    let _ = file;
}

/// Whether it is marked as one that grows.
pub(super) fn is_marked(file: &File) -> bool {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    return rustix::fs::fgetxattr(file, MARK, &mut [0_u8; 0]).is_ok();
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    {
        let _ = file;
        false
    }
}

/// Moves the `.part` of another target here; none if there is none, or it cannot be had.
fn adopt(earlier: &Path, target: &Path) -> Option<File> {
    let (from, to) = (path_of(earlier), path_of(target));
    let file = open_locked(&from, false).ok()??;
    files::rename_new(&from, &to).ok()?;
    Some(file)
}

/// Removes the `.part` of `target`, if there is one and nobody writes to it.
pub(super) fn remove(target: &Path) -> Result<(), PartialError> {
    let path = path_of(target);
    let removed = match open_locked(&path, false) {
        Ok(Some(_locked)) => fs::remove_file(&path),
        Ok(None) => {
            let target = target.to_owned();
            return Err(PartialError::InUse { target });
        }
        Err(error) => Err(error),
    };
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(PartialError::Io { path, source })
        }
        _ => Ok(()),
    }
}

/// The file, locked; none if another has the lock.
fn open_locked(path: &Path, create: bool) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let file = files::open_own(options.read(true).write(true).create(create), path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
