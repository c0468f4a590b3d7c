//! Content that others have, as JSON types.

use std::collections::HashMap;

use libp2p::PeerId;
use pelago_content as content;

use super::path_text;
use crate::{api::types, node};

impl From<content::Kind> for types::Kind {
    fn from(from: content::Kind) -> Self {
        match from {
            content::Kind::File => Self::File,
            content::Kind::Folder => Self::Folder,
        }
    }
}

impl From<node::Listed> for types::Listed {
    fn from(from: node::Listed) -> Self {
        Self {
            hash: from.hash.to_string(),
            name: from.name,
            size: from.size,
            kind: from.kind.into(),
            path: from.path.as_deref().map(path_text),
            peers: from.peers,
            holders: Vec::new(),
            unlisted: from.scopes.contains(node::Scope::Unlisted),
            groups: groups(&from.scopes),
            group_only: is_group_only(&from.scopes),
            // Others are listed by peers in reach, except what absent members of a group shared.
            offline: from.peers == 0 && from.scopes.is_empty(),
            state: Some(from.state.into()),
            unavailable_files: from.unavailable_files,
        }
    }
}

/// The ids of the groups among the scopes.
pub(super) fn groups(scopes: &node::Scopes) -> Vec<String> {
    scopes.groups().map(|group| group.to_string()).collect()
}

/// Whether all scopes are groups.
pub(super) fn is_group_only(scopes: &node::Scopes) -> bool {
    let is_group = |scope| matches!(scope, node::Scope::Group(_));
    !scopes.is_empty() && scopes.iter().all(is_group)
}

/// A share of other peers, or of a group, with their names if all of them are known.
pub(in crate::api) fn offered(
    from: node::Listed,
    names: &HashMap<PeerId, String>,
) -> types::Listed {
    let is_complete = from.peers == from.holders.len() as u64;
    let named = from.holders.iter().map(|peer| names.get(peer).cloned());
    let holders = named.collect::<Option<_>>().filter(|_| is_complete);
    // In the list of a group, entries of this node have its scopes.
    let is_own = !from.scopes.is_empty();
    types::Listed {
        holders: holders.unwrap_or_default(),
        state: is_own.then(|| from.state.into()),
        ..from.into()
    }
}

impl From<node::ContentInfo> for types::ContentInfo {
    fn from(from: node::ContentInfo) -> Self {
        let holder = |holder: node::Holder| types::Holder {
            peer_id: holder.peer_id.to_string(),
            name: holder.name,
            bytes: holder.bytes,
        };
        Self {
            hash: from.hash.to_string(),
            name: from.name,
            kind: from.kind.into(),
            size: from.size,
            files: from.files,
            subfolders: from.subfolders,
            shared: from.shared,
            group: from.group.map(|group| group.to_string()),
            holders: from.holders.into_iter().map(holder).collect(),
        }
    }
}

impl From<node::Choice> for types::Choice {
    fn from(from: node::Choice) -> Self {
        let sharer = |sharer: node::Sharer| types::Sharer {
            peer_id: sharer.peer_id.to_string(),
            name: sharer.name,
        };
        Self {
            listed: from.listed.into(),
            group: from.group.map(|group| group.to_string()),
            group_name: from.group_name.map(|name| name.to_string()),
            from: from.from.into_iter().map(sharer).collect(),
        }
    }
}
