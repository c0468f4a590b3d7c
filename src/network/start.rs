//! How a node comes to take part in the network: transport, listeners, and the event loop started.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use libp2p::{Multiaddr, Swarm, TransportError as ListenError, identity, swarm::SwarmEvent};
use pelago_behaviour::{
    Behaviour, Config, Event, OwnKeys, TransportError, memory_transport, streams, swarm_config,
    transport,
};
use thiserror::Error;
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    Network, PeerAddress, Traffic,
    bootstrap::{Bootstrap, in_passing},
    connects::Connects,
    event_loop::{EventLoop, REJOIN_INTERVAL},
    lookups::Lookups,
    metrics::Metrics,
    peers::Peers,
};

/// Commands waiting for the event loop, at most; further callers wait for room.
const COMMANDS_QUEUED: usize = 256;

/// Arrivals of peers that a reader may fall behind by.
const ARRIVALS_BUFFERED: usize = 256;

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
        let traffic = Traffic::default();
        let (metrics, registry) = Metrics::new(&traffic, behaviour.streams.refused());
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
            bootstrap: Bootstrap::new(settings.bootstrap),
            commands: command_queue,
            inbound,
            arrivals: arrivals.clone(),
            routable,
            rejoin,
            connects: Connects::default(),
            lookups: Lookups::default(),
            peers: Peers::default(),
            metrics,
        };
        early.into_iter().for_each(|event| event_loop.hear(event));
        let lookup_requests = event_loop.metrics.lookup_requests.clone();
        settings
            .known
            .iter()
            .for_each(|known| event_loop.dial_quietly(in_passing(known)));
        tokio::spawn(event_loop.run());
        Ok(Self {
            local,
            commands,
            arrivals,
            routable: routable_now,
            traffic,
            lookup_requests,
            metrics: Arc::new(registry),
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
