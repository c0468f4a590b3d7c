//! The gateway's cache: content that is fetched only to be read.
//!
//! Owns `gateway/` in the data folder. Cached content appears in no list and is not served to
//! others. The entries that were read least recently are dropped first when another writer needs
//! disk space, and all are dropped when a node starts. Each file is a [`Partial`] with a record of
//! its own, so a person can download the same content at the same time. Errors are
//! [`PartialError`]s.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Condvar, Mutex, MutexGuard};
use pelago_content::{BLOCK_SIZE, Descriptor, Hash, Manifest};

use super::{
    Links, Partial, PartialError, PartialSpec, Scope, Store, Writer, data_layout::CACHE_FOLDER,
    files, is_missing, partial::cache_owner,
};

/// The highest number of entries, however small: each takes two files.
const MAX_ENTRIES: usize = 1024;

/// How long to wait for pending writes to a dropped entry.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// The cached content. A handle: clones share one cache.
#[derive(Clone)]
pub struct Cache(Arc<CacheInner>);

struct CacheInner {
    store: Store,
    folder: PathBuf,
    max_bytes: u64,
    entries: Mutex<CacheEntries>,
    removals: Arc<PendingRemovals>,
}

/// How many dropped entries still have files on the disk.
#[derive(Default)]
struct PendingRemovals {
    count: Mutex<usize>,
    changed: Condvar,
}

/// Counts as one of [`PendingRemovals`] until it is dropped.
struct PendingRemoval(Arc<PendingRemovals>);

#[derive(Default)]
struct CacheEntries {
    /// Ordered by last use, the latest at the end.
    kept: Vec<CacheEntry>,
    /// How many files were begun. The number is a part of the name of each file.
    begun: u64,
    /// The content whose files another program removed: fewer than [`MAX_ENTRIES`], as each was kept.
    lost: Vec<Hash>,
}

enum CacheEntry {
    File(Arc<Partial>),
    Manifest { hash: Hash, path: PathBuf, len: u64 },
}

impl CacheEntry {
    fn hash(&self) -> Hash {
        match self {
            Self::File(partial) => partial.spec().descriptor.hash(),
            Self::Manifest { hash, .. } => *hash,
        }
    }

    /// Whether its file was removed.
    fn is_lost(&self) -> bool {
        match self {
            Self::File(partial) => is_missing(&partial.part_path()),
            Self::Manifest { path, .. } => is_missing(path),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::File(partial) => partial.verified_blocks() * BLOCK_SIZE,
            Self::Manifest { len, .. } => *len,
        }
    }
}

impl Cache {
    /// Opens an empty cache of at most `max_bytes`, and removes what an earlier run left. Blocks.
    ///
    /// # Errors
    ///
    /// The folder cannot be created or cleared, or the store is in memory and has no folder.
    pub fn open(store: &Store, max_bytes: u64) -> io::Result<Self> {
        let Some(data) = store.folder() else {
            return Err(io::Error::other("a store in memory has no cache"));
        };
        let folder = data.join(CACHE_FOLDER);
        clear(store, &folder)?;
        files::create_private_folder(&folder)?;
        Ok(Self(Arc::new(CacheInner {
            store: store.clone(),
            folder,
            max_bytes,
            entries: Mutex::default(),
            removals: Arc::default(),
        })))
    }

    /// The cached part of a file, which becomes the entry used last.
    pub fn file(&self, hash: &Hash) -> Option<Arc<Partial>> {
        match self.entries().touch(hash)? {
            CacheEntry::File(partial) => Some(Arc::clone(partial)),
            CacheEntry::Manifest { .. } => None,
        }
    }

    /// The cached part of a file; begins an empty one if there is none. Blocks.
    ///
    /// # Errors
    ///
    /// See [`PartialError`].
    pub fn begin(&self, descriptor: Descriptor) -> Result<Arc<Partial>, PartialError> {
        let hash = descriptor.hash();
        let mut entries = self.entries();
        if let Some(CacheEntry::File(partial)) = entries.touch(&hash) {
            return Ok(Arc::clone(partial));
        }
        // Another program may have removed it.
        let made = files::create_private_folder(&self.0.folder);
        made.map_err(|source| PartialError::Io {
            path: self.0.folder.clone(),
            source,
        })?;
        entries.begun += 1;
        let number = entries.begun;
        let spec = PartialSpec {
            descriptor,
            target: self.0.folder.join(format!("{hash}-{number}")),
            name: hash.to_string(),
            scopes: Scope::Unlisted.into(),
            resume_on_start: false,
            only: Vec::new(),
            part_of: Some(cache_owner(number)),
            overwrite: false,
            is_named: false,
            links: Links::default(),
            strict_names: false,
        };
        let partial = Partial::create_or_resume(&self.0.store, spec, &|_| ())?;
        entries.kept.push(CacheEntry::File(Arc::clone(&partial)));
        Ok(partial)
    }

    /// Stores a manifest. Blocks.
    ///
    /// # Errors
    ///
    /// The manifest cannot be written.
    pub fn keep_manifest(&self, manifest: &Manifest) -> io::Result<()> {
        let (hash, bytes) = (manifest.descriptor().hash(), manifest.to_bytes());
        let path = self.0.folder.join(hash.to_string());
        let mut entries = self.entries();
        if entries.touch(&hash).is_none() {
            let (len, folder) = (bytes.len() as u64, self.0.folder.as_path());
            files::create_private_folder(folder)?;
            self.0
                .store
                .disk_space()
                .check(Writer::Cache, folder, len)?;
            fs::write(&path, &bytes)?;
            entries.kept.push(CacheEntry::Manifest { hash, path, len });
        }
        Ok(())
    }

    /// The manifest with this hash, if it is cached. Blocks.
    pub fn manifest(&self, hash: &Hash) -> Option<Manifest> {
        let path = match self.entries().touch(hash)? {
            CacheEntry::Manifest { path, .. } => path.clone(),
            CacheEntry::File(_) => return None,
        };
        let manifest = Manifest::from_bytes(&fs::read(path).ok()?).ok()?;
        (manifest.descriptor().hash() == *hash).then_some(manifest)
    }

    /// The content whose files were found to be removed by another program, since the last call: it
    /// has to be fetched again.
    pub fn take_lost(&self) -> Vec<Hash> {
        std::mem::take(&mut self.entries().lost)
    }

    /// Drops the entries used least recently until the cache is within its bound, which is lower
    /// while the disk is almost full. Entries that `is_read` accepts are dropped last. Returns the
    /// dropped entries; [`Cache::discard`] removes their files.
    pub fn trim(&self, is_read: impl Fn(&Hash) -> bool) -> Vec<Discarded> {
        self.trim_by(self.excess(), is_read)
    }

    /// How many bytes the cache has to free because the disk is almost full.
    pub fn excess(&self) -> u64 {
        let (disk_space, folder) = (self.0.store.disk_space(), self.0.folder.as_path());
        disk_space.excess_of_cache(folder)
    }

    /// Trims the cache and frees at least `excess` bytes, if it holds that many.
    pub fn trim_by(&self, excess: u64, is_read: impl Fn(&Hash) -> bool) -> Vec<Discarded> {
        let mut entries = self.entries();
        let mut bytes = entries.bytes();
        let max_bytes = self.0.max_bytes.min(bytes.saturating_sub(excess));
        let mut gone = Vec::new();
        while bytes > max_bytes || entries.kept.len() > MAX_ENTRIES {
            let unread = entries
                .kept
                .iter()
                .position(|entry| !is_read(&entry.hash()));
            if entries.kept.is_empty() {
                break;
            }
            let entry = entries.kept.remove(unread.unwrap_or(0));
            bytes -= entry.bytes().min(bytes);
            gone.push(Discarded {
                hash: entry.hash(),
                entry,
                _pending: PendingRemoval::new(&self.0.removals),
            });
        }
        gone
    }

    /// Waits until the files of dropped entries are removed: until then, [`Cache::excess`] counts
    /// their bytes as used. Blocks for at most the time that one entry may take.
    pub fn wait_for_discards(&self) {
        let PendingRemovals { count, changed } = &*self.0.removals;
        changed.wait_while_for(&mut count.lock(), |count| *count > 0, SETTLE_PATIENCE);
    }

    /// Registers `give_up`, which is called with the number of bytes that another writer on this
    /// disk needs.
    pub fn on_demand(&self, give_up: impl Fn(u64) + Send + Sync + 'static) {
        let (disk_space, folder) = (self.0.store.disk_space(), self.0.folder.as_path());
        // A weak reference, because the store holds the closure.
        let inner = Arc::downgrade(&self.0);
        let held = move || {
            inner
                .upgrade()
                .map_or(0, |inner| Self(inner).entries().bytes())
        };
        disk_space.yield_from(folder, held, give_up);
    }

    /// Removes the files of a dropped entry once all writes to them have ended. Blocks.
    pub fn discard(&self, gone: Discarded) {
        let (store, hash) = (&self.0.store, gone.hash);
        let removed = match gone.entry {
            CacheEntry::Manifest { path, .. } => fs::remove_file(path),
            CacheEntry::File(partial) => {
                let spec = partial.spec().clone();
                drop(partial);
                store
                    .remove_part_within(&spec, SETTLE_PATIENCE)
                    .map_err(io::Error::other)
            }
        };
        if let Err(error) = removed {
            tracing::warn!(%hash, %error, "a dropped cache entry cannot be removed");
        }
    }

    fn entries(&self) -> MutexGuard<'_, CacheEntries> {
        self.0.entries.lock()
    }
}

/// An entry that was dropped from the cache.
pub struct Discarded {
    /// The hash of its content.
    pub hash: Hash,
    entry: CacheEntry,
    _pending: PendingRemoval,
}

impl PendingRemoval {
    fn new(removals: &Arc<PendingRemovals>) -> Self {
        *removals.count.lock() += 1;
        Self(Arc::clone(removals))
    }
}

impl Drop for PendingRemoval {
    fn drop(&mut self) {
        *self.0.count.lock() -= 1;
        self.0.changed.notify_all();
    }
}

impl CacheEntries {
    fn bytes(&self) -> u64 {
        self.kept.iter().map(CacheEntry::bytes).sum()
    }

    /// The entry with this hash, which moves to the end. An entry whose file another program removed
    /// is dropped.
    fn touch(&mut self, hash: &Hash) -> Option<&CacheEntry> {
        let at = self.kept.iter().rposition(|entry| entry.hash() == *hash)?;
        let entry = self.kept.remove(at);
        if entry.is_lost() {
            self.lost.push(*hash);
            return None;
        }
        self.kept.push(entry);
        self.kept.last()
    }
}

/// Removes the files that an earlier run left.
fn clear(store: &Store, folder: &Path) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for spec in store.partials()? {
        if spec.part_of.is_some() && spec.target.parent() == Some(folder) {
            store.remove_part(&spec).map_err(io::Error::other)?;
        }
    }
    fs::remove_dir_all(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{describe, link, manifest, on_every_store};

    #[test]
    fn only_cached_content_counts_as_such() {
        on_every_store(|home| {
            let Ok(cache) = Cache::open(&home.store, 1 << 20) else {
                assert!(home.store.folder().is_none());
                return;
            };
            let cached = cache.begin(describe(b"content")).unwrap();
            assert_eq!(cached.spec().writer(), Writer::Cache);
            let mut spec = cached.spec().clone();
            for part_of in [None, Some(spec.descriptor.hash())] {
                spec.part_of = part_of;
                assert_eq!(spec.writer(), Writer::Permanent);
            }
        });
    }

    #[test]
    fn dropped_content_counts_until_it_is_removed() {
        on_every_store(|home| {
            let Ok(cache) = Cache::open(&home.store, 1 << 20) else {
                return;
            };
            cache.wait_for_discards();
            cache.keep_manifest(&manifest([link("a", "b")])).unwrap();
            let gone = cache.trim_by(u64::MAX, |_| false).pop();
            let waiter = cache.clone();
            let waits = std::thread::spawn(move || waiter.wait_for_discards());
            let files = || fs::read_dir(&cache.0.folder).unwrap().count();
            assert!(files() > 0 && !waits.is_finished());
            cache.discard(gone.unwrap());
            waits.join().unwrap();
            assert_eq!(files(), 0);
        });
    }

    #[test]
    fn content_whose_files_another_program_removed_is_begun_again() {
        on_every_store(|home| {
            let Ok(cache) = Cache::open(&home.store, 1 << 20) else {
                return;
            };
            let (folder, content) = (manifest([link("a", "b")]), describe(b"content"));
            let (of_folder, of_file) = (folder.descriptor().hash(), content.hash());
            let keep = || {
                cache.keep_manifest(&folder).unwrap();
                cache.begin(content).unwrap();
                assert_eq!(cache.manifest(&of_folder).as_ref(), Some(&folder));
                assert!(cache.file(&of_file).is_some());
            };
            keep();
            for entry in fs::read_dir(&cache.0.folder).unwrap() {
                fs::remove_file(entry.unwrap().path()).unwrap();
            }
            assert!(cache.manifest(&of_folder).is_none() && cache.file(&of_file).is_none());
            assert_eq!(cache.take_lost(), [of_folder, of_file]);
            keep();
            fs::remove_dir_all(&cache.0.folder).unwrap();
            keep();
        });
    }

    #[test]
    fn content_with_readers_is_dropped_last() {
        on_every_store(|home| {
            let Ok(cache) = Cache::open(&home.store, 1 << 20) else {
                return;
            };
            let manifests = ["a", "b", "c"].map(|name| manifest([link(name, "target")]));
            for manifest in &manifests {
                cache.keep_manifest(manifest).unwrap();
            }
            let read = manifests[0].descriptor().hash();
            let dropped = cache.trim_by(1, |hash| *hash == read);
            assert_eq!(dropped.len(), 1);
            assert_eq!(dropped[0].hash, manifests[1].descriptor().hash());
            let rest = cache.trim_by(u64::MAX, |hash| *hash == read);
            assert_eq!(rest.last().unwrap().hash, read);
            assert!(cache.trim(|_| false).is_empty());
        });
    }
}
