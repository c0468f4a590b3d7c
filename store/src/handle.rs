//! The store as the rest of the node holds it: a handle that is cheap to clone.
//!
//! Puts the parts of the store together, on disk or in memory. Opening creates the folders and
//! removes files that an earlier run left; an [`OpenError`] reports if that fails. The database is
//! opened when the first row is read.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use parking_lot::{Mutex, RwLock};

use super::{
    DataFolder,
    database::Database,
    disk_space::DiskSpace,
    downloads::Downloads,
    manifests::Manifests,
    mounts::Mounts,
    name_index::NameIndex,
    open_files::OpenFiles,
    partial::Partials,
    provider_keys::ProviderKeys,
    receipts::Receipts,
    received::ReceivedFolders,
    remote_disks::RemoteDisks,
    saved_uploads::SavedUploads,
    saved_value::SavedValue,
    saved_values::{Exclusions, PeerNames, SavedValues},
    share_feed::ShareFeed,
    share_log::ShareLog,
    share_states::ShareStates,
    trees::Trees,
};
use crate::durable;

/// Everything that a node stores. Clones share one store.
#[derive(Clone)]
pub struct Store {
    pub(super) inner: Arc<StoreInner>,
}

pub(super) struct StoreInner {
    pub(super) database: Database,
    pub(super) trees: Arc<Trees>,
    pub(super) manifests: Manifests,
    pub(super) partials: Partials,
    pub(super) downloads: Downloads,
    pub(super) receipts: Receipts,
    pub(super) open_files: OpenFiles,
    pub(super) provider_keys: ProviderKeys,
    pub(super) disk_space: DiskSpace,
    pub(super) received: ReceivedFolders,
    /// The devices on which watched folders were seen.
    pub(super) mounts: SavedValue<Mounts>,
    /// The disks whose calls may never return.
    pub(super) remote_disks: RemoteDisks,
    /// Which shares are available.
    pub(super) share_states: ShareStates,
    /// What is excluded from watched folders.
    pub(super) exclusions: SavedValue<Exclusions>,
    /// The peers that names stand for.
    pub(super) peer_names: SavedValue<PeerNames>,
    /// What was sent to peers, and how much in all.
    pub(super) uploads: SavedValue<SavedUploads>,
    /// The watched folders of this run. Shares that were found below other folders are not live.
    pub(super) live_folders: RwLock<Vec<PathBuf>>,
    /// The number of live shares, if they were counted since the last change.
    pub(super) count: Mutex<Option<u64>>,
    /// The index for searching shares by parts of their names.
    pub(super) names: NameIndex,
    /// The second copy of the shares. Locked while shares change, so that both copies agree.
    pub(super) share_log: Mutex<ShareLog>,
    /// What changed in what is shared, until it is announced or withdrawn.
    pub(super) share_feed: Arc<ShareFeed>,
    /// Incremented at each change of the shares.
    pub(super) revision: AtomicU64,
    folder: Option<DataFolder>,
}

impl Store {
    /// How many transactions were committed since the store was opened. Each costs an fsync.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.inner.database.commits()
    }

    /// Opens the store in a data folder, and shares the lock of the folder. Costs no fsync, and
    /// reads no row.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the folders inside cannot be created or read.
    pub fn open(folder: &DataFolder) -> Result<Self, OpenError> {
        let path = folder.path();
        let failed = |source| OpenError {
            folder: path.to_owned(),
            source,
        };
        let trees = Arc::new(Trees::in_folder(path).map_err(failed)?);
        let manifests = Manifests::in_folder(path).map_err(failed)?;
        let disk_space = DiskSpace::default();
        let partials = Partials::in_folder(path, Arc::clone(&trees), disk_space.clone());
        let partials = partials.map_err(failed)?;
        let saved = SavedValues::in_folder(path).map_err(failed)?;
        let database = Database::in_folder(path);
        let folder = Some(folder.clone());
        Ok(Self::new(
            database, trees, disk_space, manifests, partials, saved, folder,
        ))
    }

    /// A store that keeps its records in memory. Downloads still write their data to disk.
    pub fn in_memory() -> Self {
        let (database, trees) = (Database::in_memory(), Arc::new(Trees::in_memory()));
        let (manifests, disk_space) = (Manifests::in_memory(), DiskSpace::default());
        let partials = Partials::in_memory(Arc::clone(&trees), disk_space.clone());
        let saved = SavedValues::in_memory();
        Self::new(
            database, trees, disk_space, manifests, partials, saved, None,
        )
    }

    fn new(
        database: Database,
        trees: Arc<Trees>,
        disk_space: DiskSpace,
        manifests: Manifests,
        partials: Partials,
        saved: SavedValues,
        folder: Option<DataFolder>,
    ) -> Self {
        let share_feed = Arc::clone(partials.share_feed());
        let inner = StoreInner {
            database,
            trees,
            manifests,
            partials,
            downloads: folder.as_ref().map_or_else(Downloads::in_memory, |folder| {
                Downloads::in_folder(folder.path())
            }),
            receipts: folder.as_ref().map_or_else(Receipts::default, |folder| {
                Receipts::in_folder(folder.path())
            }),
            open_files: OpenFiles::default(),
            provider_keys: ProviderKeys::default(),
            disk_space,
            received: folder
                .as_ref()
                .map_or_else(ReceivedFolders::in_memory, |folder| {
                    ReceivedFolders::in_folder(folder.path())
                }),
            mounts: saved.mounts,
            remote_disks: RemoteDisks::default(),
            share_states: ShareStates::default(),
            exclusions: saved.exclusions,
            peer_names: saved.peer_names,
            uploads: saved.uploads,
            live_folders: RwLock::default(),
            count: Mutex::default(),
            names: NameIndex::default(),
            share_log: Mutex::new(folder.as_ref().map_or_else(ShareLog::in_memory, |folder| {
                ShareLog::in_folder(folder.path())
            })),
            share_feed,
            revision: AtomicU64::new(0),
            folder,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Whether `path` is the data folder or is stored in it, and so must not be shared. Costs a few
    /// system calls.
    pub fn is_private(&self, path: &Path) -> bool {
        let resolved = |path: &Path| fs::canonicalize(path).ok();
        let private = self.folder().and_then(resolved);
        let path = private.is_some().then(|| resolved(path)).flatten();
        private
            .zip(path)
            .is_some_and(|(private, path)| path.starts_with(private))
    }

    /// Whether any file is open for serving.
    pub fn has_open_files(&self) -> bool {
        self.inner.open_files.is_any_open()
    }

    /// Closes the files that are open for serving and have been idle for some seconds.
    pub fn close_idle(&self, now: Instant) {
        self.inner.open_files.close_idle(now);
    }

    /// The disks that the store writes to, and their reserve.
    pub fn disk_space(&self) -> &DiskSpace {
        &self.inner.disk_space
    }

    /// Keeps a spare in the data folder, which essential writes use when the disk is full, and
    /// returns whether the disk is full. Costs one system call, and a write if the spare has to
    /// grow.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub fn keep_spare(&self) -> io::Result<bool> {
        self.folder().map_or(Ok(false), durable::keep_spare)
    }

    /// The data folder; `None` for a store in memory.
    pub fn folder(&self) -> Option<&Path> {
        self.inner.folder.as_ref().map(DataFolder::path)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({:?})", self.inner.database)
    }
}

/// The folders of the store cannot be created or read.
#[derive(Debug, thiserror::Error)]
#[error("the data folder {} cannot be used: {source}", crate::shown(folder))]
pub struct OpenError {
    /// The data folder.
    pub folder: PathBuf,
    /// The error of the operating system.
    pub source: io::Error,
}
