//! A peer with an id of its own that is connected to one node and writes any bytes.

use futures::{StreamExt, channel::oneshot};
use libp2p::{Multiaddr, PeerId, Swarm, identity::Keypair, swarm::SwarmEvent};
use pelago::Hash;
use pelago_behaviour::{
    Behaviour, Config, Connections, Event, OwnIdCallers, OwnKeys, PrivateNetwork, Protocol,
    Protocols,
    availability::Request,
    record_key,
    streams::{Inbound, Outbound, Reply},
    swarm_config, transport,
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Duration, timeout},
};

/// Memory that the attacker's own connections may take, in bytes.
const BUDGET: u64 = 64 << 20;

/// How long a connection or a stream may take to come about.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the swarm is to do.
enum Order {
    Open(Protocol, Reply),
    Announce(Hash),
}

/// The connection. It ends when this is dropped.
pub(crate) struct Client {
    local: PeerId,
    node: PeerId,
    orders: mpsc::Sender<Order>,
    /// Streams that the node opens.
    pub(crate) inbound: mpsc::Receiver<Inbound>,
    swarm: JoinHandle<()>,
}

impl Client {
    /// None if the node does not let it in.
    pub(crate) async fn dial(network: &str, port: u16) -> Option<Self> {
        let mut swarm = swarm(network)?;
        let local = *swarm.local_peer_id();
        let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().ok()?;
        swarm.dial(address).ok()?;
        let connected = async {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { peer_id, .. } => return Some(peer_id),
                    SwarmEvent::OutgoingConnectionError { .. } => return None,
                    _ => {}
                }
            }
        };
        let node = timeout(PATIENCE, connected).await.ok()??;
        let (orders, mut ordered) = mpsc::channel(8);
        let (arrived, inbound) = mpsc::channel(8);
        let run = async move {
            loop {
                tokio::select! {
                    Some(order) = ordered.recv() => match order {
                        Order::Open(protocol, reply) => {
                            swarm.behaviour_mut().streams.open(node, protocol, reply);
                        }
                        Order::Announce(hash) => announce(&mut swarm, &hash),
                    },
                    event = swarm.select_next_some() => {
                        if let SwarmEvent::Behaviour(Event::Stream(stream)) = event {
                            // One too many is reset.
                            let _ = arrived.try_send(stream.inbound);
                        }
                    }
                }
            }
        };
        Some(Self {
            local,
            node,
            orders,
            inbound,
            swarm: tokio::spawn(run),
        })
    }

    pub(crate) const fn ids(&self) -> (PeerId, PeerId) {
        (self.local, self.node)
    }

    /// The question what the node has of `hash`, with the proof that this peer has the hash.
    pub(crate) fn question(&self, hash: &Hash) -> Request {
        Request::new(hash, &self.local, &self.node)
    }

    /// None if the node does not take the stream, or has ended the connection.
    pub(crate) async fn open(&self, protocol: Protocol) -> Option<Outbound> {
        let (reply, stream) = oneshot::channel();
        self.orders.send(Order::Open(protocol, reply)).await.ok()?;
        timeout(PATIENCE, stream).await.ok()?.ok()?.ok()
    }

    /// Has the node keep a provider record.
    pub(crate) async fn announce(&self, hash: Hash) -> Option<()> {
        self.orders.send(Order::Announce(hash)).await.ok()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}

fn announce(swarm: &mut Swarm<Behaviour>, hash: &Hash) {
    // With too many queries under way it is passed over.
    let _ = swarm.behaviour_mut().kad.start_providing(record_key(hash));
}

fn swarm(network: &str) -> Option<Swarm<Behaviour>> {
    let key = Keypair::generate_ed25519();
    let config = Config {
        protocols: Protocols::new(network).ok()?,
        node_name: "stranger".to_owned(),
        is_server: true,
        mdns: false,
        replication: 20.try_into().ok()?,
        private: PrivateNetwork::default(),
        memory_budget: BUDGET,
    };
    let transport = transport(
        &key,
        &OwnIdCallers::default(),
        &Connections::new(BUDGET),
        &PrivateNetwork::default(),
    )
    .ok()?;
    let behaviour = Behaviour::new(&key, OwnKeys::default(), &config);
    let local = key.public().to_peer_id();
    let config = swarm_config(Duration::from_secs(60));
    Some(Swarm::new(transport, behaviour, local, config))
}
