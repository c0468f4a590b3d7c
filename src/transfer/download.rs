//! One download, from finding sources to the file in its place; or to nowhere, for those who read it.
//!
//! Here is what goes on while it fetches; `opening` is how it comes to have something to fetch,
//! `tick` how long it waits for what, `finishing` what is done once it has all, `for_readers` what is
//! other for readers, and `unproven` what becomes of a source whose data failed its proof.

mod finishing;
mod for_readers;
mod opening;
mod tick;
mod unproven;
mod write_out;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use libp2p::PeerId;
use pelago_behaviour::availability::Availability;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep_until},
};

pub(in crate::transfer) use self::for_readers::Purpose;
use self::write_out::WriteOut;
use super::{
    DownloadError, DownloadState, DownloadStatus, Finished, Request, TransferSettings,
    block_sources::BlockSources,
    faults::Faults,
    holding::Holdings,
    manifests::Unfolding,
    patience::Patience,
    queue::{Queue, QueueTicket, Turn},
    reading::ReadWindows,
    receiving::Throttled,
    scheduler::Action,
    sink::Sink,
    source::{
        Context, End, Event, MAX_UPDATES, Order, Request as ChunkRequest, SourceId, UpdateKind,
    },
    sources::Sources,
    stage::Stage,
    status::Meter,
    waiting::{AttachedWait, InquiryBudget, Offer, Waiters},
};
use crate::{
    limits::Limits,
    network::{Candidate, Discovery, Network, PeerAddress},
    store::{PartialSpec, Scope, Store},
};

/// Events of sources that wait for the download, at most; sources wait then.
const EVENTS_QUEUED: usize = 256;

/// How long what was being written to a file that is opened anew may take to be written.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// How often the status is renewed.
const STATUS_INTERVAL: Duration = Duration::from_millis(100);

/// What all downloads of a node share.
#[derive(Clone)]
pub(super) struct Services {
    pub(super) network: Network,
    pub(super) limits: Limits,
    pub(super) store: Store,
    pub(super) settings: TransferSettings,
    /// One for each download that may fetch at a time; those that wait get theirs in order.
    pub(super) queue: Queue,
    /// Whether what is done is shared on at all.
    pub(super) seeds: Arc<AtomicBool>,
    /// What waiting downloads may ask.
    pub(super) budget: InquiryBudget,
    pub(super) waiters: Waiters,
    /// One for each download that waits with sources which have nothing more for it.
    pub(super) attached: Arc<Semaphore>,
}

/// A folder, while it is found out what is in it.
struct Folder {
    unfolding: Unfolding,
    spec: PartialSpec,
}

/// A download as it runs.
pub(super) struct Task {
    limits: Limits,
    store: Store,
    request: Request,
    settings: TransferSettings,
    seeds: Arc<AtomicBool>,
    queue: Queue,
    /// Held while it is one of those that fetch.
    turn: Option<Turn>,
    /// Its place behind others, if it could fetch and is not one of those.
    queued: Option<QueueTicket>,
    status: watch::Sender<DownloadStatus>,
    discovery: Discovery,
    sources: Sources,
    events: mpsc::Receiver<(SourceId, Event)>,
    /// Peers that may have the content.
    offered: mpsc::Receiver<Offer>,
    /// What it does, while it does not wait.
    state: Option<DownloadState>,
    /// What is being fetched, once a source has said what the content is.
    stage: Option<Stage>,
    folder: Option<Folder>,
    /// What its sources have, while that is not for the scheduler to know.
    holdings: Holdings,
    /// Which files its sources were wrong about.
    faults: Faults,
    meter: Meter,
    block_sources: BlockSources,
    started: Instant,
    /// How long nothing of use has arrived.
    patience: Patience,
    /// When there was last a source with content that is missing.
    last_source: Instant,
    /// When something came last.
    last_arrival: Instant,
    /// Who reads what of it meanwhile.
    windows: ReadWindows,
    /// Which version of that the scheduler knows.
    windows_seen: Option<u64>,
    purpose: Purpose,
    write_out: WriteOut,
    /// Whether our own limits hold it back.
    throttled: Throttled,
    /// Whether it waits, with sources that have nothing more for it.
    waiting: AttachedWait,
    /// How often another program changed what was complete.
    altered: u32,
}

impl Task {
    pub(super) fn new(
        services: &Services,
        request: Request,
        purpose: Purpose,
        status: watch::Sender<DownloadStatus>,
        offered: mpsc::Receiver<Offer>,
        block_sources: BlockSources,
        windows: ReadWindows,
    ) -> Self {
        let Services {
            network,
            limits,
            store,
            settings,
            queue,
            seeds,
            budget,
            waiters,
            attached,
        } = services.clone();
        let (sender, events) = mpsc::channel(EVENTS_QUEUED);
        let throttled = Throttled::default();
        let context = Context {
            network: network.clone(),
            limits: limits.clone(),
            hash: request.hash,
            allowed: request.allowed.clone().map(Arc::from),
            stall: settings.stall,
            throttled: throttled.clone(),
            events: sender,
            updates: Arc::new(Semaphore::new(MAX_UPDATES)),
        };
        let now = Instant::now();
        let waiting = AttachedWait::new(budget, waiters, attached);
        let found_by = match &purpose {
            Purpose::Deliver { .. } => request.hash,
            Purpose::Read { found_by, .. } => *found_by,
        };
        Self {
            discovery: Discovery::find(&network, found_by, request.peers.clone(), waiting.pace()),
            sources: Sources::new(
                context,
                settings.max_sources,
                settings.max_asked,
                waiting.clone(),
            ),
            limits,
            store,
            request,
            settings,
            seeds,
            queue,
            turn: None,
            queued: None,
            status,
            events,
            offered,
            state: None,
            stage: None,
            folder: None,
            holdings: Holdings::default(),
            faults: Faults::default(),
            meter: Meter::default(),
            block_sources,
            started: now,
            patience: Patience::new(now),
            last_source: now,
            last_arrival: now,
            windows,
            windows_seen: None,
            purpose,
            write_out: WriteOut::new(now),
            throttled,
            waiting,
            altered: 0,
        }
    }

    /// Runs to the end, with its `turn`. Dropped before that, it is paused: what was verified is kept.
    /// Returns the offers, too, for another run.
    pub(super) async fn run(
        mut self,
        turn: Turn,
    ) -> (Result<Finished, DownloadError>, mpsc::Receiver<Offer>) {
        let result = self.run_to_end(turn).await;
        (result, self.offered)
    }

    async fn run_to_end(&mut self, turn: Turn) -> Result<Finished, DownloadError> {
        self.turn = Some(turn);
        self.status.send_modify(|status| {
            status.state = DownloadState::FindingSources;
            status.waits = None;
        });
        if matches!(self.purpose, Purpose::Deliver { .. })
            && let Some(path) = self.fixed_target().await?
            && let Some(finished) = self.existing_content(path).await?
        {
            return Ok(finished);
        }
        // What stands at the target may have taken long to look at: the search begins now.
        self.begin_search();
        let mut status_tick = interval(STATUS_INTERVAL);
        status_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = Instant::now();
            let retry = self.sources.retry(now);
            let wake = retry.into_iter().chain(self.schedule(now)).min();
            let wake = wake.unwrap_or(now + self.request.timeout).into();
            tokio::select! {
                Some((id, event)) = self.events.recv() => {
                    if let Some(finished) = self.handle_event(id, event).await? {
                        return Ok(finished);
                    }
                    // All that has come already, before anything is asked for anew; but no more than
                    // that, or who says much would keep all else from being done.
                    for _ in 0..EVENTS_QUEUED {
                        let Ok((id, event)) = self.events.try_recv() else {
                            break;
                        };
                        if let Some(finished) = self.handle_event(id, event).await? {
                            return Ok(finished);
                        }
                    }
                    self.windows.arrived();
                    self.release_if_idle(Instant::now());
                    match &self.purpose {
                        Purpose::Deliver { .. } => while self.is_complete() {
                            if self.take_manifests().await?.is_none() {
                                self.sources.rechecked().await;
                                // Else something was lost; nothing may be left to fetch, then it is
                                // asked again at once.
                                if let Some(finished) = self.finish().await? {
                                    return Ok(finished);
                                }
                            }
                        },
                        Purpose::Read { .. } => self.keep_manifest().await?,
                    }
                }
                () = self.windows.changed() => self.wake_for_readers(),
                Some(candidate) = self.discovery.next() => {
                    let peer = candidate.peer;
                    // One that is not remembered may be found again.
                    if !self.sources.offer(candidate) && let Some(peer) = peer {
                        self.discovery.forget(&peer);
                    }
                }
                Some(offer) = self.offered.recv() => self.handle_offer(offer),
                _ = status_tick.tick() => {
                    self.tick()?;
                    // What is only read is not here for long.
                    let is_kept = matches!(self.purpose, Purpose::Deliver { .. });
                    let stage = self.stage.as_ref().filter(|_| is_kept);
                    let sink = stage.map(|stage| &stage.sink);
                    self.write_out.tick(sink, Instant::now()).await?;
                }
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Takes note of a peer that may have the content.
    fn handle_offer(&mut self, offer: Offer) {
        match offer {
            Offer::Asked(peer) | Offer::Listed(peer) => {
                self.discovery.add_peer(peer);
            }
            Offer::Named(address) => {
                self.sources.offer(Candidate::given(&address));
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.stage
            .as_ref()
            .is_some_and(|stage| stage.scheduler.is_done())
    }

    /// Takes what a source says; the finished download, if that shows it to be there already.
    async fn handle_event(
        &mut self,
        id: SourceId,
        event: Event,
    ) -> Result<Option<Finished>, DownloadError> {
        let now = Instant::now();
        match event {
            Event::Has(peer, has, kind, _permit) => {
                return self.source_has(id, peer, *has, kind).await;
            }
            Event::Arriving(peer) => self.patience.arriving(peer, now),
            Event::Arrived(peer, parts) => {
                self.sources.was_useful(peer);
                self.patience.verified(&peer, now);
                self.last_arrival = now;
                if let Some(stage) = &mut self.stage {
                    for wanted in parts {
                        if let Some(part) = stage.part(wanted) {
                            stage.scheduler.arrived(peer, part, now);
                            if stage.manifests().is_none() {
                                self.block_sources.arrived(peer, part, &stage.sequence);
                            }
                        }
                    }
                }
            }
            Event::Failed(peer, wanted, failure) => {
                self.patience.refused(&peer);
                if let Some(stage) = &mut self.stage
                    && let Some(part) = stage.part(wanted)
                {
                    stage.scheduler.failed(peer, part, failure, now);
                }
            }
            Event::Unproven(peer, wanted, why) => {
                self.patience.refused(&peer);
                self.unproven(id, peer, wanted, &why);
            }
            Event::Dishonest(peer, why) => self.refuse_dishonest(peer, why),
            Event::Ended(peer, end) => {
                // A peer may be met twice: the end of the one that is not used ends nothing.
                let was_used = peer.is_some_and(|peer| self.sources.is_used(peer));
                self.sources.ended(id, peer, &end, now);
                if let Some(peer) = peer {
                    self.patience.refused(&peer);
                    if was_used && !self.sources.is_used(peer) {
                        self.forget(peer);
                    } else {
                        self.discovery.forget(&peer);
                    }
                }
                match end {
                    End::Disk(error) => return Err(DownloadError::Write(error)),
                    End::Dishonest(why) => self.warn_of_lie(peer, &why),
                    _ => {}
                }
            }
        }
        Ok(None)
    }

    /// The peer says all that it has: what it said before does not count any more.
    fn replace_holding(&mut self, peer: PeerId, has: &Availability) {
        self.holdings.begin_anew(&peer);
        if let Some(stage) = &mut self.stage
            && stage.manifests().is_none()
        {
            stage.scheduler.holds_only(peer, &has.blocks);
        }
    }

    async fn source_has(
        &mut self,
        id: SourceId,
        peer: PeerId,
        has: Availability,
        kind: UpdateKind,
    ) -> Result<Option<Finished>, DownloadError> {
        let was_used = self.sources.is_used(peer);
        if !self.sources.has_content(id, peer) {
            // It may have been banned since it was.
            if was_used && !self.sources.is_used(peer) {
                self.forget(peer);
            }
            return Ok(None);
        }
        if has.is_listed {
            self.list();
        }
        // A second stream to the same peer, which is not used, was passed over above.
        if kind == UpdateKind::Snapshot {
            self.replace_holding(peer, &has);
        }
        if self.stage.is_none()
            && let Some(finished) = self.begin(has.descriptor, has.name.clone()).await?
        {
            return Ok(Some(finished));
        }
        match &mut self.stage {
            Some(stage) if stage.manifests().is_none() => {
                stage.scheduler.has(peer, &has.blocks, &has.suggested);
            }
            stage => {
                self.holdings.add(peer, &has.blocks, &has.suggested);
                if let Some(stage) = stage {
                    stage.has_manifests(peer);
                }
            }
        }
        for address in has.peers {
            self.discovery.add_named(peer, &PeerAddress::from(address));
        }
        Ok(None)
    }

    /// A source lists the content: everyone may know of it, unless a person said otherwise.
    fn list(&mut self) {
        if std::mem::take(&mut self.request.lists_as_sources) {
            self.request.scopes = Scope::Everyone.into();
            if let Some(stage) = &self.stage {
                stage.sink.list();
            }
        }
    }

    /// The source is not used any more: what it owes is asked of others.
    fn forget(&mut self, peer: PeerId) {
        self.discovery.forget(&peer);
        self.holdings.remove(&peer);
        if let Some(stage) = &mut self.stage {
            stage.scheduler.left(peer);
        }
    }

    /// Goes on to fetch what `sink` lacks, from all sources known.
    fn fetch(&mut self, sink: Sink, state: DownloadState) {
        self.waiting.end();
        // Whoever still owes what has come from another is told to stop: what is asked for next would
        // wait behind that.
        self.schedule(Instant::now());
        let mut before = self.stage.take();
        if let Some(before) = before
            .as_mut()
            .filter(|before| before.manifests().is_none())
        {
            self.holdings = before.scheduler.take_holdings().into();
        }
        let mut stage = match self.purpose {
            Purpose::Deliver { .. } => Stage::new(sink, self.settings.window, before.as_ref()),
            Purpose::Read { .. } => Stage::for_readers(sink, self.settings.window),
        };
        self.windows_seen = None;
        if stage.manifests().is_some() {
            let peers = self.holdings.peers();
            peers.for_each(|peer| stage.has_manifests(peer));
        } else {
            for (peer, holding) in self.holdings.take() {
                stage.scheduler.adopt(peer, holding);
            }
        }
        self.state = Some(state);
        self.status.send_modify(|status| {
            status.state = state;
            if stage.manifests().is_none() {
                status.size = Some(stage.wanted_bytes);
            }
        });
        if stage.manifests().is_none() {
            let wanted = stage.sink.wanted();
            self.block_sources.begin(stage.sequence.blocks(), wanted);
        }
        self.stage = Some(stage);
        // What was here may have taken long to prove, and nobody was asked for anything meanwhile.
        self.begin_search();
    }

    /// Hands out the requests that the scheduler wants made; returns when it wants to be asked again.
    fn schedule(&mut self, now: Instant) -> Option<Instant> {
        let stage = self.stage.as_mut().filter(|_| self.turn.is_some())?;
        stage.scheduler.limit(self.limits.rates());
        if let Some(windows) = self.windows.windows(&mut self.windows_seen) {
            let windows = stage.windows(&windows);
            stage.scheduler.read(windows);
        }
        for action in stage.scheduler.poll(now) {
            match action {
                Action::Request(peer, part) => {
                    let request = ChunkRequest {
                        wanted: stage.wanted(part),
                        item: stage.sink.item(part),
                        bytes: stage.sequence.bytes_of(part),
                        sink: stage.sink.clone(),
                    };
                    // One that cannot take it has ended: the event that says why is on its way.
                    if !self.sources.order(peer, Order::Fetch(request)) {
                        stage.scheduler.left(peer);
                    }
                }
                Action::Cancel(peer) => {
                    // One that cannot take it has ended, or is about to.
                    self.sources.order(peer, Order::Cancel);
                }
                Action::Drop(peer) => {
                    self.sources.give_up(peer, now);
                    self.holdings.remove(&peer);
                }
            }
        }
        stage.scheduler.next_wake(now)
    }
}

/// Runs `work` where blocking is allowed. It fails only if the work panics, or the runtime shuts down.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DownloadError> {
    Ok(spawn_blocking(work).await?)
}
