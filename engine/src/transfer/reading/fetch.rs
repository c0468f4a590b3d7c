//! How content is fetched for a reader, and the cache that it goes to.
//!
//! Content that is also downloaded is read from that download and not fetched twice, as long as the
//! download fetches.

use std::{io, time::Duration};

use pelago_content::Hash;
use pelago_groups::GroupId;
use tokio::task::spawn_blocking;

use crate::{
    network::PeerAddress,
    store::Cache,
    transfer::{
        Download, DownloadState, DownloadStatus, TransferError, Transfers, WaitReason, Wanted,
        request::Purpose,
    },
};

/// What to fetch for a reader.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// The hash of the content.
    pub hash: Hash,
    /// Every peer that has this has the content: the content itself, or a folder with it.
    pub found_by: Hash,
    /// Peers to ask, in addition to those that discovery finds.
    pub peers: Vec<PeerAddress>,
    /// The group in which to fetch it.
    pub group: Option<GroupId>,
    /// How long the fetch continues without a source.
    pub timeout: Duration,
}

/// The run that fetches content for a reader.
pub(super) struct Fetch {
    pub(super) download: Download,
    /// Whether it fetches only what readers want.
    pub(super) is_for_readers: bool,
}

impl Transfers {
    /// The cache of content that is only read. It is opened at the first call, and is empty then.
    ///
    /// # Errors
    /// The cache cannot be opened.
    async fn cache(&self) -> io::Result<&Cache> {
        let fetches = &self.fetches;
        let open = || async {
            let (store, max_bytes) = (self.services.store.clone(), fetches.max_bytes);
            let opened = spawn_blocking(move || Cache::open(&store, max_bytes)).await;
            let cache = opened.map_err(io::Error::other)??;
            fetches.free_on_demand(&cache);
            Ok(cache)
        };
        fetches.cache.get_or_try_init(open).await
    }

    /// The cache, if it was opened.
    pub(super) fn opened_cache(&self) -> Option<Cache> {
        self.fetches.cache.get().cloned()
    }

    /// Removes what an earlier run of the node cached.
    ///
    /// # Errors
    /// It cannot be removed.
    pub async fn clear_cache(&self) -> io::Result<()> {
        self.cache().await.map(|_| ())
    }

    /// The run that fetches what `request` asks for: a download of the list if it fetches now, else
    /// one for readers only.
    pub(super) async fn fetch(&self, request: &ReadRequest) -> Result<Fetch, TransferError> {
        if let Some(download) = self.fetching(&request.hash) {
            return Ok(Fetch {
                download,
                is_for_readers: false,
            });
        }
        let cache = self.cache().await.map_err(TransferError::Cache)?.clone();
        let start = || self.spawn_reading(request, cache);
        let download = self.fetches.get_or_start(request.hash, start);
        Ok(Fetch {
            download: download.ok_or(TransferError::TooManyRead)?,
            is_for_readers: true,
        })
    }

    /// The download of the list that fetches `hash` now.
    fn fetching(&self, hash: &Hash) -> Option<Download> {
        let folders = self.services.store.folders_fetching(hash);
        let downloads = self.lock();
        let is_fetching = |download: &Download| {
            let status = download.status.borrow();
            let has_turn = !matches!(status.waits, Some(WaitReason::Turn { .. }));
            has_turn && matches!(status.state, DownloadState::Downloading)
        };
        let mut having = downloads.iter().filter(|listed| {
            let theirs = listed.hash();
            listed.is_running() && (theirs == *hash || folders.contains(&theirs))
        });
        having
            .find(|listed| is_fetching(&listed.download))
            .map(|listed| listed.download.clone())
    }

    fn spawn_reading(&self, request: &ReadRequest, cache: Cache) -> Download {
        let wanted = Wanted {
            hash: request.hash,
            peers: request.peers.clone(),
            allowed: None,
            group: request.group,
            timeout: request.timeout,
            waits: false,
            gives_up: false,
        };
        let purpose = Purpose::Read {
            cache,
            found_by: request.found_by,
        };
        let status = DownloadStatus::new(request.hash, None);
        self.spawn(wanted, purpose, status, None)
    }

    /// Ends the fetches of content whose cached files another program removed: they take it for
    /// fetched. Their readers begin new ones.
    pub(super) fn fetch_lost_again(&self) {
        for hash in self.opened_cache().iter().flat_map(Cache::take_lost) {
            self.fetches.stop(&hash);
        }
    }

    /// Drops what was not read for the longest time, if the cache is too large.
    pub(super) fn trim_cache(&self, cache: &Cache) {
        for gone in cache.trim(|hash| self.fetches.is_read(hash)) {
            self.fetches.stop(&gone.hash);
            let cache = cache.clone();
            spawn_blocking(move || cache.discard(gone));
        }
    }
}
