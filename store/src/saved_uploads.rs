//! What was sent to peers, and how much was moved in all, over all runs of the node: the content of
//! the file `uploads` in the data folder.

use pelago_groups::GroupId;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

/// The file with the uploads.
pub(super) const UPLOADS_FILE: &str = "uploads";

/// The uploads of all runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedUploads {
    /// Bytes of content sent.
    #[serde(rename = "s")]
    pub sent_bytes: u64,
    /// Bytes of content received.
    #[serde(rename = "r")]
    pub received_bytes: u64,
    /// The uploads that are remembered.
    #[serde(rename = "u")]
    pub uploads: Vec<SavedUpload>,
}

/// One upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedUpload {
    /// The hash of the content.
    #[serde(rename = "h")]
    pub hash: ByteArray<32>,
    /// The id of the peer.
    #[serde(rename = "p")]
    pub peer: ByteBuf,
    /// The name of the peer. Untrusted.
    #[serde(rename = "a")]
    pub peer_name: Option<String>,
    /// The group in which it asked.
    #[serde(rename = "g")]
    pub group: Option<GroupId>,
    /// The name of the content; `None` if it is unknown, with its size and blocks.
    #[serde(rename = "n")]
    pub name: Option<String>,
    /// Its size in bytes.
    #[serde(rename = "z")]
    pub size: u64,
    /// Its number of blocks.
    #[serde(rename = "b")]
    pub blocks: u64,
    /// Whether the peer stated that it has all of it.
    #[serde(rename = "d")]
    pub is_done: bool,
    /// Bytes that were sent.
    #[serde(rename = "s")]
    pub sent_bytes: u64,
    /// Blocks that the peer had.
    #[serde(rename = "k")]
    pub held_blocks: Option<u64>,
    /// When it began, in milliseconds since 1970.
    #[serde(rename = "f")]
    pub began_unix_ms: u64,
    /// When it was over, in milliseconds since 1970.
    #[serde(rename = "e")]
    pub ended_unix_ms: u64,
}
