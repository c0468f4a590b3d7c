//! When each hash is announced next. Pure: time is seconds since 1970, given by the caller.

use std::collections::{BTreeSet, HashMap, hash_map::Entry::Vacant};

use pelago_content::Hash;

/// Pause before an announcement that failed is tried again, in seconds.
const RETRY: u64 = 60;

/// Part of the interval by which announcements are spread, so that what was shared at once is not
/// announced at once for ever after: a tenth.
const SPREAD: u64 = 10;

#[derive(Clone, Copy, Debug)]
struct Entry {
    due: u64,
    /// Whether fewer nodes keep the record than should: due again when more are known.
    is_thin: bool,
}

/// What is to be announced, and when.
#[derive(Debug)]
pub(super) struct Plan {
    interval: u64,
    max_in_flight: usize,
    entries: HashMap<Hash, Entry>,
    /// The entries that are not in flight, by when they are due.
    waiting: BTreeSet<(u64, Hash)>,
}

impl Plan {
    /// Each hash every `interval` seconds, at most `max_in_flight` at a time.
    pub(super) fn new(interval: u64, max_in_flight: usize) -> Self {
        Self {
            interval: interval.max(1),
            max_in_flight: max_in_flight.max(1),
            entries: HashMap::new(),
            waiting: BTreeSet::new(),
        }
    }

    /// Has `hash` announced at `due`, unless it is planned already.
    pub(super) fn add(&mut self, hash: Hash, due: u64) {
        if let Vacant(entry) = self.entries.entry(hash) {
            entry.insert(Entry {
                due,
                is_thin: false,
            });
            self.waiting.insert((due, hash));
        }
    }

    /// Announces `hash` no more.
    pub(super) fn remove(&mut self, hash: &Hash) {
        if let Some(entry) = self.entries.remove(hash) {
            self.waiting.remove(&(entry.due, *hash));
        }
    }

    /// Whether `hash` is planned.
    pub(super) fn contains(&self, hash: &Hash) -> bool {
        self.entries.contains_key(hash)
    }

    /// The hashes to announce now; they are in flight until [`announced`](Self::announced) or
    /// [`failed`](Self::failed).
    pub(super) fn take_due(&mut self, now: u64) -> Vec<Hash> {
        let in_flight = self.entries.len() - self.waiting.len();
        let room = self.max_in_flight.saturating_sub(in_flight);
        let due = self
            .waiting
            .iter()
            .take_while(|(due, _)| *due <= now)
            .take(room);
        let due: Vec<_> = due.copied().collect();
        due.iter().for_each(|entry| {
            self.waiting.remove(entry);
        });
        due.into_iter().map(|(_, hash)| hash).collect()
    }

    /// `hash` was announced, and `is_thin` if fewer nodes keep it than should. Returns when it is due
    /// next; `None` if it was removed meanwhile.
    pub(super) fn announced(&mut self, hash: &Hash, is_thin: bool, now: u64) -> Option<u64> {
        let spread = u64::from(hash.as_bytes()[0]) * (self.interval / SPREAD) / 255;
        self.wait(hash, now + self.interval - spread, is_thin)
    }

    /// Announcing `hash` failed.
    pub(super) fn failed(&mut self, hash: &Hash, now: u64) {
        self.wait(hash, now + RETRY, true);
    }

    /// More nodes are known: what too few of them keep is due.
    pub(super) fn network_grew(&mut self, now: u64) {
        for (hash, entry) in &mut self.entries {
            if entry.is_thin && entry.due > now && self.waiting.remove(&(entry.due, *hash)) {
                *entry = Entry {
                    due: now,
                    is_thin: false,
                };
                self.waiting.insert((now, *hash));
            }
        }
    }

    /// Whether nothing is due, or in flight.
    pub(super) fn is_announced(&self, now: u64) -> bool {
        let in_flight = self.entries.len() - self.waiting.len();
        in_flight == 0 && self.waiting.first().is_none_or(|(due, _)| *due > now)
    }

    /// When something is due next; `None` while nothing is, or as much is in flight as may be.
    pub(super) fn next_due(&self) -> Option<u64> {
        let in_flight = self.entries.len() - self.waiting.len();
        let next = self.waiting.first().map(|(due, _)| *due);
        next.filter(|_| in_flight < self.max_in_flight)
    }

    fn wait(&mut self, hash: &Hash, due: u64, is_thin: bool) -> Option<u64> {
        let entry = self.entries.get_mut(hash)?;
        // Removed and added again while in flight: it waits already, and is announced once more.
        if self.waiting.contains(&(entry.due, *hash)) {
            return None;
        }
        *entry = Entry { due, is_thin };
        self.waiting.insert((due, *hash));
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    fn hash(n: u8) -> Hash {
        Hash::from_bytes([n; 32])
    }

    #[test]
    fn a_share_is_announced_at_once_and_again_before_its_records_expire() {
        let mut plan = Plan::new(22 * HOUR, 4);
        plan.add(hash(1), 100);
        assert_eq!(plan.take_due(100), [hash(1)]);
        assert!(plan.take_due(100).is_empty(), "it is in flight");
        let due = plan.announced(&hash(1), false, 100).unwrap();
        assert!((100 + 19 * HOUR..=100 + 22 * HOUR).contains(&due));
        assert_eq!(plan.next_due(), Some(due));
        assert!(plan.take_due(due - 1).is_empty());
        assert_eq!(plan.take_due(due), [hash(1)]);
    }

    #[test]
    fn announcements_in_flight_are_bounded() {
        let mut plan = Plan::new(HOUR, 3);
        (0..100).for_each(|n| plan.add(hash(n), 0));
        let first = plan.take_due(0);
        assert_eq!(first.len(), 3);
        assert!(plan.take_due(0).is_empty());
        assert_eq!(
            plan.next_due(),
            None,
            "there is nothing to wake up for until one ends"
        );
        plan.announced(&first[0], false, 0);
        assert_eq!(plan.take_due(0).len(), 1);
    }

    #[test]
    fn what_is_unshared_is_never_announced_again() {
        let mut plan = Plan::new(HOUR, 3);
        plan.add(hash(1), 0);
        plan.add(hash(2), 0);
        plan.remove(&hash(1));
        assert_eq!(plan.take_due(0), [hash(2)]);
        plan.remove(&hash(2));
        assert_eq!(plan.announced(&hash(2), false, 0), None);
        assert!(plan.take_due(u64::MAX).is_empty());
    }

    #[test]
    fn shared_again_while_in_flight_it_stays_planned() {
        let mut plan = Plan::new(HOUR, 3);
        plan.add(hash(1), 0);
        plan.take_due(0);
        plan.remove(&hash(1));
        plan.add(hash(1), 5);
        plan.announced(&hash(1), false, 1);
        assert_eq!(plan.take_due(5), [hash(1)]);
    }

    #[test]
    fn a_failure_is_tried_again_soon_and_a_thin_record_when_the_network_grows() {
        let mut plan = Plan::new(22 * HOUR, 3);
        plan.add(hash(1), 0);
        plan.add(hash(2), 0);
        plan.take_due(0);
        plan.failed(&hash(1), 0);
        plan.announced(&hash(2), true, 0);
        assert_eq!(plan.next_due(), Some(RETRY));
        plan.network_grew(10);
        let mut due = plan.take_due(10);
        due.sort();
        assert_eq!(due, [hash(1), hash(2)]);
    }
}
