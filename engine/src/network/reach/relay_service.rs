//! Whether a node is a relay.

use serde::Deserialize;

/// Whether a node is a relay for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RelayService {
    /// While it is reachable from everywhere, as far as it can tell.
    #[default]
    Auto,
    /// Always: its operator knows that others reach it at the addresses at which it listens.
    On,
    /// Never.
    Off,
}
