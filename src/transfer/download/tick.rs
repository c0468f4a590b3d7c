//! How long a download waits for what: for sources, for its turn; and what it says of that.

use std::time::{Duration, Instant};

use super::{Stage, Task};
use crate::transfer::{DownloadError, DownloadState, WaitReason};

/// How long a download keeps its turn without a source that has anything for it; and while others wait
/// for theirs, without anything that comes.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

impl Task {
    /// From now on time counts.
    pub(super) fn begin_search(&mut self) {
        let now = Instant::now();
        self.patience.restart(now);
        (self.last_source, self.last_arrival) = (now, now);
    }

    /// Sources that have nothing to give make room for those that wait.
    fn make_room(&mut self, now: Instant) {
        let wanted = self.sources.crowded_out();
        let Some(stage) = self.stage.as_mut().filter(|_| wanted > 0) else {
            return;
        };
        let mut made = 0;
        for peer in stage.scheduler.of_no_use() {
            if made < wanted && self.sources.replace(peer, now) {
                stage.scheduler.left(peer);
                self.holdings.remove(&peer);
                made += 1;
            }
        }
    }

    /// Renews the status, and gives up when there has been no source for too long.
    pub(super) fn tick(&mut self) -> Result<(), DownloadError> {
        let now = Instant::now();
        self.make_room(now);
        self.release_if_idle(now);
        if self.is_left(now) {
            return Err(DownloadError::Paused);
        }
        let with_content = self.sources.with_content();
        self.waiting.note_source(with_content > 0);
        // Before there is content to schedule, whoever has it is about to be asked.
        let can_go_on = |stage: &Stage| {
            let scheduler = &stage.scheduler;
            scheduler.is_done() || scheduler.can_go_on()
        };
        let is_able = with_content > 0 && self.stage.as_ref().is_none_or(can_go_on);
        let is_only_busy = |stage: &Stage| stage.scheduler.is_only_busy();
        let has_source = is_able && !self.stage.as_ref().is_some_and(is_only_busy);
        self.take_turns(is_able, now);
        if has_source {
            self.last_source = now;
        }
        let is_throttled = self.throttled.take();
        let stands = is_able && (self.turn.is_none() || is_throttled) || self.is_idle();
        self.patience.tick(now, stands);
        let is_over = self.patience.is_over(self.request.timeout, now);
        if !is_over || !self.request.waits || has_source || with_content == 0 {
            self.waiting.end();
        }
        if is_over && !self.waits_attached(has_source, with_content) {
            return Err(DownloadError::NoSource {
                hash: self.request.hash,
                timeout: self.request.timeout,
                tried: self.tried(is_able),
            });
        }
        let verified = self.stage.as_ref().map(|stage| {
            let blocks = stage.sink.verified();
            let bytes = stage.bytes_of(&blocks);
            (blocks, bytes, stage.manifests().is_none())
        });
        let shown = verified.as_ref().filter(|(.., is_shown)| *is_shown);
        let shown = shown.map(|(blocks, ..)| blocks);
        self.block_sources.tick(now, shown, &self.sources.states());
        let verified = verified.map(|(_, bytes, _)| bytes);
        let rate = verified.map(|verified| self.meter.read(now, verified));
        let waits = self.waits(is_able, has_source);
        let state = self.waiting.is_waiting().then_some(DownloadState::Waiting);
        let state = state.or(self.state);
        self.status.send_modify(|status| {
            status.state = state.unwrap_or(status.state);
            status.verified_bytes = verified.or(status.verified_bytes);
            status.bytes_per_second = rate.unwrap_or(0);
            status.sources = with_content as u64;
            status.waits = waits;
        });
        Ok(())
    }

    /// Whether it waits with the sources that it has: they are busy, or will have more.
    fn waits_attached(&mut self, has_source: bool, with_content: usize) -> bool {
        let may_help = self.request.waits && !has_source && with_content > 0;
        may_help && self.waiting.begin()
    }

    /// Gets in the queue when it could fetch, and lets others go first when nothing comes.
    fn take_turns(&mut self, is_able: bool, now: Instant) {
        if self.is_idle() {
            // It may be read on at any moment.
        } else if !is_able {
            // Whoever can go on shall not wait for one that cannot.
            self.queued = None;
            if now.duration_since(self.last_source) >= TURN_PATIENCE {
                self.turn = None;
            }
        } else if self.turn.is_none() {
            let enter = || self.queue.enter(self.request.hash, self.status.clone());
            self.turn = self.queued.get_or_insert_with(enter).try_turn();
            if self.turn.is_some() {
                self.queued = None;
                self.last_arrival = now;
            }
        } else if now.duration_since(self.last_arrival) >= TURN_PATIENCE
            && self.queue.is_waited_for()
        {
            self.turn = None;
        }
    }

    /// What keeps it from being faster, as far as that is known here.
    fn waits(&self, is_able: bool, has_source: bool) -> Option<WaitReason> {
        if is_able && let Some(queued) = &self.queued {
            let ahead = queued.ahead();
            return Some(WaitReason::Turn { ahead });
        }
        if !has_source {
            return Some(WaitReason::Source {
                since: self.last_source.min(self.patience.since()),
                tried: self.tried(is_able),
            });
        }
        let rate = self.limits.holding_downloads()?;
        Some(WaitReason::Limit { rate })
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
