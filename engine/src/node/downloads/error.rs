//! Why a download does not start, or ends without its content.

use std::{path::PathBuf, sync::Arc};

use libp2p::PeerId;
use thiserror::Error;

use crate::{
    network::Closed,
    node::{Choice, CodedError, NotAMember, Sharer, own_groups::PlaceError},
    store::{PartialError, SelectionError, shown},
    transfer,
};

/// Why a download did not start, or ended without its content.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// No peer in reach shares content of that name.
    #[error(
        "no peer in reach shares anything called {name:?} ({})", match asked {
            0 => "no peer is connected".to_owned(),
            asked => format!("{} asked", counted(*asked as u64, "peer")),
        }
    )]
    NameNotFound {
        /// The name.
        name: String,
        /// How many peers were asked.
        asked: usize,
    },
    /// Several contents have that name, or it is shared in a group and elsewhere.
    #[error("{name:?} is {}:\n{}", several(choices), choices_by(choices))]
    Ambiguous {
        /// The name.
        name: String,
        /// What it can mean, each with peers that have it.
        choices: Vec<Choice>,
    },
    /// No content has that name, and hashes of other content begin with it.
    #[error(
        "{digits:?} is the beginning of a hash that peers list:\n{}",
        choices_by(choices)
    )]
    IncompleteHash {
        /// The digits.
        digits: String,
        /// The content that it can mean, each with peers that have it.
        choices: Vec<Choice>,
    },
    /// No connected peer has that name.
    #[error("no peer in reach is called {0:?}")]
    UnknownPeer(String),
    /// Several peers have the name, and it is not bound to one of them yet.
    #[error("{name:?} is the name of several peers:\n{}", peers_by(peers))]
    SeveralPeers {
        /// The name.
        name: String,
        /// The peers with that name.
        peers: Vec<PeerId>,
    },
    /// The name is bound to a peer other than those that have it now.
    #[error(
        "{name:?} is now the name of another peer. Before:\n  {was}\nNow:\n{}",
        peers_by(now)
    )]
    OtherPeer {
        /// The name.
        name: String,
        /// The peer that it is bound to since its first use.
        was: Box<PeerId>,
        /// The peers that have the name now.
        now: Vec<PeerId>,
    },
    /// This node is not in the group.
    #[error(transparent)]
    NotAMember(#[from] NotAMember),
    /// The content is a group's, and the node shares the files of the target's folder with others.
    #[error(
        "content of a group is not put into {}: the node shares the files in it with others",
        shown(folder)
    )]
    WatchedFolder {
        /// The watched folder.
        folder: PathBuf,
    },
    /// A glob for the files of a folder is invalid.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The download runs, but could not be recorded for the next start of the node.
    #[error("the download has started, but the next start of the node does not know of it: {0}")]
    NotKept(transfer::NotKept),
    /// See [`transfer::TransferError`].
    #[error(transparent)]
    Transfer(#[from] Arc<transfer::TransferError>),
    /// The node shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl From<PlaceError> for DownloadError {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::NotAMember(error) => error.into(),
            PlaceError::Database(error) => {
                let error = transfer::TransferError::from(PartialError::from(error));
                Arc::new(error).into()
            }
            PlaceError::Closed(error) => error.into(),
        }
    }
}

impl CodedError for DownloadError {
    fn code(&self) -> &'static str {
        match self {
            Self::NameNotFound { .. } => "name-not-found",
            Self::Ambiguous { .. } => "ambiguous-name",
            Self::IncompleteHash { .. } => "incomplete-hash",
            Self::UnknownPeer(_) => "unknown-peer",
            Self::SeveralPeers { .. } => "ambiguous-peer",
            Self::OtherPeer { .. } => "peer-changed",
            Self::NotAMember(error) => error.code(),
            Self::WatchedFolder { .. } => "watched-folder",
            Self::Selection(_) => "invalid-glob",
            Self::NotKept(why) => why.code(),
            Self::Transfer(error) => error.code(),
            Self::Closed(_) => "shutting-down",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NameNotFound { .. } => Some(
                "see what is in reach with `pelago list --network`, or give a hash: hashes are \
                 found anywhere, names only at connected peers"
                    .to_owned(),
            ),
            Self::Ambiguous { choices, .. } if are_places(choices) => Some(
                "choose the group with --group GROUP, or add --public to look outside groups"
                    .to_owned(),
            ),
            Self::Ambiguous { .. } => {
                Some("give the hash, or choose the peer with --from".to_owned())
            }
            Self::IncompleteHash { .. } => Some(
                "give all 64 digits: content with the same first digits is made in seconds".to_owned(),
            ),
            Self::UnknownPeer(_) => Some("see the names of peers with `pelago peers`".to_owned()),
            Self::SeveralPeers { .. } => Some("give the id of one of these peers".to_owned()),
            Self::OtherPeer { name, .. } => Some(format!(
                "any peer can call itself {name:?}: ask its owner for the id and give that; \
                 --from NAME=ID binds the name to that id from then on"
            )),
            Self::NotAMember(error) => error.hint(),
            Self::WatchedFolder { .. } => Some(
                "choose another folder with --output, or watch a folder for the group: pelago start \
                 --dir DIR --group GROUP"
                    .to_owned(),
            ),
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

/// Whether the choices are in several places: groups, and outside of them.
fn are_places(choices: &[Choice]) -> bool {
    let mut places = choices.iter().map(|choice| choice.group);
    let first = places.next();
    places.any(|place| Some(place) != first)
}

fn several(choices: &[Choice]) -> &'static str {
    match are_places(choices) {
        true => "shared in several places",
        false => "the name of several different contents",
    }
}

fn choices_by(choices: &[Choice]) -> String {
    let are_places = are_places(choices);
    let mut names = choices.iter().map(|choice| &choice.listed.name);
    let first = names.next();
    let are_named_alike = choices.len() > 1 && names.all(|name| Some(name) == first);
    let place = |choice: &Choice| match (choice.group, &choice.group_name) {
        _ if !are_places => String::new(),
        (Some(_), Some(name)) => format!(", in the group {name}"),
        (Some(group), None) => format!(", in the group {group:.8}"),
        (None, _) => ", outside groups".to_owned(),
    };
    let line = |choice: &Choice| {
        let listed = &choice.listed;
        let mut from: Vec<_> = choice.from.iter().map(Sharer::word).collect();
        let more = (listed.peers as usize).saturating_sub(from.len());
        from.extend((more > 0).then(|| format!("{more} more")));
        let (hash, size) = (listed.hash, counted(listed.size, "byte"));
        let name = match are_named_alike {
            true => String::new(),
            false => format!("{:?}, ", listed.name),
        };
        format!(
            "  {hash}  {name}{size}{}, from {}",
            place(choice),
            from.join(", ")
        )
    };
    choices.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn counted(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
