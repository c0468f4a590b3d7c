//! The nodes to enter the network by: tried again while no other is known, and named when they are not
//! reached.

use std::collections::{HashMap, HashSet};

use libp2p::{
    PeerId,
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::{ConnectError, PeerAddress};

/// The bootstrap nodes, and what came of them.
#[derive(Default)]
pub(super) struct Bootstrap {
    nodes: Vec<PeerAddress>,
    dialing: HashMap<ConnectionId, PeerAddress>,
    /// Those that people know of not to be reached.
    told: HashSet<PeerAddress>,
}

impl Bootstrap {
    pub(super) fn new(nodes: Vec<PeerAddress>) -> Self {
        Self {
            nodes,
            ..Self::default()
        }
    }

    /// How to dial them all; those that are connected to are not dialed twice.
    pub(super) fn dial(&mut self) -> Vec<DialOpts> {
        let dialed = self.nodes.iter().map(|node| {
            let options = in_passing(node);
            self.dialing.insert(options.connection_id(), node.clone());
            options
        });
        dialed.collect()
    }

    /// A dial came to nothing before it was begun, or to a connection.
    pub(super) fn over(&mut self, connection: ConnectionId) {
        if let Some(node) = self.dialing.remove(&connection) {
            self.told.remove(&node);
        }
    }

    /// A dial has failed: if it was for one of these, and that was not told before, this is who.
    pub(super) fn failed(
        &mut self,
        connection: ConnectionId,
        error: &ConnectError,
    ) -> Option<PeerAddress> {
        let node = self.dialing.remove(&connection)?;
        // A list of nodes that is the same for all of them names each to itself.
        let is_news = !matches!(error, ConnectError::Ourselves) && self.told.insert(node.clone());
        is_news.then_some(node)
    }
}

/// How to dial a node for nobody in particular.
pub(super) fn in_passing(node: &PeerAddress) -> DialOpts {
    let address = node.address().clone();
    let to = |peer: PeerId| {
        DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(vec![address.clone()])
            .build()
    };
    match node.peer() {
        Some(peer) => to(peer),
        None => DialOpts::unknown_peer_id().address(address).build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_not_reached_is_named_once_until_it_was() {
        let node: PeerAddress = "10.0.0.1:80".parse().unwrap();
        let mut bootstrap = Bootstrap::new(vec![node.clone()]);
        let mut dial = || bootstrap.dial()[0].connection_id();
        let (first, second, third, fourth) = (dial(), dial(), dial(), dial());
        let failed = ConnectError::Failed("refused".to_owned());
        assert_eq!(bootstrap.failed(first, &failed), Some(node.clone()));
        assert_eq!(bootstrap.failed(second, &failed), None);
        bootstrap.over(third);
        assert_eq!(bootstrap.failed(fourth, &failed), Some(node));
        let another = ConnectionId::new_unchecked(usize::MAX);
        assert_eq!(bootstrap.failed(another, &failed), None);
        let itself = bootstrap.dial()[0].connection_id();
        assert_eq!(bootstrap.failed(itself, &ConnectError::Ourselves), None);
    }
}
