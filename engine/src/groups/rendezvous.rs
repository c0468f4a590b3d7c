//! The members whom this node meets through the DHT, and under which keys.
//!
//! A key takes the place of a hash: the provider key that follows from it is what the DHT sees, which
//! looks like that of any content.

use std::collections::BTreeMap;

use libp2p::PeerId;
use pelago_content::Hash;
use pelago_groups::NodeKey;

use super::handle::Groups;
use crate::access::peer_of;

/// Nodes of each group that this node meets so.
const NEIGHBOURS: usize = 32;

/// The keys by which this node and another one meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// What this node announces, for the other one.
    pub announce: Hash,
    /// What the other one announces.
    pub look_up: Hash,
}

impl Groups {
    /// The nodes of all groups, this one excepted: for each group those of its members.
    #[must_use]
    pub fn nodes(&self) -> Vec<Vec<NodeKey>> {
        let Some(own) = self.user() else {
            return Vec::new();
        };
        let groups = self
            .all()
            .into_iter()
            .filter(|group| group.roster().is_in(&own));
        let nodes = groups.map(|group| group.roster().nodes().map(|(node, _)| node).collect());
        nodes.collect()
    }

    /// The nodes among those of each group that this node meets. Takes 50 microseconds for each node.
    #[must_use]
    pub fn meetings(&self, nodes: &[Vec<NodeKey>]) -> BTreeMap<PeerId, Meeting> {
        let Ok(identity) = self.identity() else {
            return BTreeMap::new();
        };
        let neighbours = nodes.iter().flat_map(|nodes| {
            identity
                .node()
                .neighbours(nodes.iter().copied(), NEIGHBOURS)
        });
        let meetings = neighbours.filter_map(|neighbour| {
            let meeting = Meeting {
                announce: Hash::from_bytes(neighbour.publish),
                look_up: Hash::from_bytes(neighbour.look_up),
            };
            Some((peer_of(&neighbour.node)?, meeting))
        });
        meetings.collect()
    }
}
