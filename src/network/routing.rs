//! Who is where, as identify, mDNS and Kademlia tell: fed into the routing table, and dialed while it is
//! known.

use std::collections::HashMap;

use libp2p::{
    Multiaddr, PeerId, identify, kad, mdns,
    swarm::dial_opts::{DialOpts, PeerCondition},
};
use pelago_behaviour::{Protocol, name_from_agent};

use super::{AnnounceError, PeerAddress, event_loop::EventLoop, metrics::Query};

/// Addresses of one peer that the routing table is given, at most: Kademlia itself has no limit.
const MAX_ROUTING_ADDRESSES: usize = 16;

impl EventLoop {
    pub(super) fn hear_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id, info, .. } = event else {
            return;
        };
        if !info
            .protocols
            .contains(self.protocols.name(Protocol::Chunk))
        {
            tracing::debug!(peer = %peer_id, agent = info.agent_version, "no node of this network");
            // It may have gone already.
            let _ = self.swarm.disconnect_peer_id(peer_id);
            return;
        }
        let name = name_from_agent(&info.agent_version);
        let addresses = self.peers.identified(peer_id, name, info.listen_addrs);
        if info.protocols.contains(self.protocols.kad()) {
            self.add_routes(peer_id, addresses);
        }
        // Nobody may be interested in arrivals.
        let _ = self.arrivals.send(peer_id);
    }

    fn add_routes(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        let known = kad.kbucket(peer).and_then(|bucket| {
            bucket
                .iter()
                .find(|e| *e.node.key.preimage() == peer)
                .map(|e| e.node.value.len())
        });
        let room = MAX_ROUTING_ADDRESSES.saturating_sub(known.unwrap_or(0));
        for address in addresses.into_iter().take(room) {
            kad.add_address(&peer, address);
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

    pub(super) fn hear_mdns(&mut self, event: mdns::Event) {
        let mdns::Event::Discovered(found) = event else {
            return;
        };
        let mut addresses: HashMap<PeerId, Vec<Multiaddr>> = HashMap::new();
        for (peer, address) in found {
            let address = PeerAddress::from(address).address().clone();
            addresses.entry(peer).or_default().push(address);
        }
        for (peer, addresses) in addresses {
            // Identify tells whether it is one of ours; only then is it told to Kademlia.
            self.dial_quietly(
                DialOpts::peer_id(peer)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .addresses(addresses)
                    .build(),
            );
        }
    }

    pub(super) fn hear_kad(&mut self, event: kad::Event) {
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
                        self.metrics.query_ended(Query::Find, is_done);
                        self.lookups.search_ended(id);
                    } else if self.lookups.is_enough(id)
                        && let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id)
                    {
                        query.finish();
                    }
                }
                kad::QueryResult::StartProviding(result) => {
                    self.metrics.query_ended(Query::Announce, result.is_ok());
                    let result = result.map(|_| stats.num_successes());
                    self.lookups
                        .announced(id, result.map_err(|_| AnnounceError::TimedOut));
                }
                _ => {}
            },
            kad::Event::RoutingUpdated { .. } => self.count_routes(),
            _ => {}
        }
    }

    /// Connects to providers while the query still holds their addresses.
    fn found_providers(
        &mut self,
        query: kad::QueryId,
        key: &kad::RecordKey,
        providers: impl IntoIterator<Item = PeerId>,
    ) {
        let local = *self.swarm.local_peer_id();
        let others = providers.into_iter().filter(|provider| *provider != local);
        let new = self.lookups.found(query, others);
        if new.is_empty() {
            return;
        }
        let kept_here =
            kad::store::RecordStore::providers(self.swarm.behaviour_mut().kad.store_mut(), key);
        for provider in new {
            let record = kept_here.iter().find(|record| record.provider == provider);
            let addresses = record
                .map(|record| record.addresses.clone())
                .unwrap_or_default();
            self.dial_quietly(
                DialOpts::peer_id(provider)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .addresses(addresses)
                    .extend_addresses_through_behaviour()
                    .build(),
            );
        }
    }
}
