//! The point of no return of a download: it is either stopped or put in place, and that is decided
//! once.

use std::sync::atomic::{AtomicU8, Ordering};

const OPEN: u8 = 0;
const STOPPED: u8 = 1;
const COMMITTED: u8 = 2;

/// Decides between stopping a download and putting it in place: the first one wins.
#[derive(Debug, Default)]
pub struct Ending(AtomicU8);

impl Ending {
    /// Stops the download. Returns false if it is too late: its content is being put in place.
    pub fn stop(&self) -> bool {
        self.decide(STOPPED)
    }

    /// Announces that the content is about to be put in place. Returns false if the download was
    /// stopped before: then nothing may be moved.
    pub fn commit(&self) -> bool {
        self.decide(COMMITTED)
    }

    /// Whether the download was stopped.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire) == STOPPED
    }

    fn decide(&self, for_this: u8) -> bool {
        let decided = self
            .0
            .compare_exchange(OPEN, for_this, Ordering::AcqRel, Ordering::Acquire);
        decided.map_or_else(|before| before == for_this, |_| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_end_is_final() {
        let ending = Ending::default();
        assert!(ending.stop() && ending.stop());
        assert!(!ending.commit());
        let ending = Ending::default();
        assert!(ending.commit() && ending.commit());
        assert!(!ending.stop());
    }
}
