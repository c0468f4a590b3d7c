//! What can be changed while the node runs.

use super::{Mode, Node, Rates};

impl Node {
    /// How fast content may pass at present.
    #[must_use]
    pub fn limits(&self) -> Rates {
        self.core.limits.rates()
    }

    /// Changes how fast content may pass, and returns what holds then: at once, also for transfers
    /// under way, and until the node ends.
    pub fn set_limits(&self, change: impl FnOnce(&mut Rates)) -> Rates {
        self.core.limits.change(change)
    }

    /// Changes how many downloads fetch at a time: those that do go on.
    pub fn set_max_downloads(&self, at_a_time: usize) {
        self.core.transfers.set_max_downloads(at_a_time);
    }

    /// Changes whether what is downloaded from now on is shared on, if the node is there to stay.
    pub fn set_seed(&self, seed: bool) {
        let is_to_stay = self.core.settings.mode == Mode::LongRunning;
        self.core.transfers.set_seed(seed && is_to_stay);
    }
}
