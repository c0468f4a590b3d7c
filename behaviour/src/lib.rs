//! The protocols between Pelago nodes: the composed [`Behaviour`], the [`transport()`], the stream
//! protocols with their codecs, and the store of provider records.
//!
//! This crate never touches a disk, knows no command line and owns no task: its users drive the
//! swarm and the streams. docs/PROTOCOL.md specifies the protocols.

mod addresses;
pub mod availability;
pub mod catalogue;
pub mod chunk;
mod connections;
mod dht;
pub mod dial;
mod frame;
pub mod group;
mod lan;
mod listen;
mod memory;
mod muxer;
mod node;
mod origin;
mod private;
mod protocols;
mod providers;
pub mod reach;
mod stall;
pub mod streams;
mod transport;

pub use addresses::MAX_ADDRESSES;
pub use connections::{Connections, ConnectionsReport};
pub use dht::Dht;
pub use frame::FrameError;
pub use lan::Lan;
pub use listen::try_listen;
pub use node::{Behaviour, Config, DEAD_SILENCE, Event, agent_version, name_from_agent};
pub use origin::{
    AddressScope, Origin, Prefix, ip_of, is_relayed, relay_of, remote_address, remote_of,
};
pub use private::{InvalidNetworkKey, NetworkKey, NetworkKeys, PrivateNetwork, TooManyKeys};
pub use protocols::{InvalidNetworkName, Protocol, Protocols};
pub use providers::{
    Announcer, MAX_BYTES as MAX_RECORD_BYTES, MAX_PROVIDERS_PER_KEY, MAX_RECORDS,
    MAX_RECORDS_PER_HOST, OwnKeys, ProviderStore, record_key,
};
pub use stall::{STALL_MIN_BYTES, Stall};
pub use transport::{
    OwnIdCallers, TlsSetupError, TransportError, memory_transport, swarm_config, transport,
    with_circuits,
};
