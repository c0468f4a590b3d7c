//! The network module: sole owner of the swarm.
//!
//! One event loop drives the swarm; all other modules hold a [`Network`] handle, send commands
//! over a bounded channel and await the reply. Every call ends with a value, an error, a time-out
//! of the transport, or [`Closed`] after a shutdown. The loop itself never awaits disk, hashing or
//! a full queue: what it cannot pass on immediately is dropped, and counted.

mod address;
mod candidate;
mod command;
mod connection_metrics;
mod connections;
mod dht_queries;
mod discovery;
mod errors;
mod event_loop;
mod handle;
mod identity_clash;
mod listen_addresses;
mod metrics;
mod outgoing;
mod peers;
mod pending_connects;
mod reach;
mod reachability;
mod redial;
mod routing;
mod settling;
mod start;
#[cfg(test)]
pub(crate) mod testing;
mod traffic;

pub use address::{InvalidAddress, PeerAddress};
pub use candidate::{Candidate, FoundBy};
pub use discovery::{Discovery, LookupPace, Members, steady_pace};
pub use errors::{AnnounceError, Closed, ConnectError, StreamError};
pub use handle::Network;
pub use identity_clash::IdentityClash;
pub use outgoing::{Outgoing, OutgoingPermit, StreamDemand};
pub use peers::{Peer, Way};
pub use reach::{NatKind, OwnAddress, Reach, ReachReport, ReachState, RelayService};
pub use redial::UnreachedNode;
pub use settling::Settling;
pub use start::{NetworkSettings, StartError, TransportKind};
pub use traffic::{MovedBytes, Traffic};
