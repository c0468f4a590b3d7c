//! Exchanges with peers that are under way, and how much each has moved: while others wait, the
//! slowest makes way. Pure: the time is an argument.
//!
//! The number of exchanges is bounded, and a member may take as long as it likes for its own while
//! there is space. So members that send a byte now and then hold up others for seconds, not for as
//! long as an exchange may take.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// How long an exchange runs before it may have to make way: an exchange of a group of 1,024 members
/// takes a second at 500 kB/s.
pub(super) const UNDISTURBED: Duration = Duration::from_secs(3);

/// One exchange. A handle: clones share it.
#[derive(Clone, Default)]
pub(super) struct Exchange {
    /// The bytes that its stream has read and written.
    pub(super) moved: Arc<AtomicU64>,
    over: Arc<Notify>,
}

impl Exchange {
    /// An exchange on a stream that counts its bytes by `moved`.
    pub(super) fn counted_by(moved: &Arc<AtomicU64>) -> Self {
        Self {
            moved: Arc::clone(moved),
            over: Arc::default(),
        }
    }

    /// Waits until it has to make way.
    pub(super) async fn over(&self) {
        self.over.notified().await;
    }

    fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }
}

/// The exchanges under way.
pub(super) struct Exchanges<K>(HashMap<K, Pace>);

struct Pace {
    exchange: Exchange,
    since: Instant,
    /// What was moved before.
    before: u64,
    makes_way: bool,
}

impl<K> Default for Exchanges<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Copy + Eq + Hash> Exchanges<K> {
    pub(super) fn begin(&mut self, key: K, exchange: &Exchange, now: Instant) {
        let pace = Pace {
            exchange: exchange.clone(),
            since: now,
            before: exchange.moved(),
            makes_way: false,
        };
        self.0.insert(key, pace);
    }

    pub(super) fn end(&mut self, key: &K) {
        self.0.remove(key);
    }

    pub(super) fn has(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Others wait: of those that have run undisturbed for long enough, the slowest has to make way.
    /// Returns which.
    pub(super) fn make_way(&mut self, now: Instant) -> Option<K> {
        let rate = |pace: &Pace| {
            let moved = pace.exchange.moved().saturating_sub(pace.before);
            moved as f64 / now.saturating_duration_since(pace.since).as_secs_f64()
        };
        let long = self
            .0
            .iter_mut()
            .filter(|(_, pace)| !pace.makes_way && now >= pace.since + UNDISTURBED);
        let (key, slowest) = long.min_by(|(_, a), (_, b)| rate(a).total_cmp(&rate(b)))?;
        slowest.makes_way = true;
        slowest.exchange.over.notify_one();
        Some(*key)
    }

    /// From when on one can make way.
    pub(super) fn next(&self) -> Option<Instant> {
        let running = self.0.values().filter(|pace| !pace.makes_way);
        running.map(|pace| pace.since + UNDISTURBED).min()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn the_slowest_makes_way_and_none_before_its_time() {
        let (mut running, start) = (Exchanges::default(), Instant::now());
        let exchanges = [(); 3].map(|()| Exchange::default());
        // What was moved on the same stream before does not count.
        exchanges[1].moved.store(1 << 20, Ordering::Relaxed);
        for (number, exchange) in exchanges.iter().enumerate() {
            running.begin(number, exchange, start);
        }
        for (exchange, bytes) in exchanges.iter().zip([5000, 100, 9000]) {
            exchange.moved.fetch_add(bytes, Ordering::Relaxed);
        }
        assert_eq!(running.make_way(start + UNDISTURBED / 2), None);
        let end = running.next().unwrap();
        assert_eq!((end, running.make_way(end)), (start + UNDISTURBED, Some(1)));
        assert!(exchanges[1].over().now_or_never().is_some());
        assert!(exchanges[0].over().now_or_never().is_none());
        assert_eq!(running.make_way(end), Some(0), "it is not chosen twice");
        running.begin(1, &exchanges[1], end);
        assert_eq!(running.make_way(end), Some(2));
        assert_eq!(running.make_way(end), None);
        assert_eq!(running.next(), Some(end + UNDISTURBED));
        running.end(&1);
        assert!(!running.has(&1) && running.next().is_none());
    }
}
