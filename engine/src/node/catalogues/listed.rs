//! What a list of shares contains, of this node's own or of other peers.

use std::path::PathBuf;

use libp2p::PeerId;
use pelago_content::{Hash, Kind, is_unsafe};
use pelago_groups::{GroupId, Name};
use thiserror::Error;

use crate::{
    network::{Closed, ConnectError},
    node::{CodedError, NotAMember},
    store::{DatabaseError, Scopes, ShareState},
};

/// Content that is shared, by this node or by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its hash.
    pub hash: Hash,
    /// Its name. Untrusted if others share it.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// File or folder.
    pub kind: Kind,
    /// How many other peers in reach have it: none if only members of a group have it who are away,
    /// by what they shared last.
    pub peers: u64,
    /// The first of these peers, at most two.
    pub holders: Vec<PeerId>,
    /// Its path, if this node shares it.
    pub path: Option<PathBuf>,
    /// Whether it is in no list for everyone, if this node shares it: see the scopes.
    pub is_unlisted: bool,
    /// With whom this node shares it, if it does.
    pub scopes: Scopes,
    /// Whether it is available from this node, if this node shares it.
    pub state: ShareState,
    /// For a folder that this node shares: how many files are not available.
    pub unavailable_files: u64,
}

/// What others share, as far as it was received and accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// By name.
    pub listed: Vec<Listed>,
    /// How many peers share more than is listed here, because of the limits on a list or on its
    /// time.
    pub incomplete: usize,
}

/// One of several contents that are shared under one name, or one of several places in which content
/// is shared; and the peers that share it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The content.
    pub listed: Listed,
    /// The group in which it is shared; `None` outside groups.
    pub group: Option<GroupId>,
    /// The name of the group, if this node knows it.
    pub group_name: Option<Name>,
    /// The first peers that share it: those with names first.
    pub from: Vec<Sharer>,
}

/// A peer that shares content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharer {
    /// Its id.
    pub peer_id: PeerId,
    /// Its name. Untrusted.
    pub name: Option<String>,
}

impl Sharer {
    /// A word that selects the peer: its name if that can be read and typed, else its id.
    #[must_use]
    pub fn word(&self) -> String {
        let is_plain = |name: &&String| !name.is_empty() && !name.contains(is_unsafe);
        match self.name.as_ref().filter(is_plain) {
            Some(name) => name.clone(),
            None => self.peer_id.to_string(),
        }
    }
}

/// Why shares or a catalogue could not be listed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListError {
    /// The node cannot connect to the peer.
    #[error("cannot connect to {peer}: {source}")]
    Unreachable {
        /// The peer, as it was given.
        peer: String,
        /// Why.
        source: ConnectError,
    },
    /// The connection failed, or the peer broke the protocol.
    #[error("{peer} did not send its catalogue: {reason}")]
    NoCatalogue {
        /// The peer.
        peer: String,
        /// Why.
        reason: String,
    },
    /// This node is not in the group.
    #[error(transparent)]
    NotAMember(#[from] NotAMember),
    /// The shares of this node cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The node shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl CodedError for ListError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "peer-unreachable",
            Self::NoCatalogue { .. } => "no-catalogue",
            Self::NotAMember(error) => error.code(),
            Self::Database(_) => "database",
            Self::Closed(_) => "shutting-down",
        }
    }

    fn hint(&self) -> Option<String> {
        if let Self::NotAMember(error) = self {
            return error.hint();
        }
        matches!(self, Self::Unreachable { .. }).then(|| {
            "check that `pelago start` is running there, and that its port is open".to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_a_peer_can_be_typed() {
        let peer_id = PeerId::random();
        let word = |name: Option<&str>| {
            let name = name.map(str::to_owned);
            Sharer { peer_id, name }.word()
        };
        assert_eq!(word(Some("anna")), "anna");
        for nothing in [None, Some(""), Some("a\nb")] {
            assert_eq!(word(nothing), peer_id.to_string());
        }
    }
}
