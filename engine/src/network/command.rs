//! The commands of the event loop, each with the channel for its answer.

use std::time::Instant;

use libp2p::{Multiaddr, PeerId};
use pelago_behaviour::{Protocol, streams};
use pelago_content::Hash;
use tokio::sync::{mpsc, oneshot};

use super::{AnnounceError, ConnectError, Peer, PeerAddress, redial::UnreachedNode};

pub(super) enum Command {
    /// Connect to a peer that is known by id, by addresses, or both.
    Connect {
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        /// The peer that named the addresses; `None` if a person did.
        named_by: Option<PeerId>,
        reply: oneshot::Sender<Result<PeerId, ConnectError>>,
    },
    /// Dial these nodes until they are reached, for as long as a command waits for them.
    Join {
        nodes: Vec<PeerAddress>,
        until: Instant,
    },
    /// Open a stream to a connected peer.
    Open {
        peer: PeerId,
        protocol: Protocol,
        reply: streams::Reply,
    },
    /// Find the providers of a hash in the DHT, until the query ends or the receiver is dropped.
    FindProviders {
        hash: Hash,
        found: mpsc::Sender<PeerId>,
    },
    /// Ask the nodes of the DHT that are closest to a peer for its addresses.
    FindPeer {
        peer: PeerId,
        /// Gets a reply at the end.
        reply: oneshot::Sender<()>,
    },
    /// Announce in the DHT that this node provides a hash. The answer is the number of nodes that
    /// keep the record.
    Announce {
        hash: Hash,
        reply: oneshot::Sender<Result<u32, AnnounceError>>,
    },
    /// List the connected peers.
    Peers { reply: oneshot::Sender<Vec<Peer>> },
    /// Look up one connected peer.
    Peer {
        peer: PeerId,
        reply: oneshot::Sender<Option<Peer>>,
    },
    /// List the bootstrap nodes that are not reached.
    Unreached {
        reply: oneshot::Sender<Vec<UnreachedNode>>,
    },
    /// Say whether nothing is under way that may lead to further peers.
    IsQuiet { reply: oneshot::Sender<bool> },
    /// List the addresses at which this node listens.
    ListenAddresses {
        reply: oneshot::Sender<Vec<Multiaddr>>,
    },
    /// Panic, as a defect would.
    /// Close the connections to a peer.
    Leave { peer: PeerId },
    #[cfg(test)]
    Panic,
    /// Close connections whose peers would not notice that this process ends.
    Disconnect { reply: oneshot::Sender<()> },
    /// Close all connections and end.
    Shutdown { reply: oneshot::Sender<()> },
}
