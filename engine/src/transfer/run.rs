//! One run of a download or of a reading: its turns to fetch, and the waiting for sources in
//! between.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use pelago_content::Hash;
use tokio::{
    sync::{broadcast, mpsc, watch},
    task::spawn_blocking,
};
use tracing::{Instrument, Span};

use super::{
    Download, DownloadState, DownloadStatus, Finished, TransferError, Transfers, WaitReason,
    Wanted,
    download::Task,
    handle::{EndReporter, Published},
    listed::MAX_NAMED,
    queue::Places,
    reading::ReadWindows,
    request::{Attempt, Purpose},
    services::Services,
    waiting::{FoundSource, Inquiries, Offer, SourceSearch},
};
use crate::{access::Circle, network::PeerAddress, store::DatabaseError};

/// The maximum number of offers that a run has not looked at yet.
const OFFERS_QUEUED: usize = 64;

/// How long the pending writes of a stopped run may take.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// How often it is checked whether they are complete.
const SETTLE_STEP: Duration = Duration::from_millis(100);

/// A run: from its first turn to its end, with all waiting for sources in between.
struct Run {
    services: Services,
    wanted: Wanted,
    purpose: Purpose,
    published: Published,
    offers: mpsc::Receiver<Offer>,
}

impl Transfers {
    /// Begins a run whose initial status is `status`, once the run `before` has ended.
    pub(super) fn spawn(
        &self,
        wanted: Wanted,
        purpose: Purpose,
        status: DownloadStatus,
        before: Option<Download>,
    ) -> Download {
        let hash = wanted.hash;
        let (status, status_now) = watch::channel(status);
        let (outcome, outcome_now) = watch::channel(None);
        let (offers, offers_received) = mpsc::channel(OFFERS_QUEUED);
        // Which source sent what before a pause is of interest after it, too.
        let block_sources = before.as_ref().map(|before| before.block_sources.clone());
        let published = Published {
            status,
            block_sources: block_sources.unwrap_or_default(),
            windows: ReadWindows::default(),
            ending: Arc::default(),
        };
        let delivery = purpose.delivery().cloned();
        let (queues, span) = match &delivery {
            Some(_) => (
                &self.services.queues,
                tracing::info_span!("download", %hash),
            ),
            // Readers do not queue with downloads: a film that was paused resumes immediately.
            None => (&self.fetches.queues, Span::none()),
        };
        let services = Services {
            queues: queues.clone(),
            ..self.services.clone()
        };
        // Made before the task, so that a task which is stopped before it first runs ends, too.
        let reporter = EndReporter {
            published: published.clone(),
            outcome,
            metrics: delivery.is_some().then(|| self.metrics.clone()),
        };
        // A download that waited for a source when the node ended still waits for one.
        let is_waiting = published.status.borrow().state == DownloadState::Waiting;
        let places = (!is_waiting).then(|| queues.enter(hash, &published.status));
        let download = Download {
            status: status_now,
            outcome: outcome_now,
            offers,
            task: None,
            ending: Arc::clone(&published.ending),
            is_to_seed: delivery.as_ref().is_some_and(|delivery| delivery.seed),
            scopes: delivery.map_or_else(Default::default, |delivery| delivery.scopes.clone()),
            block_sources: published.block_sources.clone(),
            windows: published.windows.clone(),
        };
        let run = Run {
            services,
            wanted,
            purpose,
            published,
            offers: offers_received,
        };
        let ended = self.clone().end_of(run, places, before, reporter);
        let task = tokio::spawn(ended.instrument(span)).abort_handle();
        Download {
            task: Some(task),
            ..download
        }
    }

    /// Carries out a run, and reports its end.
    async fn end_of(
        self,
        run: Run,
        places: Option<Places>,
        before: Option<Download>,
        reporter: EndReporter,
    ) {
        let hash = run.wanted.hash;
        if let Some(before) = before {
            self.settle(hash, &before).await;
        }
        if matches!(run.purpose, Purpose::Deliver(_, Attempt::First)) {
            self.forget_earlier_receipt(hash).await;
        }
        let is_reading = run.purpose.is_reading();
        let result = run.until_end_or_loss(&self, places, &reporter).await;
        if is_reading {
            return reporter.report(result);
        }
        log_end(&result);
        if let Ok(finished) = &result {
            // It fails if no one listens.
            let _ = self.finished.send(Arc::new(finished.clone()));
        }
        reporter.report(result);
        self.save_or_log().await;
    }

    /// Waits until a stopped run has ended, with all that it began.
    pub(super) async fn settle(&self, hash: Hash, download: &Download) {
        download.ended().await;
        self.services.store.interrupt(&hash);
        self.settle_writes(hash, true).await;
    }

    /// Waits until all writes that a run began are complete; and, if it was stopped, its verifying,
    /// too.
    pub(super) async fn settle_writes(&self, hash: Hash, is_stopped: bool) {
        let store = self.services.store.clone();
        let is_free = move || {
            let end = Instant::now() + SETTLE_PATIENCE;
            while Instant::now() < end {
                if store.is_free_within(&hash, SETTLE_STEP) {
                    return true;
                }
                // Verifying that begins just now ends, too.
                if is_stopped {
                    store.interrupt(&hash);
                }
            }
            false
        };
        if let Ok(false) = spawn_blocking(is_free).await {
            tracing::warn!(%hash, "a stopped download is still writing");
        }
    }

    async fn forget_earlier_receipt(&self, hash: Hash) {
        let store = self.services.store.clone();
        let forgotten = spawn_blocking(move || store.forget_receipt(&hash)).await;
        if let Ok(Err(error)) = forgotten {
            tracing::debug!(%error, "the receipt of an earlier download could not be removed");
        }
    }
}

/// Logs how a download ended, within its span.
fn log_end(result: &Result<Finished, TransferError>) {
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

impl Run {
    /// Runs to the end, or until this node leaves the group in which it looks for the content.
    /// Returns the result that counts.
    async fn until_end_or_loss(
        self,
        transfers: &Transfers,
        places: Option<Places>,
        reporter: &EndReporter,
    ) -> Result<Finished, TransferError> {
        let (hash, ending) = (self.wanted.hash, Arc::clone(&self.published.ending));
        let circle = Circle::of(self.wanted.group, &self.services.memberships);
        let mut running = pin!(self.until_end(transfers, places));
        tokio::select! {
            result = &mut running => reporter.unless_stopped(result),
            group = circle.lost() => match ending.stop() {
                true => Err(TransferError::NotAMember { hash, group }),
                // It is being put in place.
                false => reporter.unless_stopped(running.await),
            },
        }
    }

    /// Runs at its turns. Without places in the queues, the run waits for a source first.
    async fn until_end(
        mut self,
        transfers: &Transfers,
        places: Option<Places>,
    ) -> Result<Finished, TransferError> {
        let mut inquiries = Inquiries::new(&self.wanted.peers, Instant::now());
        let mut places = match places {
            Some(places) => places,
            None => {
                let arrivals = self.services.network.arrivals();
                self.wait_for_source(transfers, &mut inquiries, arrivals)
                    .await
            }
        };
        loop {
            // From now on: a peer that connects when the turn ends is asked while the run waits.
            let arrivals = self.services.network.arrivals();
            let Places { mut look, turn } = places;
            let look = look.turn().await;
            let before = self.published.status.borrow().verified_bytes;
            let task = Task::new(
                self.services.clone(),
                self.wanted.clone(),
                self.purpose.clone(),
                self.published.clone(),
                self.offers,
            );
            let (result, offers) = task.run(look, turn).await;
            self.offers = offers;
            let tried = match result {
                Err(TransferError::NoSource { tried, .. }) if self.wanted.waits => tried,
                result => return result,
            };
            tracing::info!(tried, "waiting for a source");
            if self.published.status.borrow().verified_bytes > before {
                // Peers that were asked in vain before may have some of it now.
                inquiries = Inquiries::new(&self.wanted.peers, Instant::now());
            }
            self.show_waiting(tried);
            // After a restart the node still waits.
            transfers.save_or_log().await;
            transfers.settle_writes(self.wanted.hash, false).await;
            places = self
                .wait_for_source(transfers, &mut inquiries, arrivals)
                .await;
        }
    }

    fn show_waiting(&self, tried: String) {
        self.published.status.send_modify(|status| {
            let since = match status.waits {
                Some(WaitReason::Source { since, .. }) => since,
                _ => Instant::now(),
            };
            status.state = DownloadState::Waiting;
            status.waits = Some(WaitReason::Source { since, tried });
            (status.sources, status.bytes_per_second) = (0, 0);
        });
    }

    /// Waits until a peer says that it has the content, which is asked first then, or until this
    /// node shares it. Returns places in the queues.
    async fn wait_for_source(
        &mut self,
        transfers: &Transfers,
        inquiries: &mut Inquiries,
        arrivals: broadcast::Receiver<PeerId>,
    ) -> Places {
        inquiries.know(&transfers.named(&self.wanted.hash), Instant::now());
        let _waiter = self.services.waiters.enter();
        let circle = Circle::of(self.wanted.group, &self.services.memberships);
        let search = SourceSearch {
            circle: &circle,
            network: &self.services.network,
            budget: &self.services.budget,
            wanted: &self.wanted,
            stall: self.services.settings.stall,
        };
        // This node may have begun to share it during the last turn.
        let found = match self.is_shared_here().await {
            true => FoundSource::Own,
            false => search.found(inquiries, &mut self.offers, arrivals).await,
        };
        match found {
            FoundSource::Peer(peer) => {
                tracing::info!(%peer, "a source turned up");
                self.ask_first(peer);
            }
            FoundSource::Own => tracing::info!("this node shares the content now"),
        }
        self.published.status.send_modify(|status| {
            status.state = DownloadState::Queued;
            status.waits = None;
        });
        let queues = &self.services.queues;
        queues.enter(self.wanted.hash, &self.published.status)
    }

    /// Whether this node shares all of the content, where that counts. If the database cannot be read, it does not.
    async fn is_shared_here(&self) -> bool {
        let (store, wanted) = (self.services.store.clone(), self.wanted.clone());
        let is_here = move || {
            Ok::<_, DatabaseError>(
                wanted.is_offered_here(&store)? && !store.whole(&wanted.hash)?.is_empty(),
            )
        };
        let is_here = spawn_blocking(is_here).await;
        is_here.is_ok_and(|is_here| is_here.unwrap_or(false))
    }

    /// Makes the next turn ask `peer` first. If there are too many peers, the last one is dropped.
    fn ask_first(&mut self, peer: PeerId) {
        let address = PeerAddress::from(Multiaddr::empty().with(Protocol::P2p(peer)));
        let peers = &mut self.wanted.peers;
        peers.retain(|known| *known != address);
        peers.truncate(MAX_NAMED);
        peers.push(address);
    }
}
