//! Limits connections: how many there may be, and what they may hold.
//!
//! [`Connections`] is the handle: transports are created with it, and it reports the state. Free
//! capacity is open to all. At the limit, a newcomer replaces the least useful connection of those
//! who have the most, counted by their [`Origin`](crate::Origin); so one address cannot keep
//! others out, and many nodes behind one address use what others do not need. `eviction.rs`
//! decides, without clock and sockets; `table.rs` and `permits.rs` keep account; `gate.rs` acts
//! around the upgrade of every transport, as a swarm can close only established connections.
//! Memory is the other budget: see [`Memory`](crate::memory::Memory).

mod activity;
mod admitted;
mod capacity;
mod connection_kind;
mod eviction;
mod gate;
mod history;
mod permits;
mod report;
mod table;

use std::sync::Arc;

pub(crate) use capacity::{ENCRYPTION_COST, QUIC_WINDOW};
pub(crate) use connection_kind::ConnectionKind;
pub(crate) use gate::Gate;
pub use report::ConnectionsReport;

use crate::memory::Memory;
use capacity::Capacity;
use permits::ConnectionPermits;

/// The connections of one node, with their limits. Clones share them.
#[derive(Clone, Debug)]
pub struct Connections {
    memory: Memory,
    permits: Arc<ConnectionPermits>,
}

impl Connections {
    /// Limits for a budget in bytes; all connections together stay below it.
    #[must_use]
    pub fn new(memory_budget: u64) -> Self {
        let capacity = Capacity::new(memory_budget);
        let memory = Memory::new(capacity.memory);
        Self {
            permits: Arc::new(ConnectionPermits::new(capacity, memory.clone())),
            memory,
        }
    }

    /// The present state.
    #[must_use]
    pub fn report(&self) -> ConnectionsReport {
        ConnectionsReport {
            held_bytes: self.memory.total(),
            closed_for_memory: self.memory.closed(),
            ..self.permits.report()
        }
    }

    pub(crate) const fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(crate) fn permits(&self) -> Arc<ConnectionPermits> {
        Arc::clone(&self.permits)
    }
}
