//! Starts a node's part of the network: transport, listeners, and the event loop.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, Swarm, TransportError as ListenError, core::transport::ListenerId, identity,
    multiaddr::Protocol, swarm::SwarmEvent,
};
use pelago_behaviour::{
    Behaviour, Config, Connections, Event, OwnIdCallers, OwnKeys, TransportError, memory_transport,
    reach::Members, streams, swarm_config, transport, try_listen, with_circuits,
};
use pelago_content::Printable;
use thiserror::Error;
use tokio::{
    sync::{Mutex, broadcast, mpsc, watch},
    time::timeout,
};

use super::{
    IdentityClash, Network, PeerAddress, Traffic,
    command::Command,
    connection_metrics,
    dht_queries::DhtQueries,
    event_loop::EventLoop,
    identity_clash::SelfDials,
    listen_addresses::ListenAddresses,
    metrics::Metrics,
    outgoing::OutgoingStreams,
    peers::Peers,
    pending_connects::PendingConnects,
    reach::{OwnAddresses, ReachReport, RelayService, Relays},
    redial::Redial,
};
use crate::duties::Duties;

/// Commands that wait for the event loop, at most; further callers wait.
const COMMANDS_QUEUED: usize = 256;

/// Arrivals of peers by which a reader may fall behind.
const ARRIVALS_BUFFERED: usize = 256;

/// How long to wait for the first listener to report its address.
const FIRST_LISTEN_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait for the other listeners after the first one: the system reports the addresses
/// of all interfaces at about the same time, and later ones are listened on as well.
const LISTEN_GRACE: Duration = Duration::from_millis(250);

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
pub struct NetworkSettings {
    /// The transport.
    pub transport: TransportKind,
    /// Where to listen; empty: only outgoing connections.
    pub listen: Vec<Multiaddr>,
    /// How long after the start to begin to listen. Zero: before the start returns, and a failure is
    /// its error.
    pub listen_after: Duration,
    /// Nodes by which to join the network; each is dialed until it is reached.
    pub bootstrap: Vec<PeerAddress>,
    /// Nodes known from earlier runs; each is dialed until it is reached.
    pub known: Vec<PeerAddress>,
    /// The settings of the behaviour.
    pub behaviour: Config,
    /// How long a connection without streams is kept.
    pub idle_timeout: Duration,
    /// Whether it is a relay for others.
    pub relay_service: RelayService,
    /// Whether it reserves places at relays when it is not reachable otherwise.
    pub relay_use: bool,
}

/// Why a node could not take part in the network.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The transport could not be set up.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The node cannot listen on an address.
    #[error("cannot listen on {}: {}", Printable(address), Printable(reason))]
    Listen {
        /// The address.
        address: Multiaddr,
        /// Whether another program uses it.
        is_in_use: bool,
        /// What the system reported.
        reason: String,
    },
}

impl Network {
    /// Listens according to `settings` and starts the event loop as one of the `duties`: after a
    /// panic it starts again with a new swarm. Streams that peers open go to `inbound`; while that
    /// is full, they are reset.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        keypair: &identity::Keypair,
        settings: NetworkSettings,
        own_keys: OwnKeys,
        inbound: mpsc::Sender<streams::Event>,
        duties: &Duties,
    ) -> Result<Self, StartError> {
        let own_id_callers = OwnIdCallers::default();
        let connections = Connections::new(settings.behaviour.memory_budget);
        let members = Members::default();
        let swarm = swarm(
            keypair,
            &settings,
            own_keys.clone(),
            &own_id_callers,
            &connections,
            &members,
        )?;
        let traffic = Traffic::default();
        let (metrics, mut registry) = Metrics::new(&traffic, swarm.behaviour().streams.refused());
        connection_metrics::register(connections.clone(), &mut registry);
        let lookup_requests = metrics.lookup_requests.clone();
        let (commands, command_queue) = mpsc::channel(COMMANDS_QUEUED);
        let (arrivals, _) = broadcast::channel(ARRIVALS_BUFFERED);
        let (departures, departures_now) = watch::channel(0);
        let (routable, routable_now) = watch::channel(0);
        let (clash, clash_now) = watch::channel(None);
        let (reach, reach_now) = watch::channel(ReachReport::default());
        let parts = Arc::new(LoopParts {
            keypair: keypair.clone(),
            settings,
            own_keys,
            own_id_callers,
            connections,
            commands: Arc::new(Mutex::new(command_queue)),
            inbound,
            arrivals: arrivals.clone(),
            departures,
            routable,
            clash,
            reach,
            members,
            metrics: Arc::new(metrics),
        });
        let mut first = Some(parts.event_loop(swarm).await?);
        duties.run("network", move || {
            let (parts, first) = (Arc::clone(&parts), first.take());
            async move {
                let event_loop = match first {
                    Some(event_loop) => event_loop,
                    None => parts.restart().await?,
                };
                event_loop.run().await;
                Ok(())
            }
        });
        Ok(Self {
            local: keypair.public().to_peer_id(),
            commands,
            arrivals,
            departures: departures_now,
            routable: routable_now,
            clash: clash_now,
            reach: reach_now,
            traffic,
            outgoing: OutgoingStreams::default(),
            lookup_requests,
            metrics: Arc::new(registry),
        })
    }
}

/// The parts that outlive one run of the event loop.
struct LoopParts {
    keypair: identity::Keypair,
    settings: NetworkSettings,
    own_keys: OwnKeys,
    own_id_callers: OwnIdCallers,
    connections: Connections,
    commands: Arc<Mutex<mpsc::Receiver<Command>>>,
    inbound: mpsc::Sender<streams::Event>,
    arrivals: broadcast::Sender<PeerId>,
    departures: watch::Sender<u64>,
    routable: watch::Sender<usize>,
    clash: watch::Sender<Option<IdentityClash>>,
    reach: watch::Sender<ReachReport>,
    members: Members,
    metrics: Arc<Metrics>,
}

impl LoopParts {
    /// The event loop of a swarm that listens.
    async fn event_loop(&self, mut swarm: Swarm<Behaviour>) -> Result<EventLoop, StartError> {
        let settings = &self.settings;
        let (early, listen_later) = if settings.listen_after.is_zero() {
            (listen(&mut swarm, &settings.listen).await?, None)
        } else {
            let at = Instant::now() + settings.listen_after;
            (Vec::new(), Some((at, settings.listen.clone())))
        };
        let redial = Redial::new(
            self.keypair.public().to_peer_id(),
            &settings.bootstrap,
            &settings.known,
            rand::random(),
            Instant::now(),
        );
        let mut event_loop = EventLoop {
            swarm,
            listen_later,
            protocols: settings.behaviour.protocols.clone(),
            redial,
            self_dials: SelfDials::default(),
            own_id_callers: self.own_id_callers.clone(),
            clash: self.clash.clone(),
            listen_addresses: ListenAddresses::default(),
            own_addresses: OwnAddresses::default(),
            relays: Relays::new(self.keypair.public().to_peer_id()),
            relay_service: settings.relay_service,
            uses_relays: settings.relay_use,
            members: self.members.clone(),
            is_dht_server: settings.behaviour.is_server,
            serves_dht: settings.behaviour.is_server,
            reach: self.reach.clone(),
            commands: Arc::clone(&self.commands).lock_owned().await,
            inbound: self.inbound.clone(),
            arrivals: self.arrivals.clone(),
            departures: self.departures.clone(),
            routable: self.routable.clone(),
            connects: PendingConnects::default(),
            queries: DhtQueries::default(),
            peers: Peers::default(),
            metrics: Arc::clone(&self.metrics),
        };
        early
            .into_iter()
            .for_each(|event| event_loop.handle_event(event));
        Ok(event_loop)
    }

    /// A new event loop with a new swarm. The old one is gone, with all of its state.
    async fn restart(&self) -> Result<EventLoop, StartError> {
        self.routable.send_replace(0);
        self.departures.send_modify(|number| *number += 1);
        self.reach.send_replace(ReachReport::default());
        let own_keys = self.own_keys.clone();
        let swarm = swarm(
            &self.keypair,
            &self.settings,
            own_keys,
            &self.own_id_callers,
            &self.connections,
            &self.members,
        )?;
        self.event_loop(swarm).await
    }
}

fn swarm(
    keypair: &identity::Keypair,
    settings: &NetworkSettings,
    own_keys: OwnKeys,
    own_id_callers: &OwnIdCallers,
    connections: &Connections,
    members: &Members,
) -> Result<Swarm<Behaviour>, StartError> {
    let private = &settings.behaviour.private;
    let direct = match settings.transport {
        TransportKind::Internet => transport(keypair, own_id_callers, connections, private)?,
        TransportKind::Memory => memory_transport(keypair, connections, private)?,
    };
    let (transport, circuits) = with_circuits(direct, keypair, connections, private)?;
    let local = keypair.public().to_peer_id();
    let behaviour = Behaviour::new(keypair, own_keys, &settings.behaviour);
    let behaviour = behaviour.with_circuits(circuits, members);
    let config = swarm_config(settings.idle_timeout);
    Ok(Swarm::new(transport, behaviour, local, config))
}

/// Listens on all of `addresses`, and waits until the listeners have reported their addresses. A
/// listener without an available address is not waited for. Returns the events meanwhile: mDNS
/// does not repeat what it finds now for minutes.
async fn listen(
    swarm: &mut Swarm<Behaviour>,
    addresses: &[Multiaddr],
) -> Result<Vec<SwarmEvent<Event>>, StartError> {
    let mut waiting = Vec::new();
    // All of them before the first one listens: two of them may have the same port.
    for address in addresses {
        match try_listen(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(listen_failed(address, ListenError::Other(error)));
            }
            // The transport reports other errors.
            _ => {}
        }
    }
    for address in addresses {
        let failed = |error| listen_failed(address, error);
        let listener = swarm.listen_on(address.clone()).map_err(failed)?;
        if lacks_ipv6(address) {
            tracing::info!(%address, "not listening yet: this machine has no IPv6 address");
        } else {
            waiting.push(listener);
        }
    }
    let mut early = Vec::new();
    let has_some = addresses.is_empty() || await_one(swarm, &mut waiting, &mut early).await;
    let _ = timeout(LISTEN_GRACE, await_all(swarm, &mut waiting, &mut early)).await;
    // The other interfaces of an unspecified address are known by now as well.
    while let Some(Some(event)) = swarm.next().now_or_never() {
        early.push(event);
    }
    if !has_some {
        tracing::warn!(
            "the node has no address to listen on yet: check the network connection; it listens \
             once there is one"
        );
    }
    Ok(early)
}

/// Waits until one of the listeners has reported its address; false if none does in time.
async fn await_one(
    swarm: &mut Swarm<Behaviour>,
    waiting: &mut Vec<ListenerId>,
    early: &mut Vec<SwarmEvent<Event>>,
) -> bool {
    let listeners = waiting.len();
    let one = async {
        while waiting.len() == listeners {
            await_event(swarm, waiting, early).await;
        }
    };
    listeners > 0 && timeout(FIRST_LISTEN_TIMEOUT, one).await.is_ok()
}

/// Waits until all listeners have reported their addresses.
async fn await_all(
    swarm: &mut Swarm<Behaviour>,
    waiting: &mut Vec<ListenerId>,
    early: &mut Vec<SwarmEvent<Event>>,
) {
    while !waiting.is_empty() {
        await_event(swarm, waiting, early).await;
    }
}

async fn await_event(
    swarm: &mut Swarm<Behaviour>,
    waiting: &mut Vec<ListenerId>,
    early: &mut Vec<SwarmEvent<Event>>,
) {
    let event = swarm.select_next_some().await;
    if let SwarmEvent::NewListenAddr { listener_id, .. } = &event {
        waiting.retain(|id| id != listener_id);
    }
    early.push(event);
}

/// Whether listening on `address` has to wait until this machine has an IPv6 address.
fn lacks_ipv6(address: &Multiaddr) -> bool {
    let is_any = |part: Protocol<'_>| matches!(part, Protocol::Ip6(ip) if ip.is_unspecified());
    address.iter().next().is_some_and(is_any) && !has_ipv6()
}

/// Whether this machine has an IPv6 address.
#[cfg(target_os = "linux")]
fn has_ipv6() -> bool {
    // One line for each address; the file does not exist on systems without IPv6.
    std::fs::read("/proc/net/if_inet6").is_ok_and(|addresses| !addresses.is_empty())
}

/// Whether this machine has an IPv6 address.
#[cfg(not(target_os = "linux"))]
fn has_ipv6() -> bool {
    std::net::UdpSocket::bind((std::net::Ipv6Addr::LOCALHOST, 0)).is_ok()
}

fn listen_failed(address: &Multiaddr, error: ListenError<io::Error>) -> StartError {
    let (is_in_use, reason) = match error {
        ListenError::MultiaddrNotSupported(_) => {
            (false, "this transport is not supported".to_owned())
        }
        ListenError::Other(error) => {
            let text = error.to_string();
            let is_in_use =
                error.kind() == io::ErrorKind::AddrInUse || text.contains("Address already in use");
            let text = match is_in_use {
                true => "the address is in use by another program".to_owned(),
                false => text,
            };
            (is_in_use, text)
        }
    };
    StartError::Listen {
        address: address.clone(),
        is_in_use,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::testing::{network_with, settings};

    async fn network(listen_after: Duration, duties: &Duties) -> Network {
        let settings = NetworkSettings {
            listen: vec!["/memory/0".parse().unwrap()],
            listen_after,
            ..settings()
        };
        network_with(duties, settings).await
    }

    #[tokio::test]
    async fn a_node_that_listens_later_starts_without_an_address() {
        let addresses = async |network: &Network| network.listen_addresses().await.unwrap().len();
        for (after, at_once) in [(0, 1), (3600, 0)] {
            let duties = Duties::default();
            let network = network(Duration::from_secs(after), &duties).await;
            assert_eq!(addresses(&network).await, at_once);
        }
        let duties = Duties::default();
        let network = network(Duration::from_millis(1), &duties).await;
        while addresses(&network).await == 0 {
            tokio::task::yield_now().await;
        }
    }
}
