//! A new file in a folder that belongs to a person: hidden until it is complete. It never replaces
//! another file.
//!
//! Errors are [`NewFileError`]s. If the transfer ends early for any reason, no file remains.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    DiskSpace, Writer,
    files::{open_own, rename_new, sync_folder_of},
    unfinished_downloads, write_failure,
};

/// How many names are tried for a part.
const MAX_NAMES: u32 = 100;

/// A file that is being written.
#[derive(Debug)]
pub struct NewFile {
    file: Option<File>,
    part: PathBuf,
    target: PathBuf,
    disk_space: DiskSpace,
}

impl NewFile {
    /// Begins the file `name` of `len` bytes in `folder`, if the disk has enough space. `name` is
    /// one component of a path. Blocks.
    ///
    /// # Errors
    ///
    /// [`NewFileError`]. No file is created then.
    pub fn create(
        disk_space: &DiskSpace,
        folder: &Path,
        name: &str,
        len: u64,
    ) -> Result<Self, NewFileError> {
        let target = folder.join(name);
        if fs::symlink_metadata(&target).is_ok() {
            return Err(NewFileError::Exists { path: target });
        }
        if let Err(source) = disk_space.check_all(Writer::Permanent, folder, len) {
            let path = target;
            return Err(NewFileError::Full { path, source });
        }
        // The same file always gets the same part, so that the part of a killed node is replaced.
        let digest = Sha256::digest(name);
        let digits: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
        let (file, part) = create_part(folder, &digits)?;
        unfinished_downloads::mark(&file);
        Ok(Self {
            file: Some(file),
            part,
            target,
            disk_space: disk_space.clone(),
        })
    }

    /// The path of the finished file.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    ///
    /// [`NewFileError::Full`], [`NewFileError::Write`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), NewFileError> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let checked = self
            .disk_space
            .check(Writer::Permanent, file, bytes.len() as u64);
        let written = checked.and_then(|()| file.write_all(bytes));
        written.map_err(|error| self.failed(error))
    }

    /// Finishes the file: puts it in place durably, and returns its path.
    ///
    /// # Errors
    ///
    /// [`NewFileError::Exists`] if something has been put there in the meantime;
    /// [`NewFileError::Write`].
    pub fn finish(mut self) -> Result<PathBuf, NewFileError> {
        let synced = self.file.take().map_or(Ok(()), |file| {
            unfinished_downloads::unmark(&file);
            file.sync_all()
        });
        synced.map_err(|error| self.failed(error))?;
        match rename_new(&self.part, &self.target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let path = self.target.clone();
                return Err(NewFileError::Exists { path });
            }
            Err(error) => return Err(self.failed(error)),
        }
        sync_folder_of(&self.target).map_err(|error| self.failed(error))?;
        Ok(self.target.clone())
    }

    fn failed(&self, source: io::Error) -> NewFileError {
        let path = self.target.clone();
        if source.kind() == io::ErrorKind::StorageFull {
            return NewFileError::Full { path, source };
        }
        NewFileError::Write { path, source }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        self.file = None;
        // Once the file is in place, the part no longer exists.
        let _ = fs::remove_file(&self.part);
    }
}

/// Creates the part. One that a killed node left is replaced. If another program's file has the
/// name, it stays, and another name is chosen.
fn create_part(folder: &Path, digits: &str) -> Result<(File, PathBuf), NewFileError> {
    for attempt in 1..=MAX_NAMES {
        let part = match attempt {
            1 => folder.join(format!(".{digits}.part")),
            n => folder.join(format!(".{digits}.{n}.part")),
        };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let create = || open_own(&mut options.clone(), &part);
        let created = match create() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !unfinished_downloads::is_marked(&part) {
                    continue;
                }
                fs::remove_file(&part).and_then(|()| create())
            }
            created => created,
        };
        return match created {
            Ok(file) => Ok((file, part)),
            Err(source) => Err(NewFileError::Write { path: part, source }),
        };
    }
    Err(NewFileError::Exists {
        path: folder.join(format!(".{digits}.part")),
    })
}

/// Why a new file was not created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewFileError {
    /// Something is at the path already.
    #[error(
        "{} exists already, and is not replaced: choose another name",
        crate::shown(path)
    )]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The disk has too little space.
    #[error(
        "{} cannot be written, the disk has too little space: {}",
        crate::shown(path),
        write_failure::cause(source)
    )]
    Full {
        /// The path of the file.
        path: PathBuf,
        /// The error of the reserve or of the operating system.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error(
        "{} cannot be written: {}: {}",
        crate::shown(path),
        write_failure::cause(source),
        write_failure::remedy(source)
    )]
    Write {
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OnDisk as _;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn it_appears_when_it_is_complete_and_leaves_nothing_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut file = NewFile::create(&DiskSpace::default(), folder, "a b.txt", 5).unwrap();
        file.write(b"one").unwrap();
        let hidden = names(folder);
        assert!(hidden[0].starts_with('.') && hidden[0].ends_with(".part"));
        file.write(b"two").unwrap();
        assert_eq!(file.finish().unwrap(), folder.join("a b.txt"));
        assert_eq!(fs::read(folder.join("a b.txt")).unwrap(), b"onetwo");
        assert_eq!(names(folder), ["a b.txt"]);

        let mut file = NewFile::create(&DiskSpace::default(), folder, "c", 5).unwrap();
        file.write(b"half").unwrap();
        drop(file);
        assert_eq!(names(folder), ["a b.txt"]);
    }

    #[test]
    fn an_existing_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::write(folder.join("a"), "old").unwrap();
        let refused = NewFile::create(&DiskSpace::default(), folder, "a", 1).unwrap_err();
        assert!(matches!(refused, NewFileError::Exists { .. }), "{refused}");
        let mut file = NewFile::create(&DiskSpace::default(), folder, "b", 1).unwrap();
        file.write(b"new").unwrap();
        fs::write(folder.join("b"), "old").unwrap();
        let refused = file.finish().unwrap_err();
        assert!(matches!(refused, NewFileError::Exists { .. }), "{refused}");
        assert_eq!(fs::read(folder.join("b")).unwrap(), b"old");
        assert_eq!(names(folder), ["a", "b"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_larger_than_the_free_space_is_not_begun() {
        let folder = tempfile::tempdir().unwrap();
        let free = folder.path().disk().unwrap().free;
        let refused = NewFile::create(&DiskSpace::default(), folder.path(), "a", free).unwrap_err();
        assert!(matches!(refused, NewFileError::Full { .. }), "{refused}");
        assert!(names(folder.path()).is_empty());
    }
}
