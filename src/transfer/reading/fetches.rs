//! Content that is fetched for those who read it, while they do.
//!
//! Owns which is fetched now, and that it is no more of them than there may be. What is also downloaded
//! is read from there and not fetched twice, as far as that download fetches at all.

use std::{collections::HashMap, io, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use pelago_content::Hash;
use tokio::{
    sync::{OnceCell, Semaphore, mpsc, watch},
    task::spawn_blocking,
};

use super::{read_ahead::ReadAhead, windows::ReadWindows};
use crate::{
    network::PeerAddress,
    store::{Cache, Ending, Links, Scope},
    transfer::{
        Download, DownloadError, DownloadState, DownloadStatus, Output, Request, Transfers,
        WaitReason,
        block_sources::BlockSources,
        download::{Purpose, Services, Task},
        handle::EndReporter,
        queue::Queue,
        transfers::OFFERS_QUEUED,
    },
};

/// Contents that are fetched for readers at a time, at most, with those that are about to be left.
const MAX_FETCHED: usize = 64;

/// Manifests that are taken apart for readers at a time: one may have 64 MiB, and be several times that
/// in memory.
const MAX_UNFOLDED: usize = 2;

/// What is fetched for those who read it.
pub(in crate::transfer) struct Fetches {
    /// Held while a manifest is taken apart.
    pub(in crate::transfer) unfolding: Semaphore,
    cache: OnceCell<Cache>,
    /// How far ahead of all readers content is fetched.
    pub(super) read_ahead: ReadAhead,
    max_bytes: u64,
    queue: Queue,
    fetched: Mutex<HashMap<Hash, Download>>,
}

/// What is to be fetched for a reader.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// What.
    pub hash: Hash,
    /// Whoever has this has it, too: itself, or a folder that it is in.
    pub found_by: Hash,
    /// Peers to ask, beside those that are found.
    pub peers: Vec<PeerAddress>,
    /// How long there may be no source.
    pub timeout: Duration,
}

impl Fetches {
    /// The cache may have `max_bytes`, and `read_ahead` bytes are fetched ahead of all readers together.
    pub(in crate::transfer) fn new(max_bytes: u64, read_ahead: u64) -> Self {
        Self {
            read_ahead: ReadAhead::new(read_ahead),
            unfolding: Semaphore::new(MAX_UNFOLDED),
            cache: OnceCell::new(),
            max_bytes,
            queue: Queue::new(MAX_FETCHED),
            fetched: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Hash, Download>> {
        self.fetched.lock()
    }

    fn is_read(&self, hash: &Hash) -> bool {
        let fetched = self.lock();
        let fetch = fetched.get(hash);
        fetch.is_some_and(|fetch| fetch.windows.idle_since().is_none())
    }

    /// Stops the fetch of content that the cache drops: its readers begin anew.
    fn stop(&self, hash: &Hash) {
        if let Some(fetch) = self.lock().remove(hash) {
            fetch.stop();
        }
    }

    /// Has the cache free as much as its disk lacks; false if it lacks room and the cache holds nothing to
    /// free. Blocks until the files are removed.
    pub(in crate::transfer) fn give_up_excess(&self) -> bool {
        let Some(cache) = self.cache.get() else {
            return false;
        };
        // Another reader may have dropped entries since the disk was full.
        cache.wait_for_discards();
        let excess = cache.excess();
        excess == 0 || self.give_up(excess)
    }

    /// Has the cache free `bytes` for a writer on its disk; false if it holds nothing to free. Blocks until
    /// the files are removed.
    fn give_up(&self, bytes: u64) -> bool {
        let Some(cache) = self.cache.get() else {
            return false;
        };
        let gone = cache.trim_by(bytes, |hash| self.is_read(hash));
        if gone.is_empty() {
            return false;
        }
        let contents = gone.len();
        tracing::info!(contents, "the gateway's cache freed room on its disk");
        for gone in gone {
            self.stop(&gone.hash);
            cache.discard(gone);
        }
        true
    }

    /// Stops all, as the node ends.
    pub(in crate::transfer) fn stop_all(&self) {
        for fetch in self.lock().values() {
            fetch.stop();
        }
    }
}

/// Makes room for one more; false if all are read.
fn make_room(fetched: &mut HashMap<Hash, Download>) -> bool {
    if fetched.len() < MAX_FETCHED {
        return true;
    }
    let idle = fetched
        .iter()
        .filter_map(|(hash, fetch)| Some((fetch.windows.idle_since()?, *hash)));
    let Some((_, hash)) = idle.min() else {
        return false;
    };
    if let Some(fetch) = fetched.remove(&hash) {
        fetch.stop();
    }
    true
}

impl Transfers {
    /// Where content is kept that is read; empty at first.
    ///
    /// # Errors
    /// There is no such place.
    pub(in crate::transfer) async fn cache(&self) -> io::Result<&Cache> {
        let fetches = &self.fetches;
        let open = || async {
            let (store, max_bytes) = (self.services.store.clone(), fetches.max_bytes);
            let opened = spawn_blocking(move || Cache::open(&store, max_bytes)).await;
            opened.map_err(io::Error::other)?
        };
        let open = || async {
            let cache = open().await?;
            // A weak reference: the store holds the closure.
            let fetches = Arc::downgrade(fetches);
            cache.on_demand(move |bytes| {
                if let Some(fetches) = fetches.upgrade() {
                    fetches.give_up(bytes);
                }
            });
            Ok(cache)
        };
        fetches.cache.get_or_try_init(open).await
    }

    /// The same, if anything was ever fetched to be read.
    pub(in crate::transfer) fn opened_cache(&self) -> Option<Cache> {
        self.fetches.cache.get().cloned()
    }

    /// Removes what an earlier run has left of content that was read.
    ///
    /// # Errors
    /// It cannot be removed.
    pub async fn clear_cache(&self) -> io::Result<()> {
        self.cache().await.map(|_| ())
    }

    /// The download by which what `request` asks for comes here: one that a person asked for, if it
    /// fetches now, else one for readers only.
    pub(in crate::transfer) async fn fetch(
        &self,
        request: &ReadRequest,
    ) -> Result<Fetch, DownloadError> {
        if let Some(download) = self.fetching(&request.hash) {
            let is_for_readers = false;
            return Ok(Fetch {
                download,
                is_for_readers,
            });
        }
        let cache = self.cache().await.map_err(DownloadError::Cache)?.clone();
        let hash = request.hash;
        let mut fetched = self.fetches.lock();
        fetched.retain(|_, fetch| !fetch.state().is_ended());
        let running = fetched.get(&hash).cloned();
        let download = match running {
            Some(download) => download,
            None if make_room(&mut fetched) => {
                let download = self.spawn_reading(request, cache);
                fetched.insert(hash, download.clone());
                download
            }
            None => return Err(DownloadError::TooManyRead),
        };
        drop(fetched);
        Ok(Fetch {
            download,
            is_for_readers: true,
        })
    }

    /// The download that somebody asked for and that fetches this now.
    fn fetching(&self, hash: &Hash) -> Option<Download> {
        let folders = self.services.store.folders_fetching(hash);
        let downloads = self.lock();
        let is_fetching = |download: &Download| {
            let status = download.status.borrow();
            let has_turn = !matches!(status.waits, Some(WaitReason::Turn { .. }));
            has_turn && matches!(status.state, DownloadState::Downloading)
        };
        let mut having = downloads.iter().filter(|entry| {
            let theirs = entry.hash();
            entry.is_running() && (theirs == *hash || folders.contains(&theirs))
        });
        having
            .find(|entry| is_fetching(&entry.download))
            .map(|entry| entry.download.clone())
    }

    fn spawn_reading(&self, request: &ReadRequest, cache: Cache) -> Download {
        let hash = request.hash;
        let (status, status_now) = watch::channel(DownloadStatus::new(hash, None));
        let (outcome, outcome_now) = watch::channel(None);
        let (offers, offered) = mpsc::channel(OFFERS_QUEUED);
        let block_sources = BlockSources::default();
        let ending = Arc::new(Ending::default());
        let ended = EndReporter {
            status: status.clone(),
            outcome,
            block_sources: block_sources.clone(),
            metrics: None,
            ending: Arc::clone(&ending),
        };
        let windows = ReadWindows::default();
        // Readers do not queue with downloads: a film that was paused goes on at once.
        let services = Services {
            queue: self.fetches.queue.clone(),
            ..self.services.clone()
        };
        let (windows_now, written_down) = (windows.clone(), block_sources.clone());
        let queued = services.queue.enter(hash, status.clone());
        let purpose = Purpose::Read {
            cache,
            found_by: request.found_by,
        };
        let request = Request {
            hash,
            name: None,
            // Nothing is put anywhere.
            output: Output::Exactly(PathBuf::new()),
            peers: request.peers.clone(),
            allowed: None,
            timeout: request.timeout,
            waits: false,
            only: Vec::new(),
            overwrite: false,
            links: Links::default(),
            strict_names: false,
            may_expand: false,
            durable: false,
            resume_on_start: false,
            seed: false,
            scopes: Scope::Unlisted.into(),
            lists_as_sources: false,
        };
        let run = async move {
            let result = match queued.turn().await {
                Some(turn) => {
                    let task = Task::new(
                        &services,
                        request,
                        purpose,
                        status,
                        offered,
                        written_down,
                        windows,
                    );
                    task.run(turn).await.0
                }
                None => Err(DownloadError::ShuttingDown),
            };
            ended.with(result);
        };
        let task = tokio::spawn(run).abort_handle();
        Download {
            status: status_now,
            outcome: outcome_now,
            offers,
            task: Some(task),
            ending,
            is_to_seed: false,
            scopes: crate::store::Scopes::default(),
            block_sources,
            windows: windows_now,
        }
    }

    /// Has what was not read for the longest time go, where there is too much.
    pub(in crate::transfer) fn trim_cache(&self, cache: &Cache) {
        for gone in cache.trim(|hash| self.fetches.is_read(hash)) {
            self.fetches.stop(&gone.hash);
            let cache = cache.clone();
            spawn_blocking(move || cache.discard(gone));
        }
    }
}

/// How content comes here that is read.
pub(in crate::transfer) struct Fetch {
    pub(in crate::transfer) download: Download,
    pub(in crate::transfer) is_for_readers: bool,
}
