//! All downloads of a node: started, joined, listed, stopped; and the list of them, which outlives it.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use libp2p::PeerId;
use parking_lot::{Mutex, MutexGuard};
use pelago_content::Hash;
use prometheus_client::registry::Registry;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::spawn_blocking,
};
use tracing::Instrument;

use super::{
    Detail, Download, DownloadError, DownloadState, DownloadStatus, Finished, Request,
    TransferSettings,
    download::Services,
    followers::Followers,
    handle::EndReporter,
    metrics::Metrics,
    persistence::ListWriter,
    queue::Queue,
    reading::Fetches,
    reading::ReadWindows,
    run::Run,
    waiting::{InquiryBudget, InquiryKind, MAX_ATTACHED, Offer, Waiters},
};
use crate::{
    limits::Limits,
    network::{Network, PeerAddress},
    store::{Ending, Store},
};

/// Downloads that are done or failed and still listed; the first are forgotten first.
const MAX_ENDED: usize = 100;

/// Peers that people name for one download, at most.
pub(super) const MAX_NAMED: usize = 64;

/// Peers offered to a download that it has not looked at yet, at most.
pub(super) const OFFERS_QUEUED: usize = 64;

/// How long a download that the node resumes looks for a source before it waits for one.
pub(super) const RESUME_TIMEOUT: Duration = Duration::from_secs(30);

/// How long what a stopped download was writing may take to be written.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether it is.
const SETTLE_STEP: Duration = Duration::from_millis(100);

/// The downloads of a node. A handle: clones share them.
#[derive(Clone)]
pub struct Transfers {
    pub(super) services: Services,
    downloads: Arc<Mutex<Vec<ListedDownload>>>,
    /// Whether the list is kept for the next run. Held while it is written.
    pub(super) list_writer: Arc<tokio::sync::Mutex<ListWriter>>,
    /// How often the list has changed.
    pub(super) changes: Arc<AtomicU64>,
    pub(super) metrics: Metrics,
    /// What is fetched for those who read it, and is no download of anybody's.
    pub(super) fetches: Arc<Fetches>,
}

/// A download in the list.
pub(super) struct ListedDownload {
    pub(super) request: Request,
    pub(super) download: Download,
    pub(super) followers: Followers,
    /// Whether somebody paused it, so that the next run does not go on with it.
    pub(super) is_paused: bool,
}

/// Whether a run is the first of what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Anew,
    /// An earlier run may have put some of it in place.
    Again,
}

/// A download that somebody follows. When the last who does goes before its end, it is paused, unless
/// the node was asked to run it by itself.
pub struct Follower {
    transfers: Transfers,
    download: Download,
}

impl ListedDownload {
    pub(super) fn hash(&self) -> Hash {
        self.request.hash
    }

    /// Whether it fetches, or will when it is its turn.
    pub(super) fn is_running(&self) -> bool {
        !self.is_paused && !self.download.state().is_ended()
    }

    /// Has peers asked that a person named since it began. The list keeps them.
    fn add_peers(&mut self, peers: &[PeerAddress]) {
        for address in peers {
            if self.request.peers.len() < MAX_NAMED && !self.request.peers.contains(address) {
                self.request.peers.push(address.clone());
            }
            // One too many is passed over: those before it are being asked.
            let _ = self.download.offers.try_send(Offer::Named(address.clone()));
        }
    }

    /// In what this is not what `request` asks for, if it is not.
    fn differs_from(&self, request: &Request) -> Option<String> {
        let status = self.download.status.borrow();
        let leads_there = |path| request.output.leads_to(path, &status.name);
        let is_there = || status.path.as_deref().is_some_and(leads_there);
        if request.only != self.request.only {
            let all = "all of it".to_owned();
            let chosen = |only: &Vec<String>| match &only[..] {
                [] => all.clone(),
                only => only.join(", "),
            };
            let (now, asked) = (chosen(&self.request.only), chosen(&request.only));
            Some(format!("{now}, and not {asked}"))
        } else if request.output != self.request.output && !is_there() {
            let output = self.request.output.path();
            let path = status.path.as_ref().unwrap_or(output);
            Some(format!("to {}", crate::store::shown(path)))
        } else if request.overwrite != self.request.overwrite {
            let what = if request.overwrite { "not " } else { "" };
            Some(format!("{what}to replace what is there"))
        } else if request.links != self.request.links {
            let (now, asked) = (self.request.links, request.links);
            Some(format!("with --links {now}, and not --links {asked}"))
        } else if request.strict_names != self.request.strict_names {
            let with = |is_strict| if is_strict { "with" } else { "without" };
            Some(format!(
                "{} --strict-names",
                with(self.request.strict_names)
            ))
        } else {
            None
        }
    }
}

impl Transfers {
    /// Downloads from `network`, as fast as `limits` allow, into what `store` keeps track of.
    #[must_use]
    pub fn new(network: Network, limits: Limits, store: Store, settings: TransferSettings) -> Self {
        let queue = Queue::new(settings.max_downloads);
        let fetches = Fetches::new(settings.read_cache, settings.read_ahead);
        let services = Services {
            seeds: Arc::new(AtomicBool::new(settings.seed)),
            network,
            limits,
            store,
            settings,
            queue,
            budget: InquiryBudget::default(),
            waiters: Waiters::default(),
            attached: Arc::new(Semaphore::new(MAX_ATTACHED)),
        };
        Self {
            services,
            downloads: Arc::default(),
            list_writer: Arc::default(),
            changes: Arc::default(),
            metrics: Metrics::new(),
            fetches: Arc::new(fetches),
        }
    }

    /// Changes how many downloads fetch at a time.
    pub fn set_max_downloads(&self, at_a_time: usize) {
        self.services.queue.set_at_a_time(at_a_time);
    }

    /// Changes whether what is done is shared on.
    pub fn set_seed(&self, seed: bool) {
        self.services.seeds.store(seed, Ordering::Relaxed);
    }

    /// Whether what is done is shared on.
    #[must_use]
    pub fn seeds(&self) -> bool {
        self.services.seeds.load(Ordering::Relaxed)
    }

    /// What this room counts.
    #[must_use]
    pub fn metrics(&self) -> &Registry {
        &self.metrics.registry
    }

    /// Starts a download, or joins the one of the same hash that is under way, for the node to run
    /// whether somebody follows it or not.
    ///
    /// # Errors
    /// [`DownloadError::Differs`], if the one under way is not as this was asked for.
    pub fn start(&self, request: Request) -> Result<Download, DownloadError> {
        self.join(request, Followers::run_detached)
    }

    /// The same for somebody who follows it.
    ///
    /// # Errors
    /// As [`Transfers::start`].
    pub fn follow(&self, request: Request) -> Result<Follower, DownloadError> {
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
    ) -> Result<Download, DownloadError> {
        let mut downloads = self.lock();
        let hash = request.hash;
        let same = downloads.iter().position(|entry| entry.hash() == hash);
        if let Some(entry) = same.map(|at| &mut downloads[at])
            && entry.is_running()
        {
            if let Some(differs) = entry.differs_from(&request) {
                return Err(DownloadError::Differs { hash, differs });
            }
            join(&mut entry.followers);
            entry.add_peers(&request.peers);
            return Ok(entry.download.clone());
        }
        let before = same.map(|at| downloads.remove(at).download);
        let status = DownloadStatus::new(hash, request.name.clone());
        let download = self.spawn(request.clone(), status, before, Attempt::Anew);
        let mut followers = Followers::default();
        join(&mut followers);
        downloads.push(ListedDownload {
            request,
            download: download.clone(),
            followers,
            is_paused: false,
        });
        forget_ended(&mut downloads);
        Ok(download)
    }

    /// Begins a run of a download of which `status` is known, after the one `before` has come to its end.
    pub(super) fn spawn(
        &self,
        request: Request,
        status: DownloadStatus,
        before: Option<Download>,
        begun: Attempt,
    ) -> Download {
        let hash = request.hash;
        let (status, status_now) = watch::channel(status);
        let (outcome, outcome_now) = watch::channel(None);
        let (offers, offered) = mpsc::channel(OFFERS_QUEUED);
        let (is_to_seed, scopes) = (request.seed, request.scopes.clone());
        // Who sent what before a pause is of interest after it, too.
        let block_sources = before.as_ref().map(|before| before.block_sources.clone());
        let block_sources = block_sources.unwrap_or_default();
        let ending = Arc::new(Ending::default());
        // Made out here, so that a task which is stopped before it first ran has ended, too.
        let ended = EndReporter {
            status: status.clone(),
            outcome,
            block_sources: block_sources.clone(),
            metrics: Some(self.metrics.clone()),
            ending: Arc::clone(&ending),
        };
        // What waited for a source when the node ended goes on waiting.
        let is_waiting = status.borrow().state == DownloadState::Waiting;
        let enter = || self.services.queue.enter(hash, status.clone());
        let queued = (!is_waiting).then(enter);
        let windows = ReadWindows::default();
        let (transfers, windows_now) = (self.clone(), windows.clone());
        let run = Run {
            request,
            status,
            block_sources: block_sources.clone(),
            windows,
            ending: Arc::clone(&ending),
            offered,
        };
        let run = async move {
            if let Some(before) = before {
                transfers.settle(hash, &before).await;
            }
            if begun == Attempt::Anew {
                let store = transfers.services.store.clone();
                let forget = spawn_blocking(move || store.forget_receipt(&hash)).await;
                if let Ok(Err(error)) = forget {
                    tracing::debug!(%error, "the receipt of an earlier download stays");
                }
            }
            let result = run.until_end(&transfers, queued).await;
            let result = ended.unless_stopped(result);
            log_end(&result);
            ended.with(result);
            transfers.save_or_log().await;
        };
        let span = tracing::info_span!("download", %hash);
        let task = tokio::spawn(run.instrument(span)).abort_handle();
        Download {
            status: status_now,
            outcome: outcome_now,
            offers,
            task: Some(task),
            ending,
            is_to_seed,
            scopes,
            block_sources,
            windows: windows_now,
        }
    }

    /// Waits until nothing of a run that was stopped goes on.
    pub(super) async fn settle(&self, hash: Hash, download: &Download) {
        download.ended().await;
        self.services.store.interrupt(&hash);
        self.settle_writes(hash, true).await;
    }

    /// Waits until nothing that a run began to write goes on, or to prove, if it was stopped.
    pub(super) async fn settle_writes(&self, hash: Hash, is_stopped: bool) {
        let store = self.services.store.clone();
        let is_free = move || {
            let end = Instant::now() + SETTLE_PATIENCE;
            while Instant::now() < end {
                // What begins to be proven just now ends, too.
                if store.is_free_within(&hash, SETTLE_STEP) {
                    return true;
                }
                if is_stopped {
                    store.interrupt(&hash);
                }
            }
            false
        };
        if let Ok(false) = spawn_blocking(is_free).await {
            tracing::warn!(%hash, "what was stopped is still being written");
        }
    }

    /// A peer is join in `hash`, so it may have some of it: if that is being downloaded, the peer
    /// is asked. One too many is passed over.
    pub fn offer(&self, hash: &Hash, peer: PeerId) {
        let downloads = self.lock();
        let same = downloads.iter().find(|entry| entry.hash() == *hash);
        if let Some(entry) = same.filter(|entry| entry.is_running()) {
            let _ = entry.download.offers.try_send(Offer::Asked(peer));
        }
    }

    /// A peer lists `hash`: if a download waits for it, it begins again.
    pub fn offer_listed(&self, hash: &Hash, peer: PeerId) {
        let downloads = self.lock();
        let same = downloads.iter().find(|entry| entry.hash() == *hash);
        if let Some(entry) = same.filter(|entry| entry.is_running()) {
            let _ = entry.download.offers.try_send(Offer::Listed(peer));
        }
    }

    /// How many downloads wait for a source, as that changes.
    #[must_use]
    pub fn waiters(&self) -> watch::Receiver<usize> {
        self.services.waiters.count()
    }

    /// What waits for a source.
    #[must_use]
    pub fn waiting(&self) -> HashSet<Hash> {
        let downloads = self.lock();
        let is_waiting = |entry: &&ListedDownload| {
            entry.is_running() && entry.download.state() == DownloadState::Waiting
        };
        downloads
            .iter()
            .filter(is_waiting)
            .map(ListedDownload::hash)
            .collect()
    }

    /// The peers that people named for a download.
    pub(super) fn named(&self, hash: &Hash) -> Vec<PeerAddress> {
        let downloads = self.lock();
        let same = downloads.iter().find(|entry| entry.hash() == *hash);
        same.map(|entry| entry.request.peers.clone())
            .unwrap_or_default()
    }

    /// Waits until the node may ask a peer what it lists, for the sake of downloads that wait.
    pub async fn may_list(&self) {
        self.services.budget.permit(InquiryKind::Listing).await;
    }

    /// What is known of each download, in their order.
    #[must_use]
    pub fn list(&self) -> Vec<DownloadStatus> {
        let downloads = self.lock();
        let status = |entry: &ListedDownload| entry.download.status.borrow().clone();
        downloads.iter().map(status).collect()
    }

    /// Where the blocks of a download came from; none, if it is not listed.
    #[must_use]
    pub fn detail(&self, hash: &Hash) -> Option<Detail> {
        let downloads = self.lock();
        let same = downloads.iter().find(|entry| entry.hash() == *hash);
        same.map(|entry| entry.download.block_sources.detail())
    }

    /// Who wants a download to go on; nobody, if it is not listed.
    #[must_use]
    pub fn followers(&self, hash: &Hash) -> Followers {
        let downloads = self.lock();
        let same = downloads.iter().find(|entry| entry.hash() == *hash);
        same.map(|entry| entry.followers).unwrap_or_default()
    }

    /// Stops all downloads, as the node ends; the next run resumes them. Returns those that are too late
    /// to stop, as their content is being put in place: wait for their ends.
    pub fn stop_all(&self) -> Vec<Download> {
        self.fetches.stop_all();
        let downloads = self.lock();
        // From the last on, so that nobody begins in the place of one that was stopped.
        let late = downloads.iter().rev().filter(|entry| !self.stop(entry));
        late.map(|entry| entry.download.clone()).collect()
    }

    /// Stops a run, and what is being proven for it. False if it is too late, as for [`Download::stop`].
    pub(super) fn stop(&self, entry: &ListedDownload) -> bool {
        let is_stopped = entry.download.stop();
        if is_stopped {
            self.services.store.interrupt(&entry.hash());
        }
        is_stopped
    }

    /// A follower of this run goes.
    fn leave(&self, download: &Download) {
        let mut downloads = self.lock();
        let followed = downloads
            .iter_mut()
            .find(|entry| entry.download.is_same_run(download));
        let Some(entry) = followed else { return };
        if entry.followers.leave() && entry.is_running() && self.stop(entry) {
            entry.is_paused = true;
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

/// Says how a download ended, within its span.
fn log_end(result: &Result<Finished, DownloadError>) {
    match result {
        Ok(finished) => tracing::info!(
            name = finished.name,
            path = %finished.path.display(),
            fetched_bytes = finished.fetched_bytes,
            seconds = finished.elapsed.as_secs_f64(),
            sources = finished.sources,
            "downloaded"
        ),
        Err(error) => tracing::info!(%error, "not downloaded"),
    }
}

/// Forgets the first of those that are over, where there are too many. What is paused is not over.
fn forget_ended(downloads: &mut Vec<ListedDownload>) {
    let is_over = |entry: &ListedDownload| {
        let state = entry.download.state();
        matches!(state, DownloadState::Done | DownloadState::Failed)
    };
    let over = downloads.iter().filter(|entry| is_over(entry)).count();
    let mut too_many = over.saturating_sub(MAX_ENDED);
    downloads.retain(|entry| {
        let is_one_too_many = too_many > 0 && is_over(entry);
        too_many -= usize::from(is_one_too_many);
        !is_one_too_many
    });
}

impl Follower {
    /// The download.
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
