//! The four limits of a node.

use super::Rate;

/// How fast content may pass; `None` means unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// To all peers together.
    pub upload: Option<Rate>,
    /// From all peers together.
    pub download: Option<Rate>,
    /// To each peer.
    pub upload_per_peer: Option<Rate>,
    /// From each peer.
    pub download_per_peer: Option<Rate>,
}
