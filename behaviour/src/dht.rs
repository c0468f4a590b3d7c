//! Kademlia, without the addresses that peers name.
//!
//! Owns the library's behaviour. The [`Dialer`] gets the addresses in the answers of peers, each
//! with the peer that named it, and Kademlia gets only the ids. A provider record reaches the
//! store together with its announcer. The dialer also judges the addresses of the routing table.

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
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished,
    },
};

use self::handler::Handler;
use crate::{
    AddressScope,
    dial::{Dialer, Namer, is_vouched},
    providers::{Announcer, ProviderStore},
};

type Kademlia = kad::Behaviour<ProviderStore>;

/// An event of a connection that goes to Kademlia.
type HandlerEvent = THandlerOutEvent<Kademlia>;

/// Peers of each kind that one answer names, at most: Kademlia's k.
const MAX_NAMED: usize = 20;

/// The Kademlia behaviour of a node.
pub struct Dht {
    kad: Kademlia,
    dialer: Dialer,
    connections: HashMap<ConnectionId, Connection>,
}

struct Connection {
    peer: PeerId,
    namer: Namer,
    remote: Multiaddr,
    is_outbound: bool,
}

impl Dht {
    pub(crate) fn new(kad: Kademlia, dialer: Dialer) -> Self {
        Self {
            kad,
            dialer,
            connections: HashMap::new(),
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
                addresses.retain(|address| is_here || is_vouched(&connection.remote, address));
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
                let remote = endpoint.get_remote_address();
                let connection = Connection {
                    peer: peer_id,
                    namer: Namer::new(peer_id, remote),
                    remote: remote.clone(),
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
