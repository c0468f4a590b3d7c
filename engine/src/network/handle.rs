//! The handle by which all other modules reach the network.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::channel::oneshot as stream_reply;
use libp2p::{Multiaddr, PeerId};
use pelago_behaviour::Protocol;
use pelago_content::Hash;
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    time::sleep,
};

use super::{
    AnnounceError, Candidate, Closed, ConnectError, IdentityClash, Peer, PeerAddress, ReachReport,
    StreamError, Traffic, UnreachedNode,
    command::Command,
    outgoing::{Outgoing, OutgoingStreams},
};

/// Providers that one query buffers for its reader.
const PROVIDERS_BUFFERED: usize = 64;

/// The longest time for which nodes are dialed that a command named.
const MAX_PATIENCE: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long a candidate waits for earlier dials on behalf of the same peer to end, and the pause
/// between two attempts. A dial ends after 10 s at the latest.
const LATER_PATIENCE: Duration = Duration::from_secs(20);
const LATER_PAUSE: Duration = Duration::from_millis(500);

/// A handle to the node's network. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    pub(super) local: PeerId,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) arrivals: broadcast::Sender<PeerId>,
    pub(super) departures: watch::Receiver<u64>,
    pub(super) routable: watch::Receiver<usize>,
    pub(super) clash: watch::Receiver<Option<IdentityClash>>,
    pub(super) reach: watch::Receiver<ReachReport>,
    pub(super) traffic: Traffic,
    pub(super) outgoing: OutgoingStreams,
    pub(super) lookup_requests: Counter,
    pub(super) metrics: Arc<Registry>,
}

impl Network {
    /// This node's id.
    #[must_use]
    pub fn local_peer_id(&self) -> PeerId {
        self.local
    }

    /// Content bytes by peer. Modules that move content count it here.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The metrics of this module.
    #[must_use]
    pub fn metrics(&self) -> &Registry {
        &self.metrics
    }

    /// The ids of peers of this network as they connect and identify themselves. A receiver that
    /// falls behind misses some.
    #[must_use]
    pub fn arrivals(&self) -> broadcast::Receiver<PeerId> {
        self.arrivals.subscribe()
    }

    /// A number that changes when a peer is no longer connected.
    #[must_use]
    pub fn departures(&self) -> watch::Receiver<u64> {
        self.departures.clone()
    }

    /// How many nodes of the DHT are known.
    #[must_use]
    pub fn routable(&self) -> watch::Receiver<usize> {
        self.routable.clone()
    }

    /// How others reach this node. Changes are sent to the receiver.
    #[must_use]
    pub fn reachability(&self) -> watch::Receiver<ReachReport> {
        self.reach.clone()
    }

    /// How many requests this node has sent in the DHT to find providers.
    #[must_use]
    pub fn lookup_requests(&self) -> u64 {
        self.lookup_requests.get()
    }

    /// Connects to `peer`, at `addresses` or at those that are known; returns immediately if
    /// connected.
    ///
    /// # Errors
    /// See [`ConnectError`]. Ends after the transport's time-out (10 s) at the latest.
    pub async fn connect(
        &self,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
    ) -> Result<PeerId, ConnectError> {
        let names_us = peer == Some(self.local);
        if names_us && addresses.iter().all(Multiaddr::is_empty) {
            return Err(ConnectError::Ourselves);
        }
        // Whether our id at some address is this node shows when the address is dialed.
        let peer = peer.filter(|_| !names_us);
        let command = |reply| Command::Connect {
            peer,
            addresses,
            named_by: None,
            reply,
        };
        self.ask(command).await?
    }

    /// Connects to `candidate`. A candidate that a peer named waits while too many dials on behalf
    /// of that peer are running.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn reach(&self, candidate: Candidate) -> Result<PeerId, ConnectError> {
        if candidate.named_by.is_none() {
            return self.connect(candidate.peer, candidate.addresses).await;
        }
        let until = Instant::now() + LATER_PATIENCE;
        loop {
            let command = |reply| Command::Connect {
                peer: candidate.peer,
                addresses: candidate.addresses.clone(),
                named_by: candidate.named_by,
                reply,
            };
            match self.ask(command).await? {
                Err(ConnectError::Later) if Instant::now() < until => sleep(LATER_PAUSE).await,
                connected => return connected,
            }
        }
    }

    /// Dials `nodes` repeatedly until each was reached, for as long as `patience`.
    pub async fn join(&self, nodes: Vec<PeerAddress>, patience: Duration) {
        // Times beyond the range of the clock become a year.
        let now = Instant::now();
        let until = now.checked_add(patience).unwrap_or(now + MAX_PATIENCE);
        // After a shutdown there is nothing left to join.
        let _ = self.commands.send(Command::Join { nodes, until }).await;
    }

    /// Another node with this node's identity, if one was noticed.
    #[must_use]
    pub fn identity_clash(&self) -> Option<IdentityClash> {
        self.clash.borrow().clone()
    }

    /// Opens a stream of `protocol` to a connected peer, once fewer are open than the peer
    /// accepts.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub async fn open(&self, peer: PeerId, protocol: Protocol) -> Result<Outgoing, StreamError> {
        let permit = self.outgoing.enter(peer, protocol).await;
        let permit = permit.ok_or(StreamError::ConnectionClosed)?;
        let (reply, answer) = stream_reply::channel();
        let command = Command::Open {
            peer,
            protocol,
            reply,
        };
        self.commands
            .send(command)
            .await
            .map_err(|_| StreamError::ConnectionClosed)?;
        let stream = answer.await.map_err(|_| StreamError::ConnectionClosed)??;
        Ok(stream.holding(permit))
    }

    /// Finds the providers of `hash` in the DHT. The channel ends with the query; dropping the
    /// receiver ends the query. The network already connects to the providers it finds.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn find_providers(&self, hash: Hash) -> Result<mpsc::Receiver<PeerId>, Closed> {
        let (found, providers) = mpsc::channel(PROVIDERS_BUFFERED);
        let command = Command::FindProviders { hash, found };
        self.commands.send(command).await.map_err(|_| Closed)?;
        Ok(providers)
    }

    /// Connects to `peer` at addresses that are known, or that nodes of the DHT close to it name.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn seek(&self, peer: PeerId, known: Vec<Multiaddr>) -> Result<PeerId, ConnectError> {
        if let Ok(connected) = self.connect(Some(peer), known).await {
            return Ok(connected);
        }
        self.ask(|reply| Command::FindPeer { peer, reply }).await?;
        self.connect(Some(peer), Vec::new()).await
    }

    /// Announces in the DHT that this node provides `hash`; returns how many nodes keep the
    /// record.
    ///
    /// # Errors
    /// See [`AnnounceError`].
    pub async fn announce(&self, hash: Hash) -> Result<u32, AnnounceError> {
        self.ask(|reply| Command::Announce { hash, reply }).await?
    }

    /// The connected peers.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn peers(&self) -> Result<Vec<Peer>, Closed> {
        self.ask(|reply| Command::Peers { reply }).await
    }

    /// The state of `peer`, if it is connected. Its cost does not depend on the number of peers.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn peer(&self, peer: PeerId) -> Result<Option<Peer>, Closed> {
        self.ask(|reply| Command::Peer { peer, reply }).await
    }

    /// The bootstrap nodes that are not reached, each with the reason.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn unreached(&self) -> Result<Vec<UnreachedNode>, Closed> {
        self.ask(|reply| Command::Unreached { reply }).await
    }

    /// Whether each node that was named or is known was dialed once, each connected peer has
    /// introduced itself, and no look-up is under way.
    ///
    /// # Errors
    /// [`Closed`].
    pub(super) async fn is_quiet(&self) -> Result<bool, Closed> {
        self.ask(|reply| Command::IsQuiet { reply }).await
    }

    /// The addresses at which this node listens, without its id.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn listen_addresses(&self) -> Result<Vec<Multiaddr>, Closed> {
        self.ask(|reply| Command::ListenAddresses { reply }).await
    }

    /// Closes the connections to `peer`. Its addresses stay known.
    pub async fn leave(&self, peer: PeerId) {
        // An error means that the network has shut down already.
        let _ = self.commands.send(Command::Leave { peer }).await;
    }

    /// Closes connections whose peers would not notice that this process ends.
    pub async fn disconnect(&self) {
        // An error means that the network has shut down already.
        let _ = self.ask(|reply| Command::Disconnect { reply }).await;
    }

    /// Closes all connections and ends the event loop.
    pub async fn shutdown(&self) {
        // An error means that the network has shut down already.
        let _ = self.ask(|reply| Command::Shutdown { reply }).await;
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Closed> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use libp2p::multiaddr;
    use pelago_behaviour::streams::OpenError;
    use tokio::{
        io::copy_bidirectional,
        net::{TcpListener, TcpStream},
        sync::Notify,
        time::timeout,
    };

    use super::*;
    use crate::{
        duties::Duties,
        network::{NetworkSettings, TransportKind, testing},
    };

    async fn network() -> Network {
        testing::network(&Duties::default()).await
    }

    #[tokio::test]
    async fn a_panic_of_the_event_loop_ends_no_more_than_what_was_under_way() {
        let network = network().await;
        network.commands.send(Command::Panic).await.unwrap();
        // The call waits for the restart.
        assert_eq!(network.peers().await, Ok(Vec::new()));
        network.shutdown().await;
        assert_eq!(network.peers().await, Err(Closed));
    }

    #[tokio::test]
    async fn calls_that_cannot_succeed_end_with_the_reason() {
        let network = network().await;
        let (stranger, hash) = (PeerId::random(), Hash::from_bytes([1; 32]));
        let nowhere = vec!["/memory/1".parse().unwrap()];
        assert!(matches!(
            network.connect(Some(stranger), nowhere).await,
            Err(ConnectError::Failed(_))
        ));
        assert!(matches!(
            network.connect(Some(stranger), Vec::new()).await,
            Err(ConnectError::Failed(_))
        ));
        let ourselves = network.connect(Some(network.local_peer_id()), Vec::new());
        assert!(matches!(ourselves.await, Err(ConnectError::Ourselves)));
        assert!(matches!(
            network.open(stranger, Protocol::Chunk).await,
            Err(StreamError::Open(OpenError::NotConnected))
        ));
        assert!(matches!(
            network.announce(hash).await,
            Err(AnnounceError::Alone)
        ));
        let mut providers = network.find_providers(hash).await.unwrap();
        assert_eq!(providers.recv().await, None);
    }

    /// ```text
    ///   first --- hub --- second      the first one knows the id of the second alone
    /// ```
    #[tokio::test]
    async fn a_peer_is_found_by_its_id() {
        let duties = [(); 3].map(|()| Duties::default());
        let (first, hub, second) = (
            testing::listening(&duties[0]).await,
            testing::listening(&duties[1]).await,
            testing::listening(&duties[2]).await,
        );
        let is_known = async |network: &Network, count: usize| {
            let mut routable = network.routable();
            routable.wait_for(|known| *known >= count).await.map(drop)
        };
        let address = hub.listen_addresses().await.unwrap();
        second.connect(None, address.clone()).await.unwrap();
        is_known(&hub, 1).await.unwrap();
        first.connect(None, address).await.unwrap();
        is_known(&first, 1).await.unwrap();
        let id = second.local_peer_id();
        assert_eq!(first.seek(id, Vec::new()).await.unwrap(), id);
        let stranger = PeerId::random();
        assert!(matches!(
            first.seek(stranger, Vec::new()).await,
            Err(ConnectError::Failed(_))
        ));
    }

    /// ```text
    ///   network --- proxy, which stops to pass bytes on for the first connection --- other
    /// ```
    #[tokio::test]
    async fn a_peer_whose_connection_dies_silently_is_dialed_again() {
        let duties = [(); 2].map(|()| Duties::default());
        let lasting = NetworkSettings {
            transport: TransportKind::Internet,
            idle_timeout: Duration::from_secs(300),
            ..testing::settings()
        };
        let network = testing::network_with(&duties[0], lasting.clone()).await;
        let other = NetworkSettings {
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            ..lasting
        };
        let other = testing::network_with(&duties[1], other).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let listens = other.listen_addresses().await.unwrap();
        let other_port = listens[0].iter().find_map(|part| match part {
            multiaddr::Protocol::Tcp(port) => Some(port),
            _ => None,
        });
        let target = ("127.0.0.1", other_port.unwrap());
        let frozen = Arc::new(Notify::new());
        let freeze = Arc::clone(&frozen);
        let proxy = tokio::spawn(async move {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(target).await.unwrap();
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                () = freeze.notified() => {}
            }
            drop(listener);
            // Both ends stay open, and hear nothing.
            std::future::pending::<()>().await;
        });

        let mut arrivals = network.arrivals();
        let mut departures = network.departures();
        let address = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
        let id = other.local_peer_id();
        assert_eq!(network.connect(None, vec![address]).await.unwrap(), id);
        assert_eq!(arrivals.recv().await.unwrap(), id);
        frozen.notify_one();
        let story = async {
            departures.changed().await.unwrap();
            // At the address at which it reports to listen.
            assert_eq!(arrivals.recv().await.unwrap(), id);
        };
        timeout(Duration::from_secs(90), story).await.unwrap();
        proxy.abort();
    }

    #[tokio::test]
    async fn every_call_ends_when_the_node_has_shut_down() {
        let network = network().await;
        network.shutdown().await;
        let hash = Hash::from_bytes([1; 32]);
        assert_eq!(network.peers().await, Err(Closed));
        assert_eq!(network.peer(PeerId::random()).await, Err(Closed));
        assert_eq!(network.listen_addresses().await, Err(Closed));
        assert!(network.find_providers(hash).await.is_err());
        assert!(matches!(
            network.announce(hash).await,
            Err(AnnounceError::Closed(_))
        ));
        assert!(matches!(
            network.connect(Some(PeerId::random()), Vec::new()).await,
            Err(ConnectError::Closed(_))
        ));
        assert!(
            network
                .open(PeerId::random(), Protocol::Chunk)
                .await
                .is_err()
        );
        network.shutdown().await;
    }
}
