//! Starts downloads: looks up names, and resolves links.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use libp2p::PeerId;
use pelago_content::{Hash, Link};
use pelago_groups::GroupId;
use tokio::{sync::watch, time::Instant};

use super::{DownloadError, Target};
use crate::{
    network::Network,
    node::{
        Mode, Node, Output, PeerAddress,
        blocking::blocking,
        catalogues::{NameSearch, find_name},
        link_peers::peers_of,
        own_groups::Place,
        peer_names::PeerChoice,
        selector::Selector,
        shares::select_hash,
    },
    store::{Known, Links, Scope, Scopes, Selection},
    transfer::{self, Download, Follower},
};

/// A request to download content.
#[derive(Clone, Debug)]
pub struct DownloadRequest {
    /// The content.
    pub target: Target,
    /// Where to put it.
    pub output: Output,
    /// If this node shares all of the content already: whether that is the result, where it is,
    /// instead of a copy at the output.
    pub in_place: bool,
    /// Peers to ask, in addition to those that are found.
    pub peers: Vec<PeerAddress>,
    /// The only peers that may be asked. Empty: any peer.
    pub from: Vec<PeerChoice>,
    /// The group in which to fetch it. `None`: the one from which it is known, by the link, by a
    /// catalogue, by an earlier request or by a share, or the only one in which its name is shared; or
    /// outside groups.
    pub group: Option<GroupId>,
    /// Whether to fetch it outside groups, even if it is known in one.
    pub is_public: bool,
    /// Nodes through which to join the network.
    pub bootstrap: Vec<PeerAddress>,
    /// How long the download may make no progress.
    pub timeout: Duration,
    /// Whether it then waits for a source until it is paused or cancelled. A [`Mode::OneShot`] node
    /// never waits.
    /// Instead of waiting it fails as soon as all peers in reach were asked in vain, and 3 s have
    /// passed.
    pub waits: bool,
    /// Shows how many peers were asked so far for the name of the content.
    pub asked: watch::Sender<usize>,
    /// For a folder: the files to download, as globs over their paths in it. Empty: all.
    pub only: Vec<String>,
    /// Whether other content at the target may be replaced.
    pub overwrite: bool,
    /// For a folder: which symbolic links are created.
    pub links: Links,
    /// For a folder: whether it fails if the target's file system cannot hold a name in it.
    pub strict_names: bool,
    /// For a folder: whether it may have more than 100,000 entries.
    pub may_expand: bool,
    /// Whether it is done before it is safe from a power cut. Then it is not seeded.
    pub no_sync: bool,
    /// Whether to seed it, if the node and its settings allow that.
    pub seed: bool,
    /// Whether it is listed and announced when it is seeded. `None`: it is if it was requested by
    /// name, or if a source lists it and the link does not say that it is unlisted.
    pub listed: Option<bool>,
}

impl DownloadRequest {
    /// A request for all of the content, from any peer, which fails after `timeout` without
    /// progress and is not seeded.
    #[must_use]
    pub fn new(target: Target, output: Output, timeout: Duration) -> Self {
        Self {
            target,
            output,
            in_place: false,
            peers: Vec::new(),
            from: Vec::new(),
            group: None,
            is_public: false,
            bootstrap: Vec::new(),
            timeout,
            waits: false,
            asked: watch::Sender::new(0),
            only: Vec::new(),
            overwrite: false,
            links: Links::default(),
            strict_names: false,
            may_expand: false,
            no_sync: false,
            seed: false,
            listed: None,
        }
    }
}

impl Node {
    /// Starts a download, or joins the running one of the same content. The node runs it to its
    /// end. A name is looked up first; the [`Download`] shows everything after that.
    ///
    /// # Errors
    /// An invalid glob; a name that no content has, or that several contents have; a peer in `from`
    /// that is not in reach; a running download of the same content with other parameters;
    /// [`DownloadError::NotKept`], in which case the download runs nevertheless.
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

    /// Starts or joins a download that runs for as long as it is followed: it is paused when the
    /// last follower drops it, unless the node was asked to run it to its end.
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

    /// Resolves a request: looks up a name, or reads a link.
    async fn prepare(
        &self,
        mut request: DownloadRequest,
    ) -> Result<transfer::Request, DownloadError> {
        // Before any peer is asked.
        Selection::new(&request.only)?;
        let network = &self.core.network;
        let is_one_shot = self.core.settings.mode == Mode::OneShot;
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
        if let Target::Name(name) = &request.target
            && let Some(hash) = self.own_hash(name).await?
        {
            request.target = Target::Hash(hash);
        }
        let (group, hash, name) = match &request.target {
            Target::Hash(hash) => {
                let group = self.group_of(&Link::new(*hash), &request).await?;
                (group, *hash, None)
            }
            Target::Link(link) => {
                peers.extend(peers_of(link));
                let group = self.group_of(link, &request).await?;
                (group, link.hash, link.name.clone())
            }
            Target::Name(name) => {
                let among = match (&allowed, &peers[..]) {
                    (None, [_, ..]) => Some(connect_all(network, &peers).await),
                    (allowed, _) => allowed.clone(),
                };
                let search = self.search(name, &request).await?;
                let within = deadline.saturating_duration_since(Instant::now());
                let found = find_name(network, &search, among.as_deref(), within).await;
                let named = found.map_err(|error| self.naming_groups(error))?;
                tracing::debug!(name, hash = %named.hash, peers = named.peers.len(), "name found");
                if let Some(group) = named.group {
                    let known = [Known::Content(named.hash), Known::name(name)];
                    self.core.note_known(group, known).await;
                }
                (named.group, named.hash, Some(name.clone()))
            }
        };
        let (scopes, lists_as_sources) = scopes(&request.target, request.listed, group);
        let (output, store) = (request.output, self.core.store.clone());
        let output = blocking(move || output.settled(&hash, &store)).await?;
        if let Some(group) = group {
            self.check_not_watched(&output, group).await?;
        }
        Ok(transfer::Request {
            wanted: transfer::Wanted {
                hash,
                peers,
                allowed,
                group,
                timeout: request.timeout,
                // A command that runs without a node ends after the time-out.
                waits: request.waits && !is_one_shot,
                gives_up: request.waits && is_one_shot,
            },
            delivery: transfer::Delivery {
                name,
                output,
                in_place: request.in_place,
                only: request.only,
                overwrite: request.overwrite,
                links: request.links,
                strict_names: request.strict_names,
                may_expand: request.may_expand,
                durable: !request.no_sync,
                resume_on_start: !is_one_shot,
                // Content that a power cut may destroy is not offered to others.
                seed: request.seed && !request.no_sync,
                scopes,
                lists_as_sources,
            },
        })
    }

    /// The group in which to fetch the content of a link or a hash.
    async fn group_of(
        &self,
        link: &Link,
        request: &DownloadRequest,
    ) -> Result<Option<GroupId>, DownloadError> {
        match self
            .core
            .place_of(link, request.group, request.is_public)
            .await?
        {
            Place::Public => Ok(None),
            Place::Group(group) => Ok(Some(group)),
            Place::Lost(group) => Err(self.core.not_a_member(group, Some(link.hash)).into()),
        }
    }

    /// The hash of a share or download of this node, if `name` is the beginning of no other one.
    async fn own_hash(&self, name: &str) -> Result<Option<Hash>, DownloadError> {
        let selector = Selector::new(name);
        let Selector::Prefix(..) = selector else {
            return Ok(None);
        };
        let downloads = self.downloads().into_iter();
        let downloads = downloads.filter(|own| selector.matches(&own.hash, &own.name));
        let mut hashes: BTreeSet<_> = downloads.map(|download| download.hash).collect();
        let (store, what) = (self.core.store.clone(), name.to_owned());
        // Without one of them, peers are asked.
        hashes.extend(blocking(move || select_hash(&store, &what).ok()).await?);
        Ok(hashes.pop_first().filter(|_| hashes.is_empty()))
    }

    /// Where to look for a name: in the group of the request; else in all groups of this node and
    /// outside of them.
    async fn search<'n>(
        &self,
        name: &'n str,
        request: &'n DownloadRequest,
    ) -> Result<NameSearch<'n>, DownloadError> {
        let memberships = self.core.memberships.clone();
        let (groups, is_outside) = match request.group.filter(|_| !request.is_public) {
            Some(group) => ([self.core.own_group(group)?].into(), false),
            None if request.is_public => (BTreeSet::new(), true),
            None => (memberships.own_groups(), true),
        };
        let is_secret = !request.is_public && self.core.is_name_known(name).await;
        let digits = match Selector::new(name) {
            Selector::Prefix(_, digits) => Some(digits),
            Selector::Hash(_) | Selector::Name(_) => None,
        };
        let is_one_shot = self.core.settings.mode == Mode::OneShot;
        Ok(NameSearch {
            name,
            digits,
            asked: &request.asked,
            gives_up: request.waits && is_one_shot,
            groups,
            is_outside,
            is_secret,
            memberships,
        })
    }

    /// The error, with the names of groups among the choices.
    fn naming_groups(&self, mut error: DownloadError) -> DownloadError {
        if let DownloadError::Ambiguous { choices, .. }
        | DownloadError::IncompleteHash { choices, .. } = &mut error
        {
            for choice in choices {
                let group = choice.group.as_ref();
                choice.group_name = group.and_then(|group| self.core.group_name(group));
            }
        }
        error
    }

    /// Refuses a download within a group into a folder whose files the node shares with others.
    async fn check_not_watched(
        &self,
        output: &Output,
        group: GroupId,
    ) -> Result<(), DownloadError> {
        if self.core.share_group == Some(group) {
            return Ok(());
        }
        let folders = self.core.settings.share_folders.clone();
        let path = output.path().clone();
        let watched = blocking(move || {
            let path = resolved(&path);
            let is_above = |folder: &PathBuf| path.starts_with(resolved(folder));
            folders.into_iter().find(is_above)
        });
        match watched.await? {
            Some(folder) => Err(DownloadError::WatchedFolder { folder }),
            None => Ok(()),
        }
    }

    /// Begins to join the network through `nodes`, and keeps trying for `patience`.
    pub(in crate::node) async fn join(&self, nodes: &[PeerAddress], patience: Duration) {
        if !nodes.is_empty() {
            self.core.network.join(nodes.to_vec(), patience).await;
        }
    }
}

/// The scopes of content that is downloaded as `target`, given what a person said about listing it;
/// and whether they become everyone once a source lists it. Content found by name is in a list
/// already, content that a link calls unlisted is in none, and for a bare hash only its sources can
/// tell. Content of a group is the group's, and everyone's only if a person says so.
fn scopes(target: &Target, listed: Option<bool>, group: Option<GroupId>) -> (Scopes, bool) {
    if let Some(group) = group {
        let mut scopes = Scopes::from(Scope::Group(group));
        if listed == Some(true) {
            scopes.insert(Scope::Everyone);
        }
        return (scopes, false);
    }
    let (scope, lists_as_sources) = match (listed, target) {
        (Some(true), _) | (None, Target::Name(_)) => (Scope::Everyone, false),
        (Some(false), _) => (Scope::Unlisted, false),
        (None, Target::Link(link)) => (Scope::Unlisted, !link.is_unlisted),
        (None, Target::Hash(_)) => (Scope::Unlisted, true),
    };
    (scope.into(), lists_as_sources)
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let mut above = path.ancestors();
    let resolved = above.find_map(|above| {
        let rest = path.strip_prefix(above).ok()?;
        Some(above.canonicalize().ok()?.join(rest))
    });
    resolved.unwrap_or_else(|| path.to_owned())
}

/// Connects to the peers at `addresses`. Returns the ids of those that it reached.
async fn connect_all(network: &Network, addresses: &[PeerAddress]) -> Vec<PeerId> {
    let connects = addresses.iter().map(|address| async move {
        let connected = network
            .connect(address.peer(), vec![address.address().clone()])
            .await;
        connected
            .inspect_err(
                |error| tracing::warn!(peer = %address, %error, "cannot connect to the peer"),
            )
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
    use super::*;

    #[test]
    fn unlisted_content_stays_unlisted_unless_a_person_lists_it() {
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
            let (scope, lists_as_sources) = expected;
            let (everyone, unlisted) = (Scopes::from(Scope::Everyone), Scope::Unlisted.into());
            let scopes = |listed, group| scopes(&target, listed, group);
            let expected = (scope.into(), lists_as_sources);
            assert_eq!(scopes(None, None), expected, "{target:?}");
            assert_eq!(scopes(Some(true), None), (everyone, false));
            assert_eq!(scopes(Some(false), None), (unlisted, false));
            // Content of a group stays in it, however it is named.
            let group = GroupId::from_bytes([1; 32]);
            let groups = (Scope::Group(group).into(), false);
            assert_eq!(scopes(None, Some(group)), groups);
            assert_eq!(scopes(Some(false), Some(group)), groups);
            assert!(scopes(Some(true), Some(group)).0.contains(Scope::Everyone));
        }
    }
}
