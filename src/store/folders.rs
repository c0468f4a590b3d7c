//! Directories to folders: walked, hashed, and shared with all that is in them.
//!
//! Owns the way from a directory to its manifests, and no state. Never follows a symbolic link, and
//! never leaves anything out without need: what cannot be part of a folder (`walk`) fails the whole,
//! by its path. Files are hashed on all cores (`examine`); one that was hashed before and has not
//! changed is not read. Whatever is in the way leaves as a [`FolderError`].

mod error;
mod examine;
#[cfg(test)]
mod tests;
mod walk;

use std::{
    collections::HashMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use pelago_content::{Descriptor, Entry, EntryKind, Hash, Manifest, Totals};

pub use self::error::FolderError;
use self::{
    examine::{Examined, Known, examine},
    walk::{Directory, Tree, What},
};
use super::{Fingerprint, Growing, Member, MemberState, NewShare, Origin, Scopes, Store};

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

/// Hashes a directory with all that is in it but for what is `growing`, and keeps nothing. `progress` is given the bytes
/// hashed so far, and may say to stop.
///
/// # Errors
///
/// See [`FolderError`].
pub fn hash_folder(
    path: &Path,
    growing: &Growing,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<(Descriptor, Totals), FolderError> {
    let tree = walk::walk(path, growing)?;
    let files = examine(path, &tree, &Known::default(), None, progress)?;
    let built = build(path, tree, &files, None)?;
    Ok((built.descriptor, built.totals))
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
        let known = self.known_files(&folder.path)?;
        self.share_knowing(folder, &known, |_| true, progress)
    }

    /// The same, but all files are hashed, also those that look as they did before.
    ///
    /// # Errors
    ///
    /// See [`FolderError`]; what was shared before stays then.
    pub fn share_folder_anew(
        &self,
        folder: &NewFolder,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<(Descriptor, Totals), FolderError> {
        self.share_knowing(folder, &Known::default(), |_| true, progress)
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
        let known = self.known_files(&folder.path)?;
        self.share_knowing(folder, &known, |found| found == hash, progress)
    }

    /// Shares a directory of which these files are known, if it is the folder that is meant.
    fn share_knowing(
        &self,
        folder: &NewFolder,
        known: &Known,
        is_meant: impl FnOnce(&Hash) -> bool,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<(Descriptor, Totals), FolderError> {
        let path = &folder.path;
        self.check_private(path)?;
        let fingerprint = fs::metadata(path).map_err(|error| FolderError::at(path, error))?;
        let growing = Growing::of(self);
        let growing = growing.map_err(|source| FolderError::Records { source })?;
        let tree = walk::walk(path, &growing)?;
        let files = examine(path, &tree, known, Some(self), progress)?;
        let built = build(path, tree, &files, Some(self))?;
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
        Ok((built.descriptor, built.totals))
    }

    /// Refuses a directory that holds this node's own data, its key above all.
    fn check_private(&self, path: &Path) -> Result<(), FolderError> {
        let resolved = |path: &Path| fs::canonicalize(path).ok();
        let (data, shared) = (self.folder().and_then(resolved), resolved(path));
        match data.zip(shared) {
            Some((data, shared)) if data.starts_with(&shared) => Err(FolderError::HoldsData {
                path: path.to_owned(),
                data,
            }),
            _ => Ok(()),
        }
    }

    /// The files that were shared in this folder before, and can be served without being read.
    fn known_files(&self, folder: &Path) -> Result<Known, FolderError> {
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
    tree: Tree,
    files: &[Examined],
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
        let path = root.join(&directory.path);
        let built = building.directory(directory, path)?;
        building.folders[number] = Some(built);
    }
    let (descriptor, totals) = building.folder(0, root)?;
    Ok(Built {
        descriptor,
        totals,
        members: building.members,
    })
}

struct Building<'b> {
    files: &'b [Examined],
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
            let inner = join(&directory.path, &found.name);
            let (kind, more) = self.entry(found.what, inner, &path)?;
            let sum = totals.checked_add(more);
            totals = sum.ok_or_else(|| FolderError::TooMuch { path: path.clone() })?;
            let name = found.name;
            entries.push(Entry { name, kind });
        }
        let manifest = Manifest::new(entries);
        let manifest = manifest.map_err(|source| FolderError::Entry { path, source })?;
        let descriptor = match self.store {
            Some(store) => store.keep_manifest(&manifest)?,
            None => manifest.descriptor(),
        };
        Ok((descriptor, totals))
    }

    /// An entry and what it weighs; files and folders become members, as `inner`.
    fn entry(
        &mut self,
        what: What,
        inner: String,
        path: &Path,
    ) -> Result<(EntryKind, Totals), FolderError> {
        Ok(match what {
            What::File(at) => {
                let file = &self.files[at];
                self.members.push(file.member(inner));
                (file.entry(), Totals::of_file(&file.descriptor))
            }
            What::Folder(at) => {
                let (descriptor, totals) = self.folder(at, path)?;
                self.members.push(Member {
                    path: inner,
                    descriptor,
                    state: MemberState::Folder(totals),
                });
                (sub_folder(descriptor, totals), totals)
            }
            What::Symlink(target) => (EntryKind::Symlink { target }, Totals::default()),
        })
    }

    /// A directory that is done, as all are that lie in one being done.
    fn folder(&self, number: usize, path: &Path) -> Result<(Descriptor, Totals), FolderError> {
        let path = || path.to_owned();
        self.folders[number].ok_or_else(|| FolderError::Missing { path: path() })
    }
}

const fn sub_folder(descriptor: Descriptor, totals: Totals) -> EntryKind {
    EntryKind::Folder {
        descriptor,
        bytes: totals.bytes,
        files: totals.files,
    }
}

/// The path of an entry from the top, with `/` on every system.
fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}
