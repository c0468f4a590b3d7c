//! The task that owns the swarm: takes commands, hears events, never waits for anyone.

use std::time::Duration;

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, ping,
    swarm::{
        ConnectionId, DialError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use pelago_behaviour::{Behaviour, Event, Protocols, record_key, streams};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    time::Interval,
};

use super::{
    AnnounceError, ConnectError,
    bootstrap::Bootstrap,
    command::Command,
    connects::{Connects, connect_error},
    lookups::Lookups,
    metrics::{Metrics, Query},
    peers::Peers,
};

/// How often a node that knows no other tries its bootstrap addresses again.
pub(super) const REJOIN_INTERVAL: Duration = Duration::from_secs(15);

/// The swarm and everyone who waits for it.
pub(super) struct EventLoop {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) protocols: Protocols,
    pub(super) bootstrap: Bootstrap,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) inbound: mpsc::Sender<streams::Event>,
    pub(super) arrivals: broadcast::Sender<PeerId>,
    pub(super) routable: watch::Sender<usize>,
    pub(super) rejoin: Interval,
    pub(super) connects: Connects,
    pub(super) lookups: Lookups,
    pub(super) peers: Peers,
    pub(super) metrics: Metrics,
}

impl EventLoop {
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Shutdown { reply }) => {
                        drop(self);
                        let _ = reply.send(());
                        return;
                    }
                    Some(command) => self.obey(command),
                    // Every handle is gone.
                    None => return,
                },
                event = self.swarm.select_next_some() => self.hear(event),
                _ = self.rejoin.tick() => self.rejoin(),
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Connect {
                peer,
                addresses,
                reply,
            } => self.connect(peer, addresses, reply),
            Command::Open {
                peer,
                protocol,
                reply,
            } => {
                self.swarm
                    .behaviour_mut()
                    .streams
                    .open(peer, protocol, reply);
            }
            Command::FindProviders { hash, found } => {
                let query = self
                    .swarm
                    .behaviour_mut()
                    .kad
                    .get_providers(record_key(&hash));
                self.metrics.query_started(Query::Find);
                self.lookups.search(query, found);
            }
            Command::Announce { hash, reply } => self.announce(&hash, reply),
            Command::Peers { reply } => {
                let _ = reply.send(self.peers.list());
            }
            Command::Peer { peer, reply } => {
                let _ = reply.send(self.peers.get(&peer));
            }
            Command::ListenAddresses { reply } => {
                let _ = reply.send(self.swarm.listeners().cloned().collect());
            }
            Command::Shutdown { .. } => unreachable!("the loop ends by it before"),
        }
    }

    fn connect(
        &mut self,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        reply: oneshot::Sender<Result<PeerId, ConnectError>>,
    ) {
        if let Some(peer) = peer.filter(|peer| self.swarm.is_connected(peer)) {
            let _ = reply.send(Ok(peer));
            return;
        }
        let options = match (peer, addresses.first()) {
            // Somebody else's dial may know where it is: joined rather than repeated.
            (Some(peer), None) => DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .build(),
            (Some(peer), Some(_)) => DialOpts::peer_id(peer)
                .condition(PeerCondition::Disconnected)
                .addresses(addresses)
                .extend_addresses_through_behaviour()
                .build(),
            (None, Some(address)) => DialOpts::unknown_peer_id().address(address.clone()).build(),
            (None, None) => {
                let _ = reply.send(Err(ConnectError::Failed("no address is known".into())));
                return;
            }
        };
        let dial = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => self.connects.wait(peer, Some(dial), reply),
            Err(DialError::DialPeerConditionFalse(_)) => self.connects.wait(peer, None, reply),
            Err(error) => {
                let _ = reply.send(Err(connect_error(&error)));
            }
        }
    }

    fn announce(
        &mut self,
        hash: &pelago_content::Hash,
        reply: oneshot::Sender<Result<u32, AnnounceError>>,
    ) {
        if *self.routable.borrow() == 0 {
            let _ = reply.send(Err(AnnounceError::Alone));
            return;
        }
        match self
            .swarm
            .behaviour_mut()
            .kad
            .start_providing(record_key(hash))
        {
            Ok(query) => {
                self.metrics.query_started(Query::Announce);
                self.lookups.announcement(query, reply);
            }
            // Our store never refuses our own keys; if it did, trying later is right.
            Err(_) => {
                let _ = reply.send(Err(AnnounceError::TimedOut));
            }
        }
    }

    pub(super) fn hear(&mut self, event: SwarmEvent<Event>) {
        self.metrics.record(&event);
        match event {
            SwarmEvent::Behaviour(Event::Stream(stream)) => {
                if let Err(error) = self.inbound.try_send(stream) {
                    self.metrics.streams_dropped.inc();
                    tracing::debug!(%error, "a peer's stream was reset: too many are waiting");
                }
            }
            SwarmEvent::Behaviour(Event::Kad(event)) => self.hear_kad(*event),
            SwarmEvent::Behaviour(Event::Identify(event)) => self.hear_identify(*event),
            SwarmEvent::Behaviour(Event::Mdns(event)) => self.hear_mdns(event),
            SwarmEvent::Behaviour(Event::Ping(ping::Event {
                peer,
                result: Ok(rtt),
                ..
            })) => self.peers.round_trip(peer, rtt),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.peers
                    .connected(peer_id, connection_id, (&endpoint).into());
                self.connects.established(connection_id, peer_id);
                self.bootstrap.over(connection_id);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                cause,
                ..
            } => {
                tracing::debug!(peer = %peer_id, ?cause, "connection closed");
                self.peers.disconnected(peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                peer_id,
                error,
            } => {
                tracing::debug!(peer = ?peer_id, %error, "dial failed");
                let error = connect_error(&error);
                self.connects.failed(connection_id, peer_id, &error);
                self.not_reached(connection_id, &error);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.swarm.add_external_address(address);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.swarm.remove_external_address(&address);
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener failed"),
            _ => {}
        }
    }

    fn rejoin(&mut self) {
        if *self.routable.borrow() == 0 {
            for options in self.bootstrap.dial() {
                self.dial_quietly(options);
            }
        }
    }

    /// A dial has failed. While no other node is known, people are told of those that were to lead to them.
    fn not_reached(&mut self, connection: ConnectionId, error: &ConnectError) {
        if let Some(node) = self.bootstrap.failed(connection, error)
            && *self.routable.borrow() == 0
        {
            tracing::warn!(
                %node, %error,
                "a bootstrap node is not reached; it is tried again every {} s",
                REJOIN_INTERVAL.as_secs()
            );
        }
    }

    /// Dials for nobody in particular: an outcome is heard as an event.
    pub(super) fn dial_quietly(&mut self, options: DialOpts) {
        let connection = options.connection_id();
        if let Err(error) = self.swarm.dial(options) {
            self.bootstrap.over(connection);
            tracing::trace!(%error, "not dialed");
        }
    }
}
