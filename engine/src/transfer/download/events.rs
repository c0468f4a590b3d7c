//! How a download handles the events of its sources.

use std::time::Instant;

use libp2p::PeerId;
use pelago_behaviour::availability::Availability;

use super::{Task, supply::EVENTS_QUEUED};
use crate::{
    network::PeerAddress,
    store::Scope,
    transfer::{
        Finished, TransferError,
        source::{End, Event, SourceId, UpdateKind},
    },
};

impl Task {
    /// Handles an event and those that wait behind it. Returns the finished download, if all of its
    /// content is there now.
    pub(super) async fn handle_events(
        &mut self,
        id: SourceId,
        event: Event,
    ) -> Result<Option<Finished>, TransferError> {
        self.handle_event(id, event)?;
        // All waiting events come before new requests. Their number is bounded, or a source that
        // sends many of them would keep everything else from being done.
        for _ in 0..EVENTS_QUEUED {
            let Ok((id, event)) = self.supply.events.try_recv() else {
                break;
            };
            self.handle_event(id, event)?;
        }
        self.windows.arrived();
        self.release_if_idle(Instant::now());
        self.advance().await
    }

    /// Begins to fetch, once a source has said what the content is and the download has its turn;
    /// and begins the next stages for as long as nothing has to be fetched. Returns the finished
    /// download, if all of its content is there now.
    pub(super) async fn advance(&mut self) -> Result<Option<Finished>, TransferError> {
        if self.timing.turn.is_some()
            && let Some((descriptor, name)) = self.described.take()
            && let Some(finished) = self.begin(descriptor, name).await?
        {
            return Ok(Some(finished));
        }
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

    fn handle_event(&mut self, id: SourceId, event: Event) -> Result<(), TransferError> {
        let now = Instant::now();
        match event {
            Event::Has(peer, has, kind, _permit) => {
                self.source_has(id, peer, *has, kind);
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
        Ok(())
    }

    fn source_ended(
        &mut self,
        id: SourceId,
        peer: Option<PeerId>,
        end: End,
        now: Instant,
    ) -> Result<(), TransferError> {
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
            End::Disk(error) => return Err(TransferError::Write(error)),
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

    fn source_has(&mut self, id: SourceId, peer: PeerId, has: Availability, kind: UpdateKind) {
        let was_used = self.is_used(peer);
        if !self.supply.sources.has_content(id, peer, Instant::now()) {
            // The peer may have been banned meanwhile.
            if was_used && !self.is_used(peer) {
                self.forget(peer);
            }
            return;
        }
        if has.is_listed {
            self.list();
        }
        // Updates of a second stream to the same peer were ignored above.
        if kind == UpdateKind::Snapshot {
            self.replace_holding(peer, &has);
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
        if self.stage.is_none() {
            self.described.get_or_insert((has.descriptor, has.name));
            let (hash, status) = (self.wanted.hash, &self.report.status);
            if !self.timing.try_turn(hash, status, Instant::now()) {
                // A download that waits for its turn leaves the streams to others.
                self.supply.sources.pause();
                self.supply.holdings.clear();
            }
        }
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
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.supply.forget(peer);
        if let Some(stage) = &mut self.stage {
            stage.scheduler.left(peer);
        }
    }
}
