//! How fast content may pass, while the node runs.

use super::{Node, Rates};

impl Node {
    /// How fast content may pass at present.
    #[must_use]
    pub fn limits(&self) -> Rates {
        self.inner.limits.rates()
    }

    /// Changes how fast content may pass, and returns what holds then: at once, also for transfers
    /// under way, and until the node ends.
    pub fn set_limits(&self, change: impl FnOnce(&mut Rates)) -> Rates {
        self.inner.limits.change(change)
    }
}
