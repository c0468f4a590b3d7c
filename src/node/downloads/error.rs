//! Why a download does not begin, or does not end with its content.

use std::sync::Arc;

use libp2p::PeerId;
use thiserror::Error;

use crate::{
    network::Closed,
    node::{Choice, CodedError, Sharer},
    store::SelectionError,
    transfer,
};

/// Why a download did not end with its file.
#[derive(Clone, Debug, Error)]
pub enum DownloadError {
    /// Nobody in reach shares anything of that name.
    #[error(
        "nobody in reach shares anything called {name:?} ({} asked)", match asked {
            0 => "there was nobody to be".to_owned(),
            asked => counted(*asked as u64, "peer"),
        }
    )]
    NameNotFound {
        /// The name.
        name: String,
        /// How many peers were asked.
        asked: usize,
    },
    /// Several contents have that name.
    #[error("{name:?} is the name of several things:\n{}", choices_by(choices))]
    Ambiguous {
        /// The name.
        name: String,
        /// What it can mean, each with who has it.
        choices: Vec<Choice>,
    },
    /// Nobody connected is called that.
    #[error("no peer in reach is called {0:?}")]
    UnknownPeer(String),
    /// Several peers have the name, and it does not stand for one of them yet.
    #[error("{name:?} is the name of several peers:\n{}", peers_by(peers))]
    SeveralPeers {
        /// The name.
        name: String,
        /// Those who are called so.
        peers: Vec<PeerId>,
    },
    /// The name stands for another peer than those that have it now.
    #[error(
        "{name:?} is not the name of the same peer as before. Before:\n  {was}\nNow:\n{}",
        peers_by(now)
    )]
    OtherPeer {
        /// The name.
        name: String,
        /// Whom it stood for when it was first used.
        was: Box<PeerId>,
        /// Who is called so now.
        now: Vec<PeerId>,
    },
    /// What is wanted of a folder cannot be told.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The node runs it, but its next start does not know of it.
    #[error("the download has begun, but the next start of the node does not know of it: {0}")]
    NotKept(transfer::NotKept),
    /// See [`transfer::DownloadError`].
    #[error(transparent)]
    Transfer(#[from] Arc<transfer::DownloadError>),
    /// The node shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl CodedError for DownloadError {
    fn code(&self) -> &'static str {
        match self {
            Self::NameNotFound { .. } => "name-not-found",
            Self::Ambiguous { .. } => "ambiguous-name",
            Self::UnknownPeer(_) => "unknown-peer",
            Self::SeveralPeers { .. } => "ambiguous-peer",
            Self::OtherPeer { .. } => "peer-changed",
            Self::Selection(_) => "invalid-glob",
            Self::NotKept(why) => why.code(),
            Self::Transfer(error) => error.code(),
            Self::Closed(_) => "shutting-down",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NameNotFound { .. } => Some(
                "`pelago list --network` shows what is in reach; a hash is found anywhere, a name \
                 only nearby"
                    .to_owned(),
            ),
            Self::Ambiguous { .. } => {
                Some("give the hash, or choose the peer with --from".to_owned())
            }
            Self::UnknownPeer(_) => Some("`pelago peers` shows who is in reach".to_owned()),
            Self::SeveralPeers { .. } => Some("give the id of the peer that you mean".to_owned()),
            Self::OtherPeer { name, .. } => Some(format!(
                "any peer can call itself {name:?}: ask its person for the id, and give that; \
                 --from NAME=ID has the name stand for that id from then on"
            )),
            Self::NotKept(why) => Some(why.hint()),
            Self::Transfer(error) => error.hint(),
            Self::Selection(_) | Self::Closed(_) => None,
        }
    }
}

fn peers_by(peers: &[PeerId]) -> String {
    let lines = peers.iter().map(|peer| format!("  {peer}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn choices_by(choices: &[Choice]) -> String {
    let line = |choice: &Choice| {
        let listed = &choice.listed;
        let mut from: Vec<_> = choice.from.iter().map(Sharer::word).collect();
        let more = (listed.peers as usize).saturating_sub(from.len());
        from.extend((more > 0).then(|| format!("{more} more")));
        let (hash, size) = (listed.hash, counted(listed.size, "byte"));
        format!("  {hash}  {size}, from {}", from.join(", "))
    };
    choices.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn counted(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
