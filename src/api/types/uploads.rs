//! Uploads, in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What this node sends to a peer, or has sent: a file, or files of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Upload {
    /// The hash of the content: 64 hex digits.
    pub hash: String,
    /// The name of the content on this node; null until it is known.
    pub name: Option<String>,
    /// The size of the content in bytes; null until it is known.
    pub size: Option<u64>,
    /// The identity of the peer.
    pub peer_id: String,
    /// The name of the peer, if it reported one. Any text.
    pub peer_name: Option<String>,
    /// The id of the group in which the peer asked; null outside groups.
    pub group: Option<String>,
    /// `sending`; `done` once the peer states that it has all of the content; `left` if it went
    /// away before that.
    pub state: String,
    /// Bytes sent to the peer. It may have more from other peers, and may have discarded some.
    pub sent_bytes: u64,
    /// Bytes of the content that the peer has, by its own statement; null before it made one.
    pub held_bytes: Option<u64>,
    /// Bytes per second, over the last few seconds.
    pub bytes_per_second: u64,
    /// When it began, in milliseconds since 1970.
    pub began_unix_ms: u64,
    /// When it was done, or when the peer was last there, in milliseconds since 1970; null while it
    /// is being sent.
    pub ended_unix_ms: Option<u64>,
}

/// An upload that is no longer listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadRemoved {
    /// The hash of the content: 64 hex digits.
    pub hash: String,
    /// The identity of the peer.
    pub peer_id: String,
}
