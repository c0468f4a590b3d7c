//! What content is, before it is downloaded; and the links by which others get ours.

use std::time::Duration;

use libp2p::PeerId;
use pelago_content::{Hash, Kind, Link};
use thiserror::Error;

use super::{
    CodedError, Node, PeerAddress, Shared, UnshareError, blocking::blocking, link_peers::peers_of,
    shares,
};
use crate::{
    network::Closed,
    store::{DatabaseError, Share, Store},
    transfer::{NoHolder, Opened, Totals, open},
};

/// How long others are looked for who have what we have ourselves.
const OTHERS: Duration = Duration::from_secs(1);

/// What to look at.
#[derive(Clone, Debug)]
pub struct OpenRequest {
    /// The content, with what a link says of it.
    pub link: Link,
    /// Peers to ask, beside those that are found.
    pub peers: Vec<PeerAddress>,
    /// Nodes by which to join the network.
    pub bootstrap: Vec<PeerAddress>,
    /// How long to look for somebody who has it.
    pub timeout: Duration,
}

/// What is known of content before it is downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentInfo {
    /// Its hash.
    pub hash: Hash,
    /// What somebody calls it. Untrusted.
    pub name: Option<String>,
    /// File or folder.
    pub kind: Kind,
    /// Its bytes, a folder's in all files below; none where that is not cheaply known.
    pub size: Option<u64>,
    /// How many files it is; none where that is not cheaply known.
    pub files: Option<u64>,
    /// Whether this node shares it.
    pub shared: bool,
    /// Who else has it.
    pub holders: Vec<Holder>,
}

/// A peer that has content, or some of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who it is.
    pub peer_id: PeerId,
    /// What it calls itself. Untrusted.
    pub name: Option<String>,
    /// How many bytes of it the peer says that it has; of a folder with small files, at most so many.
    pub bytes: u64,
}

/// Why nothing is known of content.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Nobody who was asked has it.
    #[error(
        "no source for {hash} within {} s: {nobody}", timeout.as_secs_f64()
    )]
    NoSource {
        /// What was looked for.
        hash: Hash,
        /// How long.
        timeout: Duration,
        /// How many were asked.
        nobody: NoHolder,
    },
    /// Our own shares cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The node shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl CodedError for OpenError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSource { .. } => "no-source",
            Self::Database(_) => "database",
            Self::Closed(_) => "shutting-down",
        }
    }

    fn hint(&self) -> Option<String> {
        matches!(self, Self::NoSource { .. }).then(|| {
            "is a node that shares it running? name one with --peer HOST:PORT, join the network \
             with --bootstrap HOST:PORT, or wait longer with --timeout SECONDS"
                .to_owned()
        })
    }
}

/// A share of this content that can be had from here.
fn available(store: &Store, hash: &Hash) -> Result<Option<Share>, DatabaseError> {
    let is_here = |share: &Share| {
        store.state_of(share).is_available() && store.look_at_share(share).state.is_available()
    };
    Ok(store.shares_of(hash)?.into_iter().find(is_here))
}

impl Node {
    /// Finds out what content is and who has it, and downloads none of it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(&self, request: OpenRequest) -> Result<ContentInfo, OpenError> {
        self.join(&request.bootstrap, request.timeout).await;
        let (hash, store) = (request.link.hash, self.core.store.clone());
        let shared = blocking(move || available(&store, &hash)).await??;
        let patience = match &shared {
            Some(_) => OTHERS.min(request.timeout),
            None => request.timeout,
        };
        let peers = [request.peers, peers_of(&request.link)].concat();
        let (network, limits) = (&self.core.network, &self.core.limits);
        let mut content = match (open(network, limits, hash, peers, patience).await, shared) {
            (looked, Some(share)) => ContentInfo::ours(share, looked.ok()),
            (Ok(looked), None) => ContentInfo::others(looked),
            (Err(nobody), None) => {
                return Err(OpenError::NoSource {
                    hash,
                    timeout: request.timeout,
                    nobody,
                });
            }
        };
        content.name = request.link.name.or(content.name);
        for peer in network.peers().await? {
            for holder in &mut content.holders {
                if holder.peer_id == peer.peer_id {
                    holder.name.clone_from(&peer.name);
                }
            }
        }
        Ok(content)
    }

    /// What is shared under this hash or name, or all that is, each with a link that names where this
    /// node can be reached.
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

impl Content {
    fn others(looked: Opened) -> Self {
        let holder = |(peer_id, bytes)| Holder {
            peer_id,
            name: None,
            bytes,
        };
        Self {
            hash: looked.descriptor.hash(),
            name: looked.name,
            kind: looked.descriptor.kind(),
            size: looked.weight.map(|weight| weight.bytes),
            files: looked.weight.map(|weight| weight.files),
            shared: false,
            holders: looked.holders.into_iter().map(holder).collect(),
        }
    }

    fn ours(share: Share, looked: Option<Opened>) -> Self {
        let ours = Opened {
            descriptor: share.descriptor,
            name: Some(share.name),
            weight: Some(Totals {
                bytes: share.totals.bytes,
                files: share.totals.files,
            }),
            holders: looked.map(|looked| looked.holders).unwrap_or_default(),
        };
        Self {
            shared: true,
            ..Self::others(ours)
        }
    }
}
