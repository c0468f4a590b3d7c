//! The contents that are fetched for readers only, while they read.
//!
//! Limits how many are fetched at a time, and drops those that were not read for the longest time
//! when the cache or its disk is full.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use pelago_content::Hash;
use tokio::sync::{OnceCell, Semaphore};

use super::read_ahead::ReadAhead;
use crate::{
    store::Cache,
    transfer::{Download, queue::Queues},
};

/// The maximum number of contents that are fetched for readers at a time, including those that
/// their last reader left a moment ago.
const MAX_FETCHED: usize = 64;

/// The maximum number of manifests that are decoded for readers at a time. One may have 64 MiB, and
/// takes several times that in memory.
const MAX_DECODED: usize = 2;

/// The contents that are fetched for readers.
pub(in crate::transfer) struct Fetches {
    /// A permit is held while a manifest is decoded.
    pub(super) decoding: Semaphore,
    pub(super) cache: OnceCell<Cache>,
    /// How far ahead of all readers content is fetched.
    pub(super) read_ahead: ReadAhead,
    /// The maximum number of bytes in the cache.
    pub(super) max_bytes: u64,
    /// The queues of these fetches, which do not wait for downloads.
    pub(in crate::transfer) queues: Queues,
    running: Mutex<HashMap<Hash, Download>>,
}

impl Fetches {
    /// Caches at most `max_bytes`, and fetches at most `read_ahead` bytes ahead of all readers
    /// together.
    pub(in crate::transfer) fn new(max_bytes: u64, read_ahead: u64) -> Self {
        Self {
            read_ahead: ReadAhead::new(read_ahead),
            decoding: Semaphore::new(MAX_DECODED),
            cache: OnceCell::new(),
            max_bytes,
            queues: Queues::new(MAX_FETCHED),
            running: Mutex::default(),
        }
    }

    /// The running fetch of `hash`, or the one that `start` begins. `None` if too many contents are
    /// read.
    pub(super) fn get_or_start(
        &self,
        hash: Hash,
        start: impl FnOnce() -> Download,
    ) -> Option<Download> {
        let mut running = self.running.lock();
        running.retain(|_, fetch| !fetch.state().is_ended());
        if let Some(fetch) = running.get(&hash) {
            return Some(fetch.clone());
        }
        if running.len() >= MAX_FETCHED && !stop_idle(&mut running) {
            return None;
        }
        let fetch = start();
        running.insert(hash, fetch.clone());
        Some(fetch)
    }

    pub(super) fn is_read(&self, hash: &Hash) -> bool {
        let running = self.running.lock();
        let fetch = running.get(hash);
        fetch.is_some_and(|fetch| fetch.windows.idle_since().is_none())
    }

    /// Stops the fetch of content that the cache drops. Its readers begin a new one.
    pub(super) fn stop(&self, hash: &Hash) {
        if let Some(fetch) = self.running.lock().remove(hash) {
            fetch.stop();
        }
    }

    /// Frees as many bytes of the cache as its disk lacks. False if the disk lacks space and the
    /// cache has nothing to free. Blocks until the files are removed.
    pub(super) fn free_excess(&self) -> bool {
        let Some(cache) = self.cache.get() else {
            return false;
        };
        // Another reader may have dropped entries since the disk was full.
        cache.wait_for_discards();
        let excess = cache.excess();
        excess == 0 || self.free(excess)
    }

    /// Frees `bytes` of the cache for a writer on its disk. False if there is nothing to free.
    /// Blocks until the files are removed.
    pub(super) fn free(&self, bytes: u64) -> bool {
        let Some(cache) = self.cache.get() else {
            return false;
        };
        let gone = cache.trim_by(bytes, |hash| self.is_read(hash));
        if gone.is_empty() {
            return false;
        }
        let contents = gone.len();
        tracing::info!(contents, "the gateway's cache freed space on its disk");
        for gone in gone {
            self.stop(&gone.hash);
            cache.discard(gone);
        }
        true
    }

    /// Frees `bytes` whenever a writer on the cache's disk asks for them.
    pub(super) fn free_on_demand(self: &Arc<Self>, cache: &Cache) {
        // A weak reference, as the store holds the closure.
        let fetches = Arc::downgrade(self);
        cache.on_demand(move |bytes| {
            if let Some(fetches) = fetches.upgrade() {
                fetches.free(bytes);
            }
        });
    }

    /// Stops all fetches, as the node shuts down.
    pub(in crate::transfer) fn stop_all(&self) {
        for fetch in self.running.lock().values() {
            fetch.stop();
        }
    }
}

/// Stops the fetch that has been without readers for the longest time; false if all have readers.
fn stop_idle(running: &mut HashMap<Hash, Download>) -> bool {
    let idle = running
        .iter()
        .filter_map(|(hash, fetch)| Some((fetch.windows.idle_since()?, *hash)));
    let Some((_, hash)) = idle.min() else {
        return false;
    };
    if let Some(fetch) = running.remove(&hash) {
        fetch.stop();
    }
    true
}
