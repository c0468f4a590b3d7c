//! Files that are named by the hash of what they belong to: the stored trees and the manifests.
//!
//! Owns one folder of them: how they are written (under a temporary name, and renamed when whole), made
//! durable (before the row that needs them is written), and collected. A file that no row needs any more
//! stays until it is collected: work under way may just have found it. What was written and whose row is
//! not is *pinned*, and is not collected. Errors leave as the system gave them.

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

/// The folder in it where files are written: clearing it looks at no finished one.
const UNFINISHED_FOLDER: &str = "unfinished";

/// Files up to which each is synced by itself. More of them cost less in one sync of the file system.
const FEW: usize = 4;

/// A folder of side files.
#[derive(Debug)]
pub(super) struct SideFiles {
    folder: PathBuf,
    begun: AtomicU64,
    state: Mutex<SideFileStates>,
    /// Held while files are made durable, so that nobody takes for durable what is only about to be.
    syncing: Mutex<()>,
}

#[derive(Debug, Default)]
struct SideFileStates {
    /// Written, and perhaps not yet in a row.
    pinned: HashSet<Hash>,
    /// Written, and not yet durable.
    unsynced: Vec<Hash>,
    /// Removed, as the disk refused to make them durable: no row may say that they are here.
    lost: HashSet<Hash>,
    /// Something was found that an earlier run may not have made durable.
    found: bool,
    /// All that earlier runs left is durable.
    is_all_durable: bool,
}

/// A side file that is being written; it goes when dropped.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) file: File,
    pub(super) path: PathBuf,
}

impl SideFiles {
    /// Those in `folder`, which is made if it is missing; what an earlier run left half-written is removed.
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

    /// Where they are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the file of this hash is, if there is one.
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

    /// Puts a file that is whole in its place, in that of an earlier one of the same hash if there is one.
    /// It is pinned, and not yet durable.
    pub(super) fn commit(&self, unfinished: &Unfinished, hash: &Hash) -> io::Result<()> {
        let mut state = self.state.lock();
        fs::rename(&unfinished.path, self.path(hash))?;
        state.pinned.insert(*hash);
        state.lost.remove(hash);
        state.unsynced.push(*hash);
        Ok(())
    }

    /// Pins a file that was found in its place.
    pub(super) fn pin(&self, hash: &Hash) {
        let mut state = self.state.lock();
        state.pinned.insert(*hash);
        state.found |= !state.is_all_durable;
    }

    /// The rows of these are written, or nobody is going to write them.
    fn unpin<'h>(&self, hashes: impl IntoIterator<Item = &'h Hash>) {
        let mut state = self.state.lock();
        for hash in hashes {
            state.pinned.remove(hash);
        }
    }

    /// Makes all that was committed so far durable: with a sync each if they are few, else with one for
    /// all. If the disk refuses, those files are removed: what is read of them may not be on the disk.
    fn sync(&self) -> io::Result<()> {
        let _syncing = self.syncing.lock();
        let (unsynced, found) = {
            let mut state = self.state.lock();
            let unsynced = std::mem::take(&mut state.unsynced);
            (unsynced, std::mem::take(&mut state.found))
        };
        if found {
            // What an earlier run left: one sync for all of it, once.
            self.sync_all()
        } else if unsynced.is_empty() {
            Ok(())
        } else {
            self.sync_these(&unsynced)
        }
        .inspect_err(|_| self.lose(&unsynced, found))
    }

    /// The disk refused these: what is read of them may not be on it.
    fn lose(&self, unsynced: &[Hash], found: bool) {
        let mut state = self.state.lock();
        state.found |= found;
        for hash in unsynced {
            // What stays has no row.
            let _ = fs::remove_file(self.path(hash));
            state.lost.insert(*hash);
        }
    }

    fn sync_all(&self) -> io::Result<()> {
        Dir::open(&self.folder)?.sync_file_system()?;
        self.state.lock().is_all_durable = true;
        Ok(())
    }

    /// Refuses a row for what the disk refused.
    fn check<'h>(&self, hashes: impl IntoIterator<Item = &'h Hash>) -> io::Result<()> {
        let state = self.state.lock();
        match hashes.into_iter().find(|hash| state.lost.contains(*hash)) {
            Some(hash) if !state.lost.is_empty() => Err(io::Error::other(format!(
                "the disk refused what belongs to {hash}: share it again"
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
                // Collected since: nobody needed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        folder.sync()
    }

    /// The hashes of all files, pinned ones left out.
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

    /// Removes a file, unless it is pinned or `is_needed` says so; whether it was removed. Nobody can pin
    /// or commit it meanwhile.
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
                    tracing::warn!(%hash, %error, "a file that is not needed cannot be removed");
                }
                Ok(false)
            }
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // In its place it has another name. What stays, the next start removes.
        let _ = fs::remove_file(&self.path);
    }
}

/// The same for a store in memory: what is named by a hash, until nothing needs it.
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

/// What the trees and the manifests have in common, wherever they are kept.
pub(super) trait StoredByHash {
    /// What is kept, on disk or in memory.
    fn kept(&self) -> Result<&SideFiles, &InMemory>;

    /// Rows of these are written, or nobody is going to write them.
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

    /// Makes all that was kept so far durable, before rows of these are written.
    fn sync(&self, hashes: &[Hash]) -> io::Result<()> {
        let Ok(files) = self.kept() else {
            return Ok(());
        };
        files.sync()?;
        files.check(hashes)
    }

    /// The hashes of all, pinned ones left out.
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

    /// Removes one, unless it is pinned or `is_needed` says so; whether it was removed.
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
    fn what_is_pinned_or_needed_is_not_collected() {
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
    fn few_and_many_are_made_durable_once() {
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
    fn what_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let files = SideFiles::in_folder(folder.path().join("trees")).unwrap();
        drop(files.begin().unwrap());
        let path = files.begin().unwrap().path.clone();
        assert!(!path.exists());
        // What a killed process left.
        fs::write(&path, "half").unwrap();
        SideFiles::in_folder(folder.path().join("trees")).unwrap();
        assert!(!path.exists());
    }
}
