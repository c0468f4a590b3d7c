//! The pace of a scan at low priority, which leaves the disk to others: it pauses four times as
//! long as it works.

use std::time::{Duration, Instant};

/// How long it works before a pause.
const WORK: Duration = Duration::from_millis(50);

/// The longest pause, after a large file was hashed.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The pauses of one scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    begun: Instant,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self { begun: now }
    }

    /// How long to pause now, if a pause is due.
    pub(super) fn step(&mut self, now: Instant) -> Option<Duration> {
        let worked = now.saturating_duration_since(self.begun);
        if worked < WORK {
            return None;
        }
        let pause = (worked * 4).min(MAX_PAUSE);
        self.begun = now + pause;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_time_is_work() {
        let (start, step) = (Instant::now(), Duration::from_millis(1));
        let (mut pace, mut now) = (Pace::new(start), start);
        let mut worked = Duration::ZERO;
        while now < start + Duration::from_secs(10) {
            now += step;
            worked += step;
            now += pace.step(now).unwrap_or_default();
        }
        assert_eq!(worked.as_secs(), 2);
        assert_eq!(pace.step(now + Duration::from_secs(60)), Some(MAX_PAUSE));
    }
}
