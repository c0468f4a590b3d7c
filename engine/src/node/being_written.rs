//! The files in watched folders that are not shared yet because programs may still write to them.
//!
//! Bounded: with many files, the first are named and the others are counted.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

/// The most files that are named: more than a person reads, and 150 KB of JSON.
const MAX_NAMED: usize = 1000;

/// A file in a watched folder that a program may still write to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileBeingWritten {
    /// The file.
    pub path: PathBuf,
    /// Its size at the last scan, in bytes.
    pub size: u64,
}

/// The files in watched folders that programs may still write to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BeingWritten {
    /// How many there are.
    pub count: u64,
    /// The first 1000 of them, by path.
    pub files: Vec<FileBeingWritten>,
}

/// These files by watched folder. A handle: clones share the same files.
#[derive(Clone, Debug, Default)]
pub(super) struct WriteTracker(Arc<Mutex<HashMap<PathBuf, BeingWritten>>>);

impl WriteTracker {
    /// Replaces the files of `folder` that programs may still write to.
    pub(super) fn set<'f>(&self, folder: &Path, files: impl Iterator<Item = (&'f Path, u64)>) {
        let files = files.map(|(path, size)| FileBeingWritten {
            path: path.to_owned(),
            size,
        });
        let mut files: Vec<_> = files.collect();
        files.sort_unstable();
        let count = files.len() as u64;
        files.truncate(MAX_NAMED);
        let mut folders = self.0.lock();
        if count == 0 {
            folders.remove(folder);
        } else {
            folders.insert(folder.to_owned(), BeingWritten { count, files });
        }
    }

    pub(super) fn all(&self) -> BeingWritten {
        let folders = self.0.lock();
        let mut files: Vec<_> = folders.values().flat_map(|one| one.files.clone()).collect();
        files.sort_unstable();
        files.truncate(MAX_NAMED);
        BeingWritten {
            count: folders.values().map(|one| one.count).sum(),
            files,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_path_and_all_are_counted() {
        let writing = WriteTracker::default();
        let (one, other) = (Path::new("/one"), Path::new("/other"));
        let paths: Vec<_> = (0..MAX_NAMED + 5)
            .map(|at| one.join(at.to_string()))
            .collect();
        writing.set(one, paths.iter().map(|path| (&**path, 1)));
        writing.set(other, [(Path::new("/a"), 2)].into_iter());
        let all = writing.all();
        assert_eq!(
            (all.count, all.files.len()),
            (MAX_NAMED as u64 + 6, MAX_NAMED)
        );
        assert_eq!(
            (&*all.files[0].path, all.files[0].size),
            (Path::new("/a"), 2)
        );
        assert!(all.files.is_sorted());
        writing.set(one, [].into_iter());
        assert_eq!(writing.all().count, 1);
        writing.set(other, [].into_iter());
        assert_eq!(writing.all(), BeingWritten::default());
    }
}
