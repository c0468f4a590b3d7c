//! Unfinished downloads, which are not shared: recognises their files and directories.
//!
//! Owns their mark. The name alone does not count, because other files may also be called
//! `NAME.part`. Never opens a file.

use std::{
    collections::HashSet,
    fs::File,
    io,
    path::{Path, PathBuf},
};

#[cfg(any(target_os = "linux", target_os = "macos"))]
use super::partial::MARK;
use super::{Store, partial::Partials};

/// The unfinished downloads on this machine, for one walk of a directory.
#[derive(Clone, Debug, Default)]
pub struct UnfinishedDownloads {
    /// The paths of the unfinished downloads of this data folder: the only evidence where a file
    /// system has no extended attributes.
    paths: HashSet<PathBuf>,
}

impl UnfinishedDownloads {
    /// Whether `path` belongs to an unfinished download, of this node or another.
    pub fn contains(&self, path: &Path) -> bool {
        // All unfinished downloads have this name, or are stored in a folder with it. A mark on any
        // other file was left by a crash.
        let has_name = path.extension().is_some_and(|suffix| suffix == "part");
        self.paths.contains(path) || has_name && is_marked(path)
    }

    /// The nearest directory above `path` and below `top` that belongs to an unfinished download.
    pub fn above<'p>(&self, path: &'p Path, top: &Path) -> Option<&'p Path> {
        let above = path.ancestors().skip(1);
        let mut above = above.take_while(|above| above.starts_with(top) && *above != top);
        above.find(|above| self.contains(above))
    }
}

impl UnfinishedDownloads {
    /// The unfinished downloads in the records of `store`.
    ///
    /// # Errors
    ///
    /// The folder of records cannot be read.
    pub fn of(store: &Store) -> io::Result<Self> {
        let paths = store.growing_paths()?;
        Ok(Self { paths })
    }

    /// The unfinished downloads of the data folder `folder`, which need not exist, and need not be
    /// locked.
    ///
    /// # Errors
    ///
    /// The folder of records cannot be read.
    pub fn in_data_folder(folder: &Path) -> io::Result<Self> {
        match Partials::growing_in(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            paths => Ok(Self { paths: paths? }),
        }
    }
}

/// Marks an unfinished file, where the file system supports it.
pub(super) fn mark(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    // Without a mark, the file is not shared while it is open for writing.
    let _ = rustix::fs::fsetxattr(file, MARK, b"", rustix::fs::XattrFlags::empty());
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    let _ = file;
}

/// Removes the mark from a finished file.
pub(super) fn unmark(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    let _ = rustix::fs::fremovexattr(file, MARK);
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    let _ = file;
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
pub(super) fn is_marked(path: &Path) -> bool {
    rustix::fs::lgetxattr(path, MARK, &mut [0_u8; 0]).is_ok()
}

/// On other systems, only the records count.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(super) fn is_marked(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Home;

    #[test]
    fn a_mark_decides_and_a_name_does_not() {
        let home = Home::in_memory();
        let growing = UnfinishedDownloads::of(&home.store).unwrap();
        let (named, marked) = (home.path("film.part"), home.path("song.part"));
        File::create(&named).unwrap();
        let file = File::create(&marked).unwrap();
        mark(&file);
        assert!(!growing.contains(&named));
        assert!(!growing.contains(&home.path("gone")));
        if rustix::fs::fgetxattr(&file, MARK, &mut [0_u8; 0]).is_err() {
            eprintln!("skipped: the file system has no extended attributes");
            return;
        }
        assert!(growing.contains(&marked));
        rustix::fs::fsetxattr(&file, MARK, b"any value", rustix::fs::XattrFlags::empty()).unwrap();
        assert!(growing.contains(&marked));
        unmark(&file);
        assert!(!growing.contains(&marked));
        let left = home.path("left by a crash");
        mark(&File::create(&left).unwrap());
        assert!(!growing.contains(&left));

        std::fs::create_dir_all(home.path("box.part/sub")).unwrap();
        mark(&File::open(home.path("box.part")).unwrap());
        let inner = home.path("box.part/sub/file");
        let top = home.folder.path();
        assert_eq!(growing.above(&inner, top), Some(&*home.path("box.part")));
        assert_eq!(growing.above(&inner, &home.path("box.part")), None);
    }

    #[test]
    fn a_record_decides_where_a_file_system_has_no_marks() {
        let home = Home::on_disk();
        let target = home.path("film");
        let paths = HashSet::from([home.path("film.part")]);
        let growing = UnfinishedDownloads { paths };
        assert!(growing.contains(&home.path("film.part")));
        assert!(!growing.contains(&target));
        assert!(home.store.growing_paths().unwrap().is_empty());
        let nowhere = UnfinishedDownloads::in_data_folder(&home.path("nowhere")).unwrap();
        assert!(nowhere.paths.is_empty());
    }
}
