//! All downloads of a node: starts, joins, lists and stops them.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use libp2p::PeerId;
use parking_lot::{Mutex, MutexGuard};
use pelago_content::Hash;
use pelago_groups::GroupId;
use prometheus_client::registry::Registry;
use tokio::sync::{broadcast, watch};

use super::{
    Detail, Download, DownloadState, DownloadStatus, Finished, Followers, Request, TransferError,
    TransferSettings,
    list_file::ListWriter,
    listed::ListedDownload,
    metrics::Metrics,
    reading::Fetches,
    request::{Attempt, Purpose},
    services::Services,
    waiting::{InquiryKind, Offer},
};
use crate::{
    access::{CompletedDownloads, Memberships},
    limits::Limits,
    network::{Network, PeerAddress},
    store::Store,
};

/// The maximum number of finished and failed downloads in the list. Beyond it, the oldest is
/// dropped.
const MAX_ENDED: usize = 100;

/// Downloads that are done and of which a receiver has not heard yet, at most.
const MAX_FINISHED: usize = 1024;

/// The downloads of a node. A handle: clones share them.
#[derive(Clone)]
pub struct Transfers {
    pub(super) services: Services,
    downloads: Arc<Mutex<Vec<ListedDownload>>>,
    /// Locked while the list is written.
    pub(super) list_writer: Arc<tokio::sync::Mutex<ListWriter>>,
    /// How often the list has changed.
    pub(super) changes: Arc<AtomicU64>,
    pub(super) metrics: Metrics,
    /// Content that is fetched for readers only, and is in no list.
    pub(super) fetches: Arc<Fetches>,
    /// Tells of each download that is done.
    pub(super) finished: broadcast::Sender<Arc<Finished>>,
}

/// A follower of a download. When the last follower is dropped before the end of the download, the
/// download is paused, unless the node runs it without followers.
pub struct Follower {
    transfers: Transfers,
    download: Download,
}

impl Transfers {
    /// Downloads from `network`, at most as fast as `limits` allow, into `store`; in groups from the
    /// peers that `memberships` names. Reports what is complete to `completed`.
    #[must_use]
    pub fn new(
        network: Network,
        limits: Limits,
        store: Store,
        memberships: Memberships,
        completed: CompletedDownloads,
        settings: TransferSettings,
    ) -> Self {
        let fetches = Fetches::new(settings.read_cache, settings.read_ahead);
        Self {
            services: Services::new(network, limits, store, memberships, completed, settings),
            downloads: Arc::default(),
            list_writer: Arc::default(),
            changes: Arc::default(),
            metrics: Metrics::new(),
            fetches: Arc::new(fetches),
            finished: broadcast::Sender::new(MAX_FINISHED),
        }
    }

    /// The downloads that are done from now on. A receiver that falls behind misses some.
    #[must_use]
    pub fn finished(&self) -> broadcast::Receiver<Arc<Finished>> {
        self.finished.subscribe()
    }

    /// Changes how many downloads fetch at a time.
    pub fn set_max_downloads(&self, at_a_time: usize) {
        self.services.queues.turns.set_at_a_time(at_a_time);
    }

    /// Changes whether finished downloads are shared.
    pub fn set_seed(&self, seed: bool) {
        self.services.seeds.store(seed, Ordering::Relaxed);
    }

    /// Whether finished downloads are shared.
    #[must_use]
    pub fn seeds(&self) -> bool {
        self.services.seeds.load(Ordering::Relaxed)
    }

    /// The listed downloads of which others may fetch what is verified, and which are shared once
    /// they are done. None if the node does not seed.
    #[must_use]
    pub fn seeded(&self) -> HashSet<Hash> {
        if !self.seeds() {
            return HashSet::new();
        }
        let downloads = self.lock();
        let seeded = downloads
            .iter()
            .filter(|listed| listed.removal.is_none() && listed.download.is_to_seed());
        seeded.map(ListedDownload::hash).collect()
    }

    /// The counters of this module.
    #[must_use]
    pub fn metrics(&self) -> &Registry {
        &self.metrics.registry
    }

    /// Starts a download, or joins the running one of the same hash. The node runs it even if
    /// nothing follows it.
    ///
    /// # Errors
    /// [`TransferError::Differs`] if the running download differs from the request;
    /// [`TransferError::Removing`].
    pub fn start(&self, request: Request) -> Result<Download, TransferError> {
        self.join(request, Followers::run_detached)
    }

    /// As [`Transfers::start`], but the download runs for as long as it has followers.
    ///
    /// # Errors
    /// As [`Transfers::start`].
    pub fn follow(&self, request: Request) -> Result<Follower, TransferError> {
        let download = self.join(request, Followers::follow)?;
        Ok(Follower {
            transfers: self.clone(),
            download,
        })
    }

    fn join(
        &self,
        request: Request,
        join: impl FnOnce(&mut Followers),
    ) -> Result<Download, TransferError> {
        let mut downloads = self.lock();
        let hash = request.wanted.hash;
        let same = downloads.iter().position(|listed| listed.hash() == hash);
        if let Some(listed) = same.map(|at| &mut downloads[at])
            && listed.is_running()
        {
            if let Some(differs) = listed.differs_from(&request) {
                return Err(TransferError::Differs { hash, differs });
            }
            join(&mut listed.followers);
            listed.add_peers(&request.wanted.peers);
            return Ok(listed.download.clone());
        }
        if same.is_some_and(|at| downloads[at].removal.is_some()) {
            return Err(TransferError::Removing { hash });
        }
        let before = same.map(|at| downloads.remove(at).download);
        let status = DownloadStatus {
            group: request.wanted.group,
            ..DownloadStatus::new(hash, request.delivery.name.clone())
        };
        let purpose = Purpose::Deliver(Arc::new(request.delivery.clone()), Attempt::First);
        let download = self.spawn(request.wanted.clone(), purpose, status, before);
        let mut followers = Followers::default();
        join(&mut followers);
        downloads.push(ListedDownload {
            request,
            download: download.clone(),
            followers,
            is_paused: false,
            resumes_at: None,
            removal: None,
        });
        drop_oldest_ended(&mut downloads);
        Ok(download)
    }

    /// A peer asks for `hash`, so it may have some of it. If `hash` is being downloaded, the peer
    /// is asked. If too many offers wait, this one is ignored.
    pub fn offer(&self, hash: &Hash, peer: PeerId) {
        self.send_offer(hash, Offer::Asked(peer));
    }

    /// A peer lists `hash`, outside groups or within one. If a download waits for it there, it
    /// resumes.
    pub fn offer_listed(&self, hash: &Hash, group: Option<GroupId>, peer: PeerId) {
        let downloads = self.lock();
        let is_it = |listed: &&ListedDownload| {
            listed.hash() == *hash && listed.request.wanted.group == group
        };
        if let Some(listed) = downloads.iter().find(is_it).filter(|it| it.is_running()) {
            let _ = listed.download.offers.try_send(Offer::Listed(peer));
        }
    }

    /// This node shares all of `hash` now. If a download looks for a source of it, it takes that.
    pub fn offer_own(&self, hash: &Hash) {
        self.send_offer(hash, Offer::Own);
    }

    fn send_offer(&self, hash: &Hash, offer: Offer) {
        let downloads = self.lock();
        let same = downloads.iter().find(|listed| listed.hash() == *hash);
        if let Some(listed) = same.filter(|listed| listed.is_running()) {
            let _ = listed.download.offers.try_send(offer);
        }
    }

    /// The number of downloads that wait for a source, as it changes.
    #[must_use]
    pub fn waiters(&self) -> watch::Receiver<usize> {
        self.services.waiters.count()
    }

    /// The downloads that wait for a source, each with its group.
    #[must_use]
    pub fn waiting(&self) -> HashSet<(Hash, Option<GroupId>)> {
        let downloads = self.lock();
        let is_waiting = |listed: &&ListedDownload| {
            listed.is_running() && listed.download.state() == DownloadState::Waiting
        };
        let waiting = downloads.iter().filter(is_waiting);
        waiting
            .map(|listed| (listed.hash(), listed.request.wanted.group))
            .collect()
    }

    /// Whether a download of `hash` has not ended.
    #[must_use]
    pub fn is_running(&self, hash: &Hash) -> bool {
        let downloads = self.lock();
        let mut same = downloads.iter().filter(|listed| listed.hash() == *hash);
        same.any(ListedDownload::is_running)
    }

    /// The downloads that wait for a source, or look for the first one.
    #[must_use]
    pub fn without_source(&self) -> HashSet<Hash> {
        let is_so = |listed: &&ListedDownload| {
            let state = listed.download.state();
            listed.is_running()
                && matches!(
                    state,
                    DownloadState::Waiting | DownloadState::FindingSources
                )
        };
        let downloads = self.lock();
        downloads
            .iter()
            .filter(is_so)
            .map(ListedDownload::hash)
            .collect()
    }

    /// The peers that the user named for a download.
    pub(super) fn named(&self, hash: &Hash) -> Vec<PeerAddress> {
        let downloads = self.lock();
        let same = downloads.iter().find(|listed| listed.hash() == *hash);
        same.map(|listed| listed.request.wanted.peers.clone())
            .unwrap_or_default()
    }

    /// Waits until the node may ask a peer which content it lists, on behalf of waiting downloads.
    pub async fn may_list(&self) {
        self.services.budget.permit(InquiryKind::Listing).await;
    }

    /// The status of each download, in the order of the list.
    #[must_use]
    pub fn list(&self) -> Vec<DownloadStatus> {
        let downloads = self.lock();
        downloads
            .iter()
            .map(ListedDownload::current_status)
            .collect()
    }

    /// Which source sent which blocks of a download; `None` if the download is not listed.
    #[must_use]
    pub fn detail(&self, hash: &Hash) -> Option<Detail> {
        let downloads = self.lock();
        let same = downloads.iter().find(|listed| listed.hash() == *hash);
        same.map(|listed| listed.download.block_sources.detail())
    }

    /// The followers of a download; none if the download is not listed.
    #[must_use]
    pub fn followers(&self, hash: &Hash) -> Followers {
        let downloads = self.lock();
        let same = downloads.iter().find(|listed| listed.hash() == *hash);
        same.map(|listed| listed.followers).unwrap_or_default()
    }

    /// Stops all downloads as the node shuts down. The next run of the node resumes them. Returns
    /// those that are too late to stop, as their content is being put in its place: wait for their
    /// ends.
    pub fn stop_all(&self) -> Vec<Download> {
        self.fetches.stop_all();
        let downloads = self.lock();
        // In reverse order, so that no waiting download takes the turn of one that was stopped.
        let late = downloads.iter().rev().filter(|listed| !self.stop(listed));
        late.map(|listed| listed.download.clone()).collect()
    }

    /// Stops a run, and the verifying for it. False if it is too late, as for [`Download::stop`].
    pub(super) fn stop(&self, listed: &ListedDownload) -> bool {
        let is_stopped = listed.download.stop();
        if is_stopped {
            self.services.store.interrupt(&listed.hash());
        }
        is_stopped
    }

    /// A follower of this run leaves.
    fn leave(&self, download: &Download) {
        let mut downloads = self.lock();
        let followed = downloads
            .iter_mut()
            .find(|listed| listed.download.is_same_run(download));
        let Some(listed) = followed else { return };
        if listed.followers.leave() && listed.is_running() && self.stop(listed) {
            listed.is_paused = true;
            drop(downloads);
            let (transfers, download) = (self.clone(), download.clone());
            tokio::spawn(async move {
                download.ended().await;
                transfers.save_or_log().await;
            });
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<ListedDownload>> {
        self.downloads.lock()
    }
}

/// Drops the oldest finished and failed downloads if there are too many. Paused ones stay.
fn drop_oldest_ended(downloads: &mut Vec<ListedDownload>) {
    let is_over = |listed: &ListedDownload| {
        let state = listed.download.state();
        matches!(state, DownloadState::Done | DownloadState::Failed)
    };
    let over = downloads.iter().filter(|listed| is_over(listed)).count();
    let mut too_many = over.saturating_sub(MAX_ENDED);
    downloads.retain(|listed| {
        let is_one_too_many = too_many > 0 && is_over(listed);
        too_many -= usize::from(is_one_too_many);
        !is_one_too_many
    });
}

impl Follower {
    /// The download that it follows.
    #[must_use]
    pub const fn download(&self) -> &Download {
        &self.download
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.transfers.leave(&self.download);
    }
}
