//! Which bytes moved on a connection, as evidence of whether it is useful.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::history::Usefulness;

/// The time to which all values are relative.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Bytes that have to move before they count: pings and the like do not.
const MIN_BYTES: u64 = 16 << 10;

/// Bytes that have to arrive on streams of ours before they count as content: an answer of the DHT
/// does not.
const MIN_CONTENT_BYTES: u64 = 64 << 10;

/// How long a connection counts as busy afterwards.
const BUSY_FOR: Duration = Duration::from_secs(30);

/// The activity of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    began: u64,
    moved: Mark,
    taken: Mark,
}

/// The last time at which a number of bytes was complete.
#[derive(Debug, Default)]
struct Mark {
    bytes: AtomicU64,
    /// Milliseconds since the epoch, plus one; 0 if never.
    at: AtomicU64,
}

impl Mark {
    fn add(&self, bytes: u64, until: u64) {
        let sum = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if sum >= until {
            self.bytes.store(0, Ordering::Relaxed);
            self.at.store(now() + 1, Ordering::Relaxed);
        }
    }

    fn at(&self) -> Option<u64> {
        self.at.load(Ordering::Relaxed).checked_sub(1)
    }

    fn is_recent(&self) -> bool {
        self.at().is_some_and(|at| since(at) < BUSY_FOR)
    }
}

fn now() -> u64 {
    // 2^64 milliseconds are longer than any machine runs.
    EPOCH.elapsed().as_millis() as u64
}

fn since(at: u64) -> Duration {
    Duration::from_millis(now().saturating_sub(at))
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            began: now(),
            moved: Mark::default(),
            taken: Mark::default(),
        }
    }

    /// Records bytes that were read or written.
    pub(super) fn moved(&self, bytes: usize) {
        self.moved.add(bytes as u64, MIN_BYTES);
    }

    /// Records bytes that were read from a stream that this node opened.
    pub(super) fn taken(&self, bytes: usize) {
        self.moved(bytes);
        self.taken.add(bytes as u64, MIN_CONTENT_BYTES);
    }

    pub(super) fn is_used(&self) -> bool {
        self.taken.is_recent()
    }

    pub(super) fn is_busy(&self) -> bool {
        self.moved.is_recent()
    }

    /// How long ago enough bytes moved, or else the age of the connection.
    pub(super) fn idle(&self) -> Duration {
        since(self.moved.at().unwrap_or(self.began))
    }

    /// What the connection was useful for.
    pub(super) fn usefulness(&self) -> Usefulness {
        match (self.taken.at(), self.moved.at()) {
            (Some(_), _) => Usefulness::GaveContent,
            (None, Some(_)) => Usefulness::MovedBytes,
            (None, None) => Usefulness::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_are_no_use_and_content_is() {
        let activity = Activity::new();
        (0..100).for_each(|_| activity.moved(64));
        assert_eq!(
            (activity.is_busy(), activity.usefulness()),
            (false, Usefulness::Unknown)
        );
        activity.moved(16 << 10);
        assert_eq!((activity.is_busy(), activity.is_used()), (true, false));
        assert_eq!(activity.usefulness(), Usefulness::MovedBytes);
        (0..4).for_each(|_| activity.taken(16 << 10));
        assert!(activity.is_used());
        assert_eq!(activity.usefulness(), Usefulness::GaveContent);
    }
}
