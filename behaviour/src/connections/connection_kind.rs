//! The transport of a connection.

/// What a connection runs over. Connections inside a process count as TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionKind {
    Tcp,
    Quic,
    /// A stream of the connection to a relay.
    Relayed,
}
