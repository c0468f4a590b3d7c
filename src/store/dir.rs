//! A directory that is held open: everything below is reached from the handle, and never through a link.
//!
//! Owns the way from a directory to what is in it. A directory that is renamed, or replaced by a link,
//! while it is held stays the one that was opened. Paths below it are given with `/` between names, as
//! manifests have them. Errors leave as the system gave them: a link on the way is
//! [`io::ErrorKind::FilesystemLoop`] or [`io::ErrorKind::NotADirectory`].
//!
//! On systems without such handles the path stands in for them, and each step is looked at first.

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

/// A directory that is held open.
#[derive(Debug)]
pub(super) struct Dir {
    handle: system::Handle,
    path: PathBuf,
}

impl Dir {
    /// Opens the directory at `path`, which may lead through links: whoever named it chose them.
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

    /// Opens a directory in this one.
    pub(super) fn sub(&self, inner: &str) -> io::Result<Self> {
        Ok(Self {
            handle: self.handle.sub(inner)?,
            path: self.path_of(inner),
        })
    }

    /// Where it was when it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where something in it was when the directory was opened.
    pub(super) fn path_of(&self, inner: &str) -> PathBuf {
        if inner.is_empty() {
            self.path.clone()
        } else {
            self.path.join(inner)
        }
    }

    /// What the directory itself is.
    pub(super) fn metadata(&self) -> io::Result<EntryMetadata> {
        self.handle.metadata()
    }

    /// What is there; [`io::ErrorKind::NotFound`] if nothing is.
    pub(super) fn metadata_of(&self, inner: &str) -> io::Result<EntryMetadata> {
        self.handle.metadata_of(inner)
    }

    /// The same, and nothing where nothing is.
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
            let error = "it is there, and is not a regular file: move it away";
            Err(io::Error::new(io::ErrorKind::AlreadyExists, error))
        }
    }

    /// Makes a directory and those above it, below this one.
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
        // Another thread may have made it in between.
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match self.metadata_of(inner)?.kind {
                    EntryType::Folder => Ok(()),
                    _ => {
                        let error = "it is there, and is not a folder: move it away";
                        Err(io::Error::new(io::ErrorKind::AlreadyExists, error))
                    }
                }
            }
            made => made,
        }
    }

    /// Makes a directory where nothing is.
    pub(super) fn make_new(&self, inner: &str) -> io::Result<()> {
        self.handle.make(inner)
    }

    /// Renames an entry to one of another directory of the same file system. What is there is replaced
    /// only if `replace` says so; else that is [`io::ErrorKind::AlreadyExists`].
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

    /// Makes a symbolic link.
    pub(super) fn make_link(&self, inner: &str, target: &str) -> io::Result<()> {
        self.handle.make_link(inner, target)
    }

    /// Where a symbolic link leads.
    pub(super) fn read_link(&self, inner: &str) -> io::Result<PathBuf> {
        self.handle.read_link(inner)
    }

    /// The names in it, in any order; bytes that are no UTF-8 are replaced.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        self.handle.names()
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        self.handle.is_empty()
    }

    /// Takes the lock of the directory, where directories have one, for as long as this value lives;
    /// false if another has it.
    pub(super) fn try_lock(&self) -> io::Result<bool> {
        self.handle.try_lock()
    }

    /// The directory as an open file, for what only files can do; none where a system has no such.
    pub(super) fn as_file(&self) -> Option<&File> {
        self.handle.as_file()
    }

    /// Makes the names in it durable. Costs one sync.
    pub(super) fn sync(&self) -> io::Result<()> {
        match self.as_file() {
            Some(file) => file.sync_all(),
            None => Ok(()),
        }
    }

    /// Makes all that was written to its file system durable, whoever wrote it. Costs one sync, or one
    /// for each file below where the system has no such call.
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
