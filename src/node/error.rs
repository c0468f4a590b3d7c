//! Why a call on a node failed. Each error has a code for programs and, where there is something to be
//! done, a hint for people.

use std::{path::PathBuf, sync::Arc};

use libp2p::PeerId;
use pelago_behaviour::InvalidNetworkName;
use thiserror::Error;

use crate::{
    network::{self, Closed, ConnectError},
    store::{DatabaseError, FolderError, HashError, Printable, SelectionError, shown},
    transfer,
};

/// Why a node did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The network's name cannot be used.
    #[error(transparent)]
    NetworkName(#[from] InvalidNetworkName),
    /// The node cannot take part in the network.
    #[error(transparent)]
    Network(#[from] network::StartError),
    /// The database cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A newer version wrote the list of downloads.
    #[error(transparent)]
    Downloads(#[from] transfer::LoadError),
}

impl StartError {
    /// Whether an address to listen on belongs to another program.
    #[must_use]
    pub fn is_address_in_use(&self) -> bool {
        matches!(
            self,
            Self::Network(network::StartError::Listen {
                is_in_use: true,
                ..
            })
        )
    }

    /// A word for programs: it stays the same between versions.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NetworkName(_) => "network-name",
            Self::Network(_) if self.is_address_in_use() => "port-in-use",
            Self::Network(_) => "network",
            Self::Database(_) => "database",
            Self::Downloads(_) => "newer-data",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Downloads(error) => Some(error.hint()),
            _ if self.is_address_in_use() => {
                Some("choose another port with --port, or 0 for any that is free".to_owned())
            }
            _ => None,
        }
    }
}

/// Why something was not shared.
#[derive(Debug, Error)]
pub enum ShareError {
    /// The directory cannot be a folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// It is a symbolic link.
    #[error("{} is a symbolic link", shown(path))]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// It is what this node must keep to itself: its key, its database.
    #[error("{} is in the data folder of this node", shown(path))]
    Private {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// A program still writes to the file.
    #[error(
        "{} is still being written: it is hashed again when no program writes to it",
        shown(path)
    )]
    StillWritten {
        /// The file.
        path: PathBuf,
    },
    /// It is still excluded from its watched folder.
    #[error("{} is still excluded from its watched folder: {source}", shown(path))]
    NotIncluded {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It cannot be written down.
    #[error(transparent)]
    Store(#[from] crate::store::ShareError),
    /// The node shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl ShareError {
    /// Whether the same attempt may succeed later, because a disk was full or could not be read.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Store(crate::store::ShareError::Path { .. }) => false,
            Self::Store(_) | Self::StillWritten { .. } => true,
            Self::Hash(error) => matches!(
                error,
                HashError::Unreadable { .. } | HashError::Changed { .. } | HashError::Tree(_)
            ),
            Self::Folder(error) => matches!(
                error,
                FolderError::Unreadable { .. }
                    | FolderError::Hash(_)
                    | FolderError::Manifests(_)
                    | FolderError::Share(_)
            ),
            _ => false,
        }
    }

    /// A word for programs: it stays the same between versions.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Symlink { .. } => "symlink",
            Self::Private { .. } => "private",
            Self::Folder(error) => folder_code(error),
            Self::Hash(_) | Self::StillWritten { .. } => "file-not-hashed",
            Self::Store(_) | Self::NotIncluded { .. } => "not-recorded",
            Self::Closed(_) => "shutting-down",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Folder(error) => folder_hint(error),
            Self::Symlink { .. } => Some("share the file that it leads to".to_owned()),
            _ => None,
        }
    }
}

/// A word for programs: it stays the same between versions.
#[must_use]
pub const fn folder_code(error: &FolderError) -> &'static str {
    match error {
        FolderError::Hash(_) => "file-not-hashed",
        FolderError::Manifests(_) | FolderError::Share(_) => "not-recorded",
        FolderError::Unsupported { .. } => "unsupported-entries",
        _ => "folder-not-hashed",
    }
}

/// What a person can do about it.
#[must_use]
pub fn folder_hint(error: &FolderError) -> Option<String> {
    let hint = match error {
        FolderError::Unsupported { .. } => {
            "make these readable, rename them, or share the folder without them: --skip-unsupported"
        }
        FolderError::HoldsData { .. } => "it holds the key of this node: share what is beside it",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Why something was not found among what is shared here, to unshare it or to give its link.
#[derive(Debug, Error)]
pub enum UnshareError {
    /// Nothing of that hash or name is shared.
    #[error("nothing called {what:?} is shared here")]
    NotShared {
        /// The hash, its first digits, or the name.
        what: String,
    },
    /// It is part of a shared folder.
    #[error(
        "{what:?} is not shared by itself: it is part of the shared folder {}",
        shown(folder)
    )]
    InFolder {
        /// The path.
        what: String,
        /// Where the folder lies.
        folder: PathBuf,
    },
    /// The exclusions from watched folders cannot be written.
    #[error("nothing is withdrawn, because it cannot be kept: {0}")]
    NotKept(std::io::Error),
    /// Several contents are called so.
    #[error("{what:?} can be several things:\n{}", shares_by(choices))]
    Ambiguous {
        /// The first digits or the name.
        what: String,
        /// What it can mean.
        choices: Vec<super::Shared>,
    },
    /// The database cannot be read or written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The node shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl UnshareError {
    /// A word for programs: it stays the same between versions.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotShared { .. } | Self::InFolder { .. } => "not-shared",
            Self::NotKept(_) => "not-kept",
            Self::Ambiguous { .. } => "ambiguous-name",
            Self::Database(_) => "database",
            Self::Closed(_) => "shutting-down",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotShared { .. } => Some("`pelago list` shows what is".to_owned()),
            Self::InFolder { folder, .. } => Some(format!(
                "withdraw the folder: pelago unshare {folder:?}; or name the file in the folder's \
                 .pelagoignore, and share the folder again"
            )),
            Self::NotKept(_) => {
                Some("make room on the disk of the data folder, and try again".to_owned())
            }
            Self::Ambiguous { .. } => Some("give the hash, or more of its digits".to_owned()),
            _ => None,
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

impl ListError {
    /// A word for programs: it stays the same between versions.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "peer-unreachable",
            Self::NoCatalogue { .. } => "no-catalogue",
            Self::Database(_) => "database",
            Self::Closed(_) => "shutting-down",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        matches!(self, Self::Unreachable { .. })
            .then(|| "is `pelago start` running there, and its port open?".to_owned())
    }
}

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
        choices: Vec<super::Choice>,
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

impl DownloadError {
    /// A word for programs: it stays the same between versions.
    #[must_use]
    pub fn code(&self) -> &'static str {
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

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
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

/// Why a download was not changed as asked.
#[derive(Clone, Debug, Error)]
pub enum ManageError {
    /// The node knows no such download.
    #[error("no download is called {what:?}")]
    NoSuchDownload {
        /// The hash, its first digits, or the name.
        what: String,
    },
    /// Several are called so.
    #[error("{what:?} can be several downloads:\n{}", downloads_by(choices))]
    Ambiguous {
        /// The first digits or the name.
        what: String,
        /// What it can mean.
        choices: Vec<super::DownloadStatus>,
    },
    /// A place that there is not.
    #[error("{what:?} cannot go before itself")]
    BeforeItself {
        /// The hash, its first digits, or the name.
        what: String,
    },
    /// See [`transfer::ChangeError`].
    #[error(transparent)]
    Change(#[from] transfer::ChangeError),
    /// All downloads are as they were to be, but an earlier change of them is not kept.
    #[error("nothing had to be changed, but the next start of the node does not know of it: {0}")]
    NotKept(transfer::NotKept),
    /// What was downloaded is removed, but still listed as shared.
    #[error("it is removed, but still listed as shared: {0}")]
    Database(Arc<DatabaseError>),
    /// The node shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl From<DatabaseError> for ManageError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl ManageError {
    /// A word for programs: it stays the same between versions.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSuchDownload { .. } => "not-downloading",
            Self::Ambiguous { .. } => "ambiguous-name",
            Self::BeforeItself { .. } => "bad-place",
            Self::Change(error) => error.code(),
            Self::NotKept(why) => why.code(),
            Self::Database(_) => "database",
            Self::Closed(_) => "shutting-down",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchDownload { .. } => Some(
                "`pelago downloads` shows them; give a hash, at least 6 of its first digits, or a name"
                    .to_owned(),
            ),
            Self::Ambiguous { .. } => Some("give more digits of the hash".to_owned()),
            Self::Change(error) => error.hint(),
            Self::NotKept(why) => Some(why.hint()),
            _ => None,
        }
    }
}

fn downloads_by(choices: &[super::DownloadStatus]) -> String {
    let line = |choice: &super::DownloadStatus| {
        let name = Printable(&choice.name);
        let (hash, state) = (choice.hash, choice.state.as_str());
        format!("  {hash}  {name}, {state}")
    };
    choices.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn peers_by(peers: &[PeerId]) -> String {
    let lines = peers.iter().map(|peer| format!("  {peer}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn shares_by(choices: &[super::Shared]) -> String {
    let line = |choice: &super::Shared| {
        let (hash, name) = (choice.hash, Printable(&choice.name));
        let path = shown(&choice.path);
        format!("  {hash}  {name}, {path}")
    };
    choices.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn choices_by(choices: &[super::Choice]) -> String {
    let line = |choice: &super::Choice| {
        let listed = &choice.listed;
        let mut from: Vec<_> = choice.from.iter().map(super::Sharer::word).collect();
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
