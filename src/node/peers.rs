//! What a node knows of others: its peers, how others reach it, and what they share with it.

use std::{sync::Arc, time::Duration};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use pelago_content::Link;
use tokio::sync::watch;

use super::{Catalogue, ListError, Node, PeerAddress, Shared, catalogues};
use crate::network::{self, Closed, Reach};

/// Peers named in a link.
const LINK_PEERS: usize = 6;

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub peer_id: PeerId,
    /// What it calls itself. Untrusted.
    pub name: Option<String>,
    /// Where it is.
    pub addresses: Vec<Multiaddr>,
    /// The latest round trip.
    pub rtt: Option<Duration>,
    /// Bytes of content sent to it.
    pub sent_bytes: u64,
    /// Bytes of content received from it.
    pub received_bytes: u64,
}

impl Node {
    /// The addresses that the node listens at and that lead to it from anywhere, each with its id.
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

    /// The peers that the node is connected to.
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
            }
        };
        Ok(peers.into_iter().map(peer).collect())
    }

    /// Connects to a peer: by that the node joins the network, if it had not yet.
    ///
    /// # Errors
    /// See [`network::ConnectError`].
    pub async fn connect(&self, peer: &PeerAddress) -> Result<PeerId, network::ConnectError> {
        self.core
            .network
            .connect(peer.peer(), vec![peer.address().clone()])
            .await
    }

    /// Where this node can be reached, for a link: by the addresses that others can use, if there are any.
    ///
    /// # Errors
    /// The node has shut down.
    pub async fn link_peers(&self) -> Result<Vec<String>, Closed> {
        let mut addresses = self.addresses().await?;
        let farthest = addresses.iter().map(Reach::of).max();
        addresses.retain(|address| Some(Reach::of(address)) == farthest);
        Ok(addresses
            .iter()
            .take(LINK_PEERS)
            .map(Multiaddr::to_string)
            .collect())
    }

    /// All that a receiver needs to get what is shared under `shared`'s hash from this node.
    ///
    /// # Errors
    /// The node has shut down.
    pub async fn link(&self, shared: &Shared) -> Result<Link, Closed> {
        Ok(Link {
            peers: self.link_peers().await?,
            ..shared.link.clone()
        })
    }

    /// What the peer at `address` shares with this node.
    ///
    /// # Errors
    /// See [`ListError`].
    pub async fn list_peer(&self, address: &PeerAddress) -> Result<Catalogue, ListError> {
        catalogues::of_peer(&self.core.network, address).await
    }

    /// What all peers in reach share with this node, after waiting `wait` for peers to turn up.
    ///
    /// # Errors
    /// The node has shut down.
    pub async fn list_network(&self, wait: Duration) -> Result<Catalogue, ListError> {
        catalogues::of_network(&self.core.network, wait).await
    }

    /// How many nodes of the DHT this node knows.
    #[must_use]
    pub fn routable(&self) -> watch::Receiver<usize> {
        self.core.network.routable()
    }

    /// How many requests this node has sent in the DHT to find providers.
    #[must_use]
    pub fn lookup_requests(&self) -> u64 {
        self.core.network.lookup_requests()
    }

    /// The list of the peer at this address, or of all peers in reach, that
    /// [`cache_catalogue`](Self::cache_catalogue) kept a moment ago.
    #[must_use]
    pub fn cached_catalogue(&self, of: Option<&PeerAddress>) -> Option<Arc<Catalogue>> {
        self.core.catalogue.get(of)
    }

    /// Keeps a list for a reader that reads it page by page.
    pub fn cache_catalogue(&self, of: Option<PeerAddress>, catalogue: &Arc<Catalogue>) {
        self.core.catalogue.keep(of, catalogue);
    }
}
