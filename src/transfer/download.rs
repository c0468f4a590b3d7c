//! One download, from finding sources to the file in its place; or to nowhere, for those who read it.
//!
//! Here is what goes on while it fetches; `opening` is how it comes to have something to fetch,
//! `patience` how long it waits for what, `finishing` what is done once it has all, `reading` what is
//! other for readers, and `unproven` what becomes of a source whose data failed its proof.

mod finishing;
mod opening;
mod patience;
mod reading;
mod unproven;
mod write_out;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use libp2p::PeerId;
use pelago_behaviour::availability::Has;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep_until},
};

pub(in crate::transfer) use self::reading::Purpose;
use self::write_out::WriteOut;
use super::{
    DownloadError, DownloadState, DownloadStatus, Finished, Request, Settings,
    content::Content,
    faults::Faults,
    holding::Holdings,
    manifests::Unfolding,
    origins::Origins,
    patience::Patience,
    reads::Reads,
    receiving::Throttled,
    scheduler::Action,
    sink::Sink,
    source::{
        Answered, Context, End, Event, MAX_UPDATES, Order, Request as ChunkRequest, SourceId,
    },
    sources::Sources,
    status::Meter,
    turns::{Queued, Turn, Turns},
    waiting::{Attached, Budget, Offer, Waiters},
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
pub(super) struct Room {
    pub(super) network: Network,
    pub(super) limits: Limits,
    pub(super) store: Store,
    pub(super) settings: Settings,
    /// One for each download that may fetch at a time; those that wait get theirs in order.
    pub(super) turns: Turns,
    /// Whether what is done is shared on at all.
    pub(super) seeds: Arc<AtomicBool>,
    /// What waiting downloads may ask.
    pub(super) budget: Budget,
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
    settings: Settings,
    seeds: Arc<AtomicBool>,
    turns: Turns,
    /// Held while it is one of those that fetch.
    turn: Option<Turn>,
    /// Its place behind others, if it could fetch and is not one of those.
    queued: Option<Queued>,
    status: watch::Sender<DownloadStatus>,
    discovery: Discovery,
    sources: Sources,
    events: mpsc::Receiver<(SourceId, Event)>,
    /// Peers that may have the content.
    offered: mpsc::Receiver<Offer>,
    /// What it does, while it does not wait.
    state: Option<DownloadState>,
    /// What is being fetched, once a source has said what the content is.
    content: Option<Content>,
    folder: Option<Folder>,
    /// What its sources have, while that is not for the scheduler to know.
    holdings: Holdings,
    /// Which files its sources were wrong about.
    faults: Faults,
    meter: Meter,
    origins: Origins,
    started: Instant,
    /// How long nothing of use has arrived.
    patience: Patience,
    /// When there was last a source with content that is missing.
    last_source: Instant,
    /// When something came last.
    last_arrival: Instant,
    /// Who reads what of it meanwhile.
    reads: Reads,
    /// Which version of that the scheduler knows.
    reads_seen: Option<u64>,
    purpose: Purpose,
    write_out: WriteOut,
    /// Whether our own limits hold it back.
    throttled: Throttled,
    /// Whether it waits, with sources that have nothing more for it.
    waiting: Attached,
    /// How often another program changed what was complete.
    altered: u32,
}

impl Task {
    pub(super) fn new(
        room: &Room,
        request: Request,
        purpose: Purpose,
        status: watch::Sender<DownloadStatus>,
        offered: mpsc::Receiver<Offer>,
        origins: Origins,
        reads: Reads,
    ) -> Self {
        let Room {
            network,
            limits,
            store,
            settings,
            turns,
            seeds,
            budget,
            waiters,
            attached,
        } = room.clone();
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
        let waiting = Attached::new(budget, waiters, attached);
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
            turns,
            turn: None,
            queued: None,
            status,
            events,
            offered,
            state: None,
            content: None,
            folder: None,
            holdings: Holdings::default(),
            faults: Faults::default(),
            meter: Meter::default(),
            origins,
            started: now,
            patience: Patience::new(now),
            last_source: now,
            last_arrival: now,
            reads,
            reads_seen: None,
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
            && let Some(finished) = self.standing(path).await?
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
                    if let Some(finished) = self.hear(id, event).await? {
                        return Ok(finished);
                    }
                    // All that has come already, before anything is asked for anew; but no more than
                    // that, or who says much would keep all else from being done.
                    for _ in 0..EVENTS_QUEUED {
                        let Ok((id, event)) = self.events.try_recv() else {
                            break;
                        };
                        if let Some(finished) = self.hear(id, event).await? {
                            return Ok(finished);
                        }
                    }
                    self.reads.arrived();
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
                () = self.reads.changed() => self.wake_for_readers(),
                Some(candidate) = self.discovery.next() => {
                    let peer = candidate.peer;
                    // One that is not remembered may be found again.
                    if !self.sources.offer(candidate) && let Some(peer) = peer {
                        self.discovery.forget(&peer);
                    }
                }
                Some(offer) = self.offered.recv() => self.take_offer(offer),
                _ = status_tick.tick() => {
                    self.tick()?;
                    // What is only read is not here for long.
                    let is_kept = matches!(self.purpose, Purpose::Deliver { .. });
                    let content = self.content.as_ref().filter(|_| is_kept);
                    let sink = content.map(|content| &content.sink);
                    self.write_out.tick(sink, Instant::now()).await?;
                }
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Takes note of a peer that may have the content.
    fn take_offer(&mut self, offer: Offer) {
        match offer {
            Offer::Asked(peer) | Offer::Listed(peer) => {
                self.discovery.turned_up(peer);
            }
            Offer::Named(address) => {
                self.sources.offer(Candidate::given(&address));
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.content
            .as_ref()
            .is_some_and(|content| content.scheduler.is_done())
    }

    /// Takes what a source says; the finished download, if that shows it to be there already.
    async fn hear(
        &mut self,
        id: SourceId,
        event: Event,
    ) -> Result<Option<Finished>, DownloadError> {
        let now = Instant::now();
        match event {
            Event::Has(peer, has, answered, _room) => {
                return self.source_has(id, peer, *has, answered).await;
            }
            Event::Arriving(peer) => self.patience.arriving(peer, now),
            Event::Arrived(peer, parts) => {
                self.sources.was_useful(peer);
                self.patience.verified(&peer, now);
                self.last_arrival = now;
                if let Some(content) = &mut self.content {
                    for wanted in parts {
                        if let Some(part) = content.part(wanted) {
                            content.scheduler.arrived(peer, part, now);
                            if content.manifests().is_none() {
                                self.origins.arrived(peer, part, &content.sequence);
                            }
                        }
                    }
                }
            }
            Event::Failed(peer, wanted, failure) => {
                self.patience.refused(&peer);
                if let Some(content) = &mut self.content
                    && let Some(part) = content.part(wanted)
                {
                    content.scheduler.failed(peer, part, failure, now);
                }
            }
            Event::Unproven(peer, wanted, why) => {
                self.patience.refused(&peer);
                self.unproven(id, peer, wanted, &why);
            }
            Event::Lied(peer, why) => self.lied(peer, why),
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
                    End::Lied(why) => self.warn_of_lie(peer, &why),
                    _ => {}
                }
            }
        }
        Ok(None)
    }

    /// The peer says all that it has: what it said before does not count any more.
    fn asked_anew(&mut self, peer: PeerId, has: &Has) {
        self.holdings.begin_anew(&peer);
        if let Some(content) = &mut self.content
            && content.manifests().is_none()
        {
            content.scheduler.holds_only(peer, &has.blocks);
        }
    }

    async fn source_has(
        &mut self,
        id: SourceId,
        peer: PeerId,
        has: Has,
        answered: Answered,
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
        if answered == Answered::First {
            self.asked_anew(peer, &has);
        }
        if self.content.is_none()
            && let Some(finished) = self.begin(has.descriptor, has.name.clone()).await?
        {
            return Ok(Some(finished));
        }
        match &mut self.content {
            Some(content) if content.manifests().is_none() => {
                content.scheduler.has(peer, &has.blocks, &has.suggested);
            }
            content => {
                self.holdings.add(peer, &has.blocks, &has.suggested);
                if let Some(content) = content {
                    content.has_manifests(peer);
                }
            }
        }
        for address in has.peers {
            self.discovery.named(peer, &PeerAddress::from(address));
        }
        Ok(None)
    }

    /// A source lists the content: everyone may know of it, unless a person said otherwise.
    fn list(&mut self) {
        if std::mem::take(&mut self.request.lists_as_sources) {
            self.request.scopes = Scope::Everyone.into();
            if let Some(content) = &self.content {
                content.sink.list();
            }
        }
    }

    /// The source is not used any more: what it owes is asked of others.
    fn forget(&mut self, peer: PeerId) {
        self.discovery.forget(&peer);
        self.holdings.remove(&peer);
        if let Some(content) = &mut self.content {
            content.scheduler.left(peer);
        }
    }

    /// Goes on to fetch what `sink` lacks, from all sources known.
    fn fetch(&mut self, sink: Sink, state: DownloadState) {
        self.waiting.end();
        // Whoever still owes what has come from another is told to stop: what is asked for next would
        // wait behind that.
        self.schedule(Instant::now());
        let mut before = self.content.take();
        if let Some(before) = before
            .as_mut()
            .filter(|before| before.manifests().is_none())
        {
            self.holdings = before.scheduler.take_holdings().into();
        }
        let mut content = match self.purpose {
            Purpose::Deliver { .. } => Content::new(sink, self.settings.window, before.as_ref()),
            Purpose::Read { .. } => Content::for_readers(sink, self.settings.window),
        };
        self.reads_seen = None;
        if content.manifests().is_some() {
            let peers = self.holdings.peers();
            peers.for_each(|peer| content.has_manifests(peer));
        } else {
            for (peer, holding) in self.holdings.take() {
                content.scheduler.adopt(peer, holding);
            }
        }
        self.state = Some(state);
        self.status.send_modify(|status| {
            status.state = state;
            if content.manifests().is_none() {
                status.size = Some(content.wanted_bytes);
            }
        });
        if content.manifests().is_none() {
            let wanted = content.sink.wanted();
            self.origins.begin(content.sequence.blocks(), wanted);
        }
        self.content = Some(content);
        // What was here may have taken long to prove, and nobody was asked for anything meanwhile.
        self.begin_search();
    }

    /// Hands out the requests that the scheduler wants made; returns when it wants to be asked again.
    fn schedule(&mut self, now: Instant) -> Option<Instant> {
        let content = self.content.as_mut().filter(|_| self.turn.is_some())?;
        content.scheduler.limit(self.limits.rates());
        if let Some(windows) = self.reads.windows(&mut self.reads_seen) {
            let windows = content.windows(&windows);
            content.scheduler.read(windows);
        }
        for action in content.scheduler.poll(now) {
            match action {
                Action::Request(peer, part) => {
                    let request = ChunkRequest {
                        wanted: content.wanted(part),
                        item: content.sink.item(part),
                        bytes: content.sequence.bytes_of(part),
                        sink: content.sink.clone(),
                    };
                    // One that cannot take it has ended: the event that says why is on its way.
                    if !self.sources.order(peer, Order::Fetch(request)) {
                        content.scheduler.left(peer);
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
        content.scheduler.next_wake(now)
    }
}

/// Runs `work` where blocking is allowed. It fails only if the work panics, or the runtime shuts down.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DownloadError> {
    Ok(spawn_blocking(work).await?)
}
