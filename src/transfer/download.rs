//! One download: from the search for sources until its content is in place, or for as long as
//! readers want parts of it.
//!
//! This file has the loop and its events. `opening` prepares what is fetched, `tick` renews the
//! status and ends a download without sources, `finishing` puts complete content in its place,
//! `for_readers` has what differs for readers, and `unproven` handles data that failed its proof. A
//! task has three parts: `supply` (where content comes from), `timing` (when it may fetch) and
//! `report` (what it shows).

mod finishing;
mod for_readers;
mod opening;
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

use libp2p::PeerId;
use pelago_behaviour::availability::Availability;
use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep_until},
};

use self::{
    report::Report,
    supply::{EVENTS_QUEUED, Supply},
    timing::Timing,
    write_out::WriteOut,
};
use super::{
    DownloadError, DownloadState, Finished, Wanted,
    handle::Published,
    manifests::Unfolding,
    queue::Turn,
    reading::ReadWindows,
    request::{Delivery, Purpose},
    scheduler::Action,
    services::Services,
    sink::Sink,
    source::{End, Event, Order, SourceId, UpdateKind},
    stage::Stage,
    waiting::{AttachedWait, Offer},
};
use crate::{
    network::PeerAddress,
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
    /// The current stage, once a source has said what the content is.
    stage: Option<Stage>,
    folder: Option<Folder>,
    /// Which blocks readers want.
    windows: ReadWindows,
    /// The version of the windows that the scheduler knows.
    windows_seen: Option<u64>,
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
            timing: Timing::new(services.queue.clone(), waiting, now),
            report: Report::new(published.status, published.block_sources),
            scopes: delivery.map_or_else(|| Scope::Unlisted.into(), |to| to.scopes.clone()),
            lists_as_sources: delivery.is_some_and(|to| to.lists_as_sources),
            services,
            wanted,
            purpose,
            ending: published.ending,
            stage: None,
            folder: None,
            windows: published.windows,
            windows_seen: None,
            write_out: WriteOut::new(now),
            altered: 0,
        }
    }

    /// Runs to the end, with its `turn`. Dropping the future pauses the download; verified data is
    /// kept. Returns the channel of offers, too, for another run.
    pub(super) async fn run(
        mut self,
        turn: Turn,
    ) -> (Result<Finished, DownloadError>, mpsc::Receiver<Offer>) {
        let result = self.run_to_end(turn).await;
        (result, self.supply.offers)
    }

    async fn run_to_end(&mut self, turn: Turn) -> Result<Finished, DownloadError> {
        self.timing.turn = Some(turn);
        self.report.begin();
        if let Some(delivery) = self.purpose.delivery()
            && let Some(path) = self.fixed_target(delivery).await?
            && let Some(finished) = self.existing_content(delivery, path).await?
        {
            return Ok(finished);
        }
        // Examining the target may have taken long: the search begins now.
        self.timing.restart(Instant::now());
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
                () = self.windows.changed() => self.wake_for_readers(),
                Some(candidate) = self.supply.discovery.next() => {
                    self.supply.handle_candidate(candidate);
                }
                Some(offer) = self.supply.offers.recv() => self.supply.handle_offer(offer),
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

    /// Handles an event and those that wait behind it. Returns the finished download, if all of its
    /// content is there now.
    async fn handle_events(
        &mut self,
        id: SourceId,
        event: Event,
    ) -> Result<Option<Finished>, DownloadError> {
        if let Some(finished) = self.handle_event(id, event).await? {
            return Ok(Some(finished));
        }
        // All waiting events come before new requests. Their number is bounded, or a source that
        // sends many of them would keep everything else from being done.
        for _ in 0..EVENTS_QUEUED {
            let Ok((id, event)) = self.supply.events.try_recv() else {
                break;
            };
            if let Some(finished) = self.handle_event(id, event).await? {
                return Ok(Some(finished));
            }
        }
        self.windows.arrived();
        self.release_if_idle(Instant::now());
        if self.purpose.is_reading() {
            self.store_manifest().await?;
            return Ok(None);
        }
        while self.is_complete() {
            if self.take_manifests().await?.is_none() {
                self.supply.sources.rechecked().await;
                // If something was lost, the loop continues: perhaps nothing of that must be
                // fetched.
                if let Some(finished) = self.finish().await? {
                    return Ok(Some(finished));
                }
            }
        }
        Ok(None)
    }

    fn is_complete(&self) -> bool {
        self.stage
            .as_ref()
            .is_some_and(|stage| stage.scheduler.is_done())
    }

    /// Handles an event of a source. Returns the finished download, if it turns out to be there
    /// already.
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
            Event::Arriving(peer) => self.timing.patience.arriving(peer, now),
            Event::Arrived(peer, parts) => {
                self.supply.sources.was_useful(peer);
                self.timing.patience.verified(&peer, now);
                self.timing.last_arrival = now;
                if let Some(stage) = &mut self.stage {
                    for part in parts {
                        let Some(part) = stage.current(part) else {
                            continue;
                        };
                        stage.scheduler.arrived(peer, part, now);
                        if stage.manifests().is_none() {
                            let block_sources = &self.report.block_sources;
                            block_sources.arrived(peer, part, &stage.sequence);
                        }
                    }
                }
            }
            Event::Failed(peer, part, failure) => {
                self.timing.patience.refused(&peer);
                if let Some(stage) = &mut self.stage
                    && let Some(part) = stage.current(part)
                {
                    stage.scheduler.failed(peer, part, failure, now);
                }
            }
            Event::Unproven(peer, part, why) => {
                self.timing.patience.refused(&peer);
                self.unproven(id, peer, part, &why);
            }
            Event::Dishonest(peer, why) => self.ban_dishonest(peer, why),
            Event::Ended(peer, end) => self.source_ended(id, peer, end, now)?,
        }
        Ok(None)
    }

    fn source_ended(
        &mut self,
        id: SourceId,
        peer: Option<PeerId>,
        end: End,
        now: Instant,
    ) -> Result<(), DownloadError> {
        // A peer may be reached twice: the end of the source that is not used ends nothing.
        let was_used = peer.is_some_and(|peer| self.is_used(peer));
        self.supply.sources.ended(id, peer, &end, now);
        if let Some(peer) = peer {
            self.timing.patience.refused(&peer);
            if was_used && !self.is_used(peer) {
                self.forget(peer);
            } else {
                self.supply.discovery.forget(&peer);
            }
        }
        match end {
            End::Disk(error) => return Err(DownloadError::Write(error)),
            End::Dishonest(why) => self.warn_of_dishonesty(peer, &why),
            _ => {}
        }
        Ok(())
    }

    fn is_used(&self, peer: PeerId) -> bool {
        self.supply.sources.roster().is_used(peer)
    }

    /// The peer lists all blocks that it has. Its earlier claims no longer count.
    fn replace_holding(&mut self, peer: PeerId, has: &Availability) {
        self.supply.holdings.begin_anew(&peer);
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
        let was_used = self.is_used(peer);
        if !self.supply.sources.has_content(id, peer, Instant::now()) {
            // The peer may have been banned meanwhile.
            if was_used && !self.is_used(peer) {
                self.forget(peer);
            }
            return Ok(None);
        }
        if has.is_listed {
            self.list();
        }
        // Updates of a second stream to the same peer were ignored above.
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
                let holdings = &mut self.supply.holdings;
                holdings.add(peer, &has.blocks, &has.suggested);
                if let Some(stage) = stage {
                    stage.has_manifests(peer);
                }
            }
        }
        for address in has.peers {
            let address = PeerAddress::from(address);
            self.supply.discovery.add_named(peer, &address);
        }
        Ok(None)
    }

    /// A source lists the content: everyone may learn of it, unless the user decided otherwise.
    fn list(&mut self) {
        if std::mem::take(&mut self.lists_as_sources) {
            self.scopes = Scope::Everyone.into();
            if let Some(stage) = &self.stage {
                stage.sink.list();
            }
        }
    }

    /// The source is not used any more: what it owes is requested from others.
    fn forget(&mut self, peer: PeerId) {
        self.supply.forget(peer);
        if let Some(stage) = &mut self.stage {
            stage.scheduler.left(peer);
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
        self.report.state = Some(state);
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
    fn delivery(&self) -> Result<Arc<Delivery>, DownloadError> {
        let delivery = self.purpose.delivery().cloned();
        delivery.ok_or(DownloadError::Internal(
            "delivered content that is only read",
        ))
    }
}

/// Runs `work` where blocking is allowed. Fails only if `work` panics or the runtime shuts down.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DownloadError> {
    Ok(spawn_blocking(work).await?)
}
