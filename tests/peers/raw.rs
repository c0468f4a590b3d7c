//! A peer that opens streams to a node, and writes and reads bytes directly.

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, channel::oneshot};
use libp2p::{
    Multiaddr, PeerId, Swarm,
    identity::Keypair,
    swarm::{DialError, SwarmEvent},
};
use pelago::{Hash, PeerAddress};
use pelago_behaviour::{
    Behaviour, Protocol,
    availability::Request,
    chunk::{self, Answer, Item},
    streams::{Outbound, Reply},
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    nodes::{Home, in_time},
    scripted::{swarm, swarm_of},
};

/// A connection to one node. Dropping this ends it.
pub(crate) struct Client {
    local: PeerId,
    node: PeerId,
    open: mpsc::Sender<(Protocol, Reply)>,
    swarm: JoinHandle<()>,
}

impl Client {
    pub(crate) async fn connect(home: &Home) -> Self {
        let address: PeerAddress = home.address().await;
        Self::connect_at(address.address().clone()).await
    }

    /// Connects to the node at an address.
    pub(crate) async fn connect_at(address: Multiaddr) -> Self {
        in_time(Self::dial(&address)).await.unwrap()
    }

    /// Connects to the node at `address`; fails if the node refuses.
    pub(crate) async fn dial(address: &Multiaddr) -> Result<Self, DialError> {
        Self::dial_by(swarm("raw"), address).await
    }

    /// Connects to the node as the peer with this key.
    pub(crate) async fn connect_as(key: &Keypair, home: &Home) -> Self {
        let address = home.address().await.address().clone();
        in_time(Self::dial_by(swarm_of(key), &address))
            .await
            .unwrap()
    }

    async fn dial_by(mut swarm: Swarm<Behaviour>, address: &Multiaddr) -> Result<Self, DialError> {
        let local = *swarm.local_peer_id();
        swarm.dial(address.clone()).unwrap();
        let node: PeerId = loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } => break peer_id,
                SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error),
                _ => {}
            }
        };
        let (open, mut requests) = mpsc::channel::<(Protocol, Reply)>(1);
        let run = async move {
            loop {
                tokio::select! {
                    Some((protocol, reply)) = requests.recv() => {
                        swarm.behaviour_mut().streams.open(node, protocol, reply);
                    }
                    _ = swarm.select_next_some() => {}
                }
            }
        };
        let swarm = tokio::spawn(run);
        Ok(Self {
            local,
            node,
            open,
            swarm,
        })
    }

    /// The id of this peer.
    pub(crate) const fn local(&self) -> PeerId {
        self.local
    }

    /// The request for the availability of `hash`, with the proof that this peer has the hash.
    pub(crate) fn question(&self, hash: &Hash) -> Request {
        Request::new(hash, &self.local, &self.node)
    }

    /// Opens a stream; `None` if the node has ended the connection.
    pub(crate) async fn try_open(&self, protocol: Protocol) -> Option<Outbound> {
        let (reply, stream) = oneshot::channel();
        self.open.send((protocol, reply)).await.ok()?;
        stream.await.ok()?.ok()
    }

    pub(crate) async fn open(&self, protocol: Protocol) -> Outbound {
        let (reply, stream) = oneshot::channel();
        self.open.send((protocol, reply)).await.unwrap();
        in_time(stream).await.unwrap().unwrap()
    }

    /// Requests one item on a new stream.
    pub(crate) async fn ask(&self, item: Item) -> (Answer, Vec<u8>) {
        let mut stream = self.open(Protocol::Chunk).await;
        ask_on(&mut stream, item).await
    }

    /// Sends `bytes` on a new stream and closes it. Returns all that the node sends until it ends
    /// the stream.
    pub(crate) async fn say(&self, protocol: Protocol, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.open(protocol).await;
        let mut received = Vec::new();
        // The node may end the stream before it has received all bytes.
        let _ = stream.write_all(bytes).await;
        let _ = stream.close().await;
        let _ = in_time(stream.read_to_end(&mut received)).await;
        received
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}

/// Requests one item, and reads the answer.
pub(crate) async fn ask_on(stream: &mut Outbound, item: Item) -> (Answer, Vec<u8>) {
    in_time(async {
        chunk::write_request(stream, &[item]).await.unwrap();
        let answer = chunk::read_answer(stream).await.unwrap();
        let mut data = Vec::new();
        if let Answer::Data { length, .. } = answer {
            chunk::read_data(stream, length, &mut data).await.unwrap();
        }
        (answer, data)
    })
    .await
}
