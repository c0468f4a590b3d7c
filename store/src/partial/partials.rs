//! The downloads of one store: what they share, and which of them run.
//!
//! Owns the running downloads, for those who read from them. Files that are fetched as parts of
//! folders are found through their folders.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use pelago_content::Hash;

use super::{
    Partial, PartialFolder,
    page::Recorded,
    records::{self, Records},
    workspace::Workspace,
};
use crate::{DiskSpace, ShareFeed, trees::Trees};

/// All downloads of one store.
pub(crate) struct Partials {
    pub(super) workspace: Arc<Workspace>,
    files: Running<Partial>,
    folders: Running<PartialFolder>,
}

/// Downloads that run. They end when their last user drops them.
type Running<D> = Mutex<HashMap<Hash, Weak<D>>>;

impl Partials {
    /// Downloads whose records are in a data folder.
    pub(crate) fn in_folder(
        folder: &Path,
        trees: Arc<Trees>,
        space: DiskSpace,
    ) -> io::Result<Self> {
        Ok(Self::new(Records::in_folder(folder)?, trees, space))
    }

    /// Downloads whose records end with this value.
    pub(crate) fn in_memory(trees: Arc<Trees>, space: DiskSpace) -> Self {
        Self::new(Records::in_memory(), trees, space)
    }

    /// The feed to which downloads report.
    pub(crate) fn share_feed(&self) -> &Arc<ShareFeed> {
        self.workspace.reservations.share_feed()
    }

    fn new(records: Records, trees: Arc<Trees>, space: DiskSpace) -> Self {
        Self {
            workspace: Arc::new(Workspace::new(records, trees, space)),
            files: Mutex::default(),
            folders: Mutex::default(),
        }
    }

    pub(super) fn records(&self) -> &Records {
        &self.workspace.records
    }

    /// Lets others find a file that is downloaded.
    pub(super) fn publish_file(&self, partial: &Arc<Partial>) {
        publish(&self.files, partial.hash(), partial);
    }

    /// Lets others find a folder that is downloaded, and its files.
    pub(super) fn publish_folder(&self, folder: &Arc<PartialFolder>) {
        publish(&self.folders, folder.hash(), folder);
    }

    /// The running download of the file with this hash, unless it is a part of a folder.
    pub(super) fn file(&self, hash: &Hash) -> Option<Arc<Partial>> {
        self.files.lock().get(hash)?.upgrade()
    }

    /// The running download of the folder with this hash.
    pub(super) fn folder(&self, hash: &Hash) -> Option<Arc<PartialFolder>> {
        self.folders.lock().get(hash)?.upgrade()
    }

    /// The running downloads of folders.
    pub(super) fn folders(&self) -> Vec<Arc<PartialFolder>> {
        let folders = self.folders.lock();
        folders.values().filter_map(Weak::upgrade).collect()
    }

    /// The hash with this provider key, of a running download or of a file in a folder that is
    /// downloaded. Compares all of them, so that the time does not reveal which one it is.
    pub(crate) fn hash_of_key(&self, key: &[u8; 32]) -> Option<Hash> {
        let standalone = self.workspace.reservations.standalone();
        let standalone = standalone.into_iter().fold(None, |found, hash| {
            let this = (hash.provider_key() == *key).then_some(hash);
            found.or(this)
        });
        self.folders().iter().fold(standalone, |found, folder| {
            let this = folder.hash_of_key(key);
            found.or(this)
        })
    }

    /// The paths at which the downloads of a data folder grow. Another process may use that folder.
    pub(crate) fn growing_in(folder: &Path) -> io::Result<HashSet<PathBuf>> {
        let recorded = records::list_in(folder)?;
        Ok(recorded.iter().map(Recorded::part_path).collect())
    }
}

fn publish<D>(running: &Running<D>, hash: Hash, download: &Arc<D>) {
    let mut running = running.lock();
    running.retain(|_, download| download.strong_count() > 0);
    running.insert(hash, Arc::downgrade(download));
}
