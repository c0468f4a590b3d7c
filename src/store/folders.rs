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

use pelago_content::{Descriptor, Entry, EntryKind, Manifest, Totals};

pub use self::error::FolderError;
use self::{
    examine::{Examined, Known, examine},
    walk::{Tree, What},
};
use super::{Fingerprint, Member, MemberState, NewShare, Origin, Scopes, Share, Store};

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

/// Hashes a directory with all that is in it, and keeps nothing. `progress` is given the bytes
/// hashed so far, and may say to stop.
///
/// # Errors
///
/// See [`FolderError`].
pub fn hash_folder(
    path: &Path,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<(Descriptor, Totals), FolderError> {
    let tree = walk::walk(path)?;
    let files = examine(path, &tree, &Known::default(), None, progress)?;
    let built = build(path, tree, files, None)?;
    Ok((built.descriptor, built.totals))
}

impl Store {
    /// Shares a directory with all that is in it, in one commit. Files that it shared before and
    /// that have not changed are not hashed again; those that are gone are withdrawn. `progress` is
    /// given the bytes hashed so far, and may say to stop.
    ///
    /// # Errors
    ///
    /// See [`FolderError`]; what was shared before stays then.
    pub fn share_folder(
        &self,
        folder: &NewFolder,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<Share, FolderError> {
        let path = &folder.path;
        self.check_private(path)?;
        let fingerprint = fs::metadata(path).map_err(|error| FolderError::at(path, error))?;
        let tree = walk::walk(path)?;
        let known = self.known_files(path)?;
        let files = examine(path, &tree, &known, Some(self), progress)?;
        let built = build(path, tree, files, Some(self))?;
        let share = NewShare {
            descriptor: built.descriptor,
            name: folder.name.clone(),
            path: path.clone(),
            scopes: folder.scopes.clone(),
            origin: folder.origin.clone(),
            fingerprint: Fingerprint::new(&fingerprint),
        };
        self.add_folder(&share, built.totals, &built.members)?;
        Ok(Share::new(share, built.totals, 0))
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
    files: Vec<Examined>,
    store: Option<&Store>,
) -> Result<Built, FolderError> {
    let mut members = Vec::new();
    let mut built: Vec<Option<(Descriptor, Totals)>> = vec![None; tree.directories.len()];
    // Each directory comes behind the one that it is in.
    for (number, directory) in tree.directories.into_iter().enumerate().rev() {
        let path = root.join(&directory.path);
        let too_much = || FolderError::TooMuch { path: path.clone() };
        let (mut entries, mut totals) = (Vec::with_capacity(directory.entries.len()), None);
        for found in directory.entries {
            let (kind, weight) = match found.what {
                What::File(at) => {
                    members.push(files[at].member(join(&directory.path, &found.name)));
                    (files[at].entry(), Totals::of_file(&files[at].descriptor))
                }
                What::Folder(at) => {
                    // Taken once: it is in one directory.
                    let (descriptor, totals) = built[at].take().ok_or_else(too_much)?;
                    members.push(Member {
                        path: join(&directory.path, &found.name),
                        descriptor,
                        state: MemberState::Folder(totals),
                    });
                    (sub_folder(descriptor, totals), totals)
                }
                What::Symlink(target) => (EntryKind::Symlink { target }, Totals::default()),
            };
            let sum = totals.unwrap_or_default();
            totals = Some(weight.checked_add(sum).ok_or_else(too_much)?);
            let name = found.name;
            entries.push(Entry { name, kind });
        }
        let refused = |source| FolderError::Entry {
            path: path.clone(),
            source,
        };
        let manifest = Manifest::new(entries).map_err(refused)?;
        let descriptor = match store {
            Some(store) => store.keep_manifest(&manifest)?,
            None => manifest.descriptor(),
        };
        built[number] = Some((descriptor, totals.unwrap_or_default()));
    }
    let root = built.into_iter().next().flatten();
    let (descriptor, totals) = root.ok_or_else(|| FolderError::TooMuch {
        path: PathBuf::new(),
    })?;
    Ok(Built {
        descriptor,
        totals,
        members,
    })
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
