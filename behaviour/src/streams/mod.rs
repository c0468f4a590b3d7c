//! Streams of our own protocols between connected peers: who may open how many, and nothing else.
//!
//! The swarm task only hands streams over: the bytes on them are read and written by whoever asked
//! for the stream or receives it, so that neither hashing nor disk can hold up a connection.
//! A stream that cannot be opened is reported to the one who asked ([`OpenError`]); an inbound stream
//! past its limit is reset.

mod behaviour;
mod handler;
mod peer_stream;

pub use behaviour::{Behaviour, Event};
pub use handler::{Accepted, Inbound, OpenError, Reply};
pub use peer_stream::{Outbound, PeerStream};

/// Streams of our protocols that one connection may have open towards us at a time. An honest node
/// opens one chunk stream and one availability stream a download, and one catalogue stream.
pub const MAX_INBOUND_STREAMS: usize = 32;

/// Streams that may be waiting for negotiation on one connection at a time, our side.
pub const MAX_PENDING_STREAMS: usize = 32;
