//! The description of content before it is downloaded, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Kind;

/// A request to describe content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LookRequest)]
pub struct OpenRequest {
    /// A hash or a link.
    pub target: String,
    /// Addresses of further peers to ask.
    #[serde(default)]
    pub peers: Vec<String>,
    /// A group, by its id, at least 8 of its first digits, or its name, whose members are the only
    /// peers to ask. Default: the group in which this node knows the content, by the link, a list or a
    /// share; none otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether to ask all peers, even if this node knows the content from a group, or from one that it
    /// has left. Without it, such content is refused with the code `not-a-member`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
    /// Addresses of further bootstrap nodes.
    #[serde(default)]
    pub bootstrap: Vec<String>,
    /// Seconds without a source after which the request fails.
    pub timeout_seconds: f64,
    /// Whether a node that runs for one command alone fails as soon as all peers in reach were asked
    /// in vain, and 3 seconds have passed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub until_asked: bool,
}

/// What is known of content before it is downloaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Content)]
pub struct ContentInfo {
    /// Its hash: 64 hex digits.
    pub hash: String,
    /// Its name, from the link or from a peer. Any text.
    pub name: Option<String>,
    /// File or folder.
    pub kind: Kind,
    /// Its size in bytes; for a folder, of all files below, as its creator states; null if that is
    /// costly to find out.
    pub size: Option<u64>,
    /// The number of its files; null if that is costly to find out.
    pub files: Option<u64>,
    /// The number of sub-folders directly in a folder; null if that is costly to find out.
    pub subfolders: Option<u64>,
    /// Whether this node shares it.
    pub shared: bool,
    /// The id of the group in which peers were asked: 64 hex digits. Absent outside groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Other peers that have it, or parts of it.
    pub holders: Vec<Holder>,
}

/// A peer that has content, or parts of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Holder {
    /// Its identity.
    pub peer_id: String,
    /// Its name, if it reported one. Any text.
    pub name: Option<String>,
    /// The number of bytes that it claims to have.
    pub bytes: u64,
}
