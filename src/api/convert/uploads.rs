//! Uploads, as JSON types.

use crate::{api::types, node};

impl From<&node::UploadStatus> for types::Upload {
    fn from(from: &node::UploadStatus) -> Self {
        let content = from.content.as_ref();
        Self {
            hash: from.hash.to_string(),
            name: content.map(|content| content.name.clone()),
            size: content.map(|content| content.size),
            peer_id: from.peer.to_string(),
            peer_name: from.peer_name.clone(),
            group: from.group.map(|group| group.to_string()),
            state: from.state.as_str().to_owned(),
            sent_bytes: from.sent_bytes,
            held_bytes: content.and_then(|content| held_bytes(content, from.held_blocks?)),
            bytes_per_second: from.bytes_per_second,
            began_unix_ms: from.began_unix_ms,
            ended_unix_ms: from.ended_unix_ms,
        }
    }
}

impl From<&node::UploadStatus> for types::UploadRemoved {
    fn from(from: &node::UploadStatus) -> Self {
        Self {
            hash: from.hash.to_string(),
            peer_id: from.peer.to_string(),
        }
    }
}

/// The bytes in some of the blocks of the content. Files of a folder end with shorter blocks, so
/// this is a share of the size.
fn held_bytes(content: &node::UploadContent, blocks: u64) -> Option<u64> {
    if blocks >= content.blocks {
        return Some(content.size);
    }
    let held = u128::from(content.size) * u128::from(blocks) / u128::from(content.blocks);
    u64::try_from(held).ok()
}
