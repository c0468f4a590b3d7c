//! The task that owns the swarm: handles commands and events, and never waits for another task.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, multiaddr,
    swarm::{ListenError, SwarmEvent},
};
use pelago_behaviour::{
    Behaviour, Event, OwnIdCallers, Protocols, is_relayed, reach::Members, record_key, streams,
};
use tokio::{
    sync::{OwnedMutexGuard, broadcast, mpsc, oneshot, watch},
    time::{sleep, sleep_until, timeout},
};

use super::{
    AnnounceError, IdentityClash, PeerAddress,
    command::Command,
    dht_queries::DhtQueries,
    identity_clash::SelfDials,
    listen_addresses::ListenAddresses,
    metrics::{Metrics, QueryKind},
    peers::Peers,
    pending_connects::PendingConnects,
    reach::{OwnAddresses, ReachReport, RelayService, Relays},
    redial::Redial,
};

/// How long to sleep when nothing is due: any event wakes the loop before.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

/// How long closing connections may take. A peer that reads nothing must not delay an end.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// How long QUIC may take to send its last packets: in tasks of its own, whose end cannot be
/// awaited.
const FAREWELL_TIME: Duration = Duration::from_millis(10);

/// The swarm, and the state of all who wait for it.
pub(super) struct EventLoop {
    pub(super) swarm: Swarm<Behaviour>,
    /// Where to listen, and from when on, unless it listens already.
    pub(super) listen_later: Option<(Instant, Vec<Multiaddr>)>,
    pub(super) protocols: Protocols,
    pub(super) redial: Redial,
    pub(super) self_dials: SelfDials,
    pub(super) own_id_callers: OwnIdCallers,
    pub(super) clash: watch::Sender<Option<IdentityClash>>,
    pub(super) listen_addresses: ListenAddresses,
    pub(super) own_addresses: OwnAddresses,
    pub(super) relays: Relays,
    pub(super) relay_service: RelayService,
    /// Whether to reserve a place at relays when nothing else makes this node reachable.
    pub(super) uses_relays: bool,
    /// The peers that may use this node as a relay.
    pub(super) members: Members,
    /// Whether this node answers queries of the DHT where others can reach it.
    pub(super) is_dht_server: bool,
    /// Whether it does so now.
    pub(super) serves_dht: bool,
    pub(super) reach: watch::Sender<ReachReport>,
    pub(super) commands: OwnedMutexGuard<mpsc::Receiver<Command>>,
    pub(super) inbound: mpsc::Sender<streams::Event>,
    pub(super) arrivals: broadcast::Sender<PeerId>,
    pub(super) departures: watch::Sender<u64>,
    pub(super) routable: watch::Sender<usize>,
    pub(super) connects: PendingConnects,
    pub(super) queries: DhtQueries,
    pub(super) peers: Peers,
    pub(super) metrics: Arc<Metrics>,
}

impl EventLoop {
    pub(super) async fn run(mut self) {
        loop {
            self.run_due(Instant::now());
            let listen = self.listen_later.as_ref().map(|(at, _)| *at);
            let relays = self.relays.due().filter(|_| self.wants_relays());
            let next = [listen, self.redial.next(), self.self_dials.next(), relays];
            let next = next.into_iter().flatten().min();
            let next = next.unwrap_or_else(|| Instant::now() + NOTHING_DUE);
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Disconnect { reply }) => {
                        self.disconnect().await;
                        let _ = reply.send(());
                    }
                    Some(Command::Shutdown { reply }) => {
                        self.disconnect().await;
                        drop(self);
                        let _ = reply.send(());
                        return;
                    }
                    Some(command) => self.handle_command(command),
                    // All handles are gone.
                    None => return,
                },
                event = self.swarm.select_next_some() => self.handle_event(event),
                () = sleep_until(next.into()) => {}
            }
        }
    }

    /// Closes connections over QUIC, and waits until their peers can know: otherwise they take this
    /// node for connected until the connections time out. The system closes those over TCP.
    async fn disconnect(&mut self) {
        let is_quic = |address: &Multiaddr| {
            let mut parts = address.iter();
            parts.any(|part| part == multiaddr::Protocol::QuicV1)
        };
        let mut peers = self.peers.list();
        peers.retain(|peer| peer.addresses.iter().any(is_quic));
        if peers.is_empty() {
            return;
        }
        for peer in &peers {
            // It may be disconnected already.
            let _ = self.swarm.disconnect_peer_id(peer.peer_id);
        }
        let closed = async {
            while peers
                .iter()
                .any(|peer| self.swarm.is_connected(&peer.peer_id))
            {
                self.swarm.select_next_some().await;
            }
        };
        // An error means that a peer reads nothing.
        let _ = timeout(CLOSE_TIMEOUT, closed).await;
        sleep(FAREWELL_TIME).await;
    }

    /// Begins to listen and dials the nodes when that is due, and evaluates dials to our own id.
    fn run_due(&mut self, now: Instant) {
        let listen = self.listen_later.take_if(|(at, _)| *at <= now);
        for address in listen.into_iter().flat_map(|(_, addresses)| addresses) {
            if let Err(error) = self.swarm.listen_on(address.clone()) {
                tracing::warn!(%address, %error, "cannot listen: peers cannot connect there");
            }
        }
        if self.peers.is_empty() || *self.routable.borrow() == 0 {
            self.redial.alone(now);
        }
        if self.redial.next().is_some_and(|next| next <= now) {
            let swarm = &self.swarm;
            let dials = self.redial.dials(now, |peer| swarm.is_connected(peer));
            dials
                .into_iter()
                .for_each(|(options, named_by)| self.dial_quietly(options, named_by));
        }
        if let Some(clash) = self.self_dials.judge(now) {
            self.report_clash(clash);
        }
        if self.wants_relays() && self.relays.due().is_some_and(|due| due <= now) {
            self.reconsider_reach(now);
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Connect {
                peer,
                addresses,
                named_by,
                reply,
            } => self.connect(peer, addresses, named_by, reply),
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
                self.metrics.query_started(QueryKind::Find);
                self.queries.search(query, found);
            }
            Command::FindPeer { peer, reply } => {
                let query = self.swarm.behaviour_mut().kad.get_closest_peers(peer);
                self.metrics.query_started(QueryKind::Find);
                self.queries.look_for_peer(query, reply);
            }
            Command::Announce { hash, reply } => self.announce(&hash, reply),
            Command::Join { nodes, until } => self.redial.ask(&nodes, until, Instant::now()),
            Command::Peers { reply } => {
                let _ = reply.send(self.peers.list());
            }
            Command::Peer { peer, reply } => {
                let _ = reply.send(self.peers.get(&peer));
            }
            Command::Unreached { reply } => {
                let _ = reply.send(self.redial.unreached());
            }
            Command::IsQuiet { reply } => {
                let _ = reply.send(self.is_quiet());
            }
            Command::ListenAddresses { reply } => {
                let bare = |own: &Multiaddr| PeerAddress::from(own.clone()).address().clone();
                let _ = reply.send(self.swarm.listeners().map(bare).collect());
            }
            Command::Leave { peer } => {
                // It may be disconnected already.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            #[cfg(test)]
            Command::Panic => panic!("requested by a test"),
            Command::Disconnect { .. } | Command::Shutdown { .. } => {
                unreachable!("the loop takes them")
            }
        }
    }

    /// Whether each node that was named or is known was dialed once, each connected peer has
    /// introduced itself, and no look-up is under way.
    fn is_quiet(&self) -> bool {
        let counters = self.swarm.network_info();
        let dials = counters.connection_counters().num_pending_outgoing();
        let mut look_ups = self.swarm.behaviour().kad.iter_queries();
        dials == 0
            && look_ups.next().is_none()
            && self.redial.has_dialed_all()
            && self.peers.are_identified()
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
                self.metrics.query_started(QueryKind::Announce);
                self.queries.announcement(query, reply);
            }
            // Our store never refuses our own keys; if it did, trying later would be right.
            Err(_) => {
                let _ = reply.send(Err(AnnounceError::TimedOut));
            }
        }
    }

    pub(super) fn handle_event(&mut self, event: SwarmEvent<Event>) {
        self.metrics.record(&event);
        match event {
            SwarmEvent::Behaviour(event) => self.handle_behaviour_event(event),
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
                self.handle_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                cause,
                ..
            } => {
                tracing::debug!(peer = %peer_id, ?cause, "connection closed");
                self.connection_closed(peer_id, connection_id);
                self.handle_disconnected(&peer_id);
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
                // Both are evaluated: taking removes the note.
                let has_our_id = self.own_id_callers.take(&send_back_addr)
                    | matches!(error, ListenError::LocalPeerId { .. });
                let now = Instant::now();
                self.self_dials.incoming(send_back_addr, has_our_id, now);
            }
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => match is_relayed(&address) {
                true => self.handle_reservation(listener_id),
                false => self.add_listen_address(&address),
            },
            SwarmEvent::ExpiredListenAddr { address, .. } if !is_relayed(&address) => {
                self.remove_listen_address(&address);
            }
            SwarmEvent::ListenerClosed { listener_id, .. } => {
                self.handle_listener_closed(listener_id);
            }
            // Those of reservations: the library adds and removes them.
            SwarmEvent::ExternalAddrConfirmed { .. } | SwarmEvent::ExternalAddrExpired { .. } => {
                self.push_addresses();
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener failed"),
            _ => {}
        }
    }

    fn handle_behaviour_event(&mut self, event: Event) {
        match event {
            Event::Stream(stream) => {
                if let Err(error) = self.inbound.try_send(*stream) {
                    self.metrics.streams_dropped.inc();
                    tracing::debug!(%error, "stream of a peer reset: too many are waiting");
                }
            }
            Event::Kad(event) => self.handle_kad(*event),
            Event::Identify(event) => self.handle_identify(*event),
            Event::Mdns(event) => self.handle_mdns(event),
            Event::Ping(event) => self.handle_ping(&event),
            Event::Circuit(event) => tracing::debug!(?event, "by a relay"),
            Event::Relay(event) => self.handle_relay(&event),
            Event::Punch(event) => self.handle_punch(&event),
        }
    }
}
