//! How many connections a memory budget allows, and the cost of each. Pure.

use crate::memory::Bounds;

/// Memory budget for each connection, in bytes.
const BYTES_PER_CONNECTION: u64 = 1 << 20;

/// Connections that are allowed with any budget.
const MIN_CONNECTIONS: u64 = 16;

/// What handlers, tasks and the session of the encryption take, in bytes: some 58 KiB, and a margin.
const HANDLERS_COST: u64 = 80 << 10;

/// What the encryption of a TCP connection takes, in bytes, at most: the peer decides how much it
/// leaves incomplete or unread. `transport::tls` holds to it.
pub(crate) const ENCRYPTION_COST: u64 = 208 << 10;

/// The cost of a TCP connection in addition to what its account counts, in bytes.
const TCP_COST: u64 = HANDLERS_COST + ENCRYPTION_COST;

/// Window of a QUIC connection and of each of its streams, in bytes. The sender of libp2p-quic
/// keeps at most 10 MB unacknowledged with any window: a larger one would cost memory and move
/// nothing more. Fills 1 Gbit/s at 80 ms, and 400 Mbit/s at 200 ms; over TCP both are faster.
pub(crate) const QUIC_WINDOW: u32 = 10_000_000;

/// Unacknowledged bytes that quinn keeps for a connection, at most. libp2p-quic cannot change it.
const QUIC_UNACKNOWLEDGED: u64 = 10_000_000;

/// The cost of a QUIC connection: the peer controls both parts.
const QUIC_COST: u64 = QUIC_WINDOW as u64 + QUIC_UNACKNOWLEDGED;

/// QUIC connections that are allowed with any budget. With a budget below 64 MiB they can exceed
/// it, by at most 40 MB.
const MIN_QUIC: u64 = 2;

/// The limits of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Established connections.
    pub(crate) connections: usize,
    /// Those of them that peers opened: the others are reserved for our own dials.
    pub(crate) inbound: usize,
    /// Those of them over QUIC.
    pub(crate) quic: usize,
    /// Those of them through relays.
    pub(crate) relayed: usize,
    /// Connections of peers that are not yet established, for each kind.
    pub(crate) pending_inbound: usize,
    /// Addresses that are being dialed.
    pub(crate) pending_outbound: usize,
    /// What a QUIC connection takes of the memory for all.
    pub(crate) quic_charge: u64,
    /// What all connections may hold.
    pub(crate) memory: Bounds,
}

impl Capacity {
    /// The limits for a budget in bytes.
    pub(crate) fn new(budget: u64) -> Self {
        let connections = (budget / BYTES_PER_CONNECTION).max(MIN_CONNECTIONS);
        let pool = budget.saturating_sub(connections * TCP_COST);
        // The rest is for TCP connections.
        let for_quic = pool / 8 * 5;
        let quic = (for_quic / QUIC_COST).max(MIN_QUIC);
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            connections: count(connections),
            inbound: count(connections - connections / 8),
            quic: count(quic),
            relayed: count(connections / 4),
            pending_inbound: count(connections / 2),
            pending_outbound: count(connections * 2),
            quic_charge: QUIC_COST.min(for_quic / quic),
            memory: Bounds::new(pool, connections),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn all_that_may_be_there_fits_the_budget() {
        for budget in [64, 128, 256, 1024, 65536].map(|mib| mib * MIB) {
            let capacity = Capacity::new(budget);
            let quic = capacity.quic as u64 * QUIC_COST;
            let tcp = capacity.connections as u64 * TCP_COST;
            assert!(quic + tcp <= budget, "{capacity:?}");
        }
    }

    #[test]
    fn the_default_has_room_for_a_crowd() {
        let capacity = Capacity::new(256 * MIB);
        assert_eq!(
            (capacity.connections, capacity.inbound, capacity.quic),
            (256, 224, 6)
        );
    }

    #[test]
    fn quic_leaves_memory_to_tcp_even_with_the_smallest_budget() {
        let capacity = Capacity::new(16 * MIB);
        assert_eq!(capacity.quic, 2);
        assert!(capacity.quic_charge * 2 < 10 * MIB);
    }
}
