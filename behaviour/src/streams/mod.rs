//! Streams of our own protocols between connected peers: opens, accepts and counts them.
//!
//! The swarm task only hands streams over. Their bytes are read and written by the task that
//! requested or received the stream, so that neither hashing nor disk can hold up a connection. A
//! stream that cannot be opened is reported to the caller ([`OpenError`]); an inbound stream
//! beyond the limit is reset.

mod behaviour;
mod handler;
mod peer_stream;

pub use behaviour::{Behaviour, Event};
pub use handler::{Accepted, Inbound, OpenError, Reply};
pub use peer_stream::{Outbound, PeerStream};

/// Streams of our protocols that one connection may have open towards this node at a time. An
/// honest node opens one chunk stream and one availability stream for each download, and one
/// catalogue stream.
pub const MAX_INBOUND_STREAMS: usize = 32;

/// Streams of ours that may wait for negotiation on one connection at a time.
pub const MAX_PENDING_STREAMS: usize = 32;
