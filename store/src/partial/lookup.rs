//! Which downloads the store knows: those that run, and those that have a record.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use pelago_content::Hash;

use super::{
    Partial, PartialFolder, PartialSpec, earlier_run::EarlierRun, page::Recorded, spec::Key,
};
use crate::{Scopes, Share, Store};

impl Store {
    /// The running download of the file with this hash. Files that are downloaded as parts of
    /// folders are not found here.
    pub fn partial(&self, hash: &Hash) -> Option<Arc<Partial>> {
        self.inner.partials.file(hash)
    }

    /// The running download of the folder with this hash.
    pub fn partial_folder(&self, hash: &Hash) -> Option<Arc<PartialFolder>> {
        self.inner.partials.folder(hash)
    }

    /// The scopes of the running download with this hash, of a file or a folder, if it has verified
    /// blocks.
    pub fn running_download(&self, hash: &Hash) -> Option<Scopes> {
        if let Some(file) = self.partial(hash) {
            return (!file.verified().is_empty()).then(|| file.scopes().clone());
        }
        let folder = self.partial_folder(hash)?;
        (!folder.verified().is_empty()).then(|| folder.scopes().clone())
    }

    /// The folders being downloaded that have this hash, or contain something that has it.
    pub(crate) fn folders_with(&self, hash: &Hash) -> Vec<Arc<PartialFolder>> {
        let mut folders = self.inner.partials.folders();
        folders.retain(|folder| folder.contains(hash));
        folders
    }

    /// Whether this process downloads this content, by itself or in a folder.
    pub fn is_downloading(&self, hash: &Hash) -> bool {
        self.partial(hash).is_some() || !self.folders_with(hash).is_empty()
    }

    /// All downloads that have a record, whether they run or not. Unreadable records are skipped,
    /// with a warning.
    ///
    /// # Errors
    ///
    /// If the folder of records cannot be read.
    pub fn partials(&self) -> io::Result<Vec<PartialSpec>> {
        let recorded = self.inner.partials.records().list()?;
        Ok(recorded.into_iter().map(|recorded| recorded.spec).collect())
    }

    /// Whether an unfinished download of `hash` has a record.
    pub fn has_begun(&self, hash: &Hash) -> bool {
        let earlier = self
            .inner
            .partials
            .records()
            .earlier_run(&Key::standalone(*hash));
        !matches!(earlier, Ok(EarlierRun::None))
    }

    /// Whether this content is shared from `path`, or a download has `path` as its target.
    pub fn is_known_at(&self, hash: &Hash, path: &Path) -> bool {
        let is_shared = |share: Option<Share>| share.is_some_and(|share| share.hash == *hash);
        let records = self.inner.partials.records();
        let is_target = || match records.earlier_run(&Key::standalone(*hash)) {
            Ok(EarlierRun::Recorded(recorded)) => recorded.spec.target == path,
            _ => false,
        };
        self.share_at(path).is_ok_and(is_shared) || is_target()
    }

    /// Removes damaged records of downloads that are not `listed`. A record with nodes is set aside
    /// instead.
    ///
    /// # Errors
    ///
    /// If the folder of records cannot be read or changed.
    pub fn clear_damaged_records(&self, listed: &HashSet<Hash>) -> io::Result<()> {
        self.inner.partials.records().clear_damaged(listed)
    }

    /// The part files and staging directories of all recorded downloads.
    ///
    /// # Errors
    ///
    /// If the folder of records cannot be read.
    pub fn growing_paths(&self) -> io::Result<HashSet<PathBuf>> {
        let recorded = self.inner.partials.records().list()?;
        Ok(recorded.iter().map(Recorded::part_path).collect())
    }
}
