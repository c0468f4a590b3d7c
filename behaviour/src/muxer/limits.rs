//! The limits of a multiplexed connection.

/// Streams of one connection, at most, of both sides and all protocols.
pub(crate) const MAX_STREAMS: usize = 128;

/// The initial window of each stream, in bytes, as the specification of yamux defines it.
pub(crate) const STREAM_WINDOW: u64 = yamux::DEFAULT_CREDIT as u64;

/// By how much the windows of all streams of a connection may grow together, in bytes: fills 1
/// Gbit/s at 200 ms. A window grows with the path's round trip, which the peer itself decides.
pub(crate) const MAX_WINDOW: u64 = 24 << 20;

/// Bytes of a frame, at most. The specification names no limit; implementations end a connection
/// at frames of 1 MiB. Other streams wait for a frame's end: for half a second at 1 Mbit/s.
pub(crate) const FRAME_LEN: usize = 64 << 10;
