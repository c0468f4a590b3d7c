//! The line: when a packet arrives at its other end, or that it is lost. Pure.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// A line with the same properties in both directions.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    /// Megabits a second, of IP packets.
    pub(crate) mbit: u64,
    /// The round trip of an empty line.
    pub(crate) round_trip: Duration,
    /// The part of all packets that is lost.
    pub(crate) loss: f64,
}

impl Line {
    /// How long the line takes to send `bytes`.
    pub(crate) fn time_of(&self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes * 8_000 / self.mbit)
    }

    /// The bytes that the line carries in this time.
    pub(crate) fn bytes_in(&self, time: Duration) -> u64 {
        self.mbit * 125 * time.as_millis() as u64
    }
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives(Instant),
    /// It was lost on the way.
    Lost,
    /// The queue before the line was full.
    Refused,
}

/// One direction of a line.
pub(crate) struct Direction {
    line: Line,
    free_at: Instant,
    random: StdRng,
}

impl Direction {
    pub(crate) fn new(line: Line, now: Instant, seed: u64) -> Self {
        Self {
            line,
            free_at: now,
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// A packet of `bytes` reaches the line. The queue before the line holds as much as the line
    /// sends in a round trip, and drops what comes when it is full.
    pub(crate) fn send(&mut self, bytes: u64, now: Instant) -> Fate {
        let begins = self.free_at.max(now);
        if begins - now > self.line.round_trip {
            return Fate::Refused;
        }
        self.free_at = begins + self.line.time_of(bytes);
        if self.random.random_bool(self.line.loss) {
            return Fate::Lost;
        }
        Fate::Arrives(self.free_at + self.line.round_trip / 2)
    }
}
