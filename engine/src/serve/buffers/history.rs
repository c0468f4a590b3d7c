//! How long bytes were held for each requester until it took them. Pure: time is an argument.
//!
//! Measurements are kept by prefix as well as by peer, so that a new peer id from a slow network
//! does not start with a clean record. Old measurements fade, and their number is bounded.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::serve::requester::{QuotaKey, Requester};

/// After this long a measurement counts half.
const HALF_LIFE: Duration = Duration::from_secs(60);

/// Bytes taken from which on a requester has a history: the first chunk that it asks for.
const ENOUGH_BYTES: f64 = (256 << 10) as f64;

/// The same in byte-seconds held: that chunk, held for two seconds.
const ENOUGH_HELD: f64 = 2.0 * ENOUGH_BYTES;

/// A requester is slow when a byte is held for it longer than this on average, in seconds: it asks
/// for more at a time than it can take in that time. An honest requester asks for about an eighth
/// of a second's worth at a time.
const SLOW_SECONDS: f64 = 10.0;

/// Prefixes and peers to remember, at most: about 0.5 MB. The oldest are forgotten.
const MAX_REMEMBERED: usize = 4096;

/// What the history says of a requester, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It takes what it asks for.
    Proven,
    /// The history has no record of it.
    New,
    /// It asks for far more than it takes.
    Slow,
}

impl Standing {
    pub(super) const ALL: [Self; 3] = [Self::Proven, Self::New, Self::Slow];
}

/// The measurements.
#[derive(Default)]
pub(super) struct RequesterHistory(HashMap<QuotaKey, Measured>);

struct Measured {
    /// Bytes taken.
    taken: f64,
    /// Byte-seconds: bytes that were held while the requester could have taken them, times the
    /// duration.
    held: f64,
    at: Instant,
}

impl Measured {
    /// The values as they count now: (taken, held).
    fn faded(&self, now: Instant) -> (f64, f64) {
        let age = now.saturating_duration_since(self.at).as_secs_f64();
        let part = (-age / HALF_LIFE.as_secs_f64()).exp2();
        (self.taken * part, self.held * part)
    }

    fn standing(&self, now: Instant) -> Option<Standing> {
        let (taken, held) = self.faded(now);
        let is_known = taken >= ENOUGH_BYTES || held >= ENOUGH_HELD;
        let is_slow = held > SLOW_SECONDS * taken;
        let standing = if is_slow {
            Standing::Slow
        } else {
            Standing::Proven
        };
        is_known.then_some(standing)
    }
}

impl RequesterHistory {
    /// Records that `requester` took `taken` bytes in `time`, while `held` bytes were held for it.
    pub(super) fn note(
        &mut self,
        requester: &Requester,
        (held, taken): (u64, u64),
        time: Duration,
        now: Instant,
    ) {
        for key in requester.keys() {
            if self.0.len() >= MAX_REMEMBERED && !self.0.contains_key(&key) {
                self.forget();
            }
            let measured = self.0.entry(key).or_insert(Measured {
                taken: 0.0,
                held: 0.0,
                at: now,
            });
            let before = measured.faded(now);
            measured.taken = before.0 + taken as f64;
            measured.held = before.1 + held as f64 * time.as_secs_f64();
            measured.at = now;
        }
    }

    /// The standing of `requester`, or of the narrowest prefix around it that has a record.
    pub(super) fn standing(&self, requester: &Requester, now: Instant) -> Standing {
        let mut keys = requester.keys().into_iter().rev();
        let known = keys.find_map(|key| self.0.get(&key)?.standing(now));
        known.unwrap_or(Standing::New)
    }

    /// Forgets the older half.
    fn forget(&mut self) {
        let mut times: Vec<_> = self.0.values().map(|measured| measured.at).collect();
        let (_, median, _) = times.select_nth_unstable(MAX_REMEMBERED / 2);
        let median = *median;
        self.0.retain(|_, measured| measured.at > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_new_id_of_a_slow_prefix_does_not_begin_fresh() {
        let (mut history, start) = (RequesterHistory::default(), Instant::now());
        let slow = Requester::at("8.8.8.8");
        assert_eq!(history.standing(&slow, start), Standing::New);
        history.note(&slow, (MIB, 100), Duration::from_secs(1), start);
        assert_eq!(history.standing(&slow, start), Standing::Slow);
        for address in ["8.8.8.8", "8.8.8.9"] {
            let other = Requester::at(address);
            assert_eq!(history.standing(&other, start), Standing::Slow);
        }
        let elsewhere = Requester::at("8.8.9.8");
        assert_eq!(history.standing(&elsewhere, start), Standing::New);
        let later = start + 10 * HALF_LIFE;
        assert_eq!(history.standing(&slow, later), Standing::New);
    }

    #[test]
    fn a_fast_requester_is_proven_even_beside_a_slow_one() {
        let (mut history, now) = (RequesterHistory::default(), Instant::now());
        let [slow, fast] = ["8.8.8.8", "8.8.8.8"].map(Requester::at);
        for _ in 0..9 {
            history.note(&slow, (MIB, 1000), Duration::from_secs(1), now);
        }
        history.note(&fast, (MIB, MIB), Duration::from_millis(10), now);
        assert_eq!(history.standing(&fast, now), Standing::Proven);
        // A modem that asks for as much as it takes in a second.
        let modem = Requester::at("9.9.9.9");
        for _ in 0..20 {
            history.note(&modem, (16 << 10, 16 << 10), Duration::from_secs(1), now);
        }
        assert_eq!(history.standing(&modem, now), Standing::Proven);
    }

    #[test]
    fn as_many_prefixes_as_there_may_be_are_remembered() {
        let (mut history, start) = (RequesterHistory::default(), Instant::now());
        for n in 0..3 * MAX_REMEMBERED as u32 {
            let requester = Requester::at(&format!("11.{}.{}.1", n >> 8, n & 255));
            let now = start + Duration::from_millis(n.into());
            history.note(&requester, (MIB, 0), Duration::from_secs(1), now);
            assert!(history.0.len() <= MAX_REMEMBERED + 2);
        }
    }
}
