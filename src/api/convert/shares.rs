//! What this node shares, as JSON types.

use pelago_content as content;

use super::{
    content::{groups, is_group_only},
    path_text,
};
use crate::{api::types, node};

impl From<node::Shared> for types::Shared {
    fn from(from: node::Shared) -> Self {
        Self {
            hash: from.hash.to_string(),
            name: from.name,
            size: from.size,
            kind: from.kind.into(),
            path: Some(path_text(&from.path)),
            link: from.link.to_string(),
            unlisted: from.scopes.contains(node::Scope::Unlisted),
            groups: groups(&from.scopes),
            group_only: is_group_only(&from.scopes),
            replaced: from.replaced.map(|hash| hash.to_string()),
            in_doubt: from.in_doubt,
            notes: from.notes,
            still_shared: from.is_still_shared,
            state: None,
            unavailable_files: 0,
        }
    }
}

impl From<node::CheckEvent> for types::CheckEvent {
    fn from(from: node::CheckEvent) -> Self {
        match from {
            node::CheckEvent::Begun { shares, bytes } => Self::Begun { shares, bytes },
            node::CheckEvent::Reading { path, bytes } => Self::Reading {
                path: path_text(&path),
                read_bytes: bytes,
            },
            node::CheckEvent::Checked(share) => Self::Checked(share.into()),
        }
    }
}

impl From<node::CheckedShare> for types::CheckedShare {
    fn from(from: node::CheckedShare) -> Self {
        let wrong = from.wrong.into_iter().map(|file| types::WrongFile {
            path: path_text(&file.path),
            found: match file.found {
                node::FoundFile::Other { hash } => types::FoundFile::Other {
                    hash: hash.to_string(),
                },
                node::FoundFile::Missing => types::FoundFile::Missing,
                node::FoundFile::Unreadable(reason) => types::FoundFile::Unreadable { reason },
            },
        });
        Self {
            hash: from.hash.to_string(),
            name: from.name,
            kind: from.kind.into(),
            path: path_text(&from.path),
            size: from.size,
            wrong: wrong.collect(),
            wrong_count: from.wrong_count,
        }
    }
}

/// A share of this node, with a link that holds the addresses `peers`.
pub(in crate::api) fn shared(listed: &node::Listed, peers: &[String]) -> types::Shared {
    let link = content::Link {
        hash: listed.hash,
        name: Some(listed.name.clone()),
        size: Some(listed.size),
        is_unlisted: listed.is_unlisted,
        group: node::shares::group_of(&listed.scopes).map(|group| *group.as_bytes()),
        peers: peers.to_vec(),
    };
    types::Shared {
        hash: listed.hash.to_string(),
        name: listed.name.clone(),
        size: listed.size,
        kind: listed.kind.into(),
        path: listed.path.as_deref().map(path_text),
        link: link.to_string(),
        unlisted: listed.scopes.contains(node::Scope::Unlisted),
        groups: groups(&listed.scopes),
        group_only: is_group_only(&listed.scopes),
        replaced: None,
        in_doubt: false,
        notes: Vec::new(),
        still_shared: false,
        state: Some(listed.state.into()),
        unavailable_files: listed.unavailable_files,
    }
}

/// A share that ended.
pub(in crate::api) fn share_removed(listed: &node::Listed) -> types::ShareRemoved {
    types::ShareRemoved {
        hash: listed.hash.to_string(),
        name: listed.name.clone(),
        path: listed.path.as_deref().map(path_text),
    }
}

impl From<node::ShareState> for types::ShareState {
    fn from(from: node::ShareState) -> Self {
        match from {
            node::ShareState::Available => Self::Available,
            node::ShareState::BeingWritten => Self::BeingWritten,
            node::ShareState::Missing => Self::Missing,
            node::ShareState::Changed => Self::Changed,
            node::ShareState::Unreadable => Self::Unreadable,
            node::ShareState::Excluded => Self::Excluded,
        }
    }
}

impl From<node::UnavailableShares> for types::UnavailableShares {
    fn from(from: node::UnavailableShares) -> Self {
        let place = |place: node::Unavailable| types::UnavailableShare {
            path: path_text(&place.path),
            state: place.state.into(),
            folder: place.folder.as_deref().map(path_text),
        };
        Self {
            count: from.count,
            places: from.places.into_iter().map(place).collect(),
        }
    }
}

impl From<node::Exclusion> for types::ExcludedPath {
    fn from(from: node::Exclusion) -> Self {
        Self {
            path: path_text(&from.path),
            folder: path_text(&from.folder),
            state: types::ShareState::Excluded,
        }
    }
}

impl From<node::BeingWritten> for types::BeingWritten {
    fn from(from: node::BeingWritten) -> Self {
        Self {
            count: from.count,
            files: from.files.iter().map(Into::into).collect(),
        }
    }
}

impl From<&node::FileBeingWritten> for types::FileBeingWritten {
    fn from(from: &node::FileBeingWritten) -> Self {
        Self {
            path: path_text(&from.path),
            size: from.size,
        }
    }
}

/// A file that programs have finished writing.
pub(in crate::api) fn file_written(from: &node::FileBeingWritten) -> types::FileWritten {
    types::FileWritten {
        path: path_text(&from.path),
    }
}
