//! Lists the content of a directory, before any of it is read.
//!
//! Decides what can be a part of a folder, and what is left out. Never follows a symbolic link, and
//! opens no file. Most entries that cannot be carried are found here, before hours of hashing.

use std::{
    collections::HashSet,
    fs::{self, DirEntry},
    io,
    path::{MAIN_SEPARATOR, Path, PathBuf},
};

use pelago_content::{MAX_DEPTH, MAX_LISTED, check_name, check_target};

use super::{FolderError, left_out::LeftOut, unsupported::UnsupportedReason};
use crate::{
    UnfinishedDownloads, files::type_name, ignores::Ignores, received::Received,
    saved_values::Exclusions,
};

/// All entries of a directory, at any depth.
pub(super) struct DirectoryTree {
    /// The directory itself first, and each other one after its parent.
    pub(super) directories: Vec<Directory>,
    /// The positions of the files: the number of a directory, and the number of an entry in it.
    pub(super) files: Vec<(usize, usize)>,
    pub(super) left_out: LeftOut,
}

#[derive(Default)]
pub(super) struct Directory {
    /// The path below the top, with `/` between names; empty for the top.
    pub(super) path: String,
    pub(super) entries: Vec<FoundEntry>,
    /// Whether it cannot be read, or no longer exists, and is left out.
    pub(super) is_left_out: bool,
}

pub(super) struct FoundEntry {
    /// Its name in the folder.
    pub(super) name: String,
    /// Its name on this disk, if that differs.
    here: Option<String>,
    pub(super) what: FoundKind,
}

impl FoundEntry {
    /// Its name on this disk.
    pub(super) fn here(&self) -> &str {
        self.here.as_deref().unwrap_or(&self.name)
    }
}

pub(super) enum FoundKind {
    /// A file, by its number in the tree.
    File(usize),
    /// A directory, by its number in the tree.
    Folder(usize),
    /// A link, with its target.
    Symlink(String),
}

impl DirectoryTree {
    /// The path of a file on this disk, below the top.
    pub(super) fn file_path(&self, file: usize) -> String {
        let (directory, entry) = self.files[file];
        let directory = &self.directories[directory];
        join(&directory.path, directory.entries[entry].here())
    }
}

/// The inputs of a walk besides the directory.
pub(super) struct Guide<'a> {
    /// Unfinished downloads, which are left out.
    pub(super) growing: &'a UnfinishedDownloads,
    /// How the folder was received, if it differs from its manifests.
    pub(super) received: Option<&'a Received>,
    /// The data folder of this node, with all links resolved.
    pub(super) data: Option<&'a Path>,
    /// The paths that a person excluded from watched folders.
    pub(super) excluded: &'a Exclusions,
    /// Whether `.pelagoignore` files and exclusions count.
    pub(super) has_rules: bool,
}

/// Lists everything below `root` that is not left out.
pub(super) fn walk(root: &Path, guide: &Guide<'_>) -> Result<DirectoryTree, FolderError> {
    let resolved = guide.data.and_then(|_| fs::canonicalize(root).ok());
    let data = guide.data.zip(resolved.as_deref());
    let data = data.and_then(|(data, root)| data.strip_prefix(root).ok());
    let mut walk = Walk {
        root,
        guide,
        data: data.map(|data| root.join(data)),
        rules: guide.has_rules.then(|| Ignores::below(root)),
        tree: DirectoryTree {
            directories: vec![Directory::default()],
            files: Vec::new(),
            left_out: LeftOut::default(),
        },
        entries: 0,
    };
    // New directories are appended, so the loop ends with the last of them.
    let mut next = 0;
    while next < walk.tree.directories.len() {
        walk.directory(next)?;
        next += 1;
    }
    Ok(walk.tree)
}

struct Walk<'r> {
    root: &'r Path,
    guide: &'r Guide<'r>,
    /// The path of the data folder, if it is below the root.
    data: Option<PathBuf>,
    rules: Option<Ignores>,
    tree: DirectoryTree,
    /// The number of entries so far.
    entries: u64,
}

impl Walk<'_> {
    fn directory(&mut self, number: usize) -> Result<(), FolderError> {
        let inner = self.tree.directories[number].path.clone();
        let path = self.root.join(&inner);
        let read: io::Result<Vec<_>> = fs::read_dir(&path).and_then(Iterator::collect);
        let mut read = match read {
            Ok(read) => read,
            Err(error) if number == 0 => return Err(FolderError::at(&path, error)),
            Err(error) => {
                self.tree.directories[number].is_left_out = true;
                if error.kind() != io::ErrorKind::NotFound {
                    let left_out = &mut self.tree.left_out;
                    left_out.add_unsupported(path, UnsupportedReason::Unreadable(error));
                }
                return Ok(());
            }
        };
        // Problems are found in the same order each time.
        read.sort_by_cached_key(DirEntry::file_name);
        let names = ManifestNames::new(self.guide.received, &inner, &read);
        let depth = inner.split('/').filter(|name| !name.is_empty()).count();
        let mut entries = Vec::with_capacity(read.len());
        for entry in &read {
            if self.leaves_out(entry) {
                continue;
            }
            if depth >= MAX_DEPTH {
                self.unsupported(entry, UnsupportedReason::TooDeep);
                continue;
            }
            self.entries += 1;
            if self.entries > MAX_LISTED {
                let path = self.root.to_owned();
                return Err(FolderError::TooMuch { path });
            }
            entries.extend(self.entry(entry, &inner, (number, entries.len()), &names));
        }
        names.add_links(&inner, &mut entries);
        self.tree.directories[number].entries = entries;
        Ok(())
    }

    /// Whether an entry is left out.
    fn leaves_out(&mut self, entry: &DirEntry) -> bool {
        let path = entry.path();
        let is_folder = || entry.file_type().is_ok_and(|found| found.is_dir());
        let rules = self.rules.as_mut();
        if rules.is_some_and(|rules| rules.leave_out_entry(&path, is_folder())) {
            return true;
        }
        if self.guide.has_rules && self.guide.excluded.contains_key(&path) {
            self.tree.left_out.excluded += 1;
            return true;
        }
        if self.data.as_ref() == Some(&path) {
            self.tree.left_out.holds_data = true;
            return true;
        }
        let is_growing = self.guide.growing.contains(&path);
        if is_growing {
            let path = path.display();
            tracing::info!(%path, "left out: a download under way");
        }
        is_growing
    }

    fn unsupported(&mut self, entry: &DirEntry, why: UnsupportedReason) {
        self.tree.left_out.add_unsupported(entry.path(), why);
    }

    /// Adds the entry at the position `place`; `None` if it is left out.
    fn entry(
        &mut self,
        entry: &DirEntry,
        inner: &str,
        place: (usize, usize),
        names: &ManifestNames<'_>,
    ) -> Option<FoundEntry> {
        let Ok(here) = entry.file_name().into_string() else {
            self.unsupported(entry, UnsupportedReason::Name);
            return None;
        };
        if let Err(error) = check_name(&here) {
            self.unsupported(entry, UnsupportedReason::InvalidName(error));
            return None;
        }
        let what = match self.what(entry, &join(inner, &here), place) {
            Ok(what) => what?,
            Err(why) => {
                self.unsupported(entry, why);
                return None;
            }
        };
        Some(match names.other(inner, &here) {
            Some(name) => FoundEntry {
                name: name.to_owned(),
                here: Some(here),
                what,
            },
            None => FoundEntry {
                name: here,
                here: None,
                what,
            },
        })
    }

    /// The type of the entry at `inner`; `None` if it has no content, or no longer exists.
    fn what(
        &mut self,
        entry: &DirEntry,
        inner: &str,
        place: (usize, usize),
    ) -> Result<Option<FoundKind>, UnsupportedReason> {
        let path = entry.path();
        let kind = entry.file_type().map_err(UnsupportedReason::Unreadable)?;
        if kind.is_file() {
            check_readable(&path).map_err(UnsupportedReason::Unreadable)?;
            self.tree.files.push(place);
            Ok(Some(FoundKind::File(self.tree.files.len() - 1)))
        } else if kind.is_dir() {
            self.tree.directories.push(Directory {
                path: inner.to_owned(),
                ..Directory::default()
            });
            Ok(Some(FoundKind::Folder(self.tree.directories.len() - 1)))
        } else if kind.is_symlink() {
            Ok(target(&path)?.map(FoundKind::Symlink))
        } else {
            self.tree.left_out.add_special(type_name(kind));
            Ok(None)
        }
    }
}

/// The path of an entry below the top, with `/` on every system.
pub(super) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

/// The target of a symbolic link; `None` if the link no longer exists.
fn target(path: &Path) -> Result<Option<String>, UnsupportedReason> {
    let target = match fs::read_link(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        target => target.map_err(UnsupportedReason::Unreadable)?,
    };
    let text = target.to_str().ok_or(UnsupportedReason::Target)?;
    let text = text.replace(MAIN_SEPARATOR, "/");
    check_target(&text).map_err(UnsupportedReason::InvalidTarget)?;
    Ok(Some(text))
}

/// Checks that this user may read a file. A missing file is detected later. Costs one system call.
fn check_readable(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::{
            fs::{Access, AtFlags, CWD, accessat},
            io::Errno,
        };
        match accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS) {
            Err(Errno::ACCESS | Errno::PERM) => Err(Errno::ACCESS.into()),
            _ => Ok(()),
        }
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}

/// The names that the entries of one directory have in the folder.
struct ManifestNames<'a> {
    received: Option<&'a Received>,
    /// The names on this disk, if the folder was received with differences.
    here: HashSet<String>,
}

impl<'a> ManifestNames<'a> {
    fn new(received: Option<&'a Received>, inner: &str, read: &[DirEntry]) -> Self {
        let here = received.into_iter().flat_map(|received| {
            let names = read
                .iter()
                .filter_map(|entry| entry.file_name().into_string().ok());
            // Most names are the same in both.
            names.filter(|name| received.name_of(&join(inner, name)).is_none())
        });
        Self {
            here: here.collect(),
            received,
        }
    }

    /// The name of an entry in the folder, if it differs. If another entry has that name on this
    /// disk now, it takes precedence.
    fn other(&self, inner: &str, here: &str) -> Option<&'a str> {
        let name = self.received?.name_of(&join(inner, here))?;
        (!self.here.contains(name)).then_some(name)
    }

    /// Adds the links that were left out when the folder was received, unless another entry has the
    /// name now.
    fn add_links(&self, inner: &str, entries: &mut Vec<FoundEntry>) {
        let links = self
            .received
            .map_or(&[][..], |received| received.links_in(inner));
        if links.is_empty() {
            return;
        }
        let taken: HashSet<String> = entries.iter().map(|entry| entry.name.clone()).collect();
        for (name, target) in links.iter().filter(|(name, _)| !taken.contains(name)) {
            entries.push(FoundEntry {
                name: name.clone(),
                here: None,
                what: FoundKind::Symlink(target.clone()),
            });
        }
    }
}
