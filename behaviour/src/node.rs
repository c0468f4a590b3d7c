//! The behaviour of a node: all protocols together, with their limits.

use std::{convert::Infallible, num::NonZeroUsize, time::Duration};

use libp2p::{
    PeerId, identify, identity, kad, mdns, ping, relay,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};

use crate::{
    Dht, Lan, PrivateNetwork, Protocols, dial,
    providers::{OwnKeys, ProviderStore},
    reach::{self, Members, Punch, PunchEvent, Relay},
    streams,
};

/// Pause between two pings of a connection. libp2p reports the second failure in a row, so that a
/// dead connection is noticed after two pauses and two time-outs, 30 s, at the latest.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// How long the answer to a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection on which a ping failed is dead if no bytes moved on it for this long: since the
/// ping before that one, which failed as well.
pub const DEAD_SILENCE: Duration = PING_INTERVAL.saturating_add(PING_TIMEOUT);

/// Longest name of a node that is sent to peers, in bytes.
const MAX_NODE_NAME: usize = 64;

/// The configuration of a node's behaviour.
#[derive(Clone, Debug)]
pub struct Config {
    /// The names of the protocols.
    pub protocols: Protocols,
    /// The node's name, for people. Neither unique nor verified.
    pub node_name: String,
    /// Whether the node answers Kademlia queries. Nodes that run only briefly do not.
    pub is_server: bool,
    /// Whether to look for peers on the local network.
    pub mdns: bool,
    /// Nodes that keep each provider record. Kademlia's k: 20.
    pub replication: NonZeroUsize,
    /// The private network of the node. The transport has the same one.
    pub private: PrivateNetwork,
    /// Memory that connections may take, in bytes. The transport enforces it:
    /// [`Connections`](crate::Connections).
    pub memory_budget: u64,
}

/// All protocols of a node.
#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "Event")]
pub struct Behaviour {
    /// Exchanges ids, names and addresses with peers.
    pub identify: identify::Behaviour,
    /// Checks that peers respond, and measures the round trip.
    pub ping: ping::Behaviour,
    /// Finds peers on the local network.
    pub lan: Toggle<Lan>,
    // Before all that supply addresses.
    /// Decides at which addresses peers are dialed.
    pub dial: dial::Behaviour,
    /// Finds providers of content in the DHT.
    pub kad: Dht,
    /// Reserves places at relays, and opens circuits.
    pub circuits: Toggle<relay::client::Behaviour>,
    /// Carries circuits for others.
    pub relay: Relay,
    /// Turns circuits into direct connections.
    pub punch: Punch,
    /// The protocols by which content moves.
    pub streams: streams::Behaviour,
}

/// Events of a node's behaviour.
#[derive(Debug)]
pub enum Event {
    /// A peer identified itself.
    Identify(Box<identify::Event>),
    /// A peer answered a ping, or did not.
    Ping(ping::Event),
    /// Peers appeared on the local network, or disappeared.
    Mdns(mdns::Event),
    /// A query of ours advanced, or the routing table changed.
    Kad(Box<kad::Event>),
    /// A relay took a reservation, or a circuit was opened.
    Circuit(relay::client::Event),
    /// This node took a reservation, or carries a circuit.
    Relay(Box<relay::Event>),
    /// An attempt at a direct connection has ended.
    Punch(PunchEvent),
    /// A peer opened a stream of one of our protocols.
    Stream(Box<streams::Event>),
}

impl From<Infallible> for Event {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<identify::Event> for Event {
    fn from(event: identify::Event) -> Self {
        Self::Identify(Box::new(event))
    }
}

impl From<ping::Event> for Event {
    fn from(event: ping::Event) -> Self {
        Self::Ping(event)
    }
}

impl From<mdns::Event> for Event {
    fn from(event: mdns::Event) -> Self {
        Self::Mdns(event)
    }
}

impl From<kad::Event> for Event {
    fn from(event: kad::Event) -> Self {
        Self::Kad(Box::new(event))
    }
}

impl From<relay::client::Event> for Event {
    fn from(event: relay::client::Event) -> Self {
        Self::Circuit(event)
    }
}

impl From<relay::Event> for Event {
    fn from(event: relay::Event) -> Self {
        Self::Relay(Box::new(event))
    }
}

impl From<PunchEvent> for Event {
    fn from(event: PunchEvent) -> Self {
        Self::Punch(event)
    }
}

impl From<streams::Event> for Event {
    fn from(event: streams::Event) -> Self {
        Self::Stream(Box::new(event))
    }
}

impl Behaviour {
    /// The behaviour of the node with `keypair`, which provides `own`, without relays.
    ///
    /// If mDNS fails, the failure is logged and mDNS retried: a node is useful without it.
    #[must_use]
    pub fn new(keypair: &identity::Keypair, own: OwnKeys, config: &Config) -> Self {
        let local = keypair.public().to_peer_id();
        let identify = identify::Config::new(config.protocols.identify().into(), keypair.public())
            .with_agent_version(agent_version(&config.node_name))
            .with_push_listen_addr_updates(true)
            // It only ever adds addresses; `dial` keeps them.
            .with_cache_size(0);
        let dialer = dial::Dialer::new(local, config.private.outsiders().clone());
        let ping = ping::Config::new()
            .with_interval(PING_INTERVAL)
            .with_timeout(PING_TIMEOUT);
        Self {
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping),
            lan: config.mdns.then(|| Lan::new(local)).into(),
            kad: Dht::new(local, kademlia(local, own, config), dialer.clone()),
            circuits: None.into(),
            relay: reach::relay::new(local, &Members::default()),
            punch: Punch::new(local, dialer.clone()),
            dial: dial::Behaviour::new(dialer),
            streams: streams::Behaviour::new(config.protocols.clone()),
        }
    }

    /// This behaviour with `circuits`, which belong to its transport. The node may become a relay,
    /// for `members` alone.
    #[must_use]
    pub fn with_circuits(self, circuits: relay::client::Behaviour, members: &Members) -> Self {
        let local = self.punch.local();
        Self {
            circuits: Some(circuits).into(),
            relay: reach::relay::new(local, members),
            ..self
        }
    }
}

fn kademlia(local: PeerId, own: OwnKeys, config: &Config) -> kad::Behaviour<ProviderStore> {
    let mut kad_config = kad::Config::new(config.protocols.kad().clone());
    kad_config
        .set_replication_factor(config.replication)
        // The publish plan decides what is announced when.
        .set_provider_publication_interval(None)
        .set_publication_interval(None)
        .set_replication_interval(None)
        .set_query_timeout(Duration::from_secs(30));
    let store = ProviderStore::new(local, own);
    let mut kad = kad::Behaviour::with_config(local, store, kad_config);
    kad.set_mode(Some(if config.is_server {
        kad::Mode::Server
    } else {
        kad::Mode::Client
    }));
    kad
}

/// The agent version that identify sends: the program, its version and the node's name.
#[must_use]
pub fn agent_version(node_name: &str) -> String {
    let end = node_name.floor_char_boundary(MAX_NODE_NAME);
    format!("pelago/{} {}", env!("CARGO_PKG_VERSION"), &node_name[..end])
}

/// The node's name in a peer's agent version, if the peer is a Pelago node. Untrusted.
#[must_use]
pub fn name_from_agent(agent_version: &str) -> Option<&str> {
    let (_, name) = agent_version.strip_prefix("pelago/")?.split_once(' ')?;
    let end = name.floor_char_boundary(MAX_NODE_NAME);
    Some(&name[..end]).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_again_in_the_agent_version() {
        assert_eq!(
            name_from_agent(&agent_version("sea shell")),
            Some("sea shell")
        );
        assert_eq!(name_from_agent("kubo/0.39 x"), None);
        assert_eq!(name_from_agent(&agent_version("")), None);
        assert_eq!(
            name_from_agent(&agent_version(&"ä".repeat(50))).map(str::len),
            Some(64)
        );
    }
}
