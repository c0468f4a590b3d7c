//! One who reads content, whether it is here or has to be fetched first.
//!
//! Owns the order: what is here is given at once; what is not is asked for, as far ahead as the reader
//! wants, and given as soon as it is verified. It holds nothing in memory but what it gives. When it is
//! dropped, nothing is fetched for it any more. Failures leave as a [`ReadError`].

use std::{ops::Range, sync::Arc, time::Duration};

use pelago_content::{BLOCK_SIZE, Descriptor, Hash, Manifest};
use thiserror::Error;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::{
    fetches::{Fetch, ReadRequest},
    read_ahead::ReadAheadShare,
    windows::ReaderWindow,
};
use crate::{
    store::{self, Cache, ManifestsError, PIECE_BLOCKS, Store},
    transfer::{DownloadError, Transfers, WaitReason},
};

/// Pieces, manifests or descriptors after which it is looked whether there is too much of what was read.
const TRIM_INTERVAL: u32 = 16;

/// In how many steps a reader's window goes on, at least.
const STEPS: u64 = 8;

/// Blocks in a step, at most: 4 MiB are some of the largest chunks.
const MAX_STEP: u64 = 256;

/// How much longer a reader waits than whoever fetches for it, who knows best what was tried.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Why content cannot be read, or not any further.
#[derive(Debug, Error)]
pub enum ReadError {
    /// What is here cannot be read.
    #[error(transparent)]
    Here(#[from] store::ReadError),
    /// A manifest that is here cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestsError),
    /// It cannot be fetched.
    #[error(transparent)]
    Fetch(Arc<DownloadError>),
    /// Nothing has come for too long.
    #[error("nothing of {hash} has come for {} s{}", timeout.as_secs(), because(.why))]
    Stalled {
        /// What is read.
        hash: Hash,
        /// How long.
        timeout: Duration,
        /// Why, if that is known.
        why: Option<WaitReason>,
    },
}

fn because(why: &Option<WaitReason>) -> String {
    why.as_ref()
        .map_or_else(String::new, |why| format!(": {why}"))
}

/// One who reads.
pub struct Reader {
    transfers: Transfers,
    request: ReadRequest,
    /// Blocks that are asked for at a time.
    read_ahead: u64,
    fetching: Option<Fetching>,
    found: u32,
    /// The error of the last fetch, if the disk was full: the cache frees room before the next fetch.
    full: Option<Arc<DownloadError>>,
    /// Whether the fetch began again since the last piece was found.
    has_begun_again: bool,
    /// Why what is here cannot be read: it is fetched from others then.
    unreadable: Option<ReadError>,
}

/// By what the content comes, and this reader of it.
struct Fetching {
    fetch: Fetch,
    at: ReaderWindow,
    arrivals: watch::Receiver<u64>,
    /// Where its window ends.
    end: Option<u64>,
    /// What it may ask for ahead, beside all other readers.
    share: ReadAheadShare,
}

/// Something that may be here.
trait Sought: Clone + Send + 'static {
    type Found: Send + 'static;

    /// Whether to look may take a manifest apart.
    const UNFOLDS: bool;

    /// What of it to ask for, with the reader's share of what all may ask for ahead.
    fn blocks(&self, share: &ReadAheadShare) -> Range<u64>;

    /// Whether it is worth while to look again after something has come; to the cache, if that is where
    /// it is fetched to. Costs no call of the system.
    fn may_have_come(&self, store: &Store, cache: Option<&Cache>) -> bool;

    /// Looks for it. Blocks.
    fn look(self, store: &Store, cache: Option<&Cache>) -> Result<Option<Self::Found>, ReadError>;
}

impl Transfers {
    /// Somebody who reads what `request` says, and asks for `read_ahead` bytes at a time of what is not
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
            has_begun_again: false,
            unreadable: None,
        }
    }
}

impl Reader {
    /// Why what is here of it cannot be read, if that was found out since this was last called.
    pub fn take_unreadable(&mut self) -> Option<ReadError> {
        self.unreadable.take()
    }

    /// What the content is.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn descriptor(&mut self) -> Result<Descriptor, ReadError> {
        self.find(Described(self.request.hash)).await
    }

    /// What is in the folder that the content is.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn manifest(&mut self) -> Result<Manifest, ReadError> {
        self.find(Listed(self.request.hash)).await
    }

    /// Some of the first of `bytes` of the file that the content is: what is verified and at most a
    /// piece, but always something, unless nothing is asked for.
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
        let piece = Piece {
            file,
            blocks: first..bytes.end.div_ceil(BLOCK_SIZE),
            read_ahead: self.read_ahead,
            most: self
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

    /// Sees now and then that not too much of what was read is kept.
    fn trim(&mut self) {
        let is_time = self.found.is_multiple_of(TRIM_INTERVAL);
        self.found = self.found.wrapping_add(1);
        if is_time && let Some(cache) = self.transfers.opened_cache() {
            self.transfers.trim_cache(&cache);
        }
    }

    /// Waits until what is sought is here.
    async fn find<S: Sought>(&mut self, sought: S) -> Result<S::Found, ReadError> {
        let (hash, timeout) = (self.request.hash, self.request.timeout);
        let mut deadline = Instant::now() + timeout + LAST_WORD;
        let mut come = None;
        let mut is_first = true;
        // It may have ended while nobody asked: whether it can be had now is another matter.
        self.fetching
            .take_if(|fetching| fetching.fetch.download.state().is_ended());
        loop {
            if let Some(fetching) = &mut self.fetching {
                let blocks = sought.blocks(&fetching.share);
                // From where to is of little weight: another reader's turn comes a little later.
                if fetching.end.replace(blocks.end) != Some(blocks.end) {
                    fetching.at.want(hash, blocks);
                }
                fetching.arrivals.borrow_and_update();
            }
            let cache = self.transfers.opened_cache();
            let store = self.transfers.services.store.clone();
            let is_for_readers = |fetching: &Fetching| fetching.fetch.is_for_readers;
            let fetched_to = match self.fetching.as_ref().is_some_and(is_for_readers) {
                true => cache.as_ref(),
                false => None,
            };
            if is_first || sought.may_have_come(&store, fetched_to) {
                let (sought, cache) = (sought.clone(), cache.clone());
                let looked = {
                    let unfolding = &self.transfers.fetches.unfolding;
                    let _turn = match S::UNFOLDS {
                        true => Some(unfolding.acquire().await.map_err(|_| shutting_down())?),
                        false => None,
                    };
                    spawn_blocking(move || sought.look(&store, cache.as_ref())).await
                };
                match looked.map_err(|error| ReadError::Fetch(Arc::new(error.into())))? {
                    Ok(Some(found)) => {
                        self.has_begun_again = false;
                        self.trim();
                        return Ok(found);
                    }
                    Ok(None) => {}
                    // Others may have what is here and cannot be read.
                    Err(error) => self.unreadable = Some(error),
                }
            }
            let Some(fetching) = &mut self.fetching else {
                self.begin().await?;
                continue;
            };
            is_first = false;
            come = come.or(fetching.fetch.download.status.borrow().verified_bytes);
            let stalled = |fetching: &Fetching| ReadError::Stalled {
                hash,
                timeout,
                why: fetching.fetch.download.status.borrow().waits.clone(),
            };
            let download = fetching.fetch.download.clone();
            tokio::select! {
                biased;
                outcome = download.finished() => {
                    let is_for_readers = fetching.fetch.is_for_readers;
                    self.fetching = None;
                    is_first = true;
                    match outcome {
                        // The reader takes first what has arrived.
                        Err(error) if is_for_readers && error.is_full() => self.full = Some(error),
                        Err(error) if is_for_readers && !matches!(*error, DownloadError::Paused) => {
                            return Err(self.because(ReadError::Fetch(error)));
                        }
                        // What is paused, done or gone is looked for elsewhere.
                        _ => {}
                    }
                }
                _ = timeout_at(deadline, fetching.arrivals.changed()) => {}
            }
            if Instant::now() >= deadline
                && let Some(fetching) = &self.fetching
            {
                // What is large, or slow, comes all the same.
                let now = fetching.fetch.download.status.borrow().verified_bytes;
                if now.is_none() || now == come {
                    let stalled = stalled(fetching);
                    return Err(self.because(stalled));
                }
                come = now;
                deadline = Instant::now() + timeout + LAST_WORD;
            }
        }
    }

    /// What to say if nobody gives it: that what is here cannot be read, if that is why it was asked for.
    fn because(&mut self, failed: ReadError) -> ReadError {
        self.unreadable.take().unwrap_or(failed)
    }

    /// Has the cache free room after a fetch found the disk full; false if it holds nothing to free, or did
    /// so already since the last piece.
    async fn make_room(&mut self) -> bool {
        if std::mem::replace(&mut self.has_begun_again, true) {
            return false;
        }
        let fetches = Arc::clone(&self.transfers.fetches);
        let gone = spawn_blocking(move || fetches.give_up_excess()).await;
        gone.unwrap_or(false)
    }

    /// Begins to have it fetched.
    async fn begin(&mut self) -> Result<(), ReadError> {
        if let Some(full) = self.full.take()
            && !self.make_room().await
        {
            return Err(ReadError::Fetch(full));
        }
        let fetch = self.transfers.fetch(&self.request).await;
        let fetch = fetch.map_err(|error| ReadError::Fetch(Arc::new(error)))?;
        let windows = &fetch.download.windows;
        let (at, arrivals) = (windows.reader(), windows.arrivals());
        self.fetching = Some(Fetching {
            fetch,
            at,
            arrivals,
            end: None,
            share: self.transfers.fetches.read_ahead.enter(),
        });
        Ok(())
    }
}

fn shutting_down() -> ReadError {
    ReadError::Fetch(Arc::new(DownloadError::ShuttingDown))
}

/// What content is.
#[derive(Clone)]
struct Described(Hash);

impl Sought for Described {
    type Found = Descriptor;

    const UNFOLDS: bool = true;

    fn blocks(&self, _: &ReadAheadShare) -> Range<u64> {
        0..0
    }

    fn may_have_come(&self, _: &Store, _: Option<&Cache>) -> bool {
        true
    }

    fn look(self, store: &Store, cache: Option<&Cache>) -> Result<Option<Descriptor>, ReadError> {
        let holding = store.holding(&self.0);
        let holding = holding.map_err(store::ReadError::from)?;
        if let Some((descriptor, _)) = holding {
            return Ok(Some(descriptor));
        }
        let cached = cache.and_then(|cache| cache.file(&self.0));
        if let Some(partial) = cached {
            return Ok(Some(partial.spec().descriptor));
        }
        let manifest = Listed(self.0).look(store, cache)?;
        Ok(manifest.map(|manifest| manifest.descriptor()))
    }
}

/// What is in a folder.
#[derive(Clone)]
struct Listed(Hash);

impl Sought for Listed {
    type Found = Manifest;

    const UNFOLDS: bool = true;

    fn blocks(&self, _: &ReadAheadShare) -> Range<u64> {
        // It is fetched as a whole, whatever is wanted of it.
        0..0
    }

    fn may_have_come(&self, _: &Store, _: Option<&Cache>) -> bool {
        true
    }

    fn look(self, store: &Store, cache: Option<&Cache>) -> Result<Option<Manifest>, ReadError> {
        let fetched = || cache.and_then(|cache| cache.manifest(&self.0));
        match store.manifest(&self.0) {
            Ok(manifest) => Ok(manifest.or_else(fetched)),
            Err(unreadable) => fetched().map_or_else(|| Err(unreadable.into()), |m| Ok(Some(m))),
        }
    }
}

/// The first of these blocks of a file, up to a piece.
#[derive(Clone)]
struct Piece {
    file: Descriptor,
    blocks: Range<u64>,
    read_ahead: u64,
    /// Blocks that are given at a time, at most, of what was fetched for readers.
    most: u64,
}

impl Sought for Piece {
    type Found = Vec<u8>;

    const UNFOLDS: bool = false;

    fn blocks(&self, share: &ReadAheadShare) -> Range<u64> {
        let read_ahead = share.blocks(self.read_ahead);
        // In steps, or all that is asked for at a time would be a piece.
        let step = (read_ahead / STEPS).clamp(PIECE_BLOCKS, MAX_STEP);
        let end = self.blocks.start + read_ahead;
        self.blocks.start..end.next_multiple_of(step).min(self.blocks.end)
    }

    fn may_have_come(&self, store: &Store, cache: Option<&Cache>) -> bool {
        let (hash, first) = (self.file.hash(), self.blocks.start);
        match cache {
            Some(cache) => {
                let cached = cache.file(&hash);
                cached.is_some_and(|partial| partial.run_of(first).is_some())
            }
            // A file that does not grow may just have become whole.
            None => !store.is_growing_without(&hash, first),
        }
    }

    fn look(self, store: &Store, cache: Option<&Cache>) -> Result<Option<Vec<u8>>, ReadError> {
        let (hash, first) = (self.file.hash(), self.blocks.start);
        let end = self.blocks.end.min(first + PIECE_BLOCKS);
        if let Some(partial) = cache.and_then(|cache| cache.file(&hash))
            && partial.run_of(first).is_some()
        {
            let end = end.min(first + self.most);
            return Ok(Some(partial.read_run(first..end)?));
        }
        Ok(store.read_piece(&self.file, first..end)?)
    }
}
