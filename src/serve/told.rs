//! What was said of a content a moment ago, and is not said again: what peers ask for, and ask for again,
//! must not fill a log.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use pelago_content::Hash;

/// How long what was said is not said again.
const PAUSE: Duration = Duration::from_secs(600);

/// Contents of which something was said, at most; of further ones nothing is.
const MAX_TOLD: usize = 1024;

/// Of which contents something was said, and when. A handle: clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(Arc<Mutex<HashMap<Hash, Instant>>>);

impl Told {
    /// Whether nothing was said of `hash` for a while, as of `now`. From then on something was.
    pub(super) fn is_news(&self, hash: &Hash, now: Instant) -> bool {
        let mut told = self.0.lock();
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < PAUSE;
        if told.get(hash).is_some_and(is_recent) {
            return false;
        }
        if told.len() >= MAX_TOLD {
            told.retain(|_, at| is_recent(at));
        }
        let has_room = told.len() < MAX_TOLD;
        if has_room {
            told.insert(*hash, now);
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
    fn the_same_is_said_again_after_a_while_only() {
        let (told, start) = (Told::default(), Instant::now());
        assert!(told.is_news(&hash(1), start) && told.is_news(&hash(2), start));
        assert!(!told.is_news(&hash(1), start + PAUSE / 2));
        assert!(told.is_news(&hash(1), start + PAUSE));
    }

    #[test]
    fn it_remembers_no_more_than_it_may_and_says_no_more_either() {
        let (told, start) = (Told::default(), Instant::now());
        let said = (0..2 * MAX_TOLD).filter(|at| told.is_news(&hash(*at), start));
        assert_eq!(said.count(), MAX_TOLD);
        assert!(told.is_news(&hash(3 * MAX_TOLD), start + PAUSE));
    }
}
