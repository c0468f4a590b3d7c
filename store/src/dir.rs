//! A directory that is held open. Everything below it is reached from its handle, and never through
//! a link.
//!
//! If the directory is renamed, or replaced by a link, while it is open, the handle still refers to
//! the original. Paths below it use `/` between names, as in manifests. Errors are those of the
//! operating system: a link on the way is [`io::ErrorKind::FilesystemLoop`] or
//! [`io::ErrorKind::NotADirectory`].
//!
//! Systems without directory handles use the path instead, and check each step first.

#[cfg(not(unix))]
mod by_path;
mod entry;
#[cfg(unix)]
mod unix;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

#[cfg(not(unix))]
use by_path as system;
#[cfg(unix)]
use unix as system;

pub(super) use entry::{EntryMetadata, EntryType, FileId, OpenMode, parent_of};
pub(super) use system::metadata_of_file;

/// Whether an error says that a part of a path is a symbolic link, or a file.
pub(super) fn is_link_in_the_way(error: &io::Error) -> bool {
    // `ErrorKind::FilesystemLoop` is not stable.
    #[cfg(unix)]
    let is_loop = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    #[cfg(not(unix))]
    let is_loop = false;
    error.kind() == io::ErrorKind::NotADirectory || is_loop
}

/// A directory that is held open.
#[derive(Debug)]
pub(super) struct Dir {
    handle: system::Handle,
    path: PathBuf,
}

impl Dir {
    /// Opens the directory at `path`. The path may contain links, because the caller chose it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        Ok(Self {
            handle: system::Handle::open(path)?,
            path: path.to_owned(),
        })
    }

    /// Opens a directory below this one.
    pub(super) fn sub(&self, inner: &str) -> io::Result<Self> {
        Ok(Self {
            handle: self.handle.sub(inner)?,
            path: self.path_of(inner),
        })
    }

    /// The path by which it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of `inner` when the directory was opened.
    pub(super) fn path_of(&self, inner: &str) -> PathBuf {
        if inner.is_empty() {
            self.path.clone()
        } else {
            self.path.join(inner)
        }
    }

    /// The metadata of the directory itself.
    pub(super) fn metadata(&self) -> io::Result<EntryMetadata> {
        self.handle.metadata()
    }

    /// The metadata of an entry; [`io::ErrorKind::NotFound`] if there is none.
    pub(super) fn metadata_of(&self, inner: &str) -> io::Result<EntryMetadata> {
        self.handle.metadata_of(inner)
    }

    /// The metadata of an entry; `None` if there is none.
    pub(super) fn find(&self, inner: &str) -> io::Result<Option<EntryMetadata>> {
        match self.metadata_of(inner) {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a regular file.
    pub(super) fn file(&self, inner: &str, mode: OpenMode) -> io::Result<File> {
        let file = self.handle.file(inner, mode)?;
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            let error = "something other than a regular file is there: move it away";
            Err(io::Error::new(io::ErrorKind::AlreadyExists, error))
        }
    }

    /// Creates a directory below this one, with its ancestors.
    pub(super) fn make(&self, inner: &str) -> io::Result<()> {
        if inner.is_empty() {
            return Ok(());
        }
        let mut made = self.handle.make(inner);
        if made
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        {
            self.make(parent_of(inner))?;
            made = self.handle.make(inner);
        }
        // Another thread may have created it in the meantime.
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match self.metadata_of(inner)?.kind {
                    EntryType::Folder => Ok(()),
                    _ => {
                        let error = "something other than a folder is there: move it away";
                        Err(io::Error::new(io::ErrorKind::AlreadyExists, error))
                    }
                }
            }
            made => made,
        }
    }

    /// Creates a directory; fails if anything is there.
    pub(super) fn make_new(&self, inner: &str) -> io::Result<()> {
        self.handle.make(inner)
    }

    /// Renames an entry into another directory of the same file system. If something is there, it
    /// is replaced if `replace` is set; otherwise the call fails with
    /// [`io::ErrorKind::AlreadyExists`].
    pub(super) fn rename(
        &self,
        from: &str,
        to_dir: &Self,
        to: &str,
        replace: bool,
    ) -> io::Result<()> {
        self.handle.rename(from, &to_dir.handle, to, replace)
    }

    /// Removes a file or link.
    pub(super) fn remove_file(&self, inner: &str) -> io::Result<()> {
        self.handle.remove_file(inner)
    }

    /// Removes an empty directory.
    pub(super) fn remove_folder(&self, inner: &str) -> io::Result<()> {
        self.handle.remove_folder(inner)
    }

    /// Creates a symbolic link.
    pub(super) fn make_link(&self, inner: &str, target: &str) -> io::Result<()> {
        self.handle.make_link(inner, target)
    }

    /// The target of a symbolic link.
    pub(super) fn read_link(&self, inner: &str) -> io::Result<PathBuf> {
        self.handle.read_link(inner)
    }

    /// The names of its entries, in any order. Bytes that are not valid UTF-8 are replaced.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        self.handle.names()
    }

    /// Whether it has no entries.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        self.handle.is_empty()
    }

    /// Locks the directory, where the system supports it, for the lifetime of this value. Returns
    /// false if another process holds the lock.
    pub(super) fn try_lock(&self) -> io::Result<bool> {
        self.handle.try_lock()
    }

    /// The directory as an open file; `None` where the system has no directory handles.
    pub(super) fn as_file(&self) -> Option<&File> {
        self.handle.as_file()
    }

    /// Makes the names of its entries durable. Costs one sync.
    pub(super) fn sync(&self) -> io::Result<()> {
        match self.as_file() {
            Some(file) => file.sync_all(),
            None => Ok(()),
        }
    }

    /// Makes everything that was written to its file system durable. Costs one sync, or one for
    /// each file below where the system has no such call.
    pub(super) fn sync_file_system(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(file) = self.as_file() {
            return Ok(rustix::fs::syncfs(file)?);
        }
        for entry in walkdir::WalkDir::new(&self.path) {
            let entry = entry?;
            if entry.file_type().is_file() {
                File::open(entry.path())?.sync_all()?;
            }
        }
        self.sync()
    }
}

#[cfg(test)]
mod tests;
