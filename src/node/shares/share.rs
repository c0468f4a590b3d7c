//! Shares a file or a directory: hashes it, and records that it is shared.

use std::{
    fs, io,
    ops::ControlFlow,
    path::{MAIN_SEPARATOR, Path, PathBuf},
};

use pelago_content::Descriptor;
use thiserror::Error;

use super::Shared;
use crate::{
    network::Closed,
    node::CodedError,
    store::{
        self, Exclusion, Fingerprint, FolderError, FolderOptions, HashError, Hashed, MemberState,
        NewFolder, NewShare, Origin, Scope, Scopes, Store, shown,
    },
};

/// What to share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareRequest {
    /// The file or directory; absolute.
    pub path: PathBuf,
    /// What to call it; as it is called on disk if none is given.
    pub name: Option<String>,
    /// Whether to keep it out of every list.
    pub unlisted: bool,
    /// Whether to hash all of it, also files that look as they did when they were hashed before.
    pub rehash: bool,
    /// Of a directory: whether to leave out what has content and cannot be carried.
    pub skip_unsupported: bool,
}

/// Why something was not shared.
#[derive(Debug, Error)]
pub enum ShareError {
    /// The directory cannot be a folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// It is a symbolic link.
    #[error("{} is a symbolic link", shown(path))]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// It is what this node must keep to itself: its key, its database.
    #[error("{} is in the data folder of this node", shown(path))]
    Private {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// A program still writes to the file.
    #[error(
        "{} is still being written: it is hashed again when no program writes to it",
        shown(path)
    )]
    StillWritten {
        /// The file.
        path: PathBuf,
    },
    /// It is still excluded from its watched folder.
    #[error("{} is still excluded from its watched folder: {source}", shown(path))]
    NotIncluded {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It cannot be written down.
    #[error(transparent)]
    Store(#[from] store::ShareError),
    /// The node shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl ShareError {
    /// Whether the same attempt may succeed later, because a disk was full or could not be read.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Store(store::ShareError::Path { .. }) => false,
            Self::Store(_) | Self::StillWritten { .. } => true,
            Self::Hash(error) => matches!(
                error,
                HashError::Unreadable { .. } | HashError::Changed { .. } | HashError::Tree(_)
            ),
            Self::Folder(error) => matches!(
                error,
                FolderError::Unreadable { .. }
                    | FolderError::Hash(_)
                    | FolderError::Manifests(_)
                    | FolderError::Share(_)
            ),
            _ => false,
        }
    }
}

impl CodedError for ShareError {
    fn code(&self) -> &'static str {
        match self {
            Self::Symlink { .. } => "symlink",
            Self::Private { .. } => "private",
            Self::Folder(error) => error.code(),
            Self::Hash(_) | Self::StillWritten { .. } => "file-not-hashed",
            Self::Store(_) | Self::NotIncluded { .. } => "not-recorded",
            Self::Closed(_) => "shutting-down",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Folder(error) => error.hint(),
            Self::Symlink { .. } => Some("share the file that it leads to".to_owned()),
            _ => None,
        }
    }
}

impl CodedError for FolderError {
    fn code(&self) -> &'static str {
        match self {
            Self::Hash(_) => "file-not-hashed",
            Self::Manifests(_) | Self::Share(_) => "not-recorded",
            Self::Unsupported { .. } => "unsupported-entries",
            _ => "folder-not-hashed",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unsupported { .. } => {
                "make these readable, rename them, or share the folder without them: --skip-unsupported"
            }
            Self::HoldsData { .. } => "it holds the key of this node: share what is beside it",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// Hashes a file or directory, but for files that are known and unchanged unless the request says so,
/// and writes down that it is shared. `progress` is given the bytes hashed so far, and may stop it.
///
/// # Errors
/// See [`ShareError`].
pub fn share(
    store: &Store,
    request: &ShareRequest,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Shared, ShareError> {
    let (path, followed) = follow(&request.path).map_err(|source| {
        let path = request.path.clone();
        HashError::Unreadable { path, source }
    })?;
    let is_plain = request.name.is_none() && !request.unlisted;
    let request = &ShareRequest {
        name: name(request),
        path,
        ..request.clone()
    };
    let before = store.share_at(&request.path).ok().flatten();
    let mut shared = share_resolved(store, request, is_plain, progress)?;
    shared.notes.splice(0..0, followed);
    let before = before.map(|before| before.hash);
    Ok(Shared {
        replaced: before.filter(|before| *before != shared.hash),
        ..shared
    })
}

/// The path of what is shared: if that is a symbolic link, where it leads, and a sentence that says so.
///
/// # Errors
/// The link leads to nothing that can be looked at.
pub fn follow(path: &Path) -> io::Result<(PathBuf, Option<String>)> {
    if !path.is_symlink() {
        return Ok((path.to_owned(), None));
    }
    let leads_to = fs::canonicalize(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let target = fs::read_link(path).unwrap_or_default();
            let text = format!("it is a link to {}, which does not exist", shown(&target));
            io::Error::new(error.kind(), text)
        }
        _ => error,
    })?;
    let (link, there) = (shown(path), shown(&leads_to));
    let note = format!("{link} is a link: this is {there}, where it leads");
    Ok((leads_to, Some(note)))
}

fn share_resolved(
    store: &Store,
    request: &ShareRequest,
    is_plain: bool,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Shared, ShareError> {
    let (path, origin) = (request.path.clone(), Origin::Explicit);
    let scopes = scopes(request);
    let excluded = store.is_excluded(&path);
    if store.is_private(&path) {
        return Err(ShareError::Private { path });
    }
    if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        let name = name(request).unwrap_or_else(|| path.to_string_lossy().into_owned());
        let folder = NewFolder {
            path,
            name,
            scopes,
            origin,
        };
        let options = FolderOptions {
            anew: request.rehash,
            skip_unsupported: request.skip_unsupported,
            ..FolderOptions::default()
        };
        let made = store.share_folder_as(&folder, options, progress)?;
        let NewFolder {
            path, name, scopes, ..
        } = folder;
        include(store, &path)?;
        let in_doubt = has_member_in_doubt(store, &path)?;
        let shared = Shared::new(made.descriptor, name, made.totals.bytes, path, &scopes);
        return Ok(Shared {
            in_doubt,
            notes: made.left_out.lines(),
            ..shared
        });
    }
    let (descriptor, fingerprint) = if request.rehash {
        let hashed = hash(store, &path, progress)?;
        (hashed.descriptor, hashed.fingerprint)
    } else {
        hash_unless_known(store, &path, progress)?
    };
    let mut new = NewShare {
        descriptor,
        name: name(request).unwrap_or_else(|| descriptor.hash().to_string()),
        path,
        scopes,
        origin,
        fingerprint,
    };
    if excluded {
        share_as_watched(store, is_plain, &mut new)?;
    }
    store.add_shares(std::slice::from_ref(&new))?;
    let (name, size) = (new.name, descriptor.size());
    let in_doubt = fingerprint.is_in_doubt();
    let shared = Shared::new(descriptor, name, size, new.path, &new.scopes);
    Ok(Shared { in_doubt, ..shared })
}

/// Ends the exclusion of what is at `path` and below.
fn include(store: &Store, path: &Path) -> Result<Vec<Exclusion>, ShareError> {
    let included = store.include(path);
    included.map_err(|source| ShareError::NotIncluded {
        path: path.to_owned(),
        source,
    })
}

/// Ends the exclusion of a file. A plain share of it, without a name or scope of its own, is that of its
/// watched folder again.
fn share_as_watched(store: &Store, is_plain: bool, new: &mut NewShare) -> Result<(), ShareError> {
    let included = include(store, &new.path)?;
    if let Some(exclusion) = included.into_iter().find(|_| is_plain) {
        let name = share_name(&exclusion.folder, &new.path);
        new.name = name.unwrap_or_else(|| new.name.clone());
        new.origin = Origin::Folder(exclusion.folder);
    }
    Ok(())
}

/// Whether a program had a file of the folder open for writing when it was hashed. The log names it.
fn has_member_in_doubt(store: &Store, folder: &Path) -> Result<bool, ShareError> {
    let members = store.members(folder).map_err(store::ShareError::from)?;
    let mut in_doubt = members.iter().filter(|member| match member.state {
        MemberState::File(fingerprint) => fingerprint.is_in_doubt(),
        MemberState::Folder(_) => false,
    });
    let first = in_doubt.next();
    if let Some(member) = first {
        let (path, others) = (folder.join(&member.path), in_doubt.count());
        tracing::warn!(path = %path.display(), others, "shared while it is open for writing");
    }
    Ok(first.is_some())
}

/// What to call it: as asked, else as it is called on disk.
fn name(request: &ShareRequest) -> Option<String> {
    let on_disk = || Some(request.path.file_name()?.to_string_lossy().into_owned());
    request.name.clone().or_else(on_disk)
}

fn scopes(request: &ShareRequest) -> Scopes {
    let scope = if request.unlisted {
        Scope::Unlisted
    } else {
        Scope::Everyone
    };
    scope.into()
}

/// What a file is: as it was written down if it is unchanged since, else hashed.
pub(in crate::node) fn hash_unless_known(
    store: &Store,
    path: &Path,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<(Descriptor, Fingerprint), ShareError> {
    if let Ok(metadata) = path.symlink_metadata() {
        let now = Fingerprint::new(&metadata);
        let known = store.share_at(path).map_err(store::ShareError::from)?;
        if let Some(known) = known.filter(|k| k.fingerprint == now && store.has_tree(&k.descriptor))
        {
            return Ok((known.descriptor, now));
        }
    }
    let hashed = hash(store, path, progress)?;
    Ok((hashed.descriptor, hashed.fingerprint))
}

/// What a file is, hashed whether it is known or not.
pub(in crate::node) fn hash(
    store: &Store,
    path: &Path,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Hashed, ShareError> {
    if path.is_symlink() {
        let path = path.to_owned();
        return Err(ShareError::Symlink { path });
    }
    // Whatever else is wrong with the path, hashing it says so.
    Ok(store.hash_file(path, progress)?)
}

/// What a file below a shared folder is called: its path from there, with `/` on every system.
pub(in crate::node) fn share_name(folder: &Path, path: &Path) -> Option<String> {
    let name = path.strip_prefix(folder).ok()?.to_str()?;
    Some(name.replace(MAIN_SEPARATOR, "/"))
}
