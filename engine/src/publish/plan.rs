//! Decides when each hash is announced next. Pure: the caller gives the time, in seconds of a
//! monotonic clock. Times that outlive a restart are in seconds since 1970; [`remembered_due`] and
//! [`to_remember`] convert.

use std::collections::{BTreeSet, HashMap, hash_map::Entry::Vacant};

use pelago_content::Hash;

/// The pause before a failed announcement is tried again, in seconds.
const RETRY: u64 = 60;

/// Announcements are spread over this part of the interval, a tenth: content that was shared at the
/// same time is not announced at the same time ever after.
const SPREAD: u64 = 10;

/// When a hash is due that was recorded as due at `due`, in seconds since 1970. It is at most
/// `interval` from `now`, as no announcement is planned further ahead: a wrong clock at the time of
/// recording does no harm.
pub(super) fn remembered_due(due: u64, unix_now: u64, interval: u64, now: u64) -> u64 {
    now + due.saturating_sub(unix_now).min(interval)
}

/// The time since 1970 to record for `due`.
pub(super) const fn to_remember(due: u64, now: u64, unix_now: u64) -> u64 {
    unix_now.saturating_add(due.saturating_sub(now))
}

#[derive(Clone, Copy, Debug)]
struct PlannedHash {
    due: u64,
    /// With this many known nodes in the DHT the record is due earlier: by then other nodes may be
    /// nearest to the key.
    outgrown_at: usize,
}

impl PlannedHash {
    /// Due at `due`, however the network grows.
    const fn new(due: u64) -> Self {
        Self {
            due,
            outgrown_at: usize::MAX,
        }
    }
}

/// The hashes to announce, and when.
#[derive(Debug)]
pub(super) struct Plan {
    interval: u64,
    max_in_flight: usize,
    /// How many nodes should keep a record.
    replication: usize,
    entries: HashMap<Hash, PlannedHash>,
    /// The hashes that are not in flight, by when they are due.
    waiting: BTreeSet<(u64, Hash)>,
}

impl Plan {
    /// Each hash every `interval` seconds to `replication` nodes, at most `max_in_flight` at a
    /// time.
    pub(super) fn new(interval: u64, max_in_flight: usize, replication: usize) -> Self {
        Self {
            interval: interval.max(1),
            max_in_flight: max_in_flight.max(1),
            replication,
            entries: HashMap::new(),
            waiting: BTreeSet::new(),
        }
    }

    /// Plans to announce `hash` at `due`, unless it is planned already.
    pub(super) fn add(&mut self, hash: Hash, due: u64) {
        if let Vacant(entry) = self.entries.entry(hash) {
            entry.insert(PlannedHash::new(due));
            self.waiting.insert((due, hash));
        }
    }

    /// Stops announcing `hash`.
    pub(super) fn remove(&mut self, hash: &Hash) {
        if let Some(entry) = self.entries.remove(hash) {
            self.waiting.remove(&(entry.due, *hash));
        }
    }

    /// Every hash that is planned, in no order.
    pub(super) fn hashes(&self) -> impl Iterator<Item = Hash> {
        self.entries.keys().copied()
    }

    /// Whether `hash` is planned.
    pub(super) fn contains(&self, hash: &Hash) -> bool {
        self.entries.contains_key(hash)
    }

    /// Takes the hashes to announce now. They are in flight until [`announced`](Self::announced) or
    /// [`failed`](Self::failed).
    pub(super) fn take_due(&mut self, now: u64) -> Vec<Hash> {
        let in_flight = self.entries.len() - self.waiting.len();
        let free = self.max_in_flight.saturating_sub(in_flight);
        let due = self
            .waiting
            .iter()
            .take_while(|(due, _)| *due <= now)
            .take(free);
        let due: Vec<_> = due.copied().collect();
        due.iter().for_each(|entry| {
            self.waiting.remove(entry);
        });
        due.into_iter().map(|(_, hash)| hash).collect()
    }

    /// How many hashes are due and not in flight.
    pub(super) fn count_due(&self, now: u64) -> usize {
        self.waiting
            .iter()
            .take_while(|(due, _)| *due <= now)
            .count()
    }

    /// Notes that `hash` was announced to `nodes` nodes while `known` were known. Returns when it
    /// is due next; `None` if it was removed meanwhile.
    pub(super) fn announced(
        &mut self,
        hash: &Hash,
        nodes: usize,
        known: usize,
        now: u64,
    ) -> Option<u64> {
        let spread = u64::from(hash.as_bytes()[0]) * (self.interval / SPREAD) / 255;
        let is_thin = nodes < self.replication;
        let growth = if is_thin { 1 } else { known.div_ceil(2) };
        self.wait(hash, now + self.interval - spread, known + growth)
    }

    /// Notes that announcing `hash` failed while `known` nodes were known.
    pub(super) fn failed(&mut self, hash: &Hash, known: usize, now: u64) {
        self.wait(hash, now + RETRY, known + 1);
    }

    /// Notes that `known` nodes are known now: hashes that were announced to far fewer are due.
    pub(super) fn network_grew(&mut self, known: usize, now: u64) {
        for (hash, entry) in &mut self.entries {
            let is_outgrown = entry.outgrown_at <= known && entry.due > now;
            if is_outgrown && self.waiting.remove(&(entry.due, *hash)) {
                *entry = PlannedHash::new(now);
                self.waiting.insert((now, *hash));
            }
        }
    }

    /// Whether nothing is due and nothing is in flight.
    pub(super) fn is_announced(&self, now: u64) -> bool {
        let in_flight = self.entries.len() - self.waiting.len();
        in_flight == 0 && self.waiting.first().is_none_or(|(due, _)| *due > now)
    }

    /// When a hash is due next; `None` if none is planned, or as many are in flight as may be.
    pub(super) fn next_due(&self) -> Option<u64> {
        let in_flight = self.entries.len() - self.waiting.len();
        let next = self.waiting.first().map(|(due, _)| *due);
        next.filter(|_| in_flight < self.max_in_flight)
    }

    fn wait(&mut self, hash: &Hash, due: u64, outgrown_at: usize) -> Option<u64> {
        let entry = self.entries.get_mut(hash)?;
        // It was removed and added again while in flight: it waits already, and is announced once
        // more.
        if self.waiting.contains(&(entry.due, *hash)) {
            return None;
        }
        *entry = PlannedHash { due, outgrown_at };
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
    fn a_share_is_announced_immediately_and_again_before_its_records_expire() {
        let mut plan = Plan::new(22 * HOUR, 4, 4);
        plan.add(hash(1), 100);
        assert_eq!(plan.take_due(100), [hash(1)]);
        assert!(plan.take_due(100).is_empty(), "it is in flight");
        let due = plan.announced(&hash(1), 4, 50, 100).unwrap();
        assert!((100 + 19 * HOUR..=100 + 22 * HOUR).contains(&due));
        assert_eq!(plan.next_due(), Some(due));
        assert!(plan.take_due(due - 1).is_empty());
        assert_eq!(plan.take_due(due), [hash(1)]);
    }

    #[test]
    fn announcements_in_flight_are_bounded() {
        let mut plan = Plan::new(HOUR, 3, 4);
        (0..100).for_each(|n| plan.add(hash(n), 0));
        let first = plan.take_due(0);
        assert_eq!(first.len(), 3);
        assert!(plan.take_due(0).is_empty());
        assert_eq!(plan.count_due(0), 97);
        assert_eq!(plan.next_due(), None, "no reason to wake up until one ends");
        plan.announced(&first[0], 4, 50, 0);
        assert_eq!(plan.take_due(0).len(), 1);
    }

    #[test]
    fn an_unshared_hash_is_never_announced_again() {
        let mut plan = Plan::new(HOUR, 3, 4);
        plan.add(hash(1), 0);
        plan.add(hash(2), 0);
        plan.remove(&hash(1));
        assert_eq!(plan.take_due(0), [hash(2)]);
        plan.remove(&hash(2));
        assert_eq!(plan.announced(&hash(2), 4, 50, 0), None);
        assert!(plan.take_due(u64::MAX).is_empty());
    }

    #[test]
    fn shared_again_while_in_flight_it_stays_planned() {
        let mut plan = Plan::new(HOUR, 3, 4);
        plan.add(hash(1), 0);
        plan.take_due(0);
        plan.remove(&hash(1));
        plan.add(hash(1), 5);
        plan.announced(&hash(1), 4, 50, 1);
        assert_eq!(plan.take_due(5), [hash(1)]);
    }

    #[test]
    fn a_failure_is_tried_again_soon_and_a_thin_record_when_the_network_grows() {
        let mut plan = Plan::new(22 * HOUR, 3, 4);
        plan.add(hash(1), 0);
        plan.add(hash(2), 0);
        plan.take_due(0);
        plan.failed(&hash(1), 2, 0);
        plan.announced(&hash(2), 2, 2, 0);
        assert_eq!(plan.next_due(), Some(RETRY));
        plan.network_grew(2, 10);
        assert!(plan.take_due(10).is_empty());
        plan.network_grew(3, 10);
        let mut due = plan.take_due(10);
        due.sort();
        assert_eq!(due, [hash(1), hash(2)]);
    }

    #[test]
    fn a_hash_is_announced_again_as_a_small_network_grows() {
        let mut plan = Plan::new(22 * HOUR, 3, 4);
        plan.add(hash(1), 0);
        plan.take_due(0);
        plan.announced(&hash(1), 4, 20, 0);
        plan.network_grew(29, 10);
        assert!(plan.take_due(10).is_empty());
        plan.network_grew(30, 10);
        assert_eq!(plan.take_due(10), [hash(1)]);
    }

    #[test]
    fn a_wrong_clock_delays_nothing_for_longer_than_an_interval() {
        let (interval, unix_now, now) = (22 * HOUR, 1_800_000_000, 500);
        let due = |remembered| remembered_due(remembered, unix_now, interval, now);
        assert_eq!(due(unix_now + HOUR), now + HOUR);
        assert_eq!(due(unix_now - HOUR), now, "it is late");
        assert_eq!(due(0), now);
        let ten_years = 10 * 365 * 24 * HOUR;
        assert_eq!(due(unix_now + ten_years), now + interval);
        assert_eq!(due(u64::MAX), now + interval);
        let again = to_remember(now + HOUR, now, unix_now);
        assert_eq!(due(again), now + HOUR);
        assert_eq!(to_remember(u64::MAX, 0, unix_now), u64::MAX);
    }
}
