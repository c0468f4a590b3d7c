//! Kademlia, without the addresses that peers name.
//!
//! Owns the library's behaviour. The [`Dialer`] gets the addresses in the answers of peers, each
//! with the peer that named it, and Kademlia gets only the ids. A provider record reaches the
//! store together with its announcer. The dialer also judges the addresses of the routing table.
//! Records of this node name where it listens, in addition to its proven addresses.

mod handler;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    task::{Context, Poll},
    time::Instant,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    kad::{self, KadPeer},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, ExpiredListenAddr, ExternalAddrExpired,
        FromSwarm, NetworkBehaviour, NewListenAddr, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm,
        behaviour::{ConnectionEstablished, ExternalAddrConfirmed},
    },
};

use self::handler::Handler;
use crate::{
    AddressScope,
    dial::{Dialer, Namer, is_vouched},
    ip_of, is_relayed,
    providers::{Announcer, ProviderStore},
    relay_of, remote_of,
};

type Kademlia = kad::Behaviour<ProviderStore>;

/// An event of a connection that goes to Kademlia.
type HandlerEvent = THandlerOutEvent<Kademlia>;

/// Peers of each kind that one answer names, at most: Kademlia's k.
const MAX_NAMED: usize = 20;

/// Listen addresses in records of this node, at most. The library keeps 20 addresses, of which the
/// rest are proven ones.
const MAX_LISTENS: usize = 12;

/// The Kademlia behaviour of a node.
pub struct Dht {
    kad: Kademlia,
    dialer: Dialer,
    local: PeerId,
    connections: HashMap<ConnectionId, Connection>,
    /// Where this node listens. Its records name these addresses, as LANs need no others.
    listens: Vec<Multiaddr>,
}

struct Connection {
    peer: PeerId,
    namer: Namer,
    remote: Multiaddr,
    is_outbound: bool,
}

impl Dht {
    pub(crate) fn new(local: PeerId, kad: Kademlia, dialer: Dialer) -> Self {
        Self {
            kad,
            dialer,
            local,
            connections: HashMap::new(),
            listens: Vec::new(),
        }
    }

    /// Whether this node answers queries and is in the tables of others, or only asks.
    pub fn set_server(&mut self, is_server: bool) {
        self.kad.set_mode(Some(match is_server {
            true => kad::Mode::Server,
            false => kad::Mode::Client,
        }));
    }

    fn listens(&mut self, address: &Multiaddr) {
        if !is_relayed(address) && self.listens.len() < MAX_LISTENS {
            self.listens.push(address.clone());
            let confirmed =
                FromSwarm::ExternalAddrConfirmed(ExternalAddrConfirmed { addr: address });
            self.kad.on_swarm_event(confirmed);
        }
    }

    fn listens_no_more(&mut self, address: &Multiaddr) {
        if let Some(at) = self.listens.iter().position(|known| known == address) {
            self.listens.swap_remove(at);
            let expired = FromSwarm::ExternalAddrExpired(ExternalAddrExpired { addr: address });
            self.kad.on_swarm_event(expired);
        }
    }

    /// Whether a record may say that its announcer is at `address`. Relays in the address have to
    /// be this node or a peer, at an address that is known to be theirs.
    fn may_name(&self, announcer: &Connection, address: &Multiaddr) -> bool {
        match relay_of(address) {
            None => is_vouched(&announcer.remote, address),
            Some(relay) if relay == self.local => {
                let mut own = self.listens.iter();
                own.any(|own| ip_of(own) == ip_of(address))
            }
            Some(relay) => {
                let mut connections = self.connections.values();
                connections.any(|other| other.peer == relay && is_vouched(&other.remote, address))
            }
        }
    }

    /// Moves the addresses of `named` to the dialer.
    fn pass_addresses(&self, namer: Namer, named: &mut Vec<KadPeer>) {
        named.truncate(MAX_NAMED);
        for peer in named {
            let addresses = std::mem::take(&mut peer.multiaddrs);
            self.dialer.add_named(namer, peer.node_id, addresses);
        }
    }

    /// Filters the addresses in `event`; returns the announcer if it is a provider record.
    fn filter_addresses(
        &mut self,
        id: ConnectionId,
        event: &mut HandlerEvent,
    ) -> Option<Announcer> {
        // A connection is known from its first to its last event.
        let connection = self.connections.get(&id)?;
        match event {
            HandlerEvent::FindNodeRes { closer_peers, .. }
            | HandlerEvent::GetRecordRes { closer_peers, .. } => {
                self.pass_addresses(connection.namer, closer_peers);
            }
            HandlerEvent::GetProvidersRes {
                closer_peers,
                provider_peers,
                ..
            } => {
                self.pass_addresses(connection.namer, closer_peers);
                self.pass_addresses(connection.namer, provider_peers);
            }
            HandlerEvent::AddProvider { provider, .. } => {
                let addresses = std::mem::take(&mut provider.multiaddrs);
                let mut addresses = self.dialer.allowed(connection.namer, addresses);
                // A peer on this machine knows the addresses by which other machines reach it.
                let is_here = connection.namer.scope == AddressScope::Loopback;
                addresses.retain(|address| is_here || self.may_name(connection, address));
                provider.multiaddrs = addresses;
                let peer = connection.peer;
                let mut connections = self.connections.values();
                return Some(Announcer {
                    namer: connection.namer,
                    is_reached: connections.any(|other| other.is_outbound && other.peer == peer),
                });
            }
            _ => {}
        }
        None
    }
}

impl Deref for Dht {
    type Target = Kademlia;

    fn deref(&self) -> &Kademlia {
        &self.kad
    }
}

impl DerefMut for Dht {
    fn deref_mut(&mut self) -> &mut Kademlia {
        &mut self.kad
    }
}

impl NetworkBehaviour for Dht {
    type ConnectionHandler = Handler;
    type ToSwarm = kad::Event;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.kad
            .handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let handler = self
            .kad
            .handle_established_inbound_connection(id, peer, local, remote)?;
        Ok(Handler::new(handler))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let known = self
            .kad
            .handle_pending_outbound_connection(id, peer, addresses, role)?;
        let Some(peer) = peer else {
            return Ok(Vec::new());
        };
        Ok(self.dialer.lock().extend(id, peer, known, Instant::now()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let handler = self
            .kad
            .handle_established_outbound_connection(id, peer, address, role, port)?;
        Ok(Handler::new(handler))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => {
                let remote = remote_of(endpoint);
                let connection = Connection {
                    peer: peer_id,
                    namer: Namer::new(peer_id, &remote),
                    remote,
                    is_outbound: endpoint.is_dialer(),
                };
                if connection.is_outbound {
                    self.kad.store_mut().reached(&peer_id);
                }
                self.connections.insert(connection_id, connection);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => {
                self.connections.remove(&connection_id);
            }
            // It is still a listen address.
            FromSwarm::ExternalAddrExpired(ExternalAddrExpired { addr })
                if self.listens.contains(addr) =>
            {
                return;
            }
            FromSwarm::NewListenAddr(NewListenAddr { addr, .. }) => self.listens(addr),
            FromSwarm::ExpiredListenAddr(ExpiredListenAddr { addr, .. }) => {
                self.listens_no_more(addr);
            }
            _ => {}
        }
        self.kad.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        mut event: HandlerEvent,
    ) {
        let announcer = self.filter_addresses(id, &mut event);
        self.kad.store_mut().expect(announcer);
        self.kad.on_connection_handler_event(peer, id, event);
        self.kad.store_mut().expect(None);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.kad.poll(cx)
    }
}
