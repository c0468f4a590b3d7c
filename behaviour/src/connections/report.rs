//! What connections report to the operator of the node.

/// The state of the connections of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionsReport {
    /// Established connections over TCP.
    pub tcp: usize,
    /// Established connections over QUIC.
    pub quic: usize,
    /// Established connections through relays.
    pub relayed: usize,
    /// The limit of connections.
    pub max: usize,
    /// The limit of connections over QUIC.
    pub max_quic: usize,
    /// Connections of peers that are not yet established.
    pub pending: usize,
    /// Connections that were closed in favour of others, so far.
    pub evicted: u64,
    /// Newcomers that were refused, so far.
    pub refused: u64,
    /// Bytes held for all connections: received and not read, written and not sent, and what QUIC
    /// may hold.
    pub held_bytes: u64,
    /// Connections that were closed because they held the most while memory was short, so far.
    pub closed_for_memory: u64,
}
