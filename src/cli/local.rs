//! Opens the data folder, its store, or a node on it, in this process.
//!
//! The only part of the command line that bypasses the API.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use libp2p::identity::Keypair;

use super::{keys::Keys, paths};
use crate::{
    api::{
        ApiFile,
        types::{self, ErrorInfo, ExcludedPath, Hashed, Kind, Listed, Shared, UnavailableShares},
    },
    content::Descriptor,
    node::{self, CodedError as _, LocalUser, Node, Settings, share_states, shares},
    store::{self, DataFolder, FolderError, FolderOptions, HashError, Store, UnfinishedDownloads},
};

/// Whether a node runs on `folder`.
pub(super) fn is_running(folder: &Path) -> anyhow::Result<bool> {
    let looked = DataFolder::is_running(folder);
    looked.with_context(|| format!("the data folder {} cannot be used", folder.display()))
}

/// Locks the data folder for this process, and removes the API file that a killed node may have
/// left.
pub(super) fn lock(folder: &Path) -> anyhow::Result<DataFolder> {
    let folder = DataFolder::lock(folder)?;
    ApiFile::clear(folder.path())?;
    Ok(folder)
}

/// The data folder that this process had locked before it executed itself again.
pub(super) fn inherited(folder: &Path) -> anyhow::Result<DataFolder> {
    let folder = DataFolder::inherited(folder)?;
    ApiFile::clear(folder.path())?;
    Ok(folder)
}

/// The files of a node, opened once for all attempts to start it.
pub(super) struct NodeFiles {
    store: Store,
    identity: Keypair,
    user: Option<LocalUser>,
    is_locked: bool,
}

impl NodeFiles {
    /// The files of a node with `keys`. While its user is logged out, it gets a key that exists in
    /// this process only, with which it reaches public content.
    pub(super) fn new(folder: &DataFolder, keys: &Keys) -> anyhow::Result<Self> {
        let identity = match keys {
            Keys::WithoutUser => Some(store::load_or_create(folder.path())?),
            Keys::Unlocked(_) | Keys::Locked(_) => None,
        };
        Self::with_identity(folder, keys, identity)
    }

    /// As [`NodeFiles::new`], for a node that no peer has to find again: in a folder without a key, it
    /// gets one that exists in this process only, which costs no sync.
    pub(super) fn for_a_moment(folder: &DataFolder, keys: &Keys) -> anyhow::Result<Self> {
        let identity = match keys {
            Keys::WithoutUser => store::load_existing(folder.path())?,
            Keys::Unlocked(_) | Keys::Locked(_) => None,
        };
        Self::with_identity(folder, keys, identity)
    }

    fn with_identity(
        folder: &DataFolder,
        keys: &Keys,
        identity: Option<Keypair>,
    ) -> anyhow::Result<Self> {
        let store = Store::open(folder)?;
        let identity = match (keys, identity) {
            (Keys::Unlocked(user), _) => user.keypair(),
            (_, Some(identity)) => identity,
            (_, None) => Keypair::generate_ed25519(),
        };
        let user = keys.unlocked().map(|user| LocalUser {
            secret: user.secret().clone(),
            name: user.name().clone(),
        });
        Ok(Self {
            store,
            identity,
            user,
            is_locked: matches!(keys, Keys::Locked(_)),
        })
    }

    /// Whether files below `folder` are shared.
    pub(super) fn shares_below(&self, folder: &Path) -> anyhow::Result<bool> {
        Ok(!self.store.shares_under(folder, None, 1)?.is_empty())
    }

    /// Starts a node on them.
    pub(super) async fn start(&self, settings: Settings) -> Result<Node, node::StartError> {
        let user = self.user.clone();
        let settings = Settings {
            is_locked: self.is_locked,
            ..settings
        };
        Node::start(settings, self.store.clone(), &self.identity, user).await
    }
}

/// The shares, and which of them are not available, while no node runs.
pub(super) fn list(folder: &DataFolder) -> anyhow::Result<(Vec<Listed>, UnavailableShares)> {
    let store = open_and_check(folder, Vec::new())?;
    let (listed, unavailable) = (shares::list(&store)?, share_states::unavailable(&store)?);
    let listed = listed.into_iter().map(Into::into).collect();
    Ok((listed, unavailable.into()))
}

/// The number of shares, and which of them are not available, while no node runs. A node would watch
/// `folders`.
pub(super) fn unavailable(
    data_folder: &Path,
    folders: Vec<PathBuf>,
) -> anyhow::Result<(u64, UnavailableShares)> {
    let store = open_and_check(&DataFolder::lock(data_folder)?, folders)?;
    Ok((store.count()?, share_states::unavailable(&store)?.into()))
}

/// Opens the store of a data folder, and checks the state of all shares.
fn open_and_check(folder: &DataFolder, folders: Vec<PathBuf>) -> anyhow::Result<Store> {
    let store = Store::open(folder)?;
    store.set_live_folders(folders);
    share_states::inspect_all(&store)?;
    Ok(store)
}

/// The paths in watched folders that a person withdrew, while no node runs.
pub(super) fn exclusions(folder: &DataFolder) -> anyhow::Result<Vec<ExcludedPath>> {
    let exclusions = Store::open(folder)?.exclusions();
    Ok(exclusions.into_iter().map(Into::into).collect())
}

/// The links of shares, while no node runs.
pub(super) fn links(folder: &DataFolder, what: Option<&str>) -> anyhow::Result<Vec<Shared>> {
    let links = shares::links(&Store::open(folder)?, what).map_err(ErrorInfo::from)?;
    Ok(links.into_iter().map(Into::into).collect())
}

/// Reads all shared files and compares them with their hashes, while no node runs. A node would
/// watch `folders`.
pub(super) fn check_shares(
    folder: &DataFolder,
    folders: Vec<PathBuf>,
    take: &mut dyn FnMut(types::CheckEvent),
) -> anyhow::Result<()> {
    let store = Store::open(folder)?;
    store.set_live_folders(folders);
    node::check_shares(&store, &mut |event| {
        take(event.into());
        ControlFlow::Continue(())
    })?;
    Ok(())
}

/// Stops sharing `what`, while no node runs. A node would watch `folders`.
pub(super) fn unshare(
    folder: &DataFolder,
    folders: Vec<PathBuf>,
    query: types::UnshareQuery,
) -> anyhow::Result<Vec<Shared>> {
    let store = Store::open(folder)?;
    store.set_live_folders(folders);
    let request = node::UnshareRequest {
        what: query.what,
        path: query.path.map(PathBuf::from),
        group: None,
        is_public: query.everyone,
    };
    let withdrawn = shares::unshare(&store, &request).map_err(ErrorInfo::from)?;
    Ok(withdrawn.into_iter().map(Into::into).collect())
}

/// Records a share for nodes that start later. `progress` gets the bytes hashed so far.
pub(super) fn record(
    store: &Store,
    request: types::ShareRequest,
    progress: &dyn Fn(u64),
) -> anyhow::Result<Shared> {
    let request = node::ShareRequest {
        path: request.path.into(),
        name: request.name,
        unlisted: request.unlisted,
        groups: Vec::new(),
        rehash: request.rehash,
        skip_unsupported: request.skip_unsupported,
    };
    let progress = |bytes| {
        progress(bytes);
        ControlFlow::Continue(())
    };
    let shared = shares::share(store, &request, &progress).map_err(ErrorInfo::from)?;
    Ok(shared.into())
}

/// Opens the store of a data folder on which no node runs.
pub(super) fn store(folder: &DataFolder) -> anyhow::Result<Store> {
    Ok(Store::open(folder)?)
}

/// Hashes a file or directory without sharing it. A directory is hashed as the node of
/// `data_folder` would share it. `progress` gets the bytes hashed so far.
pub(super) fn hash(
    data_folder: &Path,
    path: &Path,
    skip_unsupported: bool,
    progress: &dyn Fn(u64),
) -> anyhow::Result<Hashed> {
    let options = FolderOptions {
        skip_unsupported,
        ..FolderOptions::default()
    };
    let progress = |bytes| {
        progress(bytes);
        ControlFlow::Continue(())
    };
    let (leads_to, followed) = shares::follow(path).map_err(|source| {
        let path = path.to_owned();
        refused(&HashError::Unreadable { path, source })
    })?;
    let mut notes: Vec<_> = followed.into_iter().collect();
    if leads_to.is_dir() {
        // The node uses absolute paths, too.
        let folder = paths::absolute(&leads_to)?;
        let growing = UnfinishedDownloads::in_data_folder(data_folder);
        let growing = growing.map_err(|source| FolderError::Records { source });
        let hashed = growing.and_then(|growing| {
            store::hash_folder(
                Path::new(&folder),
                &growing,
                Some(data_folder),
                options,
                &progress,
            )
        });
        let made = hashed.map_err(|error| {
            ErrorInfo::new(error.code(), error.to_string()).with_hint_if(error.hint())
        })?;
        notes.extend(made.left_out.lines());
        return Ok(described(path, &made.descriptor, made.totals.bytes, notes));
    }
    let hashed = store::hash_file(&leads_to, &progress);
    let descriptor = hashed.map_err(|error| refused(&error))?.descriptor;
    Ok(described(path, &descriptor, descriptor.size(), notes))
}

fn refused(error: &HashError) -> ErrorInfo {
    ErrorInfo::new("file-not-hashed", error.to_string())
}

fn described(path: &Path, descriptor: &Descriptor, size: u64, notes: Vec<String>) -> Hashed {
    Hashed {
        path: path.to_string_lossy().into_owned(),
        hash: descriptor.hash().to_string(),
        kind: Kind::from(descriptor.kind()),
        size,
        root: content_root(descriptor),
        notes,
    }
}

/// The root in hex. It looks like a hash but is not one, as it does not bind the length.
fn content_root(descriptor: &Descriptor) -> String {
    descriptor
        .root()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
