//! One download: from the search for sources until its content is in place, or for as long as
//! readers want parts of it.
//!
//! This file has the loop; `own_content` takes what is here already, `events` handles the events
//! of sources, `opening` prepares what is fetched, `tick` renews the status and ends a download
//! without sources, `finishing` puts complete content in its place, `for_readers` has what differs
//! for readers, and `unproven` handles data that failed its proof. A task has three parts:
//! `supply` (where content comes from), `timing` (when it may fetch) and `report` (what it shows).

mod events;
mod finishing;
mod for_readers;
mod opening;
mod own_content;
mod report;
mod supply;
mod tick;
mod timing;
mod unproven;
mod write_out;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use pelago_content::Descriptor;
use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep_until},
};

use self::{report::Report, supply::Supply, timing::Timing, write_out::WriteOut};
use super::{
    DownloadState, Finished, TransferError, Wanted,
    handle::Published,
    manifests::Unfolding,
    queue::{QueueTicket, Turn},
    reading::ReadWindows,
    request::{Delivery, Purpose},
    scheduler::Action,
    services::Services,
    sink::Sink,
    source::Order,
    stage::Stage,
    waiting::{AttachedWait, Offer},
};
use crate::{
    network::Settling,
    store::{Ending, PartialSpec, Scope, Scopes},
};

/// How often the status is renewed.
const STATUS_INTERVAL: Duration = Duration::from_millis(100);

/// A folder whose entries are not all known yet.
struct Folder {
    unfolding: Unfolding,
    spec: PartialSpec,
}

/// A download that runs.
pub(super) struct Task {
    services: Services,
    wanted: Wanted,
    purpose: Purpose,
    /// Who may learn of the content, and whether a source may widen that.
    scopes: Scopes,
    lists_as_sources: bool,
    /// Decides whether the run is stopped or comes to its end.
    ending: Arc<Ending>,
    supply: Supply,
    timing: Timing,
    report: Report,
    /// What the content is and its name, as the first source says, until the download begins to
    /// fetch.
    described: Option<(Descriptor, Option<String>)>,
    /// The current stage, once the download has begun to fetch.
    stage: Option<Stage>,
    folder: Option<Folder>,
    /// Which blocks readers want.
    windows: ReadWindows,
    /// The version of the windows that the scheduler knows.
    windows_seen: Option<u64>,
    /// Follows the search of a download that gives up.
    settling: Option<Settling>,
    write_out: WriteOut,
    /// How often another program changed complete content.
    altered: u32,
}

impl Task {
    pub(super) fn new(
        services: Services,
        wanted: Wanted,
        purpose: Purpose,
        published: Published,
        offers: mpsc::Receiver<Offer>,
    ) -> Self {
        let now = Instant::now();
        let waiting = AttachedWait::new(
            services.budget.clone(),
            services.waiters.clone(),
            Arc::clone(&services.attached),
        );
        let found_by = match &purpose {
            Purpose::Deliver(..) => wanted.hash,
            Purpose::Read { found_by, .. } => *found_by,
        };
        let delivery = purpose.delivery();
        Self {
            supply: Supply::new(&services, &wanted, found_by, &waiting, offers),
            timing: Timing::new(services.queues.clone(), waiting, now),
            report: Report::new(published.status, published.block_sources),
            scopes: delivery.map_or_else(|| Scope::Unlisted.into(), |to| to.scopes.clone()),
            lists_as_sources: delivery.is_some_and(|to| to.lists_as_sources),
            services,
            wanted,
            purpose,
            ending: published.ending,
            described: None,
            stage: None,
            folder: None,
            windows: published.windows,
            windows_seen: None,
            settling: None,
            write_out: WriteOut::new(now),
            altered: 0,
        }
    }

    /// Runs to the end, with its turn to look for sources and its place in the queue for turns to
    /// fetch. Dropping the future pauses the download; verified data is kept. Returns the channel
    /// of offers, too, for another run.
    pub(super) async fn run(
        mut self,
        look: Turn,
        ticket: QueueTicket,
    ) -> (Result<Finished, TransferError>, mpsc::Receiver<Offer>) {
        self.timing.begin(look, ticket, Instant::now());
        let result = self.run_to_end().await;
        (result, self.supply.offers)
    }

    async fn run_to_end(&mut self) -> Result<Finished, TransferError> {
        self.report.begin();
        if let Some(finished) = self.take_own_content().await? {
            return Ok(finished);
        }
        // Examining and copying may have taken long: the search begins now.
        self.timing.restart(Instant::now());
        let network = &self.services.network;
        self.settling = self.wanted.gives_up.then(|| network.settling());
        let mut status_tick = interval(STATUS_INTERVAL);
        status_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = Instant::now();
            let retry = self.supply.sources.retry(now);
            let wake = retry.into_iter().chain(self.schedule(now)).min();
            let wake = wake.unwrap_or(now + self.wanted.timeout).into();
            tokio::select! {
                Some((id, event)) = self.supply.events.recv() => {
                    if let Some(finished) = self.handle_events(id, event).await? {
                        return Ok(finished);
                    }
                }
                turn = self.timing.granted() => {
                    self.timing.take(turn, Instant::now());
                    self.supply.sources.resume();
                    if let Some(finished) = self.advance().await? {
                        return Ok(finished);
                    }
                }
                () = self.windows.changed() => self.wake_for_readers(),
                Some(candidate) = self.supply.discovery.next() => {
                    self.supply.handle_candidate(candidate);
                    self.timing.hope(Instant::now());
                }
                Some(offer) = self.supply.offers.recv() => match offer {
                    // It takes the content of this node at its next turn.
                    Offer::Own if self.wanted.waits => return Err(self.no_source(false)),
                    offer => self.supply.handle_offer(offer),
                },
                _ = status_tick.tick() => {
                    self.tick()?;
                    // Content that is only read does not stay for long.
                    let stage = self.stage.as_ref().filter(|_| !self.purpose.is_reading());
                    let sink = stage.map(|stage| &stage.sink);
                    self.write_out.tick(sink, Instant::now()).await?;
                }
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Begins the next stage: fetches what `sink` lacks, from all known sources.
    fn fetch(&mut self, sink: Sink, state: DownloadState) {
        self.timing.waiting.end();
        // Sources that still owe what has arrived from others are cancelled: new requests would
        // wait behind that.
        self.schedule(Instant::now());
        let mut before = self.stage.take();
        if let Some(before) = before
            .as_mut()
            .filter(|before| before.manifests().is_none())
        {
            self.supply.holdings = before.scheduler.take_holdings().into();
        }
        let window = self.services.settings.window;
        let mut stage = match self.purpose {
            Purpose::Deliver(..) => Stage::new(sink, window, before.as_ref()),
            Purpose::Read { .. } => Stage::for_readers(sink, window),
        };
        self.windows_seen = None;
        if stage.manifests().is_some() {
            let peers = self.supply.holdings.peers();
            peers.for_each(|peer| stage.has_manifests(peer));
        } else {
            for (peer, holding) in self.supply.holdings.take() {
                stage.scheduler.adopt(peer, holding);
            }
        }
        self.report.state = state;
        self.report.status.send_modify(|status| {
            status.state = state;
            if stage.manifests().is_none() {
                status.size = Some(stage.wanted_bytes);
            }
        });
        if stage.manifests().is_none() {
            let (blocks, wanted) = (stage.sequence.blocks(), stage.sink.wanted());
            self.report.block_sources.begin(blocks, wanted);
        }
        self.stage = Some(stage);
        // Verifying what was there may have taken long, and no source was asked meanwhile.
        self.timing.restart(Instant::now());
    }

    /// Carries out what the scheduler decides. Returns when to call this again.
    fn schedule(&mut self, now: Instant) -> Option<Instant> {
        let stage = self.stage.as_mut();
        let stage = stage.filter(|_| self.timing.turn.is_some())?;
        stage.scheduler.limit(self.services.limits.rates());
        if let Some(windows) = self.windows.windows(&mut self.windows_seen) {
            stage.read(&windows);
        }
        let sources = &mut self.supply.sources;
        for action in stage.scheduler.poll(now) {
            match action {
                Action::Request(peer, part) => {
                    let request = stage.request(part);
                    // A source that cannot take it has ended, and the event of that is on its way.
                    if !sources.order(peer, Order::Fetch(request)) {
                        stage.scheduler.left(peer);
                    }
                }
                Action::Cancel(peer) => {
                    // A source that cannot take it has ended, or is about to.
                    sources.order(peer, Order::Cancel);
                }
                Action::Drop(peer) => {
                    sources.give_up(peer, now);
                    self.supply.holdings.remove(&peer);
                }
            }
        }
        stage.scheduler.next_wake(now)
    }

    /// Where the content goes.
    ///
    /// # Errors
    /// It is only read: a mistake in Pelago.
    fn delivery(&self) -> Result<Arc<Delivery>, TransferError> {
        let delivery = self.purpose.delivery().cloned();
        delivery.ok_or(TransferError::Internal(
            "delivered content that is only read",
        ))
    }
}

/// Runs `work` where blocking is allowed. Fails only if `work` panics or the runtime shuts down.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TransferError> {
    // Boxed: a task of its own type for each piece of work would be compiled each time.
    let work: Box<dyn FnOnce() -> T + Send> = Box::new(work);
    Ok(spawn_blocking(work).await?)
}
