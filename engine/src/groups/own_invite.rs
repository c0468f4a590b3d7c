//! What the owner who minted an invite enforces alone, by the clock of this node. Pure.

use serde::{Deserialize, Serialize};

/// How long and for how many users an invite serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnInvite {
    /// Until when, in seconds since 1970.
    #[serde(rename = "e", default)]
    pub expires: Option<u64>,
    /// How many users it may still admit.
    #[serde(rename = "u", default)]
    pub uses_left: Option<u32>,
}

impl OwnInvite {
    /// Whether it serves another user at `now`.
    #[must_use]
    pub fn serves(&self, now: u64) -> bool {
        self.uses_left != Some(0) && self.expires.is_none_or(|expires| now < expires)
    }

    /// Counts a user who was admitted.
    pub(super) const fn use_once(&mut self) {
        if let Some(uses) = &mut self.uses_left {
            *uses = uses.saturating_sub(1);
        }
    }
}
