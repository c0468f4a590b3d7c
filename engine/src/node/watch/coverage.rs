//! Tracks which directories of a folder raise events, and why others do not.
//!
//! On Linux each directory has a watch of its own, so that one that cannot be watched does not
//! affect the others. Elsewhere the system watches the whole tree. Blocks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    ops::Bound,
    path::{Path, PathBuf},
};

use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::changes::Changes;
use crate::{
    node::scan::MAX_DEPTH,
    store::{Ignores, Store},
};

/// The most parts without events that are remembered by path. When there are more, the whole folder
/// counts as one.
const MAX_SILENT: usize = 1000;

/// Whether each directory has a watch of its own.
const IS_BY_DIRECTORY: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Why a directory raises no events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The system allows no more watches.
    Limit,
    /// It cannot be watched or read.
    Failed(String),
}

/// The watches of one folder.
#[derive(Default)]
pub(super) struct Coverage {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    /// The topmost directories without events.
    silent: BTreeMap<PathBuf, Silence>,
}

/// The directories of a folder that are not watched because they are not shared.
pub(super) struct LeftOut<'a> {
    folder: &'a Path,
    store: &'a Store,
    ignores: Ignores,
}

impl<'a> LeftOut<'a> {
    pub(super) fn new(folder: &'a Path, store: &'a Store) -> Self {
        Self {
            folder,
            store,
            ignores: Ignores::below(folder),
        }
    }

    fn contains(&mut self, path: &Path) -> bool {
        let is_ignored = path != self.folder && self.ignores.leave_out(path, true);
        is_ignored || self.store.is_private(path)
    }
}

impl Coverage {
    /// Watches the whole folder. Returns the changes that the system reports from then on.
    pub(super) fn whole(left_out: &mut LeftOut<'_>) -> (Self, Changes) {
        let (handler, changes) = Changes::reported();
        // The target of a link is not in the folder.
        let config = notify::Config::default().with_follow_symlinks(false);
        let folder = left_out.folder;
        let mut coverage = Self::default();
        match RecommendedWatcher::new(handler, config) {
            Ok(watcher) => coverage.watcher = Some(watcher),
            Err(error) => {
                coverage.silent.insert(folder.to_owned(), silence(&error));
                return (coverage, Changes::none());
            }
        }
        coverage.add(folder, left_out);
        (coverage, changes)
    }

    /// Watches the directory at `path` and those below as they are now. Tries parts again that
    /// could not be watched before.
    pub(super) fn add(&mut self, path: &Path, left_out: &mut LeftOut<'_>) {
        self.forget(path);
        if !IS_BY_DIRECTORY {
            if path == left_out.folder {
                self.watch(path, RecursiveMode::Recursive);
            }
            return;
        }
        let mut waiting = vec![(path.to_owned(), 0)];
        while let Some((directory, depth)) = waiting.pop() {
            if left_out.contains(&directory) {
                continue;
            }
            if self.silent.len() >= MAX_SILENT {
                let why = self.silent.pop_first().map(|(_, why)| why);
                self.silent = why
                    .map(|why| (left_out.folder.to_owned(), why))
                    .into_iter()
                    .collect();
                return;
            }
            if !self.watch(&directory, RecursiveMode::NonRecursive) || depth >= MAX_DEPTH {
                continue;
            }
            // Read after it is watched, so that no change is missed in between.
            match directories(&directory) {
                Ok(below) => waiting.extend(below.map(|below| (below, depth + 1))),
                Err(error) => self.fail(&directory, Silence::Failed(error.to_string())),
            }
        }
    }

    /// Removes the watches at `path` and below, of directories that are no longer seen there.
    pub(super) fn drop_below(&mut self, path: &Path) {
        let below = self.below(path);
        if let Some(watcher) = &mut self.watcher {
            for directory in below {
                // The directory and its watch may be gone.
                let _ = watcher.unwatch(&directory);
            }
        }
        self.forget(path);
    }

    /// The parts without events, and why.
    pub(super) const fn silent(&self) -> &BTreeMap<PathBuf, Silence> {
        &self.silent
    }

    /// How many watches of the system it uses.
    pub(super) fn watches(&self) -> usize {
        self.watched.len()
    }

    /// Watches a directory. Returns whether that succeeded.
    fn watch(&mut self, directory: &Path, mode: RecursiveMode) -> bool {
        let is_directory = if self.watched.is_empty() {
            // The path of the folder itself may be a link.
            directory.is_dir()
        } else {
            directory
                .symlink_metadata()
                .is_ok_and(|found| found.is_dir())
        };
        let Some(watcher) = self.watcher.as_mut().filter(|_| is_directory) else {
            return false;
        };
        match watcher.watch(directory, mode) {
            Ok(()) => self.watched.insert(directory.to_owned()),
            Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => false,
            Err(error) => {
                self.fail(directory, silence(&error));
                false
            }
        }
    }

    fn fail(&mut self, directory: &Path, why: Silence) {
        self.silent.insert(directory.to_owned(), why);
    }

    fn below(&self, path: &Path) -> Vec<PathBuf> {
        let from = (Bound::Included(path), Bound::Unbounded);
        let below = self.watched.range::<Path, _>(from);
        below
            .take_while(|at| at.starts_with(path))
            .cloned()
            .collect()
    }

    fn forget(&mut self, path: &Path) {
        for directory in self.below(path) {
            self.watched.remove(&directory);
        }
        self.silent.retain(|silent, _| !silent.starts_with(path));
    }
}

fn silence(error: &notify::Error) -> Silence {
    match &error.kind {
        ErrorKind::MaxFilesWatch => Silence::Limit,
        ErrorKind::Io(error) => Silence::Failed(error.to_string()),
        _ => Silence::Failed(error.to_string()),
    }
}

/// The directories directly in `directory`; none if it is gone. Follows no link.
fn directories(directory: &Path) -> io::Result<impl Iterator<Item = PathBuf> + use<>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let entries = entries.into_iter().flatten().flatten();
    let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    Ok(entries.filter(is_directory).map(|entry| entry.path()))
}
