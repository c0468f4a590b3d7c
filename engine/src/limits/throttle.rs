//! How often something may happen, by what causes it. Pure: the time is an argument.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// Causes that are counted, at most: more than a node has connections.
const MAX_CAUSES: usize = 4096;

/// Counts by cause, each over a window of time from its first count on.
#[derive(Debug)]
pub struct Throttle<K> {
    limit: u32,
    window: Duration,
    overflow: Overflow,
    counts: HashMap<K, (Instant, u32)>,
    /// Until when no count ends, if as many as possible are counted.
    full_until: Option<Instant>,
}

/// What happens with a further cause while as many as possible are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    /// All counts begin again: a limit for each cause does not hold those who are so many.
    Forget,
    /// It is not allowed.
    Refuse,
}

impl<K: Hash + Eq> Throttle<K> {
    /// Allows `limit` within `window` for each cause, in work for others: what other causes do never
    /// refuses one.
    #[must_use]
    pub fn new(limit: u32, window: Duration) -> Self {
        Self {
            limit,
            window,
            overflow: Overflow::Forget,
            counts: HashMap::new(),
            full_until: None,
        }
    }

    /// The same where the sum has a bound as well, as for lines of the log: 4,096 times `limit` within
    /// `window`.
    #[must_use]
    pub fn bounded(limit: u32, window: Duration) -> Self {
        Self {
            overflow: Overflow::Refuse,
            ..Self::new(limit, window)
        }
    }

    /// Counts one for `cause`. Returns whether it is allowed.
    pub fn allows(&mut self, cause: K, now: Instant) -> bool {
        self.count(cause, 1, now)
            .is_some_and(|count| count <= self.limit)
    }

    /// Counts `number` for `cause`.
    pub fn add(&mut self, cause: K, number: usize, now: Instant) {
        self.count(cause, u32::try_from(number).unwrap_or(u32::MAX), now);
    }

    /// Whether `cause` has reached the limit.
    #[must_use]
    pub fn is_spent(&self, cause: &K, now: Instant) -> bool {
        self.counts
            .get(cause)
            .is_some_and(|(since, count)| now < *since + self.window && *count >= self.limit)
    }

    /// The count of `cause` with `number`; none if it cannot be counted.
    fn count(&mut self, cause: K, number: u32, now: Instant) -> Option<u32> {
        if self.counts.len() >= MAX_CAUSES && !self.counts.contains_key(&cause) {
            if self.full_until.is_some_and(|until| now < until) {
                return None;
            }
            self.make_space(now);
            if self.counts.len() >= MAX_CAUSES {
                return None;
            }
        }
        let (since, count) = self.counts.entry(cause).or_insert((now, 0));
        if now >= *since + self.window {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(number);
        Some(*count)
    }

    /// Drops the counts that have ended, or all of them.
    fn make_space(&mut self, now: Instant) {
        let window = self.window;
        self.counts.retain(|_, (since, _)| now < *since + window);
        if self.counts.len() >= MAX_CAUSES {
            match self.overflow {
                Overflow::Forget => self.counts.clear(),
                Overflow::Refuse => {
                    let ends = self.counts.values().map(|(since, _)| *since + window);
                    self.full_until = ends.min();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn one_cause_is_limited_for_a_while_and_others_are_unaffected() {
        let (mut throttle, start) = (Throttle::new(64, WINDOW), Instant::now());
        let allowed = (0..100).filter(|_| throttle.allows(1, start)).count();
        assert_eq!(allowed, 64);
        assert!(throttle.is_spent(&1, start) && !throttle.is_spent(&2, start));
        assert!(throttle.allows(2, start));
        let later = start + WINDOW;
        assert!(!throttle.is_spent(&1, later) && throttle.allows(1, later));
        let all = (0..3 * MAX_CAUSES).all(|cause| throttle.allows(cause, later));
        assert!(all, "the causes refuse each other nothing");
        assert!(throttle.counts.len() <= MAX_CAUSES);
    }

    #[test]
    fn what_is_counted_at_once_uses_up_the_limit() {
        let (mut throttle, start) = (Throttle::new(10, WINDOW), Instant::now());
        throttle.add(1, 9, start);
        assert!(!throttle.is_spent(&1, start));
        throttle.add(1, usize::MAX, start);
        assert!(throttle.is_spent(&1, start) && !throttle.allows(1, start));
    }

    #[test]
    fn the_sum_of_all_causes_can_have_a_bound() {
        let (mut throttle, start) = (Throttle::bounded(1, WINDOW), Instant::now());
        let allowed = (0..2 * MAX_CAUSES).filter(|cause| throttle.allows(*cause, start));
        assert_eq!(allowed.count(), MAX_CAUSES);
        assert!(!throttle.allows(1, start + WINDOW / 2));
        assert!(throttle.allows(3 * MAX_CAUSES, start + WINDOW));
    }
}
