//! Limits log lines to one for each content in ten minutes, so that repeated requests of peers do
//! not fill the log.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use pelago_content::Hash;

/// How long further lines on the same content are suppressed.
const PAUSE: Duration = Duration::from_secs(600);

/// Content to remember, at most; beyond that, all lines are suppressed.
const MAX_LOGGED: usize = 1024;

/// When each content was last logged. A handle: clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct LogThrottle(Arc<Mutex<HashMap<Hash, Instant>>>);

impl LogThrottle {
    /// Whether a line on `hash` may be logged at `now`. If so, counts it as logged.
    pub(super) fn allows(&self, hash: &Hash, now: Instant) -> bool {
        let mut logged = self.0.lock();
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < PAUSE;
        if logged.get(hash).is_some_and(is_recent) {
            return false;
        }
        if logged.len() >= MAX_LOGGED {
            logged.retain(|_, at| is_recent(at));
        }
        let has_room = logged.len() < MAX_LOGGED;
        if has_room {
            logged.insert(*hash, now);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: usize) -> Hash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Hash::from_bytes(bytes)
    }

    #[test]
    fn the_same_content_is_logged_again_after_the_pause() {
        let (logged, start) = (LogThrottle::default(), Instant::now());
        assert!(logged.allows(&hash(1), start) && logged.allows(&hash(2), start));
        assert!(!logged.allows(&hash(1), start + PAUSE / 2));
        assert!(logged.allows(&hash(1), start + PAUSE));
    }

    #[test]
    fn memory_and_log_lines_are_bounded() {
        let (logged, start) = (LogThrottle::default(), Instant::now());
        let allowed = (0..2 * MAX_LOGGED).filter(|at| logged.allows(&hash(*at), start));
        assert_eq!(allowed.count(), MAX_LOGGED);
        assert!(logged.allows(&hash(3 * MAX_LOGGED), start + PAUSE));
    }
}
