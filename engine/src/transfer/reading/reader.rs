//! One reader of content, which is here or must be fetched first.
//!
//! Data on the disk is returned immediately. Missing data is fetched, as far ahead as the reader
//! wants, and returned as soon as it is verified. A reader keeps nothing in memory but what it
//! returns; when it is dropped, its fetch ends. Failures are reported as a [`ReadError`].

use std::{ops::Range, sync::Arc, time::Duration};

use pelago_content::{BLOCK_SIZE, Descriptor, Hash, Manifest};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::{
    fetch::{Fetch, ReadRequest},
    lookup::{DescriptorLookup, Lookup, ManifestLookup, PieceLookup, ReadError},
    read_ahead::ReadAheadShare,
    windows::ReaderWindow,
};
use crate::{
    store::{Cache, PIECE_BLOCKS},
    transfer::{TransferError, Transfers},
};

/// After this many lookups, a reader checks whether the cache is too large.
const TRIM_INTERVAL: u32 = 16;

/// How much longer a reader waits than its fetch, which knows better what was tried.
const LAST_WORD: Duration = Duration::from_secs(1);

/// A reader of content.
pub struct Reader {
    transfers: Transfers,
    request: ReadRequest,
    /// The number of blocks to fetch ahead.
    read_ahead: u64,
    fetching: Option<Fetching>,
    /// The number of lookups that succeeded.
    found: u32,
    /// The error of the last fetch, if the disk was full. The cache frees space before the next
    /// fetch.
    full: Option<Arc<TransferError>>,
    /// Whether the cache has freed space since the last lookup that succeeded.
    has_freed_space: bool,
    /// Why data on the disk cannot be read, in which case it is fetched.
    unreadable: Option<ReadError>,
}

/// The fetch that a reader waits for, and the reader's part in it.
struct Fetching {
    fetch: Fetch,
    window: ReaderWindow,
    arrivals: watch::Receiver<u64>,
    /// Where the window ends.
    end: Option<u64>,
    /// How much of the read-ahead this reader may use, beside all others.
    share: ReadAheadShare,
}

impl Transfers {
    /// A reader of what `request` names, which fetches `read_ahead` bytes ahead of what is not
    /// here.
    #[must_use]
    pub fn reader(&self, request: ReadRequest, read_ahead: u64) -> Reader {
        Reader {
            transfers: self.clone(),
            request,
            read_ahead: read_ahead.div_ceil(BLOCK_SIZE).max(PIECE_BLOCKS),
            fetching: None,
            found: 0,
            full: None,
            has_freed_space: false,
            unreadable: None,
        }
    }
}

impl Reader {
    /// Why data on the disk cannot be read, if that turned out since the last call.
    pub fn take_unreadable(&mut self) -> Option<ReadError> {
        self.unreadable.take()
    }

    /// Kind, size and root of the content.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn descriptor(&mut self) -> Result<Descriptor, ReadError> {
        self.find(DescriptorLookup(self.request.hash)).await
    }

    /// The manifest of the folder that the content is.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn manifest(&mut self) -> Result<Manifest, ReadError> {
        self.find(ManifestLookup(self.request.hash)).await
    }

    /// The beginning of `bytes` of the file that the content is: verified, at most a piece, and not
    /// empty unless `bytes` is.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn piece(
        &mut self,
        file: Descriptor,
        bytes: Range<u64>,
    ) -> Result<Vec<u8>, ReadError> {
        if bytes.is_empty() {
            return Ok(Vec::new());
        }
        let first = bytes.start / BLOCK_SIZE;
        let piece = PieceLookup {
            file,
            blocks: first..bytes.end.div_ceil(BLOCK_SIZE),
            read_ahead: self.read_ahead,
            max_blocks: self
                .fetching
                .as_ref()
                .map_or(PIECE_BLOCKS, |fetching| fetching.share.piece_blocks()),
        };
        let mut data = self.find(piece).await?;
        data.drain(..((bytes.start - first * BLOCK_SIZE) as usize).min(data.len()));
        let wanted = (bytes.end - bytes.start).min(data.len() as u64);
        data.truncate(wanted as usize);
        Ok(data)
    }

    /// Trims the cache from time to time.
    fn trim(&mut self) {
        let is_time = self.found.is_multiple_of(TRIM_INTERVAL);
        self.found = self.found.wrapping_add(1);
        if is_time && let Some(cache) = self.transfers.opened_cache() {
            self.transfers.trim_cache(&cache);
        }
    }

    /// Waits until the value is here.
    async fn find<L: Lookup>(&mut self, lookup: L) -> Result<L::Value, ReadError> {
        let (hash, timeout) = (self.request.hash, self.request.timeout);
        let mut deadline = Instant::now() + timeout + LAST_WORD;
        let mut verified_before = None;
        let mut is_first = true;
        // A fetch that ended while the reader was idle says nothing about now.
        self.fetching
            .take_if(|fetching| fetching.fetch.download.state().is_ended());
        loop {
            if let Some(fetching) = &mut self.fetching {
                fetching.want(&lookup, hash);
            }
            let cache = self.transfers.opened_cache();
            let is_for_readers = |fetching: &Fetching| fetching.fetch.is_for_readers;
            let fetched_to = match self.fetching.as_ref().is_some_and(is_for_readers) {
                true => cache.as_ref(),
                false => None,
            };
            let store = &self.transfers.services.store;
            if is_first || lookup.may_have_arrived(store, fetched_to) {
                match self.look_up(lookup.clone(), cache).await? {
                    Ok(Some(found)) => {
                        self.has_freed_space = false;
                        self.trim();
                        return Ok(found);
                    }
                    Ok(None) => {}
                    // Other peers may have the data that cannot be read here.
                    Err(error) => self.unreadable = Some(error),
                }
                self.transfers.fetch_lost_again();
            }
            let Some(fetching) = &mut self.fetching else {
                self.begin_fetch().await?;
                continue;
            };
            is_first = false;
            let download = fetching.fetch.download.clone();
            let verified = || download.status.borrow().verified_bytes;
            verified_before = verified_before.or_else(verified);
            tokio::select! {
                biased;
                outcome = download.finished() => {
                    let is_for_readers = fetching.fetch.is_for_readers;
                    self.fetching = None;
                    is_first = true;
                    match outcome {
                        // The reader first takes what has arrived.
                        Err(error) if is_for_readers && error.is_full() => self.full = Some(error),
                        Err(error) if is_for_readers && !error.is_pause() => {
                            return Err(self.explain(ReadError::Fetch(error)));
                        }
                        // Paused, finished or removed content is looked up again, and else fetched.
                        _ => {}
                    }
                }
                _ = timeout_at(deadline, fetching.arrivals.changed()) => {}
            }
            if Instant::now() >= deadline && self.fetching.is_some() {
                // Content that is large or slow still arrives.
                let verified_now = verified();
                if verified_now.is_none() || verified_now == verified_before {
                    let why = download.status.borrow().waits.clone();
                    return Err(self.explain(ReadError::Stalled { hash, timeout, why }));
                }
                verified_before = verified_now;
                deadline = Instant::now() + timeout + LAST_WORD;
            }
        }
    }

    /// Looks a value up on a blocking thread.
    async fn look_up<L: Lookup>(
        &self,
        lookup: L,
        cache: Option<Cache>,
    ) -> Result<Result<Option<L::Value>, ReadError>, ReadError> {
        let decoding = &self.transfers.fetches.decoding;
        let _permit = match L::DECODES {
            true => Some(decoding.acquire().await.map_err(|_| shutting_down())?),
            false => None,
        };
        let store = self.transfers.services.store.clone();
        let found = spawn_blocking(move || lookup.look_up(&store, cache.as_ref())).await;
        found.map_err(|error| ReadError::Fetch(Arc::new(error.into())))
    }

    /// The error to report if the fetch fails: why data on the disk cannot be read, if that is why
    /// it was fetched.
    fn explain(&mut self, failed: ReadError) -> ReadError {
        self.unreadable.take().unwrap_or(failed)
    }

    /// Frees space in the cache after a fetch found the disk full. False if there is nothing to
    /// free, or if this was tried since the last lookup that succeeded.
    async fn free_space(&mut self) -> bool {
        if std::mem::replace(&mut self.has_freed_space, true) {
            return false;
        }
        let fetches = Arc::clone(&self.transfers.fetches);
        let is_freed = spawn_blocking(move || fetches.free_excess()).await;
        is_freed.unwrap_or(false)
    }

    async fn begin_fetch(&mut self) -> Result<(), ReadError> {
        if let Some(full) = self.full.take()
            && !self.free_space().await
        {
            return Err(ReadError::Fetch(full));
        }
        let fetch = self.transfers.fetch(&self.request).await;
        let fetch = fetch.map_err(|error| ReadError::Fetch(Arc::new(error)))?;
        let windows = &fetch.download.windows;
        let (window, arrivals) = (windows.reader(), windows.arrivals());
        self.fetching = Some(Fetching {
            fetch,
            window,
            arrivals,
            end: None,
            share: self.transfers.fetches.read_ahead.enter(),
        });
        Ok(())
    }
}

impl Fetching {
    /// Moves the window to where the lookup wants it, and takes note of all arrivals so far.
    fn want(&mut self, lookup: &impl Lookup, file: Hash) {
        let blocks = lookup.blocks(&self.share);
        // The start of the window matters little: other readers' blocks just come a little later.
        if self.end.replace(blocks.end) != Some(blocks.end) {
            self.window.want(file, blocks);
        }
        self.arrivals.borrow_and_update();
    }
}

fn shutting_down() -> ReadError {
    ReadError::Fetch(Arc::new(TransferError::ShuttingDown))
}
