//! Side files: the trees and manifests, named by the hash of the content that they belong to.
//!
//! Owns one folder of them. A side file is written under a temporary name, renamed once it is
//! complete, and made durable before the row that needs it is written. A file that no row needs
//! stays until it is collected, because work under way may just have found it. A file that was
//! written, and whose row was not, is *pinned*, and is not collected. Errors are those of the
//! operating system.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use pelago_content::Hash;

use super::{dir::Dir, files};

/// The sub-folder in which files are written. Clearing it does not touch finished files.
const UNFINISHED_FOLDER: &str = "unfinished";

/// Up to this many files are synced one by one. For more, one sync of the file system costs less.
const FEW: usize = 4;

/// A folder of side files.
#[derive(Debug)]
pub(super) struct SideFiles {
    folder: PathBuf,
    begun: AtomicU64,
    state: Mutex<SideFileStates>,
    /// Locked while files are made durable, so that other threads wait for the result.
    syncing: Mutex<()>,
}

#[derive(Debug, Default)]
struct SideFileStates {
    /// Written, and perhaps without a row.
    pinned: HashSet<Hash>,
    /// Written, and not yet durable.
    unsynced: Vec<Hash>,
    /// Removed because the disk refused to make them durable. No row may refer to them.
    lost: HashSet<Hash>,
    /// Whether a file was found that an earlier run may not have made durable.
    found: bool,
    /// Whether all files of earlier runs are durable.
    is_all_durable: bool,
}

/// A side file that is being written. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) file: File,
    pub(super) path: PathBuf,
}

impl SideFiles {
    /// Opens the side files in `folder`, which is created if necessary, and removes unfinished
    /// files of an earlier run.
    pub(super) fn in_folder(folder: PathBuf) -> io::Result<Self> {
        let unfinished = folder.join(UNFINISHED_FOLDER);
        files::create_private_folder(&unfinished)?;
        for entry in fs::read_dir(unfinished)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Self {
            folder,
            begun: AtomicU64::new(0),
            state: Mutex::default(),
            syncing: Mutex::default(),
        })
    }

    /// The path of the folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of the file with this hash, if it exists.
    pub(super) fn path(&self, hash: &Hash) -> PathBuf {
        self.folder.join(hash.to_string())
    }

    /// Begins a file.
    pub(super) fn begin(&self) -> io::Result<Unfinished> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed).to_string();
        let path = self.folder.join(UNFINISHED_FOLDER).join(number);
        let file = files::private()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok(Unfinished { file, path })
    }

    /// Puts a finished file in place, and replaces an earlier one with the same hash. It is pinned,
    /// and not yet durable.
    pub(super) fn commit(&self, unfinished: &Unfinished, hash: &Hash) -> io::Result<()> {
        let mut state = self.state.lock();
        fs::rename(&unfinished.path, self.path(hash))?;
        state.pinned.insert(*hash);
        state.lost.remove(hash);
        state.unsynced.push(*hash);
        Ok(())
    }

    /// Pins a file that is in place.
    pub(super) fn pin(&self, hash: &Hash) {
        let mut state = self.state.lock();
        state.pinned.insert(*hash);
        state.found |= !state.is_all_durable;
    }

    /// Unpins files whose rows are written, or will never be written.
    fn unpin<'h>(&self, hashes: impl IntoIterator<Item = &'h Hash>) {
        let mut state = self.state.lock();
        for hash in hashes {
            state.pinned.remove(hash);
        }
    }

    /// Makes all committed files durable: one by one if they are few, otherwise with one sync of
    /// the file system. If the disk refuses, these files are removed, because the disk may not hold
    /// what the system shows of them.
    fn sync(&self) -> io::Result<()> {
        let _syncing = self.syncing.lock();
        let (unsynced, found) = {
            let mut state = self.state.lock();
            let unsynced = std::mem::take(&mut state.unsynced);
            (unsynced, std::mem::take(&mut state.found))
        };
        if found {
            // Files of an earlier run are synced together, once.
            self.sync_all()
        } else if unsynced.is_empty() {
            Ok(())
        } else {
            self.sync_these(&unsynced)
        }
        .inspect_err(|_| self.lose(&unsynced, found))
    }

    /// Removes files that the disk refused, because it may not hold what the system shows of them.
    fn lose(&self, unsynced: &[Hash], found: bool) {
        let mut state = self.state.lock();
        state.found |= found;
        for hash in unsynced {
            // A file that cannot be removed has no row.
            let _ = fs::remove_file(self.path(hash));
            state.lost.insert(*hash);
        }
    }

    fn sync_all(&self) -> io::Result<()> {
        Dir::open(&self.folder)?.sync_file_system()?;
        self.state.lock().is_all_durable = true;
        Ok(())
    }

    /// Refuses rows for files that the disk refused.
    fn check<'h>(&self, hashes: impl IntoIterator<Item = &'h Hash>) -> io::Result<()> {
        let state = self.state.lock();
        match hashes.into_iter().find(|hash| state.lost.contains(*hash)) {
            Some(hash) if !state.lost.is_empty() => Err(io::Error::other(format!(
                "the disk refused to store a file of {hash}: share it again"
            ))),
            _ => Ok(()),
        }
    }

    fn sync_these(&self, hashes: &[Hash]) -> io::Result<()> {
        let folder = Dir::open(&self.folder)?;
        if hashes.len() > FEW {
            return folder.sync_file_system();
        }
        for hash in hashes {
            match File::open(self.path(hash)) {
                Ok(file) => file.sync_all()?,
                // The file was collected since, so it is not needed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        folder.sync()
    }

    /// The hashes of all files that are not pinned.
    fn unpinned(&self) -> io::Result<Vec<Hash>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(|name| name.parse::<Hash>().ok()));
        }
        let state = self.state.lock();
        found.retain(|hash| !state.pinned.contains(hash));
        Ok(found)
    }

    /// Removes a file, unless it is pinned or `is_needed` returns true. Returns whether it was
    /// removed. Meanwhile no other thread can pin or commit it.
    fn collect<E>(
        &self,
        hash: &Hash,
        is_needed: impl FnOnce() -> Result<bool, E>,
    ) -> Result<bool, E> {
        let state = self.state.lock();
        if state.pinned.contains(hash) || is_needed()? {
            return Ok(false);
        }
        match fs::remove_file(self.path(hash)) {
            Ok(()) => Ok(true),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%hash, %error, "a file that nothing needs cannot be removed");
                }
                Ok(false)
            }
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // A finished file has another name. If this fails, the next start removes the file.
        let _ = fs::remove_file(&self.path);
    }
}

/// Side files of a store in memory.
#[derive(Debug, Default)]
pub(super) struct InMemory(Mutex<InMemoryFiles>);

#[derive(Debug, Default)]
struct InMemoryFiles {
    kept: HashMap<Hash, Arc<[u8]>>,
    pinned: HashSet<Hash>,
}

impl InMemory {
    pub(super) fn insert(&self, hash: &Hash, bytes: Arc<[u8]>) {
        let mut memory = self.0.lock();
        memory.kept.insert(*hash, bytes);
        memory.pinned.insert(*hash);
    }

    pub(super) fn get(&self, hash: &Hash) -> Option<Arc<[u8]>> {
        self.0.lock().kept.get(hash).map(Arc::clone)
    }
}

/// The operations that trees and manifests have in common, on disk or in memory.
pub(super) trait StoredByHash {
    /// The side files, on disk or in memory.
    fn kept(&self) -> Result<&SideFiles, &InMemory>;

    /// Unpins files whose rows are written, or will never be written.
    fn unpin(&self, hashes: &[Hash]) {
        match self.kept() {
            Ok(files) => files.unpin(hashes),
            Err(memory) => {
                let mut memory = memory.0.lock();
                for hash in hashes {
                    memory.pinned.remove(hash);
                }
            }
        }
    }

    /// Makes all files durable, before rows that refer to `hashes` are written.
    fn sync(&self, hashes: &[Hash]) -> io::Result<()> {
        let Ok(files) = self.kept() else {
            return Ok(());
        };
        files.sync()?;
        files.check(hashes)
    }

    /// The hashes of all files that are not pinned.
    fn unpinned(&self) -> io::Result<Vec<Hash>> {
        match self.kept() {
            Ok(files) => files.unpinned(),
            Err(memory) => {
                let memory = memory.0.lock();
                let unpinned = memory
                    .kept
                    .keys()
                    .filter(|hash| !memory.pinned.contains(hash));
                Ok(unpinned.copied().collect())
            }
        }
    }

    /// Removes a file, unless it is pinned or `is_needed` returns true. Returns whether it was
    /// removed.
    fn collect<E>(
        &self,
        hash: &Hash,
        is_needed: impl FnOnce() -> Result<bool, E>,
    ) -> Result<bool, E> {
        match self.kept() {
            Ok(files) => files.collect(hash, is_needed),
            Err(memory) => {
                let mut memory = memory.0.lock();
                if memory.pinned.contains(hash) || is_needed()? {
                    return Ok(false);
                }
                Ok(memory.kept.remove(hash).is_some())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, io::Write};

    use super::*;

    fn hash(number: u8) -> Hash {
        Hash::from_bytes([number; 32])
    }

    fn put(files: &SideFiles, hash: &Hash) {
        let mut unfinished = files.begin().unwrap();
        unfinished.file.write_all(b"content").unwrap();
        files.commit(&unfinished, hash).unwrap();
    }

    #[test]
    fn pinned_and_needed_files_are_not_collected() {
        let folder = tempfile::tempdir().unwrap();
        let files = SideFiles::in_folder(folder.path().join("trees")).unwrap();
        for number in 1..=3 {
            put(&files, &hash(number));
        }
        assert_eq!(files.unpinned().unwrap(), []);
        files.unpin([&hash(2), &hash(3)]);
        let collect = |number: u8, needed| {
            let is_needed = || Ok::<_, Infallible>(needed);
            files.collect(&hash(number), is_needed).unwrap()
        };
        assert!(!collect(1, false) && !collect(2, true) && collect(3, false));
        assert!(files.path(&hash(1)).exists() && files.path(&hash(2)).exists());
        assert!(!files.path(&hash(3)).exists());
    }

    #[test]
    fn any_number_of_files_is_synced_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = SideFiles::in_folder(folder.path().join("trees")).unwrap();
        for count in [0, 1, 10] {
            for number in 0..count {
                put(&files, &hash(number));
            }
            files.sync().unwrap();
            assert!(files.state.lock().unsynced.is_empty());
        }
    }

    #[test]
    fn an_unfinished_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let files = SideFiles::in_folder(folder.path().join("trees")).unwrap();
        drop(files.begin().unwrap());
        let path = files.begin().unwrap().path.clone();
        assert!(!path.exists());
        // A killed process has left this.
        fs::write(&path, "half").unwrap();
        SideFiles::in_folder(folder.path().join("trees")).unwrap();
        assert!(!path.exists());
    }
}
