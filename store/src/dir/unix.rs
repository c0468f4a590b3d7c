//! Directories as file descriptors.

use std::{
    fs::{File, TryLockError},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{self, AtFlags, FileType, OFlags, Stat},
    io::Errno,
};

use super::entry::{EntryMetadata, EntryType, FileId, OpenMode, name_of, parent_of};
use crate::Fingerprint;

/// The permissions of new files and directories, before the umask of the process.
const FILE: fs::Mode = fs::Mode::from_raw_mode(0o666);
const FOLDER: fs::Mode = fs::Mode::from_raw_mode(0o777);

/// The flags for opening an intermediate directory.
const ON_THE_WAY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

#[derive(Debug)]
pub(super) struct Handle(File);

impl Handle {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = fs::open(path, flags, fs::Mode::empty())?;
        Ok(Self(folder.into()))
    }

    pub(super) fn sub(&self, inner: &str) -> io::Result<Self> {
        let folder = folder_at(self.0.as_fd(), inner)?;
        Ok(Self(folder.into()))
    }

    pub(super) fn metadata(&self) -> io::Result<EntryMetadata> {
        Ok(entry_metadata(&fs::fstat(&self.0)?))
    }

    pub(super) fn metadata_of(&self, inner: &str) -> io::Result<EntryMetadata> {
        self.at(inner, |folder, name| {
            Ok(entry_metadata(&fs::statat(
                folder,
                name,
                AtFlags::SYMLINK_NOFOLLOW,
            )?))
        })
    }

    pub(super) fn file(&self, inner: &str, mode: OpenMode) -> io::Result<File> {
        // Opening a fifo would otherwise wait for a process at its other end.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let flags = flags
            | match mode {
                OpenMode::Read => OFlags::RDONLY,
                OpenMode::Write => OFlags::RDWR,
                OpenMode::New => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            };
        self.at(inner, |folder, name| {
            Ok(fs::openat(folder, name, flags, FILE)?.into())
        })
    }

    pub(super) fn make(&self, inner: &str) -> io::Result<()> {
        self.at(inner, |folder, name| Ok(fs::mkdirat(folder, name, FOLDER)?))
    }

    pub(super) fn rename(
        &self,
        from: &str,
        to_handle: &Self,
        to: &str,
        replace: bool,
    ) -> io::Result<()> {
        self.at(from, |from_folder, from| {
            to_handle.at(to, |to_folder, to| {
                if replace {
                    Ok(fs::renameat(from_folder, from, to_folder, to)?)
                } else {
                    rename_new(from_folder, from, to_folder, to)
                }
            })
        })
    }

    pub(super) fn remove_file(&self, inner: &str) -> io::Result<()> {
        self.at(inner, |folder, name| {
            Ok(fs::unlinkat(folder, name, AtFlags::empty())?)
        })
    }

    pub(super) fn remove_folder(&self, inner: &str) -> io::Result<()> {
        self.at(inner, |folder, name| {
            Ok(fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?)
        })
    }

    pub(super) fn make_link(&self, inner: &str, target: &str) -> io::Result<()> {
        self.at(inner, |folder, name| {
            Ok(fs::symlinkat(target, folder, name)?)
        })
    }

    pub(super) fn read_link(&self, inner: &str) -> io::Result<PathBuf> {
        self.at(inner, |folder, name| {
            let target = fs::readlinkat(folder, name, Vec::new())?;
            Ok(PathBuf::from(std::ffi::OsString::from_vec(
                target.into_bytes(),
            )))
        })
    }

    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let folder = fs::openat(&self.0, ".", ON_THE_WAY, fs::Mode::empty())?;
        let mut names = Vec::new();
        for entry in fs::Dir::new(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !matches!(&name[..], "." | "..") {
                names.push(name);
            }
        }
        Ok(names)
    }

    pub(super) fn is_empty(&self) -> io::Result<bool> {
        // Reading moves the position, so it needs a descriptor of its own.
        let folder = fs::openat(&self.0, ".", ON_THE_WAY, fs::Mode::empty())?;
        for entry in fs::Dir::new(folder)? {
            if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(super) const fn as_file(&self) -> Option<&File> {
        Some(&self.0)
    }

    /// Calls `act` with the directory that holds an entry, and the name of the entry.
    fn at<T>(
        &self,
        inner: &str,
        act: impl FnOnce(BorrowedFd<'_>, &str) -> io::Result<T>,
    ) -> io::Result<T> {
        match parent_of(inner) {
            "" => act(self.0.as_fd(), inner),
            parent => {
                let folder = folder_at(self.0.as_fd(), parent)?;
                act(folder.as_fd(), name_of(inner))
            }
        }
    }
}

/// Opens a directory below another.
fn folder_at(top: BorrowedFd<'_>, inner: &str) -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::ResolveFlags;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match fs::openat2(top, inner, ON_THE_WAY, fs::Mode::empty(), resolve) {
            // Linux before 5.6, and some sandboxes, do not have the call.
            Err(Errno::NOSYS | Errno::PERM) => {}
            opened => return Ok(opened?),
        }
    }
    step_by_step(top, inner)
}

/// Opens a directory below another, one component after the other.
fn step_by_step(top: BorrowedFd<'_>, inner: &str) -> io::Result<OwnedFd> {
    let mut folder = fs::openat(top, ".", ON_THE_WAY, fs::Mode::empty())?;
    for name in inner.split('/') {
        if matches!(name, "" | "." | "..") {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        folder = fs::openat(&folder, name, ON_THE_WAY, fs::Mode::empty())?;
    }
    Ok(folder)
}

/// Renames without replacing anything.
fn rename_new(
    from_folder: BorrowedFd<'_>,
    from: &str,
    to_folder: BorrowedFd<'_>,
    to: &str,
) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        let only_new = fs::RenameFlags::NOREPLACE;
        match fs::renameat_with(from_folder, from, to_folder, to, only_new) {
            // Some file systems do not support the flag.
            Err(Errno::INVAL | Errno::NOSYS) => {}
            renamed => return Ok(renamed?),
        }
    }
    // A hard link never replaces anything. For folders, and on file systems without hard links,
    // checking before the rename has to suffice.
    match fs::linkat(from_folder, from, to_folder, to, AtFlags::empty()) {
        Ok(()) => return Ok(fs::unlinkat(from_folder, from, AtFlags::empty())?),
        Err(Errno::EXIST) => return Err(Errno::EXIST.into()),
        Err(_) => {}
    }
    match fs::statat(to_folder, to, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(fs::renameat(from_folder, from, to_folder, to)?),
        Ok(_) => Err(Errno::EXIST.into()),
        Err(error) => Err(error.into()),
    }
}

#[allow(
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "the types differ between systems"
)]
fn entry_metadata(stat: &Stat) -> EntryMetadata {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryType::File,
        FileType::Directory => EntryType::Folder,
        FileType::Symlink => EntryType::Link,
        _ => EntryType::Other,
    };
    EntryMetadata {
        kind,
        file_id: FileId {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
        },
        fingerprint: Fingerprint::of_stat(stat),
        links: stat.st_nlink.into(),
    }
}

/// The metadata of an open file.
pub(crate) fn metadata_of_file(file: &File) -> io::Result<EntryMetadata> {
    Ok(entry_metadata(&fs::fstat(file)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_step_by_step_reaches_the_same_directory() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b/c")).unwrap();
        std::os::unix::fs::symlink("a", folder.path().join("link")).unwrap();
        let top = Handle::open(folder.path()).unwrap();
        for open in [folder_at, step_by_step] {
            let found = open(top.0.as_fd(), "a/b/c").unwrap();
            let there = fs::stat(folder.path().join("a/b/c")).unwrap();
            assert_eq!(fs::fstat(&found).unwrap().st_ino, there.st_ino);
            for wrong in ["link/b", "..", "a/x"] {
                assert!(open(top.0.as_fd(), wrong).is_err(), "{wrong}");
            }
        }
    }
}
