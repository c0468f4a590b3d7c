//! Describes content before it is downloaded, and makes links to shares of this node.

use std::time::Duration;

use libp2p::PeerId;
use pelago_content::{Hash, Kind, Link};
use pelago_groups::GroupId;
use thiserror::Error;

use super::{
    CodedError, Mode, Node, NotAMember, PeerAddress, Shared, UnshareError,
    blocking::blocking,
    link_peers::peers_of,
    own_groups::{Place, PlaceError},
    shares,
};
use crate::{
    access::Circle,
    network::Closed,
    store::{DatabaseError, Share, Store},
    transfer::{NoHolder, OpenPatience, Opened, Totals, open},
};

/// How long to look for other peers that have content which this node shares itself.
const OTHERS: Duration = Duration::from_secs(1);

/// The content to describe.
#[derive(Clone, Debug)]
pub struct OpenRequest {
    /// The content, with the name and peers that its link gives.
    pub link: Link,
    /// Peers to ask, in addition to those that are found.
    pub peers: Vec<PeerAddress>,
    /// The group in which to look. `None`: the one from which the content is known, by its link, by a
    /// catalogue, by an earlier request or by a share; or outside groups.
    pub group: Option<GroupId>,
    /// Whether to look outside groups, even if the content is known in one.
    pub is_public: bool,
    /// Nodes through which to join the network.
    pub bootstrap: Vec<PeerAddress>,
    /// How long to look for peers that have it.
    pub timeout: Duration,
    /// Whether a [`Mode::OneShot`] node ends as soon as all peers in reach were asked in vain, and 3 s
    /// have passed.
    pub gives_up: bool,
}

/// A description of content before it is downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentInfo {
    /// Its hash.
    pub hash: Hash,
    /// Its name, as the link or a peer gives it. Untrusted.
    pub name: Option<String>,
    /// File or folder.
    pub kind: Kind,
    /// Its size in bytes, for a folder that of all files below; `None` if it is not known cheaply.
    pub size: Option<u64>,
    /// How many files it has; `None` if it is not known cheaply.
    pub files: Option<u64>,
    /// How many sub-folders are directly in a folder; `None` if it is not known cheaply.
    pub subfolders: Option<u64>,
    /// Whether this node shares it.
    pub shared: bool,
    /// The group in which the peers were asked; `None` outside groups.
    pub group: Option<GroupId>,
    /// The other peers that have it.
    pub holders: Vec<Holder>,
}

/// A peer that has content, or some of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub peer_id: PeerId,
    /// Its name. Untrusted.
    pub name: Option<String>,
    /// How many bytes of it the peer claims to have. For a folder with small files, an upper bound.
    pub bytes: u64,
}

/// Why content could not be described.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No peer that was asked has it.
    #[error(
        "no source for {hash} within {} s: {reason}", timeout.as_secs_f64()
    )]
    NoSource {
        /// The content.
        hash: Hash,
        /// How long the node searched.
        timeout: Duration,
        /// Which peers were asked, and what they answered.
        reason: NoHolder,
        /// Whether it may be content of a group of this node, whose members were not asked in it.
        may_be_in_group: bool,
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

impl From<PlaceError> for OpenError {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::NotAMember(error) => error.into(),
            PlaceError::Database(error) => error.into(),
            PlaceError::Closed(error) => error.into(),
        }
    }
}

impl CodedError for OpenError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSource { .. } => "no-source",
            Self::NotAMember(error) => error.code(),
            Self::Database(_) => "database",
            Self::Closed(_) => "shutting-down",
        }
    }

    fn hint(&self) -> Option<String> {
        if let Self::NotAMember(error) = self {
            return error.hint();
        }
        let Self::NoSource {
            may_be_in_group, ..
        } = self
        else {
            return None;
        };
        let hint = match may_be_in_group {
            true => "if it is content of a group, name the group with --group. Otherwise: ",
            false => "",
        };
        Some(format!(
            "{hint}check that a node that shares it is running. Name one with --peer HOST:PORT, join the \
             network with --bootstrap HOST:PORT, or wait longer with --timeout SECONDS"
        ))
    }
}

/// A share of this content that is available from this node, and its totals.
fn available(store: &Store, hash: &Hash) -> Result<Option<(Share, Totals)>, DatabaseError> {
    let is_here = |share: &Share| {
        store.state_of(share).is_available() && store.inspect_share(share).state.is_available()
    };
    let shared = store.shares_of(hash)?.into_iter().find(is_here);
    Ok(shared.map(|share| {
        let manifest = store.manifest(hash).ok().flatten();
        let totals = Totals {
            bytes: share.totals.bytes,
            files: share.totals.files,
            subfolders: manifest.and_then(|manifest| Totals::of(&manifest).subfolders),
        };
        (share, totals)
    }))
}

impl Node {
    /// Describes content and finds the peers that have it. Downloads none of it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(&self, request: OpenRequest) -> Result<ContentInfo, OpenError> {
        let (group, is_public) = (request.group, request.is_public);
        let place = self.core.place_of(&request.link, group, is_public).await?;
        let (hash, store) = (request.link.hash, self.core.store.clone());
        let shared = blocking(move || available(&store, &hash)).await??;
        let group = match place {
            Place::Public => None,
            Place::Group(group) => Some(group),
            Place::Lost(group) if shared.is_some() => Some(group),
            Place::Lost(group) => return Err(self.core.not_a_member(group, Some(hash)).into()),
        };
        let circle = Circle::of(group, &self.core.memberships);
        self.join(&request.bootstrap, request.timeout).await;
        let patience = OpenPatience {
            timeout: match &shared {
                Some(_) => OTHERS.min(request.timeout),
                None => request.timeout,
            },
            gives_up: request.gives_up && self.core.settings.mode == Mode::OneShot,
        };
        let peers = [request.peers, peers_of(&request.link)].concat();
        let (network, limits) = (&self.core.network, &self.core.limits);
        let opened = open(network, limits, hash, &circle, peers, patience).await;
        let mut content = match (opened, shared) {
            (opened, Some((share, totals))) => ContentInfo::ours(share, totals, opened.ok()),
            (Ok(opened), None) => ContentInfo::others(opened),
            (Err(reason), None) => {
                let own_groups = self.core.memberships.own_groups();
                return Err(OpenError::NoSource {
                    may_be_in_group: group.is_none() && !own_groups.is_empty(),
                    hash,
                    timeout: match patience.gives_up {
                        true => Duration::from_secs(reason.after.as_secs()),
                        false => request.timeout,
                    },
                    reason,
                });
            }
        };
        content.name = request.link.name.or(content.name);
        content.group = group;
        for peer in network.peers().await? {
            for holder in &mut content.holders {
                if holder.peer_id == peer.peer_id {
                    holder.name.clone_from(&peer.name);
                }
            }
        }
        Ok(content)
    }

    /// The shares with this hash or name, or all shares, each with a link that names addresses of
    /// this node.
    ///
    /// # Errors
    /// See [`UnshareError`].
    pub async fn links(&self, what: Option<String>) -> Result<Vec<Shared>, UnshareError> {
        let store = self.core.store.clone();
        let mut links = blocking(move || shares::links(&store, what.as_deref())).await??;
        let peers = self.link_peers().await?;
        for shared in &mut links {
            shared.link.peers.clone_from(&peers);
        }
        Ok(links)
    }
}

impl ContentInfo {
    fn others(opened: Opened) -> Self {
        let holder = |(peer_id, bytes)| Holder {
            peer_id,
            name: None,
            bytes,
        };
        Self {
            hash: opened.descriptor.hash(),
            name: opened.name,
            kind: opened.descriptor.kind(),
            size: opened.totals.map(|totals| totals.bytes),
            files: opened.totals.map(|totals| totals.files),
            subfolders: opened.totals.and_then(|totals| totals.subfolders),
            shared: false,
            group: None,
            holders: opened.holders.into_iter().map(holder).collect(),
        }
    }

    fn ours(share: Share, totals: Totals, opened: Option<Opened>) -> Self {
        let ours = Opened {
            descriptor: share.descriptor,
            name: Some(share.name),
            totals: Some(totals),
            holders: opened.map(|opened| opened.holders).unwrap_or_default(),
        };
        Self {
            shared: true,
            ..Self::others(ours)
        }
    }
}
