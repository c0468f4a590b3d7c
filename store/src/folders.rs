//! Turns directories into folders: walks, hashes and shares them.
//!
//! A symbolic link is never followed. Entries without content, those excluded by `.pelagoignore`, and
//! those that a person unshared in a watched folder are left out. An entry whose content cannot be carried fails the whole folder,
//! unless the caller allows it to be left out. Files are hashed on all cores (`examine`); a file
//! that was hashed before and has not changed is not read again. A folder that was received with
//! differences from its manifests is restored to what they list. Keeps no state. Errors are
//! [`FolderError`]s.

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
    examine::{Examined, KnownFiles, PriorShare, examine},
    walk::{Directory, DirectoryTree, FoundKind, Guide, join},
};
use super::{
    Fingerprint, Member, MemberState, NewShare, Origin, Scopes, Store, UnfinishedDownloads,
    received::Received,
    saved_values::{Exclusions, read_exclusions},
};

/// A folder to be shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFolder {
    /// The directory: absolute, and valid UTF-8.
    pub path: PathBuf,
    /// The name shown to people.
    pub name: String,
    /// Who may know of the folder and its content.
    pub scopes: Scopes,
    /// Why it is shared.
    pub origin: Origin,
}

/// Options for turning a directory into a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderOptions {
    /// Whether to hash all files, including those that look unchanged.
    pub anew: bool,
    /// Whether to leave out entries whose content cannot be carried.
    pub skip_unsupported: bool,
    /// Whether to apply `.pelagoignore`, and what a person excluded from watched folders.
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

/// The folder made from a directory.
#[derive(Debug)]
pub struct MadeFolder {
    /// Kind, size and root of its manifest.
    pub descriptor: Descriptor,
    /// Its bytes, files and blocks.
    pub totals: Totals,
    /// What was left out.
    pub left_out: LeftOut,
}

/// Hashes a directory except for downloads under way (`growing`), and stores nothing. The result is
/// what the node with the data folder `data`, which need not exist, would share. `progress`
/// receives the number of bytes hashed so far, and may stop the operation.
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
    let excluded = data.map(read_exclusions).transpose();
    let excluded = excluded.map_err(|source| FolderError::Records { source })?;
    let job = FolderJob {
        path,
        growing,
        received: received.flatten(),
        excluded: excluded.unwrap_or_default(),
        data: data.and_then(|data| fs::canonicalize(data).ok()),
        store: None,
    };
    let (built, left_out) = job.make(&KnownFiles::default(), options, progress)?;
    Ok(MadeFolder {
        descriptor: built.descriptor,
        totals: built.totals,
        left_out,
    })
}

/// A directory that is being turned into a folder.
struct FolderJob<'a> {
    path: &'a Path,
    growing: &'a UnfinishedDownloads,
    received: Option<Received>,
    excluded: Exclusions,
    /// The data folder of this node, with all links resolved.
    data: Option<PathBuf>,
    store: Option<&'a Store>,
}

impl FolderJob<'_> {
    fn make(
        &self,
        known: &KnownFiles,
        options: FolderOptions,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<(BuiltFolder, LeftOut), FolderError> {
        let received = self.received.as_ref();
        let guide = Guide {
            growing: self.growing,
            received,
            data: self.data.as_deref(),
            excluded: &self.excluded,
            has_rules: options.has_rules,
        };
        let mut tree = walk::walk(self.path, &guide)?;
        tree.left_out.check(self.path, options.skip_unsupported)?;
        let prior = PriorShare { known, received };
        let files = examine(self.path, &mut tree, &prior, self.store, progress)?;
        // Some unsupported entries are detected only when they are read.
        tree.left_out.check(self.path, options.skip_unsupported)?;
        let left_out = std::mem::take(&mut tree.left_out);
        Ok((build(self.path, tree, &files, self.store)?, left_out))
    }
}

impl Store {
    /// Shares a directory and its content in one commit. Files that were shared before and have not
    /// changed are not hashed again; files that no longer exist are withdrawn. `progress` receives
    /// the number of bytes hashed so far, and may stop the operation. Returns the descriptor and
    /// the totals of the folder.
    ///
    /// # Errors
    ///
    /// See [`FolderError`]. The earlier share is then unchanged.
    pub fn share_folder(
        &self,
        folder: &NewFolder,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<(Descriptor, Totals), FolderError> {
        let made = self.share_folder_as(folder, FolderOptions::default(), progress)?;
        Ok((made.descriptor, made.totals))
    }

    /// Shares a directory with the given options.
    ///
    /// # Errors
    ///
    /// See [`FolderError`]. The earlier share is then unchanged.
    pub fn share_folder_as(
        &self,
        folder: &NewFolder,
        options: FolderOptions,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<MadeFolder, FolderError> {
        self.share_if(folder, options, |_| true, progress)
    }

    /// Shares a directory again that was shared before under `hash`, if it is still the same
    /// folder. Content that was added since is not shared.
    ///
    /// # Errors
    ///
    /// [`FolderError::Changed`] if the folder has changed. Nothing is shared then.
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
            // Earlier versions had no rules, and shared a file of rules like any other.
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

    /// Shares a directory if `is_meant` accepts its hash.
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
        let job = FolderJob {
            path,
            growing: &growing,
            received,
            excluded: self.inner.exclusions.get().clone(),
            data,
            store: Some(self),
        };
        let (built, left_out) = job.make(&known, options, progress)?;
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

    /// The files that were shared in this folder before, and whose trees are stored.
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
struct BuiltFolder {
    descriptor: Descriptor,
    totals: Totals,
    members: Vec<Member>,
}

/// Builds the manifests of all directories, from the bottom up, and keeps them in `store`.
fn build(
    root: &Path,
    tree: DirectoryTree,
    files: &[Option<Examined>],
    store: Option<&Store>,
) -> Result<BuiltFolder, FolderError> {
    let mut builder = ManifestBuilder {
        files,
        store,
        folders: vec![None; tree.directories.len()],
        members: Vec::new(),
    };
    // Each directory comes after its parent.
    for (number, directory) in tree.directories.into_iter().enumerate().rev() {
        if directory.is_left_out {
            continue;
        }
        let path = root.join(&directory.path);
        let built = builder.directory(directory, path)?;
        builder.folders[number] = Some(built);
    }
    let missing = || FolderError::Missing {
        path: root.to_owned(),
    };
    let (descriptor, totals) = builder.folders[0].ok_or_else(missing)?;
    Ok(BuiltFolder {
        descriptor,
        totals,
        members: builder.members,
    })
}

struct ManifestBuilder<'b> {
    /// `None` for files that are left out.
    files: &'b [Option<Examined>],
    store: Option<&'b Store>,
    /// The finished directories, by number.
    folders: Vec<Option<(Descriptor, Totals)>>,
    members: Vec<Member>,
}

impl ManifestBuilder<'_> {
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

    /// The manifest entry and its totals, if it is a part of the folder. Files and folders become
    /// members with the path `inner`.
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
