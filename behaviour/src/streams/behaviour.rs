//! Routes requests for streams to a connection of the peer, and inbound streams to the owner of
//! the swarm.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr,
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::{ConnectionEstablished, DialFailure, ListenFailure},
    },
};

use super::{
    handler::{Handler, Inbound, Open, OpenError, Reply},
    peer_stream::LastActivity,
};
use crate::{Origin, Protocol, Protocols, is_relayed, remote_address, remote_of};

/// A peer opened a stream of one of our protocols.
#[derive(Debug)]
pub struct Event {
    /// The authenticated peer.
    pub peer: PeerId,
    /// Its stream.
    pub inbound: Inbound,
}

/// A connection for streams.
struct Connection {
    id: ConnectionId,
    way: Way,
}

/// How a connection reaches its peer, the best way last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// Through a third node, which bounds how much it carries.
    Relayed,
    /// Directly over QUIC, which costs more CPU for each byte than TCP (about half the rate on one
    /// core, docs/PERFORMANCE.md).
    Quic,
    /// Directly over TCP, or within this process.
    Tcp,
}

impl Way {
    fn of(address: &Multiaddr) -> Self {
        if is_relayed(address) {
            return Self::Relayed;
        }
        let is_quic = |part| part == multiaddr::Protocol::QuicV1;
        match address.iter().any(is_quic) {
            true => Self::Quic,
            false => Self::Tcp,
        }
    }
}

/// The behaviour of all our stream protocols.
pub struct Behaviour {
    protocols: Protocols,
    /// By peer, the newest connection last.
    connections: HashMap<PeerId, Vec<Connection>>,
    /// When bytes last moved, for every connection with a handler.
    last_activity: HashMap<ConnectionId, LastActivity>,
    events: VecDeque<ToSwarm<Event, Open>>,
    refused: Arc<AtomicU64>,
}

impl Behaviour {
    /// Serves and opens streams of `protocols`.
    #[must_use]
    pub fn new(protocols: Protocols) -> Self {
        Self {
            protocols,
            connections: HashMap::new(),
            last_activity: HashMap::new(),
            events: VecDeque::new(),
            refused: Arc::default(),
        }
    }

    /// The number of streams that were reset because their peer had too many open; it is updated.
    #[must_use]
    pub fn refused(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.refused)
    }

    fn handler(&mut self, connection: ConnectionId, peer: PeerId, remote: &Multiaddr) -> Handler {
        let last_activity = LastActivity::now();
        self.last_activity.insert(connection, last_activity.clone());
        let origin = Origin::new(peer, remote);
        Handler::new(
            self.protocols.clone(),
            origin,
            is_relayed(remote),
            self.refused(),
            last_activity,
        )
    }

    /// How long ago bytes last moved on a stream of `connection`, or else the age of the
    /// connection. `None` if there is no such connection.
    #[must_use]
    pub fn silence(&self, connection: ConnectionId) -> Option<Duration> {
        self.last_activity
            .get(&connection)
            .map(LastActivity::elapsed)
    }

    /// Opens a stream of `protocol` on a connection to `peer`; `reply` gets the stream or the
    /// error.
    ///
    /// Never dials. The reply is dropped only if the connection closes meanwhile.
    pub fn open(&mut self, peer: PeerId, protocol: Protocol, reply: Reply) {
        let connections = self.connections.get(&peer).map_or(&[][..], Vec::as_slice);
        // The newest of the best: a peer that has moved connects again while the old connection
        // still looks alive. Of equals, `max_by_key` takes the last.
        let preferred = connections.iter().max_by_key(|connection| connection.way);
        let Some(connection) = preferred else {
            // The caller may have stopped waiting: nothing is lost then.
            let _ = reply.send(Err(OpenError::NotConnected));
            return;
        };
        self.events.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(connection.id),
            event: Open { protocol, reply },
        });
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(connection, peer, &remote_address(local, remote)))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(connection, peer, remote))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => {
                let connection = Connection {
                    id: connection_id,
                    way: Way::of(&remote_of(endpoint)),
                };
                self.connections
                    .entry(peer_id)
                    .or_default()
                    .push(connection);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                ..
            }) => {
                self.last_activity.remove(&connection_id);
                if let Some(connections) = self.connections.get_mut(&peer_id) {
                    connections.retain(|connection| connection.id != connection_id);
                    if connections.is_empty() {
                        self.connections.remove(&peer_id);
                    }
                }
            }
            // Another behaviour may have denied a connection after its handler was created.
            FromSwarm::DialFailure(DialFailure { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.last_activity.remove(&connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        _: ConnectionId,
        inbound: THandlerOutEvent<Self>,
    ) {
        self.events
            .push_back(ToSwarm::GenerateEvent(Event { peer, inbound }));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // Pushed to only in calls from the swarm's own task, which polls again after each of them.
        self.events.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

#[cfg(test)]
mod tests {
    use futures::{AsyncWriteExt, StreamExt, channel::oneshot};
    use libp2p::{
        Swarm,
        identity::Keypair,
        swarm::{
            SwarmEvent,
            dial_opts::{DialOpts, PeerCondition},
        },
    };

    use super::*;
    use crate::{Connections, PrivateNetwork, memory_transport, swarm_config};

    const QUIET: Duration = Duration::from_millis(20);

    fn swarm() -> Swarm<Behaviour> {
        let keypair = Keypair::generate_ed25519();
        let transport = memory_transport(
            &keypair,
            &Connections::new(64 << 20),
            &PrivateNetwork::default(),
        )
        .unwrap();
        let behaviour = Behaviour::new(Protocols::new("test").unwrap());
        let config = swarm_config(Duration::from_secs(60));
        Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config)
    }

    /// The address at which a swarm listens in this process.
    async fn listen(swarm: &mut Swarm<Behaviour>) -> Multiaddr {
        swarm.listen_on("/memory/0".parse().unwrap()).unwrap();
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                return address;
            }
        }
    }

    /// Connects `a` to `b` once more; returns the connection at `a`.
    async fn connect(
        a: &mut Swarm<Behaviour>,
        b: &mut Swarm<Behaviour>,
        at: &Multiaddr,
    ) -> ConnectionId {
        let dial = DialOpts::peer_id(*b.local_peer_id())
            .condition(PeerCondition::Always)
            .addresses(vec![at.clone()])
            .build();
        a.dial(dial).unwrap();
        loop {
            tokio::select! {
                event = a.select_next_some() => {
                    if let SwarmEvent::ConnectionEstablished { connection_id, .. } = event {
                        return connection_id;
                    }
                }
                _ = b.select_next_some() => {}
            }
        }
    }

    #[test]
    fn direct_ways_are_better_than_relayed_ones() {
        let relay = format!("/p2p/{}/p2p-circuit", PeerId::random());
        let ways = [
            format!("/ip4/7.7.7.7/tcp/1{relay}"),
            "/ip4/7.7.7.7/udp/1/quic-v1".to_owned(),
            "/ip4/7.7.7.7/tcp/1".to_owned(),
        ];
        let ways = ways.map(|address| Way::of(&address.parse().unwrap()));
        assert_eq!(ways, [Way::Relayed, Way::Quic, Way::Tcp]);
        assert!(ways.is_sorted());
    }

    #[tokio::test]
    async fn a_stream_takes_the_newest_connection_and_shows_that_it_is_alive() {
        let (mut a, mut b) = (swarm(), swarm());
        let at = listen(&mut b).await;
        let old = connect(&mut a, &mut b, &at).await;
        let new = connect(&mut a, &mut b, &at).await;
        while a.behaviour().silence(new).unwrap() < QUIET {
            tokio::task::yield_now().await;
        }
        let (reply, mut answer) = oneshot::channel();
        let peer = *b.local_peer_id();
        a.behaviour_mut().open(peer, Protocol::Chunk, reply);
        let mut stream = loop {
            tokio::select! {
                stream = &mut answer => break stream.unwrap().unwrap(),
                _ = a.select_next_some() => {}
                _ = b.select_next_some() => {}
            }
        };
        let before = a.behaviour().silence(new).unwrap();
        assert!(before >= QUIET, "nothing has moved yet");
        stream.write_all(b"x").await.unwrap();
        assert!(a.behaviour().silence(new).unwrap() < before);
        assert!(a.behaviour().silence(old).unwrap() >= before);
        assert_eq!(
            a.behaviour()
                .silence(ConnectionId::new_unchecked(usize::MAX)),
            None
        );

        // Nothing is kept of a closed connection.
        a.close_connection(old);
        while a.behaviour().silence(old).is_some() {
            tokio::select! {
                _ = a.select_next_some() => {}
                _ = b.select_next_some() => {}
            }
        }
        assert_eq!(a.behaviour().last_activity.len(), 1);
    }
}
