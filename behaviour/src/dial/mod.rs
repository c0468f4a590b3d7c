//! The only place that decides which addresses are dialed, and how often.
//!
//! Owns the known addresses of peers, the policy for addresses, and the accounts of failed dials.
//! Every dial of the swarm passes through it: behaviours dial peers without naming addresses, and
//! addresses in a dial of the program are judged by their namer. Refused addresses are left out; a
//! dial that contains one fails with a [`Refusal`]. Never dials by itself.

mod behaviour;
mod budget;
mod contacts;
mod named_addresses;
mod planner;
mod policy;
mod subnets;

pub use behaviour::{Behaviour, Dialer};
pub use policy::{MAX_ADDRESS_BYTES, NamedBy, Namer, Refusal, check, is_vouched};
pub use subnets::Subnets;
