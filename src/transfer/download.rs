//! One download, from finding sources to the file in its place; or to nowhere, for those who read it.
//!
//! Here is what goes on while it fetches; `opening` is how it comes to have something to fetch,
//! `finishing` what is done once it has all, and `reading` what is other for readers.

mod finishing;
mod opening;
mod reading;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use pelago_behaviour::availability::Has;
use pelago_content::Hash;
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep_until},
};

pub(in crate::transfer) use self::reading::Purpose;
use super::{
    DownloadError, DownloadState, DownloadStatus, Finished, Output, Waiting,
    content::{Content, Holding},
    manifests::Unfolding,
    origins::Origins,
    reads::Reads,
    scheduler::Action,
    sink::Sink,
    source::{Context, End, Event, Order, Request as ChunkRequest, SourceId},
    sources::Sources,
    status::Meter,
    turns::{Queued, Turn, Turns},
};
use crate::{
    limits::Limits,
    network::{Discovery, Network, PeerAddress},
    store::{PartialSpec, Scopes, Store},
};

/// Events of sources that wait for the download, at most; sources wait then.
const EVENTS_QUEUED: usize = 256;

/// How long a download keeps its turn without a source that has anything for it; and while others wait
/// for theirs, without anything that comes.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// How often the status is renewed.
const STATUS_INTERVAL: Duration = Duration::from_millis(100);

/// What is to be downloaded, whence, and where to.
#[derive(Clone, Debug)]
pub struct Request {
    /// What.
    pub hash: Hash,
    /// What it is called, if somebody said so.
    pub name: Option<String>,
    /// Where to.
    pub output: Output,
    /// Peers to ask, beside those that are found.
    pub peers: Vec<PeerAddress>,
    /// Only these peers may be asked; `None`: anyone.
    pub allowed: Option<Vec<PeerId>>,
    /// How long there may be no source.
    pub timeout: Duration,
    /// Of a folder: which files, as globs over their paths in it; none: all.
    pub only: Vec<String>,
    /// Whether other content at the target may be replaced.
    pub overwrite: bool,
    /// Whether to wait at the end until the file is safe from a power loss.
    pub durable: bool,
    /// Whether a node that starts again goes on with it.
    pub resume_on_start: bool,
    /// Whether whoever started it is to share it on; kept for later runs.
    pub seed: bool,
    /// Who may know of it.
    pub scopes: Scopes,
}

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
}

/// How downloads run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Downloads that fetch at a time; others wait for their turn.
    pub max_downloads: usize,
    /// Sources of one download, at most.
    pub max_sources: usize,
    /// Candidates that are being connected to or asked what they have at a time, at most: many of those
    /// named by the DHT may be gone, and each of these takes until a time-out.
    pub max_asked: usize,
    /// Bytes in flight at one source, at most.
    pub window: u64,
    /// How long a source may send nothing of what it was asked for.
    pub stall: Duration,
    /// Whether what is done is shared on at all, at first.
    pub seed: bool,
    /// Bytes of content that was only read and may stay here, at most.
    pub read_cache: u64,
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
    /// Peers that asked us for the content.
    offered: mpsc::Receiver<PeerId>,
    /// What is being fetched, once a source has said what the content is.
    content: Option<Content>,
    folder: Option<Folder>,
    holdings: HashMap<PeerId, Holding>,
    meter: Meter,
    origins: Origins,
    started: Instant,
    /// When there was last a source with content that is not busy; while it cannot ask, time stands still.
    last_source: Instant,
    /// When something came last.
    last_arrival: Instant,
    ticked: Instant,
    /// Who reads what of it meanwhile.
    reads: Reads,
    /// Which version of that the scheduler knows.
    reads_seen: Option<u64>,
    purpose: Purpose,
}

impl Task {
    pub(super) fn new(
        room: &Room,
        request: Request,
        purpose: Purpose,
        status: watch::Sender<DownloadStatus>,
        offered: mpsc::Receiver<PeerId>,
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
        } = room.clone();
        let (sender, events) = mpsc::channel(EVENTS_QUEUED);
        let context = Context {
            network: network.clone(),
            limits: limits.clone(),
            hash: request.hash,
            allowed: request.allowed.clone().map(Arc::from),
            stall: settings.stall,
            events: sender,
        };
        let now = Instant::now();
        let found_by = match &purpose {
            Purpose::Deliver => request.hash,
            Purpose::Read { found_by, .. } => *found_by,
        };
        Self {
            discovery: Discovery::find(&network, found_by, request.peers.clone()),
            sources: Sources::new(context, settings.max_sources, settings.max_asked),
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
            content: None,
            folder: None,
            holdings: HashMap::new(),
            meter: Meter::default(),
            origins,
            started: now,
            last_source: now,
            last_arrival: now,
            ticked: now,
            reads,
            reads_seen: None,
            purpose,
        }
    }

    /// Runs to the end, with its `turn`. Dropped before that, it is paused: what was verified is kept.
    pub(super) async fn run(mut self, turn: Turn) -> Result<Finished, DownloadError> {
        self.turn = Some(turn);
        self.status.send_modify(|status| {
            status.state = DownloadState::FindingSources;
            status.waits = None;
        });
        if matches!(self.purpose, Purpose::Deliver)
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
                    match &self.purpose {
                        Purpose::Deliver => while self.is_complete() {
                            if self.take_manifests().await?.is_none() {
                                return self.finish().await;
                            }
                        },
                        Purpose::Read { .. } => self.keep_manifest().await?,
                    }
                }
                () = self.reads.changed() => {}
                Some(candidate) = self.discovery.next() => {
                    let peer = candidate.peer;
                    // One that is not remembered may be found again.
                    if !self.sources.offer(candidate) && let Some(peer) = peer {
                        self.discovery.forget(&peer);
                    }
                }
                Some(peer) = self.offered.recv() => {
                    self.discovery.named(&PeerAddress::from(Multiaddr::empty().with(Protocol::P2p(peer))));
                }
                _ = status_tick.tick() => self.tick()?,
                () = sleep_until(wake) => {}
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
            Event::Has(peer, has) => return self.source_has(id, peer, *has).await,
            Event::Arrived(peer, parts) => {
                self.sources.was_useful(peer);
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
                if let Some(content) = &mut self.content
                    && let Some(part) = content.part(wanted)
                {
                    content.scheduler.failed(peer, part, failure, now);
                }
            }
            Event::Ended(peer, end) => {
                // A peer may be met twice: the end of the one that is not used ends nothing.
                let was_used = peer.is_some_and(|peer| self.sources.is_used(peer));
                self.sources.ended(id, peer, &end, now);
                if let Some(peer) = peer {
                    if was_used && !self.sources.is_used(peer) {
                        self.forget(peer);
                    } else {
                        self.discovery.forget(&peer);
                    }
                }
                match end {
                    End::Disk(error) => return Err(DownloadError::Write(error)),
                    End::Lied(why) => {
                        tracing::warn!(peer = ?peer, why, hash = %self.request.hash, "a source lied");
                    }
                    _ => {}
                }
            }
        }
        Ok(None)
    }

    async fn source_has(
        &mut self,
        id: SourceId,
        peer: PeerId,
        has: Has,
    ) -> Result<Option<Finished>, DownloadError> {
        let was_used = self.sources.is_used(peer);
        if !self.sources.has_content(id, peer) {
            // It may have been banned since it was.
            if was_used && !self.sources.is_used(peer) {
                self.forget(peer);
            }
            return Ok(None);
        }
        if self.content.is_none()
            && let Some(finished) = self.begin(has.descriptor, has.name.clone()).await?
        {
            return Ok(Some(finished));
        }
        let news = Holding {
            blocks: has.blocks.clone(),
            suggested: has.suggested.clone(),
        };
        if let Some(content) = &mut self.content {
            let held = content.held(&news);
            content.scheduler.has(peer, &held.blocks, &held.suggested);
        }
        if let Err(error) = self.holdings.entry(peer).or_default().extend(&has) {
            self.sources.refuse(peer, error.to_string());
            self.forget(peer);
            return Ok(None);
        }
        for address in has.peers {
            self.discovery.named(&PeerAddress::from(address));
        }
        Ok(None)
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
        // Whoever still owes what has come from another is told to stop: what is asked for next would
        // wait behind that.
        self.schedule(Instant::now());
        let before = self.content.as_ref();
        let mut content = match self.purpose {
            Purpose::Deliver => Content::new(sink, self.settings.window, before),
            Purpose::Read { .. } => Content::for_readers(sink, self.settings.window),
        };
        self.reads_seen = None;
        for (peer, holding) in &self.holdings {
            let held = content.held(holding);
            content.scheduler.has(*peer, &held.blocks, &held.suggested);
        }
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

    fn begin_search(&mut self) {
        let now = Instant::now();
        (self.last_source, self.last_arrival, self.ticked) = (now, now, now);
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

    /// Sources that have nothing to give make room for those that wait.
    fn make_room(&mut self, now: Instant) {
        let wanted = self.sources.crowded_out();
        let Some(content) = self.content.as_mut().filter(|_| wanted > 0) else {
            return;
        };
        let mut made = 0;
        for peer in content.scheduler.of_no_use() {
            if made < wanted && self.sources.replace(peer, now) {
                content.scheduler.left(peer);
                self.holdings.remove(&peer);
                made += 1;
            }
        }
    }

    /// Renews the status, and gives up when there has been no source for too long.
    fn tick(&mut self) -> Result<(), DownloadError> {
        let now = Instant::now();
        self.make_room(now);
        if self.is_left(now) {
            return Err(DownloadError::Paused);
        }
        let with_content = self.sources.with_content();
        // Before there is content to schedule, whoever has it is about to be asked.
        let can_go_on = |content: &Content| {
            let scheduler = &content.scheduler;
            scheduler.is_done() || scheduler.can_go_on()
        };
        let is_able = with_content > 0 && self.content.as_ref().is_none_or(can_go_on);
        let is_only_busy = |content: &Content| content.scheduler.is_only_busy();
        let has_source = is_able && !self.content.as_ref().is_some_and(is_only_busy);
        self.take_turns(is_able, now);
        if has_source {
            self.last_source = now;
        } else if is_able && self.turn.is_none() {
            // Busy sources cannot be asked again before it is its turn.
            self.last_source += now - self.ticked;
        } else if now.duration_since(self.last_source) >= self.request.timeout {
            return Err(DownloadError::NoSource {
                hash: self.request.hash,
                timeout: self.request.timeout,
                tried: self.tried(is_able),
            });
        }
        self.ticked = now;
        let verified = self.content.as_ref().map(|content| {
            let blocks = content.sink.verified();
            let bytes = content.bytes_of(&blocks);
            (blocks, bytes, content.manifests().is_none())
        });
        let shown = verified.as_ref().filter(|(.., is_shown)| *is_shown);
        let shown = shown.map(|(blocks, ..)| blocks);
        self.origins.tick(now, shown, &self.sources.states());
        let verified = verified.map(|(_, bytes, _)| bytes);
        let rate = verified.map(|verified| self.meter.read(now, verified));
        let waits = self.waits(is_able, has_source);
        self.status.send_modify(|status| {
            status.verified_bytes = verified.or(status.verified_bytes);
            status.bytes_per_second = rate.unwrap_or(0);
            status.sources = with_content as u64;
            status.waits = waits;
        });
        Ok(())
    }

    /// Gets in the queue when it could fetch, and lets others go first when nothing comes.
    fn take_turns(&mut self, is_able: bool, now: Instant) {
        if !is_able {
            // Whoever can go on shall not wait for one that cannot.
            self.queued = None;
            if now.duration_since(self.last_source) >= TURN_PATIENCE {
                self.turn = None;
            }
        } else if self.turn.is_none() {
            let enter = || self.turns.enter(self.request.hash, self.status.clone());
            self.turn = self.queued.get_or_insert_with(enter).try_turn();
            if self.turn.is_some() {
                self.queued = None;
                self.last_arrival = now;
            }
        } else if now.duration_since(self.last_arrival) >= TURN_PATIENCE
            && self.turns.is_waited_for()
        {
            self.turn = None;
        }
    }

    /// What keeps it from being faster, as far as that is known here.
    fn waits(&self, is_able: bool, has_source: bool) -> Option<Waiting> {
        if is_able && let Some(queued) = &self.queued {
            let ahead = queued.ahead();
            return Some(Waiting::Turn { ahead });
        }
        if !has_source {
            return Some(Waiting::Source {
                since: self.last_source,
                tried: self.tried(is_able),
            });
        }
        let rate = self.limits.holding_downloads()?;
        Some(Waiting::Limit { rate })
    }

    /// Who was asked, and what came of it; if there are sources for all that, they are busy.
    fn tried(&self, is_able: bool) -> String {
        if is_able {
            "those who have it are busy, and are asked again".to_owned()
        } else {
            self.sources.summary()
        }
    }
}

/// Runs `work` where blocking is allowed. It fails only when the runtime is shutting down.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DownloadError> {
    spawn_blocking(work)
        .await
        .map_err(|_| DownloadError::ShuttingDown)
}
