//! Which connections there may be, and what they may hold.
//!
//! [`Connections`] is the one handle: transports are made with it, and it says how things stand. What is free
//! is anybody's. When all permits are taken, a newcomer takes the place of the least useful connection of those
//! who have the most, counted by where they come from ([`Origin`](crate::Origin)); so one address cannot keep
//! others out, and many nodes behind one address fill what nobody else needs. `eviction.rs` decides, without
//! clock and sockets; `table.rs` and `permits.rs` keep account; `gate.rs` acts, around the upgrade of every transport, as a
//! swarm can close only what is established. Memory is the other budget: see [`Memory`](crate::memory::Memory).

mod activity;
mod admitted;
mod capacity;
mod eviction;
mod gate;
mod history;
mod permits;
mod table;

use std::sync::Arc;

pub(crate) use capacity::QUIC_WINDOW;
pub(crate) use gate::Gate;

use crate::memory::Memory;
use capacity::Capacity;
use permits::ConnectionPermits;

/// What a connection runs over. Connections inside a process count as TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Quic,
}

/// The connections of one node: how many there may be, and what they may hold. Clones share it.
#[derive(Clone, Debug)]
pub struct Connections {
    memory: Memory,
    permits: Arc<ConnectionPermits>,
}

/// How the connections of a node stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionsReport {
    /// Connections over TCP that stand.
    pub tcp: usize,
    /// Connections over QUIC that stand.
    pub quic: usize,
    /// All connections that there may be.
    pub max: usize,
    /// Those of them over QUIC that there may be.
    pub max_quic: usize,
    /// Connections of peers that are not yet established.
    pub pending: usize,
    /// Connections that had to give their place to others, so far.
    pub evicted: u64,
    /// Newcomers for whom there was no place, so far.
    pub refused: u64,
    /// Bytes that all connections hold: received and not read, written and not sent, and what QUIC may hold.
    pub held_bytes: u64,
    /// Connections that were closed because they held the most while memory was short, so far.
    pub closed_for_memory: u64,
}

impl Connections {
    /// For a budget in bytes, which what all connections hold stays below.
    #[must_use]
    pub fn new(memory_budget: u64) -> Self {
        let capacity = Capacity::new(memory_budget);
        let memory = Memory::new(capacity.memory);
        Self {
            permits: Arc::new(ConnectionPermits::new(capacity, memory.clone())),
            memory,
        }
    }

    /// How things stand.
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
