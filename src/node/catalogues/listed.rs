//! What peers share, as people see it.

use std::path::PathBuf;

use libp2p::PeerId;
use pelago_content::{Hash, Kind, is_unsafe};
use thiserror::Error;

use crate::{
    network::{Closed, ConnectError},
    node::CodedError,
    store::{DatabaseError, ShareState},
};

/// Something that is shared, by us or by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its hash.
    pub hash: Hash,
    /// What it is called. Untrusted, if others share it.
    pub name: String,
    /// What it weighs, in bytes.
    pub size: u64,
    /// File or folder.
    pub kind: Kind,
    /// How many other peers in reach have it.
    pub peers: u64,
    /// The first of them, two at most.
    pub holders: Vec<PeerId>,
    /// Where it lies, if this node shares it.
    pub path: Option<PathBuf>,
    /// Whether this node shares it with those who have the hash only.
    pub is_unlisted: bool,
    /// Whether it can be had from this node, if this node shares it.
    pub state: ShareState,
    /// Of a folder that this node shares: files that are not available.
    pub unavailable_files: u64,
}

/// What others share, as far as it was told and taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// By name.
    pub listed: Vec<Listed>,
    /// How many peers share more than is listed here: there was no room for it, or it did not come in time.
    pub incomplete: usize,
}

/// One of several contents that are shared under one name, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What it is.
    pub listed: Listed,
    /// Who shares it, as far as that is told: those with names first.
    pub from: Vec<Sharer>,
}

/// A peer that shares something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharer {
    /// Who it is.
    pub peer_id: PeerId,
    /// What it calls itself. Untrusted.
    pub name: Option<String>,
}

impl Sharer {
    /// A word by which it can be chosen: its name if that can be seen and typed, else its id.
    #[must_use]
    pub fn word(&self) -> String {
        let is_plain = |name: &&String| !name.is_empty() && !name.contains(is_unsafe);
        match self.name.as_ref().filter(is_plain) {
            Some(name) => name.clone(),
            None => self.peer_id.to_string(),
        }
    }
}

/// Why a catalogue was not listed.
#[derive(Debug, Error)]
pub enum ListError {
    /// The peer cannot be connected to.
    #[error("{peer} could not be reached: {source}")]
    Unreachable {
        /// The peer, as it was given.
        peer: String,
        /// Why.
        source: ConnectError,
    },
    /// The peer was lost, or did not answer as the protocol says.
    #[error("{peer} did not send its catalogue: {reason}")]
    NoCatalogue {
        /// The peer.
        peer: String,
        /// Why.
        reason: String,
    },
    /// Our own shares cannot be read.
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
            Self::Database(_) => "database",
            Self::Closed(_) => "shutting-down",
        }
    }

    fn hint(&self) -> Option<String> {
        matches!(self, Self::Unreachable { .. })
            .then(|| "is `pelago start` running there, and its port open?".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_called_by_what_can_be_typed() {
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
