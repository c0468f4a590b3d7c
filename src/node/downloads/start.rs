//! From what a person asks for to a download: names are looked up, links taken apart.

use std::{sync::Arc, time::Duration};

use libp2p::PeerId;
use tokio::time::Instant;

use super::{DownloadError, Target};
use crate::{
    network::Network,
    node::{
        Mode, Node, Output, PeerAddress, blocking::blocking, catalogues::find_name,
        link_peers::peers_of,
    },
    store::{Links, Scope, Selection},
    transfer::{self, Download, Follower},
};

/// A download as a person asks for it.
#[derive(Clone, Debug)]
pub struct DownloadRequest {
    /// What.
    pub target: Target,
    /// Where to.
    pub output: Output,
    /// Peers to ask, beside those that are found.
    pub peers: Vec<PeerAddress>,
    /// Only these may be asked: ids or names of nodes. Empty: anyone.
    pub from: Vec<String>,
    /// Nodes by which to join the network.
    pub bootstrap: Vec<PeerAddress>,
    /// How long nothing may arrive.
    pub timeout: Duration,
    /// Whether it waits for a source after that, for as long as it is neither paused nor cancelled. A
    /// [`Mode::OneShot`] node never does.
    pub waits: bool,
    /// Of a folder: which files, as globs over their paths in it; none: all.
    pub only: Vec<String>,
    /// Whether other content at the target may be replaced.
    pub overwrite: bool,
    /// Of a folder: which symbolic links are created.
    pub links: Links,
    /// Of a folder: whether to refuse it if the file system of the target cannot hold a name in it.
    pub strict_names: bool,
    /// Of a folder: whether it may have far more entries than its manifests account for.
    pub may_expand: bool,
    /// Whether to report it as done without waiting until it is safe from a power cut. Then it is not shared
    /// on.
    pub no_sync: bool,
    /// Whether to share it on, where the node and its settings allow that.
    pub seed: bool,
    /// Whether what is shared on is listed and announced. None: if it was asked for by its name, or if a
    /// source lists it and no link says that it is unlisted.
    pub listed: Option<bool>,
}

impl Node {
    /// Starts a download, or joins the one of the same content that is under way, for the node to run to
    /// its end. A name is looked up first; everything later shows in the [`Download`].
    ///
    /// # Errors
    /// A glob that is none; a name nobody has, or that several contents have; a peer named by `from` who
    /// is not in reach; a download of the same content under way that is not as it was asked for now;
    /// [`DownloadError::NotKept`], and the download runs all the same.
    pub async fn download(&self, request: DownloadRequest) -> Result<Download, DownloadError> {
        let seed = request.seed;
        let started = self.core.transfers.start(self.prepare(request).await?);
        let download = started.map_err(Arc::new)?;
        if seed {
            self.core.seed_when_done(&download);
        }
        let kept = self.core.transfers.save().await;
        kept.map_err(DownloadError::NotKept)?;
        Ok(download)
    }

    /// The same for as long as somebody follows it: it is paused when the last who does drops it, unless
    /// the node was asked to run it to its end.
    ///
    /// # Errors
    /// As [`Node::download`].
    pub async fn follow(&self, request: DownloadRequest) -> Result<Follower, DownloadError> {
        let seed = request.seed;
        let followed = self.core.transfers.follow(self.prepare(request).await?);
        let followed = followed.map_err(Arc::new)?;
        if seed {
            self.core.seed_when_done(followed.download());
        }
        let transfers = self.core.transfers.clone();
        tokio::spawn(async move { transfers.save_or_log().await });
        Ok(followed)
    }

    /// What is to be downloaded: a name is looked up, a link taken apart.
    async fn prepare(&self, request: DownloadRequest) -> Result<transfer::Request, DownloadError> {
        // Before anybody is asked for anything.
        Selection::new(&request.only)?;
        let network = &self.core.network;
        self.join(&request.bootstrap, request.timeout).await;
        let mut peers = request.peers.clone();
        let deadline = Instant::now() + request.timeout;
        let allowed = match &request.from[..] {
            [] => None,
            from => {
                connect_all(network, &peers).await;
                Some(self.core.select_peers(from, deadline).await?)
            }
        };
        let (scope, lists_as_sources) = scope(&request.target, request.listed);
        let (hash, name) = match request.target {
            Target::Hash(hash) => (hash, None),
            Target::Link(link) => {
                peers.extend(peers_of(&link));
                (link.hash, link.name)
            }
            Target::Name(name) => {
                let among = match (&allowed, &peers[..]) {
                    (None, [_, ..]) => Some(connect_all(network, &peers).await),
                    (allowed, _) => allowed.clone(),
                };
                let within = deadline.saturating_duration_since(Instant::now());
                let named = find_name(network, &name, among.as_deref(), within).await?;
                tracing::debug!(name, hash = %named.hash, peers = named.peers.len(), "name found");
                (named.hash, Some(named.name))
            }
        };
        let (output, store) = (request.output, self.core.store.clone());
        let output = blocking(move || output.settled(&hash, &store)).await?;
        let is_one_shot = self.core.settings.mode == Mode::OneShot;
        Ok(transfer::Request {
            hash,
            name,
            output,
            durable: !request.no_sync,
            peers,
            allowed,
            timeout: request.timeout,
            // A command that runs without a node ends then.
            waits: request.waits && !is_one_shot,
            only: request.only,
            overwrite: request.overwrite,
            links: request.links,
            strict_names: request.strict_names,
            may_expand: request.may_expand,
            resume_on_start: !is_one_shot,
            // What may be gone with the power is not offered to others.
            seed: request.seed && !request.no_sync,
            scopes: scope.into(),
            lists_as_sources,
        })
    }

    /// Begins to join the network by `nodes`, and goes on for as long as `patience`.
    pub(in crate::node) async fn join(&self, nodes: &[PeerAddress], patience: Duration) {
        if !nodes.is_empty() {
            self.core.network.join(nodes.to_vec(), patience).await;
        }
    }
}

/// Who may know of what is downloaded as `target`, where a person says so or not; and whether everyone may
/// once a source lists it. What was found in a list is in lists already, what a link calls unlisted is in
/// none, and of a bare hash only its sources know.
fn scope(target: &Target, listed: Option<bool>) -> (Scope, bool) {
    match (listed, target) {
        (Some(true), _) | (None, Target::Name(_)) => (Scope::Everyone, false),
        (Some(false), _) => (Scope::Unlisted, false),
        (None, Target::Link(link)) => (Scope::Unlisted, !link.is_unlisted),
        (None, Target::Hash(_)) => (Scope::Unlisted, true),
    }
}

/// Connects to the peers at `addresses`; who they are, as far as that worked.
async fn connect_all(network: &Network, addresses: &[PeerAddress]) -> Vec<PeerId> {
    let connects = addresses.iter().map(|address| async move {
        let connected = network
            .connect(address.peer(), vec![address.address().clone()])
            .await;
        connected
            .inspect_err(|error| tracing::warn!(peer = %address, %error, "not reached"))
            .ok()
    });
    futures::future::join_all(connects)
        .await
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use pelago_content::{Hash, Link};

    use super::*;

    #[test]
    fn what_nobody_lists_is_not_listed_unless_a_person_says_so() {
        let hash = Hash::from_bytes([7; 32]);
        let unlisted = Link {
            is_unlisted: true,
            ..Link::new(hash)
        };
        for (target, expected) in [
            (Target::Name("a".into()), (Scope::Everyone, false)),
            (Target::Hash(hash), (Scope::Unlisted, true)),
            (Target::Link(Link::new(hash)), (Scope::Unlisted, true)),
            (Target::Link(unlisted), (Scope::Unlisted, false)),
        ] {
            assert_eq!(scope(&target, None), expected, "{target:?}");
            assert_eq!(scope(&target, Some(true)), (Scope::Everyone, false));
            assert_eq!(scope(&target, Some(false)), (Scope::Unlisted, false));
        }
    }
}
