//! Directories to folders: walked, hashed, and shared with all that is in them.
//!
//! Owns the way from a directory to its manifests, and no state. Never follows a symbolic link. What has no
//! content, and what `.pelagoignore` says, is left out; what has content and cannot be carried fails the
//! whole, by its path, unless the caller leaves it out. Files are hashed on all cores (`examine`); one that
//! was hashed before and has not changed is not read. A folder that was received otherwise than its
//! manifests say becomes what they say. Whatever is in the way leaves as a [`FolderError`].

mod error;
mod examine;
mod left_out;
#[cfg(test)]
mod tests;
mod unsupported;
mod walk;

use std::{
    collections::HashMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use pelago_content::{Descriptor, EntryKind, Hash, Manifest, ManifestEntry, Totals};

pub use self::{error::FolderError, left_out::LeftOut, unsupported::Unsupported};
use self::{
    examine::{Before, Examined, KnownFiles, examine},
    walk::{Directory, DirectoryTree, FoundKind, Guide, join},
};
use super::{
    Fingerprint, Member, MemberState, NewShare, Origin, Scopes, Store, UnfinishedDownloads,
    received::Received,
};

/// A folder to be shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFolder {
    /// The directory: absolute, and valid UTF-8.
    pub path: PathBuf,
    /// What people are to call it.
    pub name: String,
    /// Who may know of it and all that is in it.
    pub scopes: Scopes,
    /// How it came to be shared.
    pub origin: Origin,
}

/// How a directory becomes a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderOptions {
    /// Whether to hash all files, also those that look as they did before.
    pub anew: bool,
    /// Whether to leave out what has content and cannot be carried.
    pub skip_unsupported: bool,
    /// Whether to leave out what `.pelagoignore` says.
    pub has_rules: bool,
}

impl Default for FolderOptions {
    fn default() -> Self {
        Self {
            anew: false,
            skip_unsupported: false,
            has_rules: true,
        }
    }
}

/// A directory that became a folder.
#[derive(Debug)]
pub struct MadeFolder {
    /// Kind, size and root of its manifest.
    pub descriptor: Descriptor,
    /// What it weighs.
    pub totals: Totals,
    /// What is no part of it.
    pub left_out: LeftOut,
}

/// Hashes a directory with all that is in it but for what is `growing`, and keeps nothing: as the node of the data
/// folder `data`, which need not exist, would share it. `progress` is given the bytes hashed so far, and may
/// say to stop.
///
/// # Errors
///
/// See [`FolderError`].
pub fn hash_folder(
    path: &Path,
    growing: &UnfinishedDownloads,
    data: Option<&Path>,
    options: FolderOptions,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<MadeFolder, FolderError> {
    let received = data.map(|data| Received::read(data, path)).transpose();
    let received = received.map_err(|source| FolderError::Received {
        path: path.to_owned(),
        source,
    })?;
    let making = Making {
        path,
        growing,
        received: received.flatten(),
        data: data.and_then(|data| fs::canonicalize(data).ok()),
        store: None,
    };
    let (built, left_out) = making.make(&KnownFiles::default(), options, progress)?;
    Ok(MadeFolder {
        descriptor: built.descriptor,
        totals: built.totals,
        left_out,
    })
}

/// One directory that is to become a folder.
struct Making<'a> {
    path: &'a Path,
    growing: &'a UnfinishedDownloads,
    received: Option<Received>,
    /// The data folder of this node, without links.
    data: Option<PathBuf>,
    store: Option<&'a Store>,
}

impl Making<'_> {
    fn make(
        &self,
        known: &KnownFiles,
        options: FolderOptions,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<(Built, LeftOut), FolderError> {
        let received = self.received.as_ref();
        let guide = Guide {
            growing: self.growing,
            received,
            data: self.data.as_deref(),
            has_rules: options.has_rules,
        };
        let mut tree = walk::walk(self.path, &guide)?;
        tree.left_out.check(self.path, options.skip_unsupported)?;
        let before = Before { known, received };
        let files = examine(self.path, &mut tree, &before, self.store, progress)?;
        // Some of it shows only when it is read.
        tree.left_out.check(self.path, options.skip_unsupported)?;
        let left_out = std::mem::take(&mut tree.left_out);
        Ok((build(self.path, tree, &files, self.store)?, left_out))
    }
}

impl Store {
    /// Shares a directory with all that is in it, in one commit. Files that it shared before and
    /// that have not changed are not hashed again; those that are gone are withdrawn. `progress` is
    /// given the bytes hashed so far, and may say to stop. Gives what the folder is and weighs.
    ///
    /// # Errors
    ///
    /// See [`FolderError`]; what was shared before stays then.
    pub fn share_folder(
        &self,
        folder: &NewFolder,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<(Descriptor, Totals), FolderError> {
        let made = self.share_folder_as(folder, FolderOptions::default(), progress)?;
        Ok((made.descriptor, made.totals))
    }

    /// The same, as the options say.
    ///
    /// # Errors
    ///
    /// See [`FolderError`]; what was shared before stays then.
    pub fn share_folder_as(
        &self,
        folder: &NewFolder,
        options: FolderOptions,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<MadeFolder, FolderError> {
        self.share_if(folder, options, |_| true, progress)
    }

    /// Shares a directory that was shared before under `hash`, if it is still the same folder: what
    /// was put into it since nobody has shared yet.
    ///
    /// # Errors
    ///
    /// [`FolderError::Changed`] if it is another folder; nothing is shared then.
    pub fn share_folder_again(
        &self,
        folder: &NewFolder,
        hash: &Hash,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<(Descriptor, Totals), FolderError> {
        let options = FolderOptions {
            skip_unsupported: true,
            ..FolderOptions::default()
        };
        let mut made = self.share_if(folder, options, |found| found == hash, progress);
        if matches!(made, Err(FolderError::Changed { .. })) {
            // Before there were rules for folders, a file of rules was a file like others.
            let has_rules = false;
            let options = FolderOptions {
                has_rules,
                ..options
            };
            made = self.share_if(folder, options, |found| found == hash, progress);
        }
        let made = made?;
        Ok((made.descriptor, made.totals))
    }

    /// Shares a directory, if it is the folder that is meant.
    fn share_if(
        &self,
        folder: &NewFolder,
        options: FolderOptions,
        is_meant: impl FnOnce(&Hash) -> bool,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<MadeFolder, FolderError> {
        let path = &folder.path;
        let data = self.folder().and_then(|data| fs::canonicalize(data).ok());
        if let Some(data) = data.clone().filter(|_| self.is_private(path)) {
            let path = path.clone();
            return Err(FolderError::HoldsData { path, data });
        }
        let fingerprint = fs::metadata(path).map_err(|error| FolderError::at(path, error))?;
        let growing = UnfinishedDownloads::of(self);
        let growing = growing.map_err(|source| FolderError::Records { source })?;
        let received = self.inner.received.get(path);
        let received = received.map_err(|source| FolderError::Received {
            path: path.clone(),
            source,
        })?;
        let known = match options.anew {
            true => KnownFiles::default(),
            false => self.known_files(path)?,
        };
        let making = Making {
            path,
            growing: &growing,
            received,
            data,
            store: Some(self),
        };
        let (built, left_out) = making.make(&known, options, progress)?;
        if !is_meant(&built.descriptor.hash()) {
            return Err(FolderError::Changed { path: path.clone() });
        }
        let share = NewShare {
            descriptor: built.descriptor,
            name: folder.name.clone(),
            path: path.clone(),
            scopes: folder.scopes.clone(),
            origin: folder.origin.clone(),
            fingerprint: Fingerprint::new(&fingerprint),
        };
        self.add_folder(&share, built.totals, &built.members)?;
        Ok(MadeFolder {
            descriptor: built.descriptor,
            totals: built.totals,
            left_out,
        })
    }

    /// The files that were shared in this folder before, and can be served without being read.
    fn known_files(&self, folder: &Path) -> Result<KnownFiles, FolderError> {
        let members = self.members(folder).map_err(super::ShareError::from)?;
        let files = members.into_iter().filter_map(|member| match member.state {
            MemberState::File(fingerprint) => self
                .has_tree(&member.descriptor)
                .then_some((member.path, (member.descriptor, fingerprint))),
            MemberState::Folder(_) => None,
        });
        Ok(files.collect::<HashMap<_, _>>())
    }
}

/// A directory that was hashed.
struct Built {
    descriptor: Descriptor,
    totals: Totals,
    members: Vec<Member>,
}

/// Makes the manifests of all directories, from below, and keeps them in `store`.
fn build(
    root: &Path,
    tree: DirectoryTree,
    files: &[Option<Examined>],
    store: Option<&Store>,
) -> Result<Built, FolderError> {
    let mut building = Building {
        files,
        store,
        folders: vec![None; tree.directories.len()],
        members: Vec::new(),
    };
    // Each directory comes behind the one that it is in.
    for (number, directory) in tree.directories.into_iter().enumerate().rev() {
        if directory.is_left_out {
            continue;
        }
        let path = root.join(&directory.path);
        let built = building.directory(directory, path)?;
        building.folders[number] = Some(built);
    }
    let missing = || FolderError::Missing {
        path: root.to_owned(),
    };
    let (descriptor, totals) = building.folders[0].ok_or_else(missing)?;
    Ok(Built {
        descriptor,
        totals,
        members: building.members,
    })
}

struct Building<'b> {
    /// None for those that are no part of it.
    files: &'b [Option<Examined>],
    store: Option<&'b Store>,
    /// The directories done, by their numbers.
    folders: Vec<Option<(Descriptor, Totals)>>,
    members: Vec<Member>,
}

impl Building<'_> {
    fn directory(
        &mut self,
        directory: Directory,
        path: PathBuf,
    ) -> Result<(Descriptor, Totals), FolderError> {
        let mut totals = Totals::default();
        let mut entries = Vec::with_capacity(directory.entries.len());
        for found in directory.entries {
            let inner = join(&directory.path, found.here());
            let Some((kind, more)) = self.entry(found.what, inner) else {
                continue;
            };
            let sum = totals.checked_add(more);
            totals = sum.ok_or_else(|| FolderError::TooMuch { path: path.clone() })?;
            let name = found.name;
            entries.push(ManifestEntry { name, kind });
        }
        let manifest = Manifest::new(entries);
        let manifest = manifest.map_err(|source| FolderError::Entry { path, source })?;
        let descriptor = match self.store {
            Some(store) => store.keep_manifest(&manifest)?,
            None => manifest.descriptor(),
        };
        Ok((descriptor, totals))
    }

    /// An entry and what it weighs, if it is part of the folder; files and folders become members, as
    /// `inner`.
    fn entry(&mut self, what: FoundKind, inner: String) -> Option<(EntryKind, Totals)> {
        Some(match what {
            FoundKind::File(at) => {
                let file = self.files[at].as_ref()?;
                self.members.push(file.member(inner));
                (file.entry(), Totals::of_file(&file.descriptor))
            }
            FoundKind::Folder(at) => {
                let (descriptor, totals) = self.folders[at]?;
                self.members.push(Member {
                    path: inner,
                    descriptor,
                    state: MemberState::Folder(totals),
                });
                (sub_folder(descriptor, totals), totals)
            }
            FoundKind::Symlink(target) => (EntryKind::Symlink { target }, Totals::default()),
        })
    }
}

const fn sub_folder(descriptor: Descriptor, totals: Totals) -> EntryKind {
    EntryKind::Folder {
        descriptor,
        bytes: totals.bytes,
        files: totals.files,
    }
}
