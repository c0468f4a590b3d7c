//! The regular tick of a download: who makes way for whom, whether it waits, and when it gives up.

use std::time::{Duration, Instant};

use super::{
    Task,
    report::{Moment, Verified},
};
use crate::{
    network::Settling,
    transfer::{TransferError, WaitReason, stage::Stage},
};

/// How long nothing may arrive before the status shows that.
const SILENCE: Duration = Duration::from_secs(3);

impl Task {
    /// Sources that have nothing to give make way for candidates that wait.
    fn replace_useless_sources(&mut self, now: Instant) {
        let wanted = self.supply.sources.roster().crowded_out();
        let Some(stage) = self.stage.as_mut().filter(|_| wanted > 0) else {
            return;
        };
        let mut replaced = 0;
        for peer in stage.scheduler.of_no_use() {
            if replaced < wanted && self.supply.sources.replace(peer, now) {
                stage.scheduler.left(peer);
                self.supply.holdings.remove(&peer);
                replaced += 1;
            }
        }
    }

    /// Renews the status.
    ///
    /// # Errors
    /// [`TransferError::NoSource`] if nothing has arrived for too long, or all peers were asked in
    /// vain, and the download does not wait; [`TransferError::Paused`] if its readers are gone.
    pub(super) fn tick(&mut self) -> Result<(), TransferError> {
        let now = Instant::now();
        self.replace_useless_sources(now);
        self.release_if_idle(now);
        if self.is_left(now) {
            return Err(TransferError::Paused);
        }
        let with_content = self.supply.sources.roster().with_content();
        if self.has_asked_all() {
            return Err(self.no_source_within(false, whole_seconds(self.timing.started)));
        }
        self.timing.waiting.note_source(with_content > 0);
        // Before the first stage, the sources are about to be asked what the content is.
        let can_continue = |stage: &Stage| {
            let scheduler = &stage.scheduler;
            scheduler.is_done() || scheduler.can_continue()
        };
        let can_continue = with_content > 0 && self.stage.as_ref().is_none_or(can_continue);
        // A download that waits for its turn to begin has left its sources.
        let is_able = can_continue || self.described.is_some();
        let is_only_busy = |stage: &Stage| stage.scheduler.is_only_busy();
        let has_source = is_able && !self.stage.as_ref().is_some_and(is_only_busy);
        let is_idle = self.is_idle();
        // If others want to look and this one has no source, it waits without streams.
        let is_asking = self.supply.sources.roster().is_asking();
        let has_none = with_content == 0 && !is_able;
        let makes_way = has_none && self.timing.makes_way(self.wanted.waits, is_asking, now);
        // An idle download keeps its turn, as its readers may continue at any moment.
        if !is_idle {
            let (hash, status) = (self.wanted.hash, &self.report.status);
            self.timing.take_turns(hash, status, is_able, now);
        }
        if has_source {
            self.timing.last_source = now;
        }
        let is_throttled = self.supply.inflow.take_throttled();
        let is_held = is_able && (self.timing.turn.is_none() || is_throttled) || is_idle;
        self.timing.patience.tick(now, is_held);
        let is_over = makes_way || self.timing.patience.is_over(self.wanted.timeout, now);
        let may_wait = self.wanted.waits && !has_source && with_content > 0;
        if !is_over || !may_wait {
            self.timing.waiting.end();
        }
        if is_over && !(may_wait && self.timing.waiting.begin()) {
            return Err(self.no_source(is_able));
        }
        let moment = Moment {
            verified: self.stage.as_ref().map(verified),
            sources: with_content as u64,
            waits: self.wait_reason(is_able, has_source, now),
            is_waiting: self.timing.waiting.is_waiting(),
            is_queued: self.stage.is_none() && is_able && self.timing.turn.is_none(),
        };
        let states = self.supply.sources.roster().states();
        self.report.update(now, moment, &states);
        Ok(())
    }

    /// The end of a turn that has no source.
    pub(super) fn no_source(&self, is_able: bool) -> TransferError {
        self.no_source_within(is_able, self.wanted.timeout)
    }

    /// Whether a download that gives up has asked all peers in reach in vain, before any of them had
    /// content.
    fn has_asked_all(&self) -> bool {
        let is_settled = self.settling.as_ref().is_some_and(Settling::is_settled);
        let has_begun = self.stage.is_some() || self.folder.is_some() || self.described.is_some();
        is_settled && !has_begun && self.supply.sources.roster().is_exhausted()
    }

    fn no_source_within(&self, is_able: bool, timeout: Duration) -> TransferError {
        let own_groups = self.services.memberships.own_groups();
        TransferError::NoSource {
            may_be_in_group: self.wanted.group.is_none() && !own_groups.is_empty(),
            hash: self.wanted.hash,
            timeout,
            tried: self.tried(is_able),
            kept: self.report.status.borrow().verified_bytes.unwrap_or(0),
        }
    }

    /// Why the download is not faster, as far as that is known here.
    fn wait_reason(&self, is_able: bool, has_source: bool, now: Instant) -> Option<WaitReason> {
        if is_able && let Some(ticket) = &self.timing.ticket {
            let ahead = ticket.ahead();
            return Some(WaitReason::Turn { ahead });
        }
        if !has_source {
            return Some(WaitReason::Source {
                since: self.timing.last_source.min(self.timing.patience.since()),
                tried: self.tried(is_able),
            });
        }
        match self.services.limits.holding_downloads() {
            Some(rate) => Some(WaitReason::Limit { rate }),
            None => self.silence(now),
        }
    }

    /// Whether sources that owe something have sent nothing for a while.
    fn silence(&self, now: Instant) -> Option<WaitReason> {
        let (asked, from) = self.stage.as_ref()?.scheduler.owing()?;
        let since = self.supply.inflow.last_bytes().max(Some(asked))?;
        let is_long = now.saturating_duration_since(since) >= SILENCE;
        is_long.then_some(WaitReason::Data { since, from })
    }

    /// Which peers were asked, with the outcomes. If the download could fetch, its sources are
    /// busy.
    fn tried(&self, is_able: bool) -> String {
        if is_able {
            "all sources are busy, and will be asked again".to_owned()
        } else {
            self.supply.sources.roster().summary()
        }
    }
}

fn whole_seconds(since: Instant) -> Duration {
    Duration::from_secs(since.elapsed().as_secs())
}

fn verified(stage: &Stage) -> Verified {
    let blocks = stage.sink.verified();
    Verified {
        bytes: stage.bytes_of(&blocks),
        blocks,
        is_shown: stage.manifests().is_none(),
    }
}
