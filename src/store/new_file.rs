//! A file that comes from elsewhere into a folder of a person's: hidden until it is whole, and never in
//! the place of another.
//!
//! Failures leave as a [`NewFileError`]. Whatever ends it early, nothing stays.

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

/// Names that are tried for a part, at most.
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
    /// Begins the file `name` of `len` bytes in `folder`, if the disk has room for it. `name` is one part of
    /// a path. Blocks.
    ///
    /// # Errors
    ///
    /// [`NewFileError`]; nothing is there then.
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
        // The same file has the same part, so that what a killed node left does not stay forever.
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

    /// Where it will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Writes what comes next.
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

    /// All has come: puts it in its place, safe from a power loss. Returns where that is.
    ///
    /// # Errors
    ///
    /// [`NewFileError::Exists`] if something has come to be there meanwhile; [`NewFileError::Write`].
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
        // Once it is in its place there is none.
        let _ = fs::remove_file(&self.part);
    }
}

/// Creates the file in which another grows. One that a killed node left is replaced; what has the name and
/// is not ours stays, and another name is chosen.
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

/// Why there is no new file.
#[derive(Debug, thiserror::Error)]
pub enum NewFileError {
    /// Something is there.
    #[error(
        "{} is there already, and nothing is put in its place",
        crate::store::shown(path)
    )]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// The disk has no room for it.
    #[error(
        "{} has no room: {}",
        crate::store::shown(path),
        write_failure::cause(source)
    )]
    Full {
        /// Where it was to be.
        path: PathBuf,
        /// What the reserve or the system said.
        source: io::Error,
    },
    /// The system said no.
    #[error(
        "{} cannot be written: {}: {}",
        crate::store::shown(path),
        write_failure::cause(source),
        write_failure::remedy(source)
    )]
    Write {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::OnDisk as _;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn it_shows_when_it_is_whole_and_leaves_nothing_if_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut file = NewFile::create(&Room::default(), folder, "a b.txt", 5).unwrap();
        file.write(b"one").unwrap();
        let hidden = names(folder);
        assert!(hidden[0].starts_with('.') && hidden[0].ends_with(".part"));
        file.write(b"two").unwrap();
        assert_eq!(file.finish().unwrap(), folder.join("a b.txt"));
        assert_eq!(fs::read(folder.join("a b.txt")).unwrap(), b"onetwo");
        assert_eq!(names(folder), ["a b.txt"]);

        let mut file = NewFile::create(&Room::default(), folder, "c", 5).unwrap();
        file.write(b"half").unwrap();
        drop(file);
        assert_eq!(names(folder), ["a b.txt"]);
    }

    #[test]
    fn what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::write(folder.join("a"), "old").unwrap();
        let refused = NewFile::create(&Room::default(), folder, "a", 1).unwrap_err();
        assert!(matches!(refused, NewFileError::Exists { .. }), "{refused}");
        let mut file = NewFile::create(&Room::default(), folder, "b", 1).unwrap();
        file.write(b"new").unwrap();
        fs::write(folder.join("b"), "old").unwrap();
        let refused = file.finish().unwrap_err();
        assert!(matches!(refused, NewFileError::Exists { .. }), "{refused}");
        assert_eq!(fs::read(folder.join("b")).unwrap(), b"old");
        assert_eq!(names(folder), ["a", "b"]);
    }

    #[cfg(unix)]
    #[test]
    fn more_than_there_is_room_for_is_not_begun() {
        let folder = tempfile::tempdir().unwrap();
        let free = folder.path().disk().unwrap().free;
        let refused = NewFile::create(&Room::default(), folder.path(), "a", free).unwrap_err();
        assert!(matches!(refused, NewFileError::Full { .. }), "{refused}");
        assert!(names(folder.path()).is_empty());
    }
}
