//! Directories as paths, for systems without directory handles. Each step is checked before it is
//! taken.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Component, Path, PathBuf},
};

use super::entry::{EntryMetadata, EntryType, FileId, OpenMode, parent_of};
use crate::{Fingerprint, durable};

#[derive(Debug)]
pub(super) struct Handle(PathBuf);

impl Handle {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.is_dir() {
            Ok(Self(path.to_owned()))
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    pub(super) fn sub(&self, inner: &str) -> io::Result<Self> {
        self.check(inner)?;
        Self::open(&self.0.join(inner))
    }

    pub(super) fn metadata(&self) -> io::Result<EntryMetadata> {
        Ok(entry_metadata(&fs::metadata(&self.0)?))
    }

    pub(super) fn metadata_of(&self, inner: &str) -> io::Result<EntryMetadata> {
        Ok(entry_metadata(&fs::symlink_metadata(self.at(inner)?)?))
    }

    pub(super) fn file(&self, inner: &str, mode: OpenMode) -> io::Result<File> {
        let path = self.at(inner)?;
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read);
        options.create_new(mode == OpenMode::New).open(path)
    }

    pub(super) fn make(&self, inner: &str) -> io::Result<()> {
        fs::create_dir(self.at(inner)?)
    }

    pub(super) fn rename(
        &self,
        from: &str,
        to_handle: &Self,
        to: &str,
        replace: bool,
    ) -> io::Result<()> {
        let (from, to) = (self.at(from)?, to_handle.at(to)?);
        if replace {
            fs::rename(from, to)
        } else {
            durable::rename_new(&from, &to)
        }
    }

    pub(super) fn remove_file(&self, inner: &str) -> io::Result<()> {
        fs::remove_file(self.at(inner)?)
    }

    pub(super) fn remove_folder(&self, inner: &str) -> io::Result<()> {
        fs::remove_dir(self.at(inner)?)
    }

    pub(super) fn make_link(&self, inner: &str, target: &str) -> io::Result<()> {
        let path = self.at(inner)?;
        #[cfg(windows)]
        {
            let target = target.replace('/', "\\");
            let leads_to = path.parent().map(|folder| folder.join(&target));
            if leads_to.is_some_and(|path| path.is_dir()) {
                std::os::windows::fs::symlink_dir(target, path)
            } else {
                std::os::windows::fs::symlink_file(target, path)
            }
        }
        #[cfg(not(windows))]
        {
            let _ = (path, target);
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    pub(super) fn read_link(&self, inner: &str) -> io::Result<PathBuf> {
        fs::read_link(self.at(inner)?)
    }

    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let name =
            |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        fs::read_dir(&self.0)?.map(name).collect()
    }

    pub(super) fn is_empty(&self) -> io::Result<bool> {
        Ok(fs::read_dir(&self.0)?.next().is_none())
    }

    pub(super) fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    pub(super) const fn as_file(&self) -> Option<&File> {
        None
    }

    /// The path of an entry, if only directories lead to it.
    fn at(&self, inner: &str) -> io::Result<PathBuf> {
        self.check(parent_of(inner))?;
        check_name(inner.rsplit('/').next().unwrap_or(inner))?;
        Ok(self.0.join(inner))
    }

    fn check(&self, inner: &str) -> io::Result<()> {
        let mut path = self.0.clone();
        for name in inner.split('/').filter(|name| !name.is_empty()) {
            check_name(name)?;
            path.push(name);
            if !fs::symlink_metadata(&path)?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        Ok(())
    }
}

/// Refuses a name that is more than one component of a path: separators, drives, the parent folder.
fn check_name(name: &str) -> io::Result<()> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(normal)), None) if normal == name => Ok(()),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn entry_metadata(metadata: &fs::Metadata) -> EntryMetadata {
    let kind = if metadata.is_file() {
        EntryType::File
    } else if metadata.is_dir() {
        EntryType::Folder
    } else if metadata.is_symlink() {
        EntryType::Link
    } else {
        EntryType::Other
    };
    EntryMetadata {
        kind,
        file_id: FileId {
            device: 0,
            inode: 0,
        },
        fingerprint: Fingerprint::new(metadata),
        links: 1,
    }
}

/// The metadata of an open file.
pub(crate) fn metadata_of_file(file: &File) -> io::Result<EntryMetadata> {
    Ok(entry_metadata(&file.metadata()?))
}
