//! What is in a directory, before any of it is read.
//!
//! Owns what can be part of a folder. Never follows a symbolic link and opens no file. All that
//! would be refused of a manifest, but totals, is refused here, before hours of hashing.

use std::{
    fs::{self, DirEntry},
    io,
    path::{MAIN_SEPARATOR, Path, PathBuf},
};

use pelago_content::{MAX_DEPTH, MAX_LISTED, check_names, check_target};

use super::{FolderError, join};
use crate::store::{Growing, files::type_name};

/// All that is in a directory, at any depth.
pub(super) struct Tree {
    /// The directory itself first, each other behind the one that it is in.
    pub(super) directories: Vec<Directory>,
    /// Where the files are: a directory, and an entry of it.
    pub(super) files: Vec<(usize, usize)>,
}

pub(super) struct Directory {
    /// From the top, with `/` between names; empty for the top.
    pub(super) path: String,
    pub(super) entries: Vec<Found>,
}

pub(super) struct Found {
    pub(super) name: String,
    pub(super) what: What,
}

pub(super) enum What {
    /// One of the files of the tree.
    File(usize),
    /// One of the directories of the tree.
    Folder(usize),
    /// Where it leads.
    Symlink(String),
}

impl Tree {
    /// The path of a file, from the top.
    pub(super) fn file_path(&self, file: usize) -> String {
        let (directory, entry) = self.files[file];
        let directory = &self.directories[directory];
        join(&directory.path, &directory.entries[entry].name)
    }
}

/// Looks at everything below `root` but for what is `growing`.
pub(super) fn walk(root: &Path, growing: &Growing) -> Result<Tree, FolderError> {
    let mut walk = Walk {
        root,
        growing,
        tree: Tree {
            directories: vec![Directory {
                path: String::new(),
                entries: Vec::new(),
            }],
            files: Vec::new(),
        },
        entries: 0,
    };
    // Directories found are added behind this one, so the loop ends with the last of them.
    let mut next = 0;
    while next < walk.tree.directories.len() {
        walk.directory(next)?;
        next += 1;
    }
    Ok(walk.tree)
}

struct Walk<'r> {
    root: &'r Path,
    growing: &'r Growing,
    tree: Tree,
    /// Entries found so far.
    entries: u64,
}

impl Walk<'_> {
    fn directory(&mut self, number: usize) -> Result<(), FolderError> {
        let inner = self.tree.directories[number].path.clone();
        let path = self.root.join(&inner);
        let depth = inner.split('/').filter(|name| !name.is_empty()).count();
        let unreadable = |error| FolderError::at(&path, error);
        let found: io::Result<Vec<_>> = fs::read_dir(&path).and_then(Iterator::collect);
        let mut found = found.map_err(unreadable)?;
        // What is wrong is found in the same order each time.
        found.sort_by_cached_key(DirEntry::file_name);
        let mut entries = Vec::with_capacity(found.len());
        for entry in found {
            let name = entry.file_name().into_string();
            let name = name.map_err(|_| FolderError::NotUtf8 { path: entry.path() })?;
            if self.growing.contains(&entry.path()) {
                tracing::info!(path = %entry.path().display(), "left out: a download under way");
                continue;
            }
            self.entries += 1;
            if self.entries > MAX_LISTED {
                return Err(FolderError::TooMuch {
                    path: self.root.to_owned(),
                });
            }
            let what = self.what(&entry, &inner, depth, (number, entries.len()))?;
            entries.push(Found { name, what });
        }
        if depth >= MAX_DEPTH && !entries.is_empty() {
            return Err(FolderError::TooDeep { path });
        }
        check_names(entries.iter().map(|found| &found.name[..]))
            .map_err(|source| FolderError::Entry { path, source })?;
        self.tree.directories[number].entries = entries;
        Ok(())
    }

    /// What an entry is, which is put down at `place`.
    fn what(
        &mut self,
        entry: &DirEntry,
        inner: &str,
        depth: usize,
        place: (usize, usize),
    ) -> Result<What, FolderError> {
        let path = || entry.path();
        let kind = entry.file_type();
        let kind = kind.map_err(|error| FolderError::at(&path(), error))?;
        if kind.is_file() {
            self.tree.files.push(place);
            Ok(What::File(self.tree.files.len() - 1))
        } else if kind.is_dir() {
            let name = entry.file_name();
            self.tree.directories.push(Directory {
                path: join(inner, &name.to_string_lossy()),
                entries: Vec::new(),
            });
            Ok(What::Folder(self.tree.directories.len() - 1))
        } else if kind.is_symlink() {
            target(path(), depth).map(What::Symlink)
        } else {
            Err(FolderError::Special {
                path: path(),
                found: type_name(kind),
            })
        }
    }
}

/// Where a symbolic link leads, which lies below so many folders.
fn target(path: PathBuf, depth: usize) -> Result<String, FolderError> {
    let target = fs::read_link(&path).map_err(|error| FolderError::at(&path, error))?;
    let Some(text) = target.to_str() else {
        return Err(FolderError::NotUtf8 { path });
    };
    let text = text.replace(MAIN_SEPARATOR, "/");
    match check_target(&text) {
        Ok(climbed) if climbed <= depth => Ok(text),
        Ok(_) => Err(FolderError::Escapes { path, target }),
        Err(source) => Err(FolderError::Target {
            path,
            target,
            source,
        }),
    }
}
