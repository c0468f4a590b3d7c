//! How well a node is connected: what only it can know.

use libp2p::Multiaddr;

use super::Node;
use crate::network::Closed;

/// How well a node is connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// How many peers it is connected to.
    pub peers: u64,
    /// How many of them have connected to it by themselves.
    pub inbound_peers: u64,
    /// How many nodes of the DHT it knows.
    pub dht_nodes: u64,
    /// How many nodes it was given to enter the network by.
    pub bootstrap: u64,
    /// How many of them it is connected to, as far as their addresses show.
    pub bootstrap_connected: u64,
    /// Where another node with the same identity was seen, if one was.
    pub identity_clash: Option<Multiaddr>,
}

impl Node {
    /// How well the node is connected.
    ///
    /// # Errors
    /// The node has shut down.
    pub async fn health(&self) -> Result<Health, Closed> {
        let peers = self.inner.network.peers().await?;
        let bootstrap = &self.inner.settings.bootstrap;
        let is_there = |node: &&super::PeerAddress| {
            peers.iter().any(|peer| match node.peer() {
                Some(id) => peer.peer_id == id,
                None => peer
                    .addresses
                    .iter()
                    .any(|remote| is_at(remote, node.address())),
            })
        };
        Ok(Health {
            peers: peers.len() as u64,
            inbound_peers: peers.iter().filter(|peer| peer.is_inbound).count() as u64,
            dht_nodes: *self.inner.network.routable().borrow() as u64,
            bootstrap: bootstrap.len() as u64,
            bootstrap_connected: bootstrap.iter().filter(is_there).count() as u64,
            identity_clash: self
                .inner
                .network
                .identity_clash()
                .map(|clash| clash.address),
        })
    }
}

/// Whether the remote end of a connection is `address`, whatever is said of it on top.
fn is_at(remote: &Multiaddr, address: &Multiaddr) -> bool {
    let mut remote = remote.iter();
    address.iter().all(|part| remote.next() == Some(part))
}
