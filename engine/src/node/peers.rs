//! What a node knows of other nodes: its peers, how they reach it, and what they share with it.

use std::{sync::Arc, time::Duration};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use pelago_behaviour::is_relayed;
use pelago_content::Link;
use pelago_groups::GroupId;
use tokio::sync::watch;

use super::{Catalogue, CatalogueOf, ListError, Listed, Node, PeerAddress, Shared, catalogues};
use crate::{
    network::{self, Closed, Reach, ReachReport, Way},
    store::Known,
};

/// The most addresses that a link names.
const LINK_PEERS: usize = 6;

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub peer_id: PeerId,
    /// Its name. Untrusted.
    pub name: Option<String>,
    /// The addresses of its connections.
    pub addresses: Vec<Multiaddr>,
    /// The latest round-trip time.
    pub rtt: Option<Duration>,
    /// Bytes of content sent to it.
    pub sent_bytes: u64,
    /// Bytes of content received from it.
    pub received_bytes: u64,
    /// How it is connected.
    pub way: Way,
}

/// What a list of a group makes known.
fn known(listed: &Listed) -> [Known; 2] {
    [Known::Content(listed.hash), Known::name(&listed.name)]
}

impl Node {
    /// The addresses at which the node listens and that other machines can reach, each with its id.
    ///
    /// # Errors
    /// The node has shut down.
    pub async fn addresses(&self) -> Result<Vec<Multiaddr>, Closed> {
        let addresses = self.core.network.listen_addresses().await?;
        let id = Protocol::P2p(self.peer_id());
        Ok(addresses
            .into_iter()
            .filter(|address| Reach::of(address) > Reach::Nowhere)
            .map(|address| address.with(id.clone()))
            .collect())
    }

    /// How others reach this node. Changes are sent to the receiver.
    #[must_use]
    pub fn reachability(&self) -> watch::Receiver<ReachReport> {
        self.core.network.reachability()
    }

    /// The connected peers.
    ///
    /// # Errors
    /// The node has shut down.
    pub async fn peers(&self) -> Result<Vec<Peer>, Closed> {
        let peers = self.core.network.peers().await?;
        let peer = |peer: network::Peer| {
            let counts = self.core.network.traffic().of(&peer.peer_id);
            Peer {
                peer_id: peer.peer_id,
                name: peer.name,
                addresses: peer.addresses,
                rtt: peer.rtt,
                sent_bytes: counts.sent,
                received_bytes: counts.received,
                way: peer.way,
            }
        };
        Ok(peers.into_iter().map(peer).collect())
    }

    /// Connects to a peer. The node joins the network through it, unless it has joined already.
    ///
    /// # Errors
    /// See [`network::ConnectError`].
    pub async fn connect(&self, peer: &PeerAddress) -> Result<PeerId, network::ConnectError> {
        self.core
            .network
            .connect(peer.peer(), vec![peer.address().clone()])
            .await
    }

    /// The addresses of this node for a link: those that most other machines can reach, first of
    /// all those at which peers from elsewhere reach it, and those through relays.
    ///
    /// # Errors
    /// The node has shut down.
    pub async fn link_peers(&self) -> Result<Vec<String>, Closed> {
        let listens = self.addresses().await?;
        let id = Protocol::P2p(self.peer_id());
        let reachable = self.reachability().borrow().addresses.clone();
        let reachable = reachable
            .into_iter()
            .map(|own| own.address.with(id.clone()));
        let mut addresses: Vec<_> = reachable.collect();
        let (relayed, direct): (Vec<_>, Vec<_>) = listens.into_iter().partition(is_relayed);
        let new = relayed.into_iter().chain(direct);
        let known = addresses.clone();
        addresses.extend(new.filter(|address| !known.contains(address)));
        let farthest = addresses.iter().map(Reach::of).max();
        addresses.retain(|address| Some(Reach::of(address)) == farthest);
        Ok(addresses
            .iter()
            .take(LINK_PEERS)
            .map(Multiaddr::to_string)
            .collect())
    }

    /// The link by which others download `shared` from this node.
    ///
    /// # Errors
    /// The node has shut down.
    pub async fn link(&self, shared: &Shared) -> Result<Link, Closed> {
        Ok(Link {
            peers: self.link_peers().await?,
            ..shared.link.clone()
        })
    }

    /// The catalogue of the peer at `address`.
    ///
    /// # Errors
    /// See [`ListError`].
    pub async fn list_peer(&self, address: &PeerAddress) -> Result<Catalogue, ListError> {
        catalogues::of_peer(&self.core.network, address).await
    }

    /// The catalogues of all peers in reach, after waiting `wait` for peers to connect.
    ///
    /// # Errors
    /// The node has shut down.
    pub async fn list_network(&self, wait: Duration) -> Result<Catalogue, ListError> {
        catalogues::of_network(&self.core.network, wait).await
    }

    /// What the members of `group` share with it, after waiting `wait` for peers to connect. Each
    /// member answers for itself; of those that cannot be reached, this node lists what they shared
    /// last, and counts no peer for it.
    ///
    /// # Errors
    /// This node is not in the group.
    pub async fn list_group(&self, group: GroupId, wait: Duration) -> Result<Catalogue, ListError> {
        let core = &self.core;
        core.own_group(group)?;
        let found =
            catalogues::of_group(&core.network, &core.store, &core.memberships, group, wait).await;
        let listed: Vec<_> = found.listed.iter().flat_map(known).collect();
        core.note_known(group, listed).await;
        Ok(found)
    }

    /// How many nodes of the DHT this node knows. Changes are sent to the receiver.
    #[must_use]
    pub fn routable(&self) -> watch::Receiver<usize> {
        self.core.network.routable()
    }

    /// How many requests to find providers this node has sent in the DHT.
    #[must_use]
    pub fn lookup_requests(&self) -> u64 {
        self.core.network.lookup_requests()
    }

    /// A catalogue, if [`cache_catalogue`](Self::cache_catalogue) still keeps it.
    #[must_use]
    pub fn cached_catalogue(&self, of: &CatalogueOf) -> Option<Arc<Catalogue>> {
        self.core.catalogue.get(of)
    }

    /// Keeps a catalogue for a caller that reads it page by page.
    pub fn cache_catalogue(&self, of: CatalogueOf, catalogue: &Arc<Catalogue>) {
        self.core.catalogue.keep(of, catalogue);
    }
}
