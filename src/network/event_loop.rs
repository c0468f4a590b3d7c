//! The task that owns the swarm: takes commands, hears events, never waits for anyone.

use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, ping,
    swarm::{
        ConnectionId, DialError, ListenError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use pelago_behaviour::{Behaviour, DEAD_SILENCE, Event, Protocols, record_key, streams};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    time::sleep_until,
};

use super::{
    AnnounceError, ConnectError, IdentityClash,
    command::Command,
    connects::{Connects, connect_error},
    identity_clash::SelfDials,
    listening::{Change, Listening},
    lookups::Lookups,
    metrics::{Metrics, Query},
    peers::Peers,
    redial::{Reason, Redial},
};

/// How long to sleep where nothing is due: any event wakes the loop before.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

/// The swarm and everyone who waits for it.
pub(super) struct EventLoop {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) protocols: Protocols,
    pub(super) redial: Redial,
    pub(super) self_dials: SelfDials,
    pub(super) clash: watch::Sender<Option<IdentityClash>>,
    pub(super) listening: Listening,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) inbound: mpsc::Sender<streams::Event>,
    pub(super) arrivals: broadcast::Sender<PeerId>,
    pub(super) routable: watch::Sender<usize>,
    pub(super) connects: Connects,
    pub(super) lookups: Lookups,
    pub(super) peers: Peers,
    pub(super) metrics: Metrics,
}

impl EventLoop {
    pub(super) async fn run(mut self) {
        loop {
            self.do_due(Instant::now());
            let next = [self.redial.next(), self.self_dials.next()];
            let next = next.into_iter().flatten().min();
            let next = next.unwrap_or_else(|| Instant::now() + NOTHING_DUE);
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
                () = sleep_until(next.into()) => {}
            }
        }
    }

    /// Dials the nodes whose time has come, and judges what came of dials to ourselves.
    fn do_due(&mut self, now: Instant) {
        if self.peers.is_empty() || *self.routable.borrow() == 0 {
            self.redial.alone(now);
        }
        if self.redial.next().is_some_and(|next| next <= now) {
            let swarm = &self.swarm;
            let dials = self.redial.dials(now, |peer| swarm.is_connected(peer));
            dials
                .into_iter()
                .for_each(|options| self.dial_quietly(options));
        }
        if let Some(clash) = self.self_dials.judge(now) {
            self.report_clash(clash);
        }
    }

    fn report_clash(&mut self, clash: IdentityClash) {
        let is_news = self.clash.borrow().is_none();
        if is_news {
            tracing::warn!(
                address = %clash.address,
                "another node has the same identity as this one, so that others take the two for one: was \
                 the data folder copied? `pelago doctor` says what to do"
            );
        }
        self.clash.send_replace(Some(clash));
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
            Command::Join { nodes, until } => self.redial.ask(&nodes, until, Instant::now()),
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
            SwarmEvent::Behaviour(event) => self.hear_behaviour(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.peers
                    .connected(peer_id, connection_id, (&endpoint).into());
                self.connects.established(connection_id, peer_id);
                self.redial.reached(connection_id, peer_id);
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
            } => self.dial_failed(connection_id, peer_id, &error),
            SwarmEvent::IncomingConnectionError {
                send_back_addr,
                error,
                ..
            } => {
                let has_our_id = matches!(error, ListenError::LocalPeerId { .. });
                let now = Instant::now();
                self.self_dials.incoming(send_back_addr, has_our_id, now);
            }
            SwarmEvent::NewListenAddr { address, .. } => self.listens(address),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.listens_no_more(&address),
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener failed"),
            _ => {}
        }
    }

    fn hear_behaviour(&mut self, event: Event) {
        match event {
            Event::Stream(stream) => {
                if let Err(error) = self.inbound.try_send(stream) {
                    self.metrics.streams_dropped.inc();
                    tracing::debug!(%error, "a peer's stream was reset: too many are waiting");
                }
            }
            Event::Kad(event) => self.hear_kad(*event),
            Event::Identify(event) => self.hear_identify(*event),
            Event::Mdns(event) => self.hear_mdns(event),
            Event::Ping(event) => self.hear_ping(&event),
        }
    }

    /// A connection that does not answer pings is closed, unless bytes moved on it meanwhile: then the ping
    /// is only stuck behind them.
    fn hear_ping(&mut self, event: &ping::Event) {
        let (peer, connection) = (event.peer, event.connection);
        match &event.result {
            Ok(rtt) => self.peers.round_trip(peer, *rtt),
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                let silence = self.swarm.behaviour().streams.silence(connection);
                if silence.is_some_and(|silence| silence < DEAD_SILENCE) {
                    return;
                }
                tracing::debug!(%peer, %error, "a connection is dead: closed");
                self.swarm.close_connection(connection);
                if self.peers.connections(&peer) <= 1 {
                    self.redial.lost(peer, Instant::now());
                }
            }
        }
    }

    fn listens(&mut self, address: Multiaddr) {
        if self.listening.add(&address) == Change::Network {
            self.redial.address_changed(Instant::now());
        }
        self.swarm.add_external_address(address);
    }

    fn listens_no_more(&mut self, address: &Multiaddr) {
        if self.listening.remove(address) == Change::Network {
            let now = Instant::now();
            self.redial.address_changed(now);
            self.redial.moved(self.peers.beyond_this_host(), now);
        }
        self.swarm.remove_external_address(address);
    }

    fn dial_failed(&mut self, connection: ConnectionId, peer: Option<PeerId>, error: &DialError) {
        tracing::debug!(?peer, %error, "dial failed");
        let now = Instant::now();
        let reason = connect_error(error);
        self.connects.failed(connection, peer, &reason);
        if let DialError::LocalPeerId { address } = error {
            self.self_dials.outgoing(address.clone(), now);
            // A list of nodes that is the same for all of them names each to itself.
            self.redial.led_here(connection);
            return;
        }
        let Some(failed) = self.redial.failed(connection, now) else {
            return;
        };
        let node = failed.node;
        match failed.reason {
            Reason::Asked(_) => tracing::warn!(
                %node, error = %reason,
                "cannot join the network there yet; this is tried again for as long as the command waits"
            ),
            // People are told of it only while no other node is known.
            _ if *self.routable.borrow() == 0 => tracing::warn!(
                %node, error = %reason,
                "a bootstrap node is not reached; it is tried again with pauses of up to 60 s"
            ),
            _ => tracing::info!(%node, error = %reason, "a bootstrap node is not reached"),
        }
    }

    /// Dials for nobody in particular: an outcome is heard as an event.
    pub(super) fn dial_quietly(&mut self, options: DialOpts) {
        let connection = options.connection_id();
        if let Err(error) = self.swarm.dial(options) {
            self.redial.not_dialed(connection, Instant::now());
            tracing::trace!(%error, "not dialed");
        }
    }
}
