//! Why operations of the network fail.

use pelago_behaviour::streams::OpenError;
use thiserror::Error;

/// The network has shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the node has shut down")]
pub struct Closed;

/// Why a connection to a peer could not be made.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The dial failed; the text says at which addresses and why.
    #[error("{0}")]
    Failed(String),
    /// The number of running dials to this host, or on behalf of the peer that named it, is at its
    /// limit.
    #[error(
        "too many dials to this host, or on behalf of the peer that named it, are running: try \
         again later"
    )]
    Later,
    /// The address leads to this node itself.
    #[error("the address is that of this node")]
    Ourselves,
    /// See [`Closed`].
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why an announcement did not reach any node.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum AnnounceError {
    /// The query took too long.
    #[error("the announcement reached no node in time")]
    TimedOut,
    /// This node knows no other node that could keep a record.
    #[error("no other node is known")]
    Alone,
    /// See [`Closed`].
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why a stream could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StreamError {
    /// See [`OpenError`].
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The connection or the node was closed meanwhile.
    #[error("the connection closed")]
    ConnectionClosed,
}
