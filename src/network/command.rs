//! What the event loop can be asked for. Every command carries the way back for its answer.

use std::time::Instant;

use libp2p::{Multiaddr, PeerId};
use pelago_behaviour::{Protocol, streams};
use pelago_content::Hash;
use tokio::sync::{mpsc, oneshot};

use super::{AnnounceError, ConnectError, Peer, PeerAddress};

pub(super) enum Command {
    /// Be connected to a peer: known by id, by addresses, or both.
    Connect {
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        /// The peer that named the addresses; none: a person did.
        named_by: Option<PeerId>,
        reply: oneshot::Sender<Result<PeerId, ConnectError>>,
    },
    /// Dial these nodes, again and again until they are reached, for as long as somebody waits for that.
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
    /// Ask the DHT who provides a hash, until all is known or the receiver is gone.
    FindProviders {
        hash: Hash,
        found: mpsc::Sender<PeerId>,
    },
    /// Tell the DHT that we provide a hash. Answers how many nodes keep the record.
    Announce {
        hash: Hash,
        reply: oneshot::Sender<Result<u32, AnnounceError>>,
    },
    /// List the peers we are connected to.
    Peers { reply: oneshot::Sender<Vec<Peer>> },
    /// Look up one peer that we are connected to.
    Peer {
        peer: PeerId,
        reply: oneshot::Sender<Option<Peer>>,
    },
    /// List the addresses we can be reached at.
    ListenAddresses {
        reply: oneshot::Sender<Vec<Multiaddr>>,
    },
    /// Panic, as a defect would.
    #[cfg(test)]
    Panic,
    /// Close all connections and end.
    Shutdown { reply: oneshot::Sender<()> },
}
