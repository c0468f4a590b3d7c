//! The members whom this node meets through the DHT, and under which keys.
//!
//! A key takes the place of a hash: the provider key that follows from it is what the DHT sees, which
//! looks like that of any content.

use std::collections::BTreeMap;

use libp2p::PeerId;
use pelago_content::Hash;
use pelago_groups::{Neighbour, NodeKey};

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

/// What follows from the keys of nodes, so that it is computed once.
#[derive(Debug, Default)]
pub struct KnownNeighbours(BTreeMap<NodeKey, Option<Neighbour>>);

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

    /// The nodes among those of each group that this node meets. Takes 50 microseconds for each node
    /// that `known` does not have, which keeps what follows from `nodes`.
    #[must_use]
    pub fn meetings(
        &self,
        nodes: &[Vec<NodeKey>],
        known: &mut KnownNeighbours,
    ) -> BTreeMap<PeerId, Meeting> {
        let Ok(identity) = self.identity() else {
            return BTreeMap::new();
        };
        let before = std::mem::take(&mut known.0);
        for node in nodes.iter().flatten() {
            known.0.entry(*node).or_insert_with(|| {
                let known = before.get(node).copied();
                known.unwrap_or_else(|| identity.node().neighbour(node))
            });
        }
        let neighbours = nodes.iter().flat_map(|nodes| {
            let neighbours = nodes.iter().filter_map(|node| *known.0.get(node)?);
            Neighbour::nearest(neighbours, NEIGHBOURS)
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
