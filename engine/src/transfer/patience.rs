//! How long a download continues while nothing arrives. Pure: the time is an argument.
//!
//! Only verified data renews the patience; neither a source's claim nor bytes that fail their proof
//! do. While chunks arrive and are not verified yet, the end waits for them, but only if they began
//! in time, and only for as long as they need at the minimum rate that the protocol asks of a
//! source.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::PeerId;

/// How long the data of one request may take to arrive: 1 MiB at 8 KiB/s, the minimum rate of a
/// source (docs/PROTOCOL.md, section 3).
const MAX_ARRIVAL: Duration = Duration::from_secs(128);

/// How long nothing has arrived.
#[derive(Debug)]
pub(super) struct Patience {
    /// When data was last verified, moved forward by the time that does not count.
    since: Instant,
    ticked: Instant,
    /// The sources whose chunks are arriving and not verified yet, with the time when that began.
    arriving: HashMap<PeerId, Instant>,
}

impl Patience {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            ticked: now,
            arriving: HashMap::new(),
        }
    }

    /// Time counts from `now` on.
    pub(super) fn restart(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// Chunks from `peer` are arriving.
    pub(super) fn arriving(&mut self, peer: PeerId, now: Instant) {
        self.arriving.entry(peer).or_insert(now);
    }

    /// Chunks from `peer` are verified.
    pub(super) fn verified(&mut self, peer: &PeerId, now: Instant) {
        self.arriving.remove(peer);
        self.since = now;
    }

    /// Nothing of what was arriving from `peer` is useful.
    pub(super) fn refused(&mut self, peer: &PeerId) {
        self.arriving.remove(peer);
    }

    /// Records the time. If the download was held since the last call, because it waited for its
    /// turn or for our own limits, that time does not count.
    pub(super) fn tick(&mut self, now: Instant, stands: bool) {
        if stands {
            let stood = now.saturating_duration_since(self.ticked);
            self.since += stood;
            self.arriving.values_mut().for_each(|begun| *begun += stood);
        }
        self.ticked = now;
    }

    /// Since when nothing useful has arrived.
    pub(super) const fn since(&self) -> Instant {
        self.since
    }

    /// Whether nothing useful has arrived for `timeout`, and nothing that began in that time may
    /// still turn out useful.
    pub(super) fn is_over(&self, timeout: Duration, now: Instant) -> bool {
        let end = self.since + timeout;
        let is_on_its_way = |begun: &Instant| *begun <= end && now < *begun + MAX_ARRIVAL;
        now >= end && !self.arriving.values().any(is_on_its_way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(12);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// How many seconds a download continues in which `events` happen second by second.
    fn lasts(mut events: impl FnMut(&mut Patience, u64, Instant)) -> u64 {
        let start = Instant::now();
        let mut patience = Patience::new(start);
        for second in 0..10_000 {
            let now = start + seconds(second);
            events(&mut patience, second, now);
            if patience.is_over(TIMEOUT, now) {
                return second;
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn only_verified_data_renews_patience() {
        let peer = PeerId::random();
        assert_eq!(lasts(|patience, _, now| patience.tick(now, false)), 12);
        let arrives = |patience: &mut Patience, second: u64, now| {
            if second < 100 && second.is_multiple_of(10) {
                patience.verified(&peer, now);
            }
        };
        assert_eq!(lasts(arrives), 102);
    }

    #[test]
    fn time_in_which_nothing_could_be_fetched_does_not_count() {
        let stands = |patience: &mut Patience, second, now| {
            patience.tick(now, (5..=500).contains(&second));
        };
        assert_eq!(lasts(stands), 508);
    }

    #[test]
    fn a_chunk_from_a_slow_source_is_waited_for() {
        // 256 KiB at 8 KiB/s take 32 s, and the next chunk begins when one is complete.
        let peer = PeerId::random();
        let arrives = |patience: &mut Patience, second: u64, now| {
            if second > 0 && second <= 320 && second.is_multiple_of(32) {
                patience.verified(&peer, now);
            }
            if second < 320 {
                patience.arriving(peer, now);
            }
        };
        assert_eq!(lasts(arrives), 332);
    }

    #[test]
    fn refused_bytes_do_not_count_however_long_they_took() {
        let peer = PeerId::random();
        let refused = |patience: &mut Patience, second: u64, now| match second {
            0 => patience.arriving(peer, now),
            32 => patience.refused(&peer),
            _ => {}
        };
        assert_eq!(lasts(refused), 32);
    }

    #[test]
    fn sources_that_send_rubbish_in_turns_do_not_prolong_a_download() {
        let rubbish = |patience: &mut Patience, second: u64, now| {
            if second.is_multiple_of(10) {
                patience.arriving.clear();
                patience.arriving(PeerId::random(), now);
            }
        };
        assert_eq!(lasts(rubbish), 20);
        // A source that sends one chunk for ever gets as long as the slowest source needs for one.
        let endless = PeerId::random();
        let trickle = |patience: &mut Patience, _, now| patience.arriving(endless, now);
        assert_eq!(lasts(trickle), MAX_ARRIVAL.as_secs());
    }
}
