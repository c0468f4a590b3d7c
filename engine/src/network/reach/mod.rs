//! How others reach this node. Pure: events and the time go in, decisions come out; the event loop
//! carries them out (`reachability.rs`).
//!
//! `own_addresses.rs` knows which addresses of this node others have used, `relays.rs` at which
//! relays it reserves (`relay_service.rs`: whether it is one), and `report.rs` what people see of both. `scope.rs` judges one address.

mod own_addresses;
mod relay_service;
mod relays;
mod report;
mod scope;

pub(super) use own_addresses::OwnAddresses;
pub use relay_service::RelayService;
pub(super) use relays::Relays;
pub use report::{NatKind, OwnAddress, ReachReport, ReachState};
pub use scope::Reach;
