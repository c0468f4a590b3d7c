//! Private networks: both ends of each connection prove that they have a key of the network before
//! either of them sends anything else, over every transport.

mod keys;
mod network;
mod outsiders;
mod prove;

pub use keys::{InvalidNetworkKey, NetworkKey, NetworkKeys, TooManyKeys};
pub use network::PrivateNetwork;
pub(crate) use outsiders::Outsiders;
pub(crate) use prove::Members;
