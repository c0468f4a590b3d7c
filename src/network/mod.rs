//! The network room: sole owner of the swarm.
//!
//! One event loop drives the swarm; everyone else holds a [`Network`] handle, asks over a bounded
//! channel and awaits the reply. Every call ends: with a value, an error, a time-out of the
//! transport, or [`Closed`] when the node has shut down. The loop itself never awaits disk, hashing or
//! a full queue: what cannot be passed on at once is dropped and counted as the peer's loss.

mod address;
mod command;
mod connection_metrics;
mod connections;
mod connects;
mod discovery;
mod event_loop;
mod handle;
mod identity_clash;
mod listening;
mod lookups;
mod metrics;
mod outgoing;
mod peers;
mod reach;
mod redial;
mod routing;
mod start;
#[cfg(test)]
pub(crate) mod testing;
mod traffic;

pub use address::{InvalidAddress, PeerAddress};
pub use discovery::{Candidate, Discovery, Found, Pace, steady};

pub use handle::{AnnounceError, Closed, ConnectError, Network, StreamError};
pub use identity_clash::IdentityClash;
pub use outgoing::{Outgoing, Permit, Wanted};
pub use peers::Peer;
pub use reach::Reach;
pub use start::{Settings, StartError, TransportKind};
pub use traffic::Traffic;
