//! Shares a file or a directory: hashes it, and records that it is shared.

use std::{
    fs, io,
    ops::ControlFlow,
    path::{MAIN_SEPARATOR, Path, PathBuf},
};

use pelago_content::Descriptor;
use pelago_groups::GroupId;

use super::{ShareError, Shared};
use crate::store::{
    self, Exclusion, Fingerprint, FolderOptions, HashError, Hashed, Known, MemberState, NewFolder,
    NewShare, Origin, Scope, Scopes, Share, Store, Writers, shown,
};

/// A file or directory to share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareRequest {
    /// Its path; absolute.
    pub path: PathBuf,
    /// Its name. `None`: its name on disk.
    pub name: Option<String>,
    /// Whether to keep it out of all lists.
    pub unlisted: bool,
    /// The groups with which to share it. They are added to those with which the path is shared, and
    /// take nothing away. If there are any, it is not shared with everyone unless it is already.
    pub groups: Vec<GroupId>,
    /// Whether to hash all files, even those that are unchanged since they were last hashed.
    pub rehash: bool,
    /// For a directory: whether to leave out entries that cannot be shared.
    pub skip_unsupported: bool,
}

impl ShareRequest {
    /// A request that lists what is at the absolute `path` under its name on disk.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            name: None,
            unlisted: false,
            groups: Vec::new(),
            rehash: false,
            skip_unsupported: false,
        }
    }
}

/// Shares a file or directory: hashes it, except for files that are unchanged since they were last
/// hashed, and records the share. `progress` receives the bytes hashed so far, and may stop the
/// call.
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
    let is_plain = request.name.is_none() && !request.unlisted && request.groups.is_empty();
    let request = &ShareRequest {
        name: name(request),
        path,
        ..request.clone()
    };
    let before = store.share_at(&request.path).ok().flatten();
    let scopes = match &before {
        // To hash it again changes nothing about who may have it.
        Some(before) if request.rehash && is_plain => before.scopes.clone(),
        before => scopes(request, before.as_ref()),
    };
    let widened = before
        .as_ref()
        .and_then(|before| of_widened(before, &scopes));
    let mut shared = share_resolved(store, request, scopes, is_plain, progress)?;
    let is_new = before
        .as_ref()
        .is_none_or(|before| before.hash != shared.hash);
    let revealed = is_new.then(|| of_known(store, &shared)).flatten();
    let notes = followed.into_iter().chain(widened).chain(revealed);
    shared.notes.splice(0..0, notes);
    let before = before.map(|before| before.hash);
    Ok(Shared {
        replaced: before.filter(|before| *before != shared.hash),
        ..shared
    })
}

/// Resolves the path to share: the target if it is a symbolic link, with a sentence that says so.
///
/// # Errors
/// The target of the link does not exist or cannot be read.
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
    let note = format!("{link} is a link: its target {there} is used");
    Ok((leads_to, Some(note)))
}

fn share_resolved(
    store: &Store,
    request: &ShareRequest,
    scopes: Scopes,
    is_plain: bool,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Shared, ShareError> {
    let (path, origin) = (request.path.clone(), Origin::Explicit);
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
        let revealed = decide_scopes(store, &path, &scopes)?;
        let in_doubt = has_open_member(store, &path)?;
        let shared = Shared::new(made.descriptor, name, made.totals.bytes, path, &scopes);
        return Ok(Shared {
            in_doubt,
            notes: made
                .left_out
                .lines()
                .into_iter()
                .chain(of_revealed(revealed))
                .collect(),
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
    decide_scopes(store, &new.path, &new.scopes)?;
    let (name, size) = (new.name, descriptor.size());
    let in_doubt = is_open(&new.path, &fingerprint);
    let shared = Shared::new(descriptor, name, size, new.path, &new.scopes);
    Ok(Shared { in_doubt, ..shared })
}

/// Ends the exclusion of `path`. Paths below stay excluded until they are shared themselves.
fn include(store: &Store, path: &Path) -> Result<Option<Exclusion>, ShareError> {
    let included = store.include(path);
    included.map_err(|source| ShareError::NotIncluded {
        path: path.to_owned(),
        source,
    })
}

/// Ends the exclusion of a file. If it is shared without a name or scope of its own, it is again a
/// share of its watched folder.
fn share_as_watched(store: &Store, is_plain: bool, new: &mut NewShare) -> Result<(), ShareError> {
    let included = include(store, &new.path)?;
    if let Some(exclusion) = included.filter(|_| is_plain) {
        let name = share_name(&exclusion.folder, &new.path);
        new.name = name.unwrap_or_else(|| new.name.clone());
        new.origin = Origin::Folder(exclusion.folder);
    }
    Ok(())
}

/// A note if content is for everyone now that this node knows from a group.
fn of_known(store: &Store, shared: &Shared) -> Option<String> {
    let known = Known::Content(shared.hash);
    let is_known = store
        .groups_that_know(&known)
        .is_ok_and(|groups| !groups.is_empty());
    (is_known && shared.scopes.contains(Scope::Everyone)).then(|| {
        "this node knows the content from a group, and shares it with everyone now: `unshare` \
         withdraws it"
            .to_owned()
    })
}

/// A note if content that was not for everyone is for everyone in `scopes`.
fn of_widened(before: &Share, scopes: &Scopes) -> Option<String> {
    if before.scopes.contains(Scope::Everyone) || !scopes.contains(Scope::Everyone) {
        return None;
    }
    let only = match before.scopes.contains(Scope::Unlisted) {
        true => "people who have its hash",
        false => "members of its groups",
    };
    Some(format!(
        "it is shared with everyone now, and was shared with {only} only: `unshare` withdraws it"
    ))
}

/// A note on files and folders that sharing the folder that has them has listed.
fn of_revealed(count: u64) -> Option<String> {
    match count {
        0 => None,
        1 => Some("1 file or folder of this content was not listed, and is listed now".to_owned()),
        count => Some(format!(
            "{count} files and folders of this content were not listed, and are listed now"
        )),
    }
}

/// Applies the decision of a person on who may list the content at `path`.
fn decide_scopes(store: &Store, path: &Path, scopes: &Scopes) -> Result<u64, ShareError> {
    let decided = store.decide_scopes(path, scopes);
    Ok(decided.map_err(store::ShareError::from)?)
}

/// Whether a program has the file that was hashed just now open for writing. Other files in doubt
/// are hashed again by themselves.
fn is_open(path: &Path, hashed: &Fingerprint) -> bool {
    hashed.is_in_doubt() && Writers::at(path) == Writers::Present
}

/// Whether a program has a file of the folder open for writing. Logs the first.
fn has_open_member(store: &Store, folder: &Path) -> Result<bool, ShareError> {
    let members = store.members(folder).map_err(store::ShareError::from)?;
    let mut in_doubt = members.iter().filter(|member| match &member.state {
        MemberState::File(fingerprint) => is_open(&folder.join(&member.path), fingerprint),
        MemberState::Folder(_) => false,
    });
    let first = in_doubt.next();
    if let Some(member) = first {
        let (path, others) = (folder.join(&member.path), in_doubt.count());
        tracing::warn!(
            path = %path.display(), others, "the file was shared while a program had it open \
             for writing"
        );
    }
    Ok(first.is_some())
}

/// The name of the share: the requested one, else the one on disk.
fn name(request: &ShareRequest) -> Option<String> {
    let on_disk = || Some(request.path.file_name()?.to_string_lossy().into_owned());
    request.name.clone().or_else(on_disk)
}

/// With whom the path is shared, which was shared as `before`. Groups stay until they are taken away.
fn scopes(request: &ShareRequest, before: Option<&Share>) -> Scopes {
    let before = before.map(|share| share.scopes.clone()).unwrap_or_default();
    let mut scopes = match (request.unlisted, request.groups.is_empty()) {
        (true, _) => Scope::Unlisted.into(),
        (false, true) => Scope::Everyone.into(),
        (false, false) => before.clone(),
    };
    let groups = before.groups().chain(request.groups.iter().copied());
    groups.for_each(|group| scopes.insert(Scope::Group(group)));
    scopes
}

/// The descriptor and fingerprint of a file: the recorded ones if it is unchanged, else by hashing
/// it.
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

/// Hashes a file, whether it is known or not.
pub(in crate::node) fn hash(
    store: &Store,
    path: &Path,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Hashed, ShareError> {
    if path.is_symlink() {
        let path = path.to_owned();
        return Err(ShareError::Symlink { path });
    }
    // Hashing reports any other problem with the path.
    Ok(store.hash_file(path, progress)?)
}

/// The name of a file of a watched folder: its path from the folder, with `/` on every system.
pub(in crate::node) fn share_name(folder: &Path, path: &Path) -> Option<String> {
    let name = path.strip_prefix(folder).ok()?.to_str()?;
    Some(name.replace(MAIN_SEPARATOR, "/"))
}
