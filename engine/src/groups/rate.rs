//! How often something may happen, by what causes it. Pure: the time is an argument.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// Causes that are counted, at most. Beyond that all counts begin again.
const MAX_CAUSES: usize = 4096;

/// Counts by cause, each over a window of time from its first count on.
#[derive(Debug)]
pub(super) struct Rate<K> {
    limit: u32,
    window: Duration,
    counts: HashMap<K, (Instant, u32)>,
}

impl<K: Hash + Eq> Rate<K> {
    /// Allows `limit` within `window` for each cause.
    pub(super) fn new(limit: u32, window: Duration) -> Self {
        Self {
            limit,
            window,
            counts: HashMap::new(),
        }
    }

    /// Counts one for `cause`. Returns whether it is allowed.
    pub(super) fn allows(&mut self, cause: K, now: Instant) -> bool {
        self.count(cause, 1, now) <= self.limit
    }

    /// Counts `number` for `cause`.
    pub(super) fn add(&mut self, cause: K, number: usize, now: Instant) {
        self.count(cause, u32::try_from(number).unwrap_or(u32::MAX), now);
    }

    /// Whether `cause` has reached the limit.
    pub(super) fn is_spent(&self, cause: &K, now: Instant) -> bool {
        self.counts
            .get(cause)
            .is_some_and(|(since, count)| now < *since + self.window && *count >= self.limit)
    }

    fn count(&mut self, cause: K, number: u32, now: Instant) -> u32 {
        if self.counts.len() >= MAX_CAUSES {
            let window = self.window;
            self.counts.retain(|_, (since, _)| now < *since + window);
            if self.counts.len() >= MAX_CAUSES {
                self.counts.clear();
            }
        }
        let (since, count) = self.counts.entry(cause).or_insert((now, 0));
        if now >= *since + self.window {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(number);
        *count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn one_cause_is_limited_for_a_while_and_others_are_unaffected() {
        let (mut rate, start) = (Rate::new(64, WINDOW), Instant::now());
        let allowed = (0..100).filter(|_| rate.allows(1, start)).count();
        assert_eq!(allowed, 64);
        assert!(rate.is_spent(&1, start) && !rate.is_spent(&2, start));
        assert!(rate.allows(2, start));
        assert!(!rate.is_spent(&1, start + WINDOW) && rate.allows(1, start + WINDOW));
        for cause in 0..3 * MAX_CAUSES {
            rate.allows(cause, start);
        }
        assert!(rate.counts.len() <= MAX_CAUSES);
    }

    #[test]
    fn what_is_counted_at_once_uses_up_the_limit() {
        let (mut rate, start) = (Rate::new(10, WINDOW), Instant::now());
        rate.add(1, 9, start);
        assert!(!rate.is_spent(&1, start));
        rate.add(1, usize::MAX, start);
        assert!(rate.is_spent(&1, start) && !rate.allows(1, start));
    }
}
