//! Where the members of a group are reached, for links that invite to it.

use std::collections::{BTreeMap, HashMap};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::{
    access::peer_of,
    groups::{Group, GroupError},
    node::{Node, blocking::blocking},
};

/// Members whose addresses a link has, at most: a link with all of them still fits into a QR code.
const MAX_MEMBERS: usize = 8;

impl Node {
    /// One address of each of some nodes of other members: connected ones before those that were seen
    /// in earlier runs, and owners before others.
    pub(super) async fn addresses_of_members(
        &self,
        group: &Group,
    ) -> Result<Vec<String>, GroupError> {
        let connected = self.core.network.peers().await?;
        let connected = connected
            .iter()
            .filter_map(|peer| Some((peer.peer_id, peer.best_address()?)));
        let connected: HashMap<PeerId, Multiaddr> = connected.collect();
        let store = self.core.store.clone();
        let seen = blocking(move || store.known_peers()).await??;
        let seen = seen.into_iter().filter_map(|known| {
            let address = known.addresses.into_iter().next()?;
            Some((known.id, address.with(Protocol::P2p(known.id))))
        });
        let seen: HashMap<PeerId, Multiaddr> = seen.collect();
        let roster = group.roster();
        let nodes = roster.nodes().filter_map(|(node, user)| {
            let peer = peer_of(&node).filter(|peer| *peer != self.peer_id())?;
            let address = connected.get(&peer).or_else(|| seen.get(&peer))?;
            let is_absent = !connected.contains_key(&peer);
            Some((
                (is_absent, !roster.is_owner(&user), peer),
                address.to_string(),
            ))
        });
        let nodes: BTreeMap<_, _> = nodes.collect();
        Ok(nodes.into_values().take(MAX_MEMBERS).collect())
    }
}
