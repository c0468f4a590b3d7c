//! What content is, before it is downloaded, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Kind;

/// What to look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LookRequest)]
pub struct OpenRequest {
    /// A hash or a link.
    pub target: String,
    /// Addresses of peers to ask as well.
    #[serde(default)]
    pub peers: Vec<String>,
    /// Addresses of nodes to enter the network by.
    #[serde(default)]
    pub bootstrap: Vec<String>,
    /// Seconds without any source after which it fails.
    pub timeout_seconds: f64,
}

/// What is known of content before it is downloaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Content)]
pub struct ContentInfo {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// What the link or a peer calls it. Any text.
    pub name: Option<String>,
    /// File or folder.
    pub kind: Kind,
    /// Bytes; of a folder, in all files below, as its maker says. Null where not cheaply known.
    pub size: Option<u64>,
    /// How many files it is; null where not cheaply known.
    pub files: Option<u64>,
    /// Whether this node shares it.
    pub shared: bool,
    /// Who else has it, or some of it.
    pub holders: Vec<Holder>,
}

/// A peer that has content, or some of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Holder {
    /// Its identity.
    pub peer_id: String,
    /// What it calls itself, if it said so. Any text.
    pub name: Option<String>,
    /// How many bytes it says that it has.
    pub bytes: u64,
}
