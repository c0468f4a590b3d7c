//! How a node behind a router is reached: through relays, and by punching holes.
//!
//! Owns the libraries' behaviours, and what they may do here. `relay.rs` bounds what this node
//! carries for others; `punch.rs` decides at which addresses two nodes try to meet. The owner of
//! the swarm decides which relays are asked and whether this node is one.

mod punch;
pub(crate) mod relay;

pub use punch::{Punch, PunchEvent};
pub use relay::{MAX_CIRCUITS, MAX_RESERVATIONS, Members, Relay};
