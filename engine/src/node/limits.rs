//! Settings that can be changed while the node runs.

use super::{Mode, Node, Rates};

impl Node {
    /// The present limits on the rates of content.
    #[must_use]
    pub fn limits(&self) -> Rates {
        self.core.limits.rates()
    }

    /// Changes the limits on the rates of content, and returns the new ones. They apply
    /// immediately, also to running transfers, and until the node ends.
    pub fn set_limits(&self, change: impl FnOnce(&mut Rates)) -> Rates {
        self.core.limits.change(change)
    }

    /// Changes how many downloads fetch at a time. Downloads that fetch already continue.
    pub fn set_max_downloads(&self, at_a_time: usize) {
        self.core.transfers.set_max_downloads(at_a_time);
    }

    /// Changes whether downloads are seeded from now on, if the node is long-running.
    pub fn set_seed(&self, seed: bool) {
        let is_lasting = self.core.settings.mode == Mode::LongRunning;
        self.core.transfers.set_seed(seed && is_lasting);
        self.core.store.share_feed().note_everything();
    }
}
