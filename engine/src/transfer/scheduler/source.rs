//! The scheduler's view of one source.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use pelago_content::Part;

use super::pace::{Allowance, Pace};
use crate::transfer::holding::Holding;

/// The maximum number of chunks in flight at one source, however small they are.
pub(in crate::transfer) const MAX_IN_FLIGHT: usize = 1024;

/// The assumed time for a chunk from a source that has sent nothing yet.
const FIRST_GUESS: Duration = Duration::from_millis(500);

/// A chunk that was requested from a source.
#[derive(Debug)]
pub(super) struct InFlight {
    part: Part,
    asked: Instant,
    /// The chunk has arrived from another source meanwhile.
    pub(super) is_cancelled: bool,
}

/// One source.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The blocks that it has.
    pub(super) holding: Holding,
    /// In the order of the requests, in which the chunks arrive.
    in_flight: VecDeque<InFlight>,
    bytes_in_flight: u64,
    pace: Pace,
    pub(super) paused_until: Option<Instant>,
    /// The source has said that it is busy, and has sent nothing since.
    pub(super) is_busy: bool,
    pub(super) failures: u32,
    /// The block after the last requested one, while it is in the same piece.
    pub(super) next: Option<u64>,
    /// The value of `given_back` at which the source had no missing block.
    pub(super) nothing_since: Option<u64>,
}

impl Source {
    /// Whether the source owes nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Whether more may be requested from the source now.
    pub(super) fn may_request(&mut self, allowance: &Allowance, now: Instant) -> bool {
        if self.paused_until.is_some_and(|until| until > now) {
            return false;
        }
        self.paused_until = None;
        if allowance.is_full || self.pace.is_probe_due(now) {
            return self.is_idle();
        }
        let window = self.pace.window(allowance);
        self.in_flight.len() < MAX_IN_FLIGHT && self.bytes_in_flight < window
    }

    /// The level of the chunk to request.
    pub(super) fn level(&self, allowance: &Allowance) -> u8 {
        self.pace.level(allowance)
    }

    /// The number of bytes that the source owes.
    pub(super) fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight
    }

    /// A chunk of `bytes` is requested from the source.
    pub(super) fn ask(&mut self, part: Part, bytes: u64, now: Instant) {
        if self.in_flight.is_empty() {
            self.pace.begin(now);
        }
        self.bytes_in_flight += bytes;
        self.in_flight.push_back(InFlight {
            part,
            asked: now,
            is_cancelled: false,
        });
    }

    /// A chunk of `bytes` has arrived from the source.
    pub(super) fn arrived(&mut self, part: Part, bytes: u64, now: Instant) {
        self.is_busy = false;
        if self.take(part, bytes).is_some() {
            let owes_more = !self.in_flight.is_empty();
            self.pace.arrived(bytes, now, owes_more);
        }
    }

    /// The source no longer owes the chunk. Returns its entry, if it did.
    pub(super) fn take(&mut self, part: Part, bytes: u64) -> Option<InFlight> {
        let index = self.in_flight.iter().position(|asked| asked.part == part)?;
        self.bytes_in_flight -= bytes;
        self.in_flight.remove(index)
    }

    /// The chunk has arrived from another source. Returns whether all that this source owes is
    /// unwanted now; then it owes nothing from here on.
    pub(super) fn cancel(&mut self, part: Part) -> bool {
        let mut owed = self.in_flight.iter_mut();
        let Some(request) = owed.find(|request| request.part == part) else {
            return false;
        };
        request.is_cancelled = true;
        let is_over = self.in_flight.iter().all(|request| request.is_cancelled);
        if is_over {
            self.in_flight.clear();
            self.bytes_in_flight = 0;
        }
        is_over
    }

    /// Nothing that the source owes is wanted any more: it owes nothing from here on. Returns what
    /// was still wanted.
    pub(super) fn stop(&mut self) -> Vec<Part> {
        self.bytes_in_flight = 0;
        let owed = std::mem::take(&mut self.in_flight).into_iter();
        owed.filter(|request| !request.is_cancelled)
            .map(|request| request.part)
            .collect()
    }

    /// The chunks that the source owes and that are still wanted.
    pub(super) fn owed(self) -> Vec<Part> {
        let wanted = self.in_flight.into_iter().filter(|r| !r.is_cancelled);
        wanted.map(|request| request.part).collect()
    }

    /// The chunks that the source owes and that are still wanted, the newest first.
    pub(super) fn last_owed(&self) -> impl Iterator<Item = Part> + '_ {
        let wanted = self.in_flight.iter().rev().filter(|r| !r.is_cancelled);
        wanted.map(|request| request.part)
    }

    /// When the first of the chunks was requested that the source owes and that are still wanted.
    pub(super) fn owes_since(&self) -> Option<Instant> {
        let mut wanted = self.in_flight.iter().filter(|r| !r.is_cancelled);
        wanted.next().map(|request| request.asked)
    }

    /// How long the source will take to send `bytes` if they are requested now.
    pub(super) fn time_for(&self, bytes: u64) -> Duration {
        let time = self.pace.time_for(self.bytes_in_flight + bytes);
        time.unwrap_or(FIRST_GUESS)
    }

    /// How long the source will take to send all that it owes. A source that has been silent is
    /// expected to stay silent for as long again.
    pub(super) fn time_left(&self, now: Instant) -> Duration {
        let asked = self.in_flight.front().map_or(now, |request| request.asked);
        let heard = self.pace.last_arrival().map_or(asked, |at| at.max(asked));
        self.time_for(0)
            .max(2 * now.saturating_duration_since(heard))
    }
}
