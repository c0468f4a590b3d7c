//! The task that owns the swarm: takes commands, hears events, never waits for anyone.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, Swarm, TransportError as ListenError, identify, identity, kad, mdns, ping,
    swarm::{
        DialError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use pelago_behaviour::{
    Behaviour, Config, Event, OwnKeys, Protocol, Protocols, TransportError, memory_transport,
    name_from_agent, record_key, streams, swarm_config, transport,
};
use thiserror::Error;
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    time::{Interval, MissedTickBehavior, interval, timeout},
};

use super::{
    AnnounceError, ConnectError, Network, PeerAddress, Traffic, command::Command,
    connects::Connects, lookups::Lookups, peers::Peers,
};

/// Commands waiting for the event loop, at most; further callers wait for room.
const COMMANDS_QUEUED: usize = 256;

/// Arrivals of peers that a reader may fall behind by.
const ARRIVALS_BUFFERED: usize = 256;

/// How often a node that knows no other tries its bootstrap addresses again.
const REJOIN_INTERVAL: Duration = Duration::from_secs(15);

/// Addresses of one peer that the routing table is given, at most: Kademlia itself has no limit.
const MAX_ROUTING_ADDRESSES: usize = 16;

/// How long a listener may take to say where it listens.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Which transport a node uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// TCP and QUIC.
    Internet,
    /// Within this process.
    Memory,
}

/// How a node takes part in the network.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How it is reached.
    pub transport: TransportKind,
    /// Where to listen; none: only outgoing connections.
    pub listen: Vec<Multiaddr>,
    /// Nodes by which to join the network, tried until one is reached.
    pub bootstrap: Vec<PeerAddress>,
    /// Nodes known from earlier runs, tried once.
    pub known: Vec<PeerAddress>,
    /// How it behaves.
    pub behaviour: Config,
    /// How long a connection without streams is kept.
    pub idle_timeout: Duration,
}

/// Why a node could not take part in the network.
#[derive(Debug, Error)]
pub enum StartError {
    /// The transport could not be set up.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// Whether another program has it.
        is_in_use: bool,
        /// What the system said.
        reason: String,
    },
}

/// The swarm and everyone who waits for it.
pub(super) struct EventLoop {
    swarm: Swarm<Behaviour>,
    protocols: Protocols,
    bootstrap: Vec<PeerAddress>,
    commands: mpsc::Receiver<Command>,
    inbound: mpsc::Sender<streams::Event>,
    arrivals: broadcast::Sender<PeerId>,
    routable: watch::Sender<usize>,
    rejoin: Interval,
    connects: Connects,
    lookups: Lookups,
    peers: Peers,
    lookup_requests: Arc<AtomicU64>,
}

impl Network {
    /// Listens as `settings` say and starts the event loop. Streams that peers open go to `inbound`;
    /// when that is full, they are reset.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        keypair: &identity::Keypair,
        settings: Settings,
        own_keys: OwnKeys,
        inbound: mpsc::Sender<streams::Event>,
    ) -> Result<Self, StartError> {
        let transport = match settings.transport {
            TransportKind::Internet => transport(keypair)?,
            TransportKind::Memory => memory_transport(keypair)?,
        };
        let local = keypair.public().to_peer_id();
        let behaviour = Behaviour::new(keypair, own_keys, &settings.behaviour);
        let config = swarm_config(settings.idle_timeout);
        let mut swarm = Swarm::new(transport, behaviour, local, config);
        let early = listen(&mut swarm, &settings.listen).await?;

        let (commands, command_queue) = mpsc::channel(COMMANDS_QUEUED);
        let (arrivals, _) = broadcast::channel(ARRIVALS_BUFFERED);
        let (routable, routable_now) = watch::channel(0);
        let mut rejoin = interval(REJOIN_INTERVAL);
        rejoin.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut event_loop = EventLoop {
            swarm,
            protocols: settings.behaviour.protocols,
            bootstrap: settings.bootstrap,
            commands: command_queue,
            inbound,
            arrivals: arrivals.clone(),
            routable,
            rejoin,
            connects: Connects::default(),
            lookups: Lookups::default(),
            peers: Peers::default(),
            lookup_requests: Arc::default(),
        };
        early.into_iter().for_each(|event| event_loop.hear(event));
        let lookup_requests = Arc::clone(&event_loop.lookup_requests);
        settings
            .known
            .iter()
            .for_each(|known| event_loop.dial_in_passing(known));
        tokio::spawn(event_loop.run());
        let traffic = Traffic::default();
        Ok(Self {
            local,
            commands,
            arrivals,
            routable: routable_now,
            traffic,
            lookup_requests,
        })
    }
}

/// Listens on all of `addresses`, and waits until it is known where that is. Returns what happened
/// meanwhile: what mDNS finds now, it does not tell again for minutes.
async fn listen(
    swarm: &mut Swarm<Behaviour>,
    addresses: &[Multiaddr],
) -> Result<Vec<SwarmEvent<Event>>, StartError> {
    let mut waiting = Vec::new();
    for address in addresses {
        let failed = |error| listen_failed(address, error);
        waiting.push(swarm.listen_on(address.clone()).map_err(failed)?);
    }
    let mut early = Vec::new();
    let all_known = async {
        while !waiting.is_empty() {
            let event = swarm.select_next_some().await;
            if let SwarmEvent::NewListenAddr { listener_id, .. } = &event {
                waiting.retain(|id| id != listener_id);
            }
            early.push(event);
        }
        // The other interfaces of an unspecified address are known by now as well.
        while let Some(Some(event)) = swarm.next().now_or_never() {
            early.push(event);
        }
    };
    if timeout(LISTEN_TIMEOUT, all_known).await.is_err() {
        tracing::warn!("some listener has not said where it listens: is there a network at all?");
    }
    Ok(early)
}

fn listen_failed(address: &Multiaddr, error: ListenError<std::io::Error>) -> StartError {
    let (is_in_use, reason) = match error {
        ListenError::MultiaddrNotSupported(_) => (false, "no such transport".to_owned()),
        ListenError::Other(error) => {
            let text = error.to_string();
            let is_in_use = error.kind() == std::io::ErrorKind::AddrInUse
                || text.contains("Address already in use");
            (is_in_use, text)
        }
    };
    StartError::Listen {
        address: address.clone(),
        is_in_use,
        reason,
    }
}

impl EventLoop {
    async fn run(mut self) {
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
                self.lookups.search(query, found);
            }
            Command::Announce { hash, reply } => self.announce(&hash, reply),
            Command::Peers { reply } => {
                let _ = reply.send(self.peers.list());
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
            Ok(query) => self.lookups.announcement(query, reply),
            // Our store never refuses our own keys; if it did, trying later is right.
            Err(_) => {
                let _ = reply.send(Err(AnnounceError::TimedOut));
            }
        }
    }

    fn hear(&mut self, event: SwarmEvent<Event>) {
        match event {
            SwarmEvent::Behaviour(Event::Stream(stream)) => {
                if let Err(error) = self.inbound.try_send(stream) {
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
                let remote = endpoint.get_remote_address().clone();
                self.peers.connected(peer_id, connection_id, remote);
                self.connects.established(connection_id, peer_id);
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
                self.connects
                    .failed(connection_id, peer_id, &connect_error(&error));
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

    fn hear_identify(&mut self, event: identify::Event) {
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

    fn count_routes(&mut self) {
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

    fn hear_mdns(&mut self, event: mdns::Event) {
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

    fn hear_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::OutboundQueryProgressed {
                id,
                result,
                stats,
                step,
            } => match result {
                kad::QueryResult::GetProviders(progress) => {
                    if let Ok(kad::GetProvidersOk::FoundProviders { key, providers }) = progress {
                        self.found_providers(id, &key, providers);
                    }
                    if step.last {
                        let requests = stats.num_requests().into();
                        self.lookup_requests.fetch_add(requests, Ordering::Relaxed);
                        self.lookups.search_ended(id);
                    } else if self.lookups.is_enough(id)
                        && let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id)
                    {
                        query.finish();
                    }
                }
                kad::QueryResult::StartProviding(result) => {
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

    fn rejoin(&mut self) {
        if *self.routable.borrow() == 0 {
            let bootstrap = std::mem::take(&mut self.bootstrap);
            bootstrap.iter().for_each(|node| self.dial_in_passing(node));
            self.bootstrap = bootstrap;
        }
    }

    fn dial_in_passing(&mut self, node: &PeerAddress) {
        let address = node.address().clone();
        self.dial_quietly(match node.peer() {
            Some(peer) => DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(vec![address])
                .build(),
            None => DialOpts::unknown_peer_id().address(address).build(),
        });
    }

    /// Dials for nobody in particular: an outcome is heard as an event.
    fn dial_quietly(&mut self, options: DialOpts) {
        if let Err(error) = self.swarm.dial(options) {
            tracing::trace!(%error, "not dialed");
        }
    }
}

fn connect_error(error: &DialError) -> ConnectError {
    let text = match error {
        DialError::LocalPeerId { .. } => return ConnectError::Ourselves,
        DialError::NoAddresses => "no address of it is known".to_owned(),
        DialError::WrongPeerId { obtained, .. } => {
            format!("another node, {obtained}, answered at that address")
        }
        // Whoever wanted it knows which one it was.
        DialError::Transport(tried) if tried.len() == 1 => root(&tried[0].1),
        DialError::Transport(tried) => {
            let tried = tried
                .iter()
                .map(|(address, error)| format!("{address}: {}", root(error)));
            tried.collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    };
    ConnectError::Failed(text)
}

/// The innermost reason: what the system said, without the layers that passed it on.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
