//! When a request for what is absent is answered: after the same time, for any reason.
//!
//! What this node does not have, what it keeps from a peer, and what it cannot read take different
//! times to look up. So each such answer leaves a whole number of steps after its request. Their rate
//! is bounded by host and site, so that many of them do not tell by their average either.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::requester::{QuotaKey, Requester};

/// The time of an answer: longer than a look-up takes on a node that is not busy.
const STEP: Duration = Duration::from_millis(10);

/// The pause of a host between two such answers, if it has used up its burst; that of a site is a
/// quarter of it.
const HOST_PAUSE: Duration = Duration::from_millis(10);
const SITE_PAUSE: Duration = Duration::from_micros(2_500);

/// What a host or a site may ask at once: as many items as one request has (256).
const BURST: Duration = Duration::from_millis(2_560);

/// The hosts and sites to remember, at most: about 0.5 MB. With more of them, all are forgotten: a
/// bound for each prefix does not hold an attacker who has so many.
const MAX_KEYS: usize = 8192;

/// The answers of one node. A handle: clones share them.
#[derive(Clone, Default)]
pub(super) struct Absences(Arc<Mutex<Pace>>);

/// Until when the answers so far have used up the rate of each host and site.
#[derive(Default)]
struct Pace(HashMap<QuotaKey, Instant>);

impl Absences {
    /// Waits until `count` absences may be answered to `requester`, which asked at `asked`.
    pub(super) async fn wait(&self, requester: &Requester, count: u32, asked: Instant) {
        let at = self
            .0
            .lock()
            .answer_at(requester, count, asked, Instant::now());
        sleep_until(at).await;
    }
}

impl Pace {
    fn answer_at(
        &mut self,
        requester: &Requester,
        count: u32,
        asked: Instant,
        now: Instant,
    ) -> Instant {
        if self.0.len() + 2 > MAX_KEYS {
            self.0.retain(|_, used_until| *used_until > now);
            if self.0.len() + 2 > MAX_KEYS {
                self.0.clear();
            }
        }
        let [site, host, _] = requester.keys();
        let mut at = now;
        for (key, pause) in [(site, SITE_PAUSE), (host, HOST_PAUSE)] {
            let used_until = self.0.entry(key).or_insert(now);
            *used_until = (*used_until).max(now) + pause * count;
            at = at.max(used_until.checked_sub(BURST).unwrap_or(now));
        }
        let steps = (at - asked).as_nanos().div_ceil(STEP.as_nanos()).max(1);
        asked + STEP * u32::try_from(steps).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pace: &mut Pace, requester: &Requester, asked: Instant, took: u64) -> Duration {
        let now = asked + Duration::from_micros(took);
        pace.answer_at(requester, 1, asked, now) - asked
    }

    #[test]
    fn how_long_a_look_up_took_does_not_show() {
        let (mut pace, asked) = (Pace::default(), Instant::now());
        let requester = Requester::at("11.0.0.1");
        for took in [0, 1, 300, 9_999] {
            assert_eq!(after(&mut pace, &requester, asked, took), STEP, "{took}");
        }
        assert_eq!(after(&mut pace, &requester, asked, 10_001), 2 * STEP);
    }

    #[test]
    fn one_host_gets_a_hundred_a_second_and_others_their_own() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        let [ids, neighbour, other] = ["11.0.0.1", "11.0.0.2", "11.0.1.1"];
        let mut now = begun;
        for _ in 0..1000 {
            now = pace.answer_at(&Requester::at(ids), 1, now, now);
        }
        // Each answer takes a step in any case.
        assert_eq!(now - begun, 1000 * STEP);
        let mut last = now;
        for _ in 0..1000 {
            last = last.max(pace.answer_at(&Requester::at(ids), 1, now, now));
        }
        let took = last - now;
        assert!(
            took > Duration::from_secs(7) && took < Duration::from_secs(8),
            "{took:?}"
        );
        for free in [neighbour, other] {
            assert_eq!(
                after(&mut pace, &Requester::at(free), now, 0),
                STEP,
                "{free}"
            );
        }
    }

    #[test]
    fn prefixes_without_end_take_bounded_memory() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for n in 0..2 * MAX_KEYS {
            let requester = Requester::at(&format!("11.{}.{}.1", n >> 8, n & 255));
            after(&mut pace, &requester, now, 0);
            assert!(pace.0.len() <= MAX_KEYS);
        }
    }
}
