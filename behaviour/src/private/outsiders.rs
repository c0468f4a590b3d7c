//! Peers that had no key of our network when we were connected.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use parking_lot::Mutex;

/// How long such a peer is not dialed: it may get the key meanwhile.
const PAUSE: Duration = Duration::from_secs(600);

/// Such peers to remember, at most; beyond that, the oldest are forgotten.
const MAX_OUTSIDERS: usize = 1024;

/// Peers that had no key of our network. A handle: clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outsiders(Arc<Mutex<VecDeque<(PeerId, Instant)>>>);

impl Outsiders {
    /// `peer` had no key.
    pub(super) fn note(&self, peer: PeerId, now: Instant) {
        let mut known = self.0.lock();
        known.retain(|(other, _)| *other != peer);
        if known.len() >= MAX_OUTSIDERS {
            known.pop_front();
        }
        known.push_back((peer, now));
    }

    /// `peer` has a key.
    pub(super) fn forget(&self, peer: &PeerId) {
        self.0.lock().retain(|(other, _)| other != peer);
    }

    /// Whether `peer` had none a short time ago.
    pub(crate) fn has(&self, peer: &PeerId, now: Instant) -> bool {
        let known = self.0.lock();
        let mut noted = known.iter();
        noted.any(|(other, at)| other == peer && now < *at + PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outsiders_are_remembered_for_a_while_and_in_bounded_number() {
        let (outsiders, start) = (Outsiders::default(), Instant::now());
        let [first, second] = [PeerId::random(), PeerId::random()];
        outsiders.note(first, start);
        assert!(outsiders.has(&first, start) && !outsiders.has(&second, start));
        assert!(!outsiders.has(&first, start + PAUSE));
        outsiders.note(second, start);
        outsiders.forget(&second);
        assert!(!outsiders.has(&second, start), "it has the key now");
        for _ in 0..MAX_OUTSIDERS {
            outsiders.note(PeerId::random(), start);
        }
        assert!(!outsiders.has(&first, start));
        assert_eq!(outsiders.0.lock().len(), MAX_OUTSIDERS);
    }
}
