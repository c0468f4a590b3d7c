//! Decides when to try again after a failure.

use std::time::{Duration, Instant};

/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause: a person who has removed the cause waits no longer than this.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// A failure this long after the last one counts as a first failure.
const RECOVERY: Duration = Duration::from_secs(300);

/// Pauses between attempts. The first is 1 s, and each failure doubles it, up to 60 s. It starts
/// again at 1 s after five minutes without a failure, or after a call of [`Backoff::succeeded`].
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    failures: u32,
    /// When the pause after the last failure ends.
    tried: Option<Instant>,
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::up_to(MAX_PAUSE)
    }
}

impl Backoff {
    /// Pauses of at most `longest`.
    #[must_use]
    pub const fn up_to(longest: Duration) -> Self {
        Self {
            failures: 0,
            tried: None,
            longest,
        }
    }

    /// Notes a failure. Returns how long to wait before the next attempt.
    pub fn failed(&mut self, now: Instant) -> Duration {
        let has_recovered = |tried: Instant| now.saturating_duration_since(tried) >= RECOVERY;
        if self.tried.is_some_and(has_recovered) {
            self.failures = 0;
        }
        let doubled = FIRST_PAUSE * (1 << self.failures.min(16));
        let pause = doubled.min(self.longest);
        self.failures += 1;
        self.tried = Some(now + pause);
        pause
    }

    /// Notes that an attempt succeeded.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_start_again_after_a_recovery() {
        let mut backoff = Backoff::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let pause = backoff.failed(now);
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        let soon = now + RECOVERY - Duration::from_secs(1);
        assert_eq!(backoff.failed(soon), MAX_PAUSE, "too early for a recovery");
        let later = soon + MAX_PAUSE + RECOVERY;
        assert_eq!(backoff.failed(later), FIRST_PAUSE);
        assert_eq!(backoff.failed(later), FIRST_PAUSE * 2);
        backoff.succeeded();
        assert_eq!(backoff.failed(later), FIRST_PAUSE);
    }

    #[test]
    fn a_thousand_failures_do_not_overflow() {
        let mut backoff = Backoff::up_to(Duration::from_secs(600));
        let now = Instant::now();
        let last = (0..1000).map(|_| backoff.failed(now)).last();
        assert_eq!(last, Some(Duration::from_secs(600)));
    }
}
