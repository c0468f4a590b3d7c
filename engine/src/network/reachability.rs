//! Carries out what is decided about how others reach this node: which addresses it announces, at
//! which relays it reserves, whether it is one, and how relayed connections become direct ones.
//! Nothing else adds an external address.

use std::{collections::HashSet, time::Instant};

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, transport::ListenerId},
    identify,
    multiaddr::Protocol,
    relay,
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use pelago_behaviour::{
    AddressScope, Origin,
    dial::{NamedBy, Namer},
    is_relayed,
    reach::PunchEvent,
    remote_of,
};

use super::{
    PeerAddress,
    event_loop::EventLoop,
    reach::{OwnAddress, Reach, ReachReport, ReachState, RelayService},
};

impl EventLoop {
    /// Decides anew how this node is reached, and acts on it. Cheap if nothing has changed.
    pub(super) fn reconsider_reach(&mut self, now: Instant) {
        let relays = self.relays.held();
        let state = self.own_addresses.state(!relays.is_empty());
        let addresses = self.announced();
        let is_open = state >= ReachState::Probable;
        // Without a peer from elsewhere, this network is a LAN, where all nodes reach each other.
        let is_server = is_open || !self.peers.is_any_global();
        if self.is_dht_server && self.serves_dht != is_server {
            self.serves_dht = is_server;
            self.swarm.behaviour_mut().kad.set_server(is_server);
        }
        self.announce_addresses(&addresses);
        let is_relay = match self.relay_service {
            RelayService::Auto => is_open && self.is_dht_server,
            RelayService::On => true,
            RelayService::Off => false,
        } && !addresses.is_empty();
        let status = match is_relay {
            true => relay::Status::Enable,
            false => relay::Status::Disable,
        };
        self.swarm.behaviour_mut().relay.set_status(Some(status));
        if self.wants_relays() {
            self.reserve(now);
        }
        let nat = self.own_addresses.nat();
        self.reach.send_if_modified(|known| {
            let report = ReachReport {
                state,
                nat,
                addresses,
                relays,
                is_relay,
                ..known.clone()
            };
            if known.state != report.state && known.state.max(report.state) > ReachState::Lan {
                tracing::info!("others reach this node {}", report.summary());
            }
            let is_new = *known != report;
            *known = report;
            is_new
        });
    }

    /// Whether this node needs relays to be reached from elsewhere. Nodes that run only briefly are
    /// not reached in any case.
    pub(super) fn wants_relays(&self) -> bool {
        self.uses_relays && self.is_dht_server && self.announced().is_empty()
    }

    /// The addresses that this node announces. The operator of a relay vouches for all of them.
    fn announced(&self) -> Vec<OwnAddress> {
        let mut addresses = self.own_addresses.reachable();
        if self.relay_service == RelayService::On && addresses.is_empty() {
            let own = self.swarm.listeners().filter(|own| !is_relayed(own));
            let own: Vec<_> = own.collect();
            let farthest = own.iter().map(|own| Reach::of(own)).max();
            let farthest = own
                .into_iter()
                .filter(|own| Some(Reach::of(own)) == farthest);
            addresses.extend(farthest.map(|own| OwnAddress {
                address: own.clone(),
                is_proven: false,
            }));
        }
        addresses
    }

    /// Announces exactly these addresses, and those of reservations, which the library adds.
    fn announce_addresses(&mut self, addresses: &[OwnAddress]) {
        let direct = self
            .swarm
            .external_addresses()
            .filter(|own| !is_relayed(own));
        let known: HashSet<Multiaddr> = direct.cloned().collect();
        let wanted: HashSet<_> = addresses.iter().map(|own| own.address.clone()).collect();
        if known == wanted {
            return;
        }
        for address in known.difference(&wanted) {
            self.swarm.remove_external_address(address);
        }
        for address in wanted.difference(&known) {
            self.swarm.add_external_address(address.clone());
        }
        self.push_addresses();
    }

    /// Reports the addresses of this node to all peers: identify does so for listen addresses only.
    pub(super) fn push_addresses(&mut self) {
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        self.swarm.behaviour_mut().identify.push(peers);
    }

    fn reserve(&mut self, now: Instant) {
        while let Some((relay, address)) = self.relays.next(now) {
            match self.swarm.listen_on(address) {
                Ok(listener) => self.relays.asked(relay, listener),
                Err(error) => {
                    tracing::debug!(%relay, %error, "cannot ask a relay");
                    self.relays.not_asked(&relay, now);
                }
            }
        }
    }

    /// A relay has made a reservation for this node.
    pub(super) fn handle_reservation(&mut self, listener: ListenerId) {
        self.relays.accepted(listener);
        self.reconsider_reach(Instant::now());
    }

    /// A listener has ended: a reservation, or one that failed for another reason.
    pub(super) fn handle_listener_closed(&mut self, listener: ListenerId) {
        let now = Instant::now();
        if self.relays.ended(listener, now) {
            self.reconsider_reach(now);
        }
    }

    /// What a connection shows of how this node is reached, and how the peer is.
    pub(super) fn handle_connected(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
    ) {
        let now = Instant::now();
        let remote = remote_of(endpoint);
        if self.peers.is_direct(&peer) {
            // They are of no use now, and what was requested on them is requested again.
            for connection in self.peers.relayed(&peer) {
                self.swarm.close_connection(connection);
            }
        }
        if endpoint.is_listener() && !is_relayed(&remote) {
            self.note_caller(peer, connection, &remote);
        }
        self.reconsider_reach(now);
    }

    pub(super) fn handle_disconnected(&mut self, peer: &PeerId) {
        if !self.swarm.is_connected(peer) {
            self.members.remove(peer);
        }
        if !self.peers.is_direct(peer) {
            self.relays.withdrawn(peer);
        }
        self.reconsider_reach(Instant::now());
    }

    /// A peer has connected. It shows that others reach this node if nothing of this node went to its
    /// site before.
    fn note_caller(&mut self, peer: PeerId, connection: ConnectionId, remote: &Multiaddr) {
        let Some(site) = Origin::new(peer, remote).site() else {
            return;
        };
        let dialer = self.swarm.behaviour().dial.dialer();
        if !dialer.has_contacted(site) && !self.peers.is_dialed_at(site) {
            self.peers.came_unasked(&peer, connection);
        }
    }

    /// What an identified peer shows: where it sees this node, and whether it offers to be a relay.
    pub(super) fn note_identified(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        info: &identify::Info,
    ) {
        let now = Instant::now();
        let remote = self.peers.remote(&peer, connection);
        if let Some(remote) = remote.filter(|remote| remote.is_direct()) {
            let site = Origin::new(peer, &remote.address).site();
            let seen = PeerAddress::from(info.observed_addr.clone());
            let seen = seen.address();
            match (site, remote.is_inbound) {
                (Some(site), true) if remote.is_unasked => self.own_addresses.called(site, seen),
                // This node has chosen to dial it: each caller could name a wrong address.
                (Some(site), false) => {
                    self.own_addresses.seen(site, seen);
                    if AddressScope::of(seen) == Some(AddressScope::Global) {
                        self.swarm.behaviour_mut().punch.seen_at(seen);
                    }
                }
                _ => {}
            }
        }
        let mut dialed = self.peers.dialed(&peer);
        dialed.retain(|address| !is_relayed(address));
        let has_ip = |address: &&Multiaddr| AddressScope::of(address).is_some();
        let at = dialed.iter().find(has_ip).cloned();
        // A person chose the name, and peers resolve none.
        let at = at.or_else(|| dialed.first().and_then(|_| global_address(info)));
        match at.filter(|_| info.protocols.contains(&relay::HOP_PROTOCOL_NAME)) {
            Some(address) => self.relays.offered(peer, address, now),
            None => self.relays.withdrawn(&peer),
        }
        self.reconsider_reach(now);
    }

    /// Dials the direct addresses of a peer that is connected through relays alone.
    pub(super) fn seek_direct(&mut self, peer: PeerId, named_by: NamedBy, addresses: &[Multiaddr]) {
        let direct: Vec<_> = addresses
            .iter()
            .filter(|at| !is_relayed(at))
            .cloned()
            .collect();
        if direct.is_empty() || self.peers.is_direct(&peer) {
            return;
        }
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::NotDialing)
            .addresses(direct)
            .build();
        self.dial_quietly(options, named_by);
    }

    /// Dials a relay over QUIC, too: its identify shows at which port others see this node over UDP,
    /// which peers need to connect directly.
    pub(super) fn dial_relay_over_udp(&mut self, peer: PeerId, namer: Namer) {
        let is_quic = |at: &Multiaddr| at.iter().any(|part| part == Protocol::QuicV1);
        let Some(known) = self.peers.get(&peer) else {
            return;
        };
        if known.addresses.iter().any(is_quic) || !self.wants_relays() {
            return;
        }
        let at = known.vouched_addresses().into_iter().find(is_quic);
        if let Some(at) = at.filter(|_| self.relays.try_over_udp(&peer)) {
            let options = DialOpts::peer_id(peer)
                .condition(PeerCondition::Always)
                .addresses(vec![at])
                .build();
            self.dial_quietly(options, NamedBy::Peer(namer));
        }
    }

    /// Lets dials of a peer of which no global address is known try the relays at which it may have
    /// reserved.
    pub(super) fn seek_by_relays(&self, peer: PeerId) {
        let dialer = self.swarm.behaviour().dial.dialer();
        if dialer.knows_global(&peer) {
            return;
        }
        for (relay, address) in self.relays.circuits_to(peer) {
            if let Some(namer) = dialer.namer(&relay) {
                dialer.add_named(namer, peer, vec![address]);
            }
        }
    }

    pub(super) fn handle_relay(&mut self, event: &relay::Event) {
        tracing::debug!(?event, "as a relay");
        let change = match event {
            relay::Event::CircuitReqAccepted { .. } => 1,
            relay::Event::CircuitClosed { .. } => -1,
            _ => return,
        };
        self.reach
            .send_modify(|known| known.circuits = known.circuits.saturating_add_signed(change));
    }

    pub(super) fn handle_punch(&mut self, event: &PunchEvent) {
        tracing::debug!(?event, "an attempt at a direct connection has ended");
        let has_succeeded = event.connection.is_some();
        if let Some(connection) = event.connection {
            self.peers.punched(&event.peer, connection);
        }
        self.reach.send_modify(|known| {
            known.punches += 1;
            known.punched += u64::from(has_succeeded);
        });
    }
}

/// The first direct global address that a peer reports.
fn global_address(info: &identify::Info) -> Option<Multiaddr> {
    let is_global = |at: &&Multiaddr| AddressScope::of(at) == Some(AddressScope::Global);
    let mut direct = info.listen_addrs.iter().filter(|at| !is_relayed(at));
    let address = PeerAddress::from(direct.find(is_global)?.clone());
    Some(address.address().clone())
}
