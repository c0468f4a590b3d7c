//! Which files and directories are downloads under way: they are no part of what is shared.
//!
//! Owns the mark on them, and how a walk recognises them. A name says nothing: files of the user's may
//! be called `NAME.part`, too. Never opens a file.

use std::{
    collections::HashSet,
    fs::File,
    io,
    path::{Path, PathBuf},
};

#[cfg(any(target_os = "linux", target_os = "macos"))]
use super::partial::MARK;
use super::{Store, partial::Partials};

/// The downloads under way on this machine, for one walk of a directory.
#[derive(Clone, Debug, Default)]
pub struct UnfinishedDownloads {
    /// Where the downloads of this data folder grow: the only sign where a file system has no extended
    /// attributes.
    paths: HashSet<PathBuf>,
}

impl UnfinishedDownloads {
    /// Whether a download makes grow what is at `path`: this node's or another one's.
    pub fn contains(&self, path: &Path) -> bool {
        // Everything that grows is called so, or lies in what is. A mark elsewhere was left by a crash.
        let has_name = path.extension().is_some_and(|suffix| suffix == "part");
        self.paths.contains(path) || has_name && is_marked(path)
    }

    /// The first directory above `path` and below `top` that a download makes grow.
    pub fn above<'p>(&self, path: &'p Path, top: &Path) -> Option<&'p Path> {
        let above = path.ancestors().skip(1);
        let mut above = above.take_while(|above| above.starts_with(top) && *above != top);
        above.find(|above| self.contains(above))
    }
}

impl UnfinishedDownloads {
    /// The downloads under way by the records of `store`.
    ///
    /// # Errors
    ///
    /// The folder of records cannot be read.
    pub fn of(store: &Store) -> io::Result<Self> {
        let paths = store.growing_paths()?;
        Ok(Self { paths })
    }

    /// The downloads of the data folder `folder`, which need not exist, and whose lock is not needed.
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

/// Marks a file that grows, where the file system can.
pub(super) fn mark(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    // Without a mark, the program that has it open for writing keeps it from being shared.
    let _ = rustix::fs::fsetxattr(file, MARK, b"", rustix::fs::XattrFlags::empty());
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    let _ = file;
}

/// Takes the mark off a file that has grown.
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

/// Elsewhere only the records tell.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn is_marked(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Home;

    #[test]
    fn a_mark_tells_and_a_name_does_not() {
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
    fn a_record_tells_where_a_file_system_has_no_marks() {
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
