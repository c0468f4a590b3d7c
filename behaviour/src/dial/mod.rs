//! The one place that decides which addresses are dialed, and how often.
//!
//! Owns the known addresses of peers, the policy by which an address is dialed, and the accounts of
//! dials in vain. Every dial of the swarm passes through it: behaviours dial peers without naming addresses,
//! and the addresses that a dial of the program brings along are judged by who named them. A refused address
//! is left out; a dial that brings one along fails with a [`Refusal`]. Never dials by itself.

mod behaviour;
mod budget;
mod named_addresses;
mod planner;
mod policy;
mod subnets;

pub use behaviour::{Behaviour, Dialer};
pub use policy::{MAX_ADDRESS_BYTES, NamedBy, Namer, Refusal, check, is_vouched};
pub use subnets::Subnets;
