//! What this node shares: recorded, withdrawn and listed with nothing but a store. Everything here
//! blocks.

use std::{
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use pelago_content::{Descriptor, Hash, Kind, Link};

use super::{Listed, ShareError, UnshareError, selector::Selector};
use crate::access::{Action, allows};
use crate::store::{
    Cursor, DatabaseError, Exclusion, Fingerprint, FolderOptions, HashError, Hashed, MemberState,
    NewFolder, NewShare, Origin, Scope, Scopes, Share, Store, shown,
};

/// Shares read from the database at a time.
const PAGE: usize = 1000;

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

/// Something shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Its hash.
    pub hash: Hash,
    /// What it is called.
    pub name: String,
    /// Its bytes; a folder's in all files below.
    pub size: u64,
    /// File or folder.
    pub kind: Kind,
    /// Where it lies.
    pub path: PathBuf,
    /// All that a receiver needs.
    pub link: Link,
    /// What was listed at its path until now, if that was other content.
    pub replaced: Option<Hash>,
    /// Whether a program still had it, or a file in it, open for writing when it was hashed: what is
    /// sent of such a file is proven first.
    pub in_doubt: bool,
    /// What to know of how it was shared, each in a sentence: what is left out, and which link was followed.
    pub notes: Vec<String>,
}

impl From<Share> for Shared {
    fn from(share: Share) -> Self {
        let scopes = share.scopes;
        Self::new(
            share.descriptor,
            share.name,
            share.totals.bytes,
            share.path,
            &scopes,
        )
    }
}

impl Shared {
    fn new(
        descriptor: Descriptor,
        name: String,
        size: u64,
        path: PathBuf,
        scopes: &Scopes,
    ) -> Self {
        let hash = descriptor.hash();
        let link = Link {
            hash,
            name: Some(name.clone()),
            size: Some(size),
            is_unlisted: !is_listed(scopes),
            peers: Vec::new(),
        };
        Self {
            hash,
            name,
            size,
            kind: descriptor.kind(),
            path,
            link,
            replaced: None,
            in_doubt: false,
            notes: Vec::new(),
        }
    }
}

/// Whether everyone is told of what is in these scopes.
pub(super) fn is_listed(scopes: &Scopes) -> bool {
    scopes.iter().any(|scope| allows(scope, Action::List))
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
        let name = super::scan::share_name(&exclusion.folder, &new.path);
        new.name = name.unwrap_or_else(|| new.name.clone());
        new.origin = Origin::Folder(exclusion.folder);
    }
    Ok(())
}

/// Whether a program had a file of the folder open for writing when it was hashed. The log names it.
fn has_member_in_doubt(store: &Store, folder: &Path) -> Result<bool, ShareError> {
    let members = store
        .members(folder)
        .map_err(crate::store::ShareError::from)?;
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
pub(super) fn hash_unless_known(
    store: &Store,
    path: &Path,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<(Descriptor, Fingerprint), ShareError> {
    if let Ok(metadata) = path.symlink_metadata() {
        let now = Fingerprint::new(&metadata);
        let known = store
            .share_at(path)
            .map_err(crate::store::ShareError::from)?;
        if let Some(known) = known.filter(|k| k.fingerprint == now && store.has_tree(&k.descriptor))
        {
            return Ok((known.descriptor, now));
        }
    }
    let hashed = hash(store, path, progress)?;
    Ok((hashed.descriptor, hashed.fingerprint))
}

/// What a file is, hashed whether it is known or not.
pub(super) fn hash(
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

/// Everything shared, by name.
///
/// # Errors
/// The database cannot be read.
pub fn list(store: &Store) -> Result<Vec<Listed>, DatabaseError> {
    let mut listed = Vec::new();
    each_page(store, |shares| {
        listed.extend(shares.into_iter().map(|share| Listed {
            state: store.state_of(&share),
            unavailable_files: store.unavailable_members(&share.path),
            hash: share.hash,
            name: share.name,
            size: share.totals.bytes,
            kind: share.descriptor.kind(),
            peers: 0,
            holders: Vec::new(),
            path: Some(share.path),
            is_unlisted: !is_listed(&share.scopes),
        }));
        Ok(())
    })?;
    listed.sort_by(|a, b| (&a.name, a.hash, &a.path).cmp(&(&b.name, b.hash, &b.path)));
    Ok(listed)
}

/// What has this hash, begins with these digits of one, or has this name; or everything, by name: each
/// once, wherever it lies. The links name no peer.
///
/// # Errors
/// Nothing is called so; or several contents are.
pub fn links(store: &Store, what: Option<&str>) -> Result<Vec<Shared>, UnshareError> {
    let mut shares = Vec::new();
    match what {
        Some(what) => shares = store.shares_of(&select_hash(store, what)?)?,
        None => each_page(store, |page| {
            shares.extend(page);
            Ok(())
        })?,
    }
    let mut links: Vec<_> = shares.into_iter().map(Shared::from).collect();
    links.sort_by(|a, b| (&a.name, a.hash).cmp(&(&b.name, b.hash)));
    links.dedup_by(|a, b| a.hash == b.hash && (what.is_some() || a.name == b.name));
    Ok(links)
}

/// The one content that `what` calls.
pub(super) fn select_hash(store: &Store, what: &str) -> Result<Hash, UnshareError> {
    let shares = select(store, what)?;
    let not_shared = || UnshareError::NotShared {
        what: what.to_owned(),
    };
    shares
        .first()
        .map(|share| share.hash)
        .ok_or_else(not_shared)
}

/// The places that `what` calls, all of one content: with a hash or its first digits all places of that
/// content, with a name those of that name. None if nothing is called so.
pub(super) fn select(store: &Store, what: &str) -> Result<Vec<Share>, UnshareError> {
    let selector = Selector::new(what);
    let shares = match &selector {
        Selector::Hash(hash) => store.shares_of(hash)?,
        Selector::Name(name) => store.shares_named(name)?,
        Selector::Prefix(..) => {
            let mut shares = Vec::new();
            each_page(store, |page| {
                let meant = page.into_iter();
                shares.extend(meant.filter(|share| selector.matches(&share.hash, &share.name)));
                Ok(())
            })?;
            shares
        }
    };
    let mut choices: Vec<_> = shares.iter().cloned().map(Shared::from).collect();
    choices.sort_by_key(|shared| shared.hash);
    choices.dedup_by_key(|shared| shared.hash);
    if choices.len() > 1 {
        return Err(UnshareError::Ambiguous {
            what: what.to_owned(),
            choices,
        });
    }
    Ok(shares)
}

/// Gives all live shares, some at a time, in the order of their hashes.
pub(super) fn each_page(
    store: &Store,
    mut take: impl FnMut(Vec<Share>) -> Result<(), DatabaseError>,
) -> Result<(), DatabaseError> {
    let mut after: Option<Cursor> = None;
    loop {
        let page = store.shares_page(after.as_ref(), PAGE, |_| true)?;
        take(page.shares)?;
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}
