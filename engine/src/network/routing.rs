//! Handles what identify, mDNS and Kademlia report of the addresses of peers: feeds the address
//! book and the routing table, and dials while the addresses are known.

use std::collections::HashSet;

use libp2p::{
    Multiaddr, PeerId, identify, kad, mdns,
    swarm::dial_opts::{DialOpts, PeerCondition},
};
use pelago_behaviour::{
    Protocol,
    dial::{Dialer, NamedBy},
    is_relayed, name_from_agent, relay_of,
};

use super::{AnnounceError, PeerAddress, event_loop::EventLoop, metrics::QueryKind};

/// Addresses of one peer in the routing table, at most: 20 peers with this many have to fit into
/// an answer of 16 KiB, beside the providers in it.
const MAX_ROUTES: usize = 8;

impl EventLoop {
    pub(super) fn handle_identify(&mut self, event: identify::Event) {
        let identify::Event::Received {
            connection_id,
            peer_id,
            info,
        } = event
        else {
            return;
        };
        if !info
            .protocols
            .contains(self.protocols.name(Protocol::Chunk))
        {
            let agent = info.agent_version;
            tracing::debug!(peer = %peer_id, agent, "peer of another network disconnected");
            // It may be disconnected already.
            let _ = self.swarm.disconnect_peer_id(peer_id);
            return;
        }
        self.members.insert(peer_id);
        self.note_identified(peer_id, connection_id, &info);
        let name = name_from_agent(&info.agent_version);
        let dialer = self.dialer();
        // It may have left already: then its report cannot be judged.
        let Some(namer) = dialer.namer(&peer_id) else {
            return;
        };
        let local = *self.swarm.local_peer_id();
        let said = dialer.allowed(namer, info.listen_addrs).into_iter();
        // Of a peer that has a reservation here, one address leads through this node.
        let said = said.filter(|address| relay_of(address) != Some(local));
        let said = said.map(|address| PeerAddress::from(address).address().clone());
        let said = self.peers.identified(peer_id, name, said.collect());
        self.seek_direct(peer_id, NamedBy::Peer(namer), &said);
        self.dial_relay_over_udp(peer_id, namer);
        let dialed = self.peers.dialed(&peer_id);
        let is_new = |address: &Multiaddr| !dialed.contains(address);
        let said = said.into_iter().filter(is_new);
        let said = said.map(|address| (address, NamedBy::Peer(namer)));
        let reached = dialed.iter().cloned();
        let reached = reached.map(|address| (address, NamedBy::Reached));
        let addresses: Vec<_> = reached.chain(said).collect();
        if !addresses.is_empty() {
            dialer.replace(peer_id, addresses);
        }
        if info.protocols.contains(self.protocols.kad()) {
            let vouched = self
                .peers
                .get(&peer_id)
                .map(|peer| peer.vouched_addresses());
            let vouched = vouched.into_iter().flatten();
            let routes = dialed.iter().cloned().chain(vouched);
            let routes: Vec<_> = routes.filter(|address| !is_relayed(address)).collect();
            self.set_routes(peer_id, &routes);
        }
        // An error means that there is no receiver.
        let _ = self.arrivals.send(peer_id);
    }

    /// The part that decides what is dialed.
    fn dialer(&self) -> Dialer {
        self.swarm.behaviour().dial.dialer().clone()
    }

    /// Replaces the addresses of `peer` in the routing table. The table is sent to other nodes, so
    /// addresses that `peer` merely claims do not belong in it.
    fn set_routes(&mut self, peer: PeerId, addresses: &[Multiaddr]) {
        if addresses.is_empty() {
            return;
        }
        let addresses = &addresses[..addresses.len().min(MAX_ROUTES)];
        let kad = &mut self.swarm.behaviour_mut().kad;
        let entry = kad.kbucket(peer).and_then(|bucket| {
            let mut entries = bucket.iter();
            let entry = entries.find(|entry| *entry.node.key.preimage() == peer)?;
            Some(entry.node.value.iter().cloned().collect::<Vec<_>>())
        });
        // Added first: a peer without an address leaves the table.
        for address in addresses {
            kad.add_address(&peer, address.clone());
        }
        for known in entry.unwrap_or_default() {
            if !addresses.contains(PeerAddress::from(known.clone()).address()) {
                kad.remove_address(&peer, &known);
            }
        }
        self.count_routes();
    }

    pub(super) fn count_routes(&mut self) {
        let count = self
            .swarm
            .behaviour_mut()
            .kad
            .kbuckets()
            .map(|b| b.num_entries())
            .sum();
        self.routable
            .send_if_modified(|known| std::mem::replace(known, count) != count);
    }

    pub(super) fn handle_mdns(&mut self, event: mdns::Event) {
        let bare = |address: Multiaddr| PeerAddress::from(address).address().clone();
        let found = match event {
            mdns::Event::Discovered(found) => found,
            mdns::Event::Expired(gone) => {
                let dialer = self.dialer();
                gone.into_iter()
                    .for_each(|(peer, address)| dialer.unseen(&peer, &bare(address)));
                return;
            }
        };
        let mut peers = HashSet::new();
        for (peer, address) in found {
            if self.dialer().seen(peer, bare(address)) {
                peers.insert(peer);
            }
        }
        for peer in peers {
            // Identify shows whether it belongs to this network; Kademlia learns of it only then.
            self.dial_quietly(
                DialOpts::peer_id(peer)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .build(),
                NamedBy::LocalNetwork,
            );
        }
    }

    pub(super) fn handle_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::OutboundQueryProgressed {
                id,
                result,
                stats,
                step,
            } => match result {
                kad::QueryResult::GetProviders(progress) => {
                    let is_done = progress.is_ok();
                    if let Ok(kad::GetProvidersOk::FoundProviders { key, providers }) = progress {
                        self.found_providers(id, &key, providers);
                    }
                    if step.last {
                        let requests = stats.num_requests().into();
                        self.metrics.lookup_requests.inc_by(requests);
                        self.metrics.query_ended(QueryKind::Find, is_done);
                        self.queries.search_ended(id);
                    } else if self.queries.is_enough(id)
                        && let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id)
                    {
                        query.finish();
                    }
                }
                kad::QueryResult::GetClosestPeers(result) if step.last => {
                    let requests = stats.num_requests().into();
                    if self.queries.peer_search_ended(id) {
                        self.metrics.lookup_requests.inc_by(requests);
                        self.metrics.query_ended(QueryKind::Find, result.is_ok());
                    }
                }
                kad::QueryResult::StartProviding(result) => {
                    self.metrics
                        .query_ended(QueryKind::Announce, result.is_ok());
                    let result = result.map(|_| stats.num_successes());
                    self.queries
                        .announced(id, result.map_err(|_| AnnounceError::TimedOut));
                }
                _ => {}
            },
            kad::Event::RoutingUpdated { .. } => self.count_routes(),
            kad::Event::InboundRequest { .. } => {
                let held = self.swarm.behaviour_mut().kad.store_mut().bytes_held();
                self.metrics.records_held(held);
            }
            _ => {}
        }
    }

    /// PendingConnects to providers while the query still holds their addresses.
    fn found_providers(
        &mut self,
        query: kad::QueryId,
        key: &kad::RecordKey,
        providers: impl IntoIterator<Item = PeerId>,
    ) {
        let local = *self.swarm.local_peer_id();
        let others = providers.into_iter().filter(|provider| *provider != local);
        let new = self.queries.found(query, others);
        if new.is_empty() {
            return;
        }
        let dialer = self.dialer();
        for provider in new {
            let store = self.swarm.behaviour_mut().kad.store_mut();
            if let Some((namer, addresses)) = store.addresses(key, &provider) {
                dialer.add_named(namer, provider, addresses);
            }
            // The dial has no addresses of its own: the dialer has them.
            self.dial_quietly(
                DialOpts::peer_id(provider)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .build(),
                NamedBy::Record,
            );
        }
    }
}
