//! The limits of a multiplexed connection.

/// Streams of one connection, at most, of both sides and all protocols.
pub(crate) const MAX_STREAMS: usize = 128;

/// The initial window of each stream, in bytes, as the specification of yamux defines it.
pub(crate) const STREAM_WINDOW: u64 = yamux::DEFAULT_CREDIT as u64;

/// By how much the windows of all streams of a connection may grow together, in bytes. yamux
/// renews a window when half of it is used, so half of this has to fill the path. Where packets are
/// lost, all that follows one waits for it: 48 MiB fill 1 Gbit/s at 100 ms even if a packet is lost
/// three times, and at 400 ms without losses. A window grows with the path's round trip, which the
/// peer itself decides; [`Account`](crate::memory::Account) bounds what the peer can make of it.
pub(crate) const MAX_WINDOW: u64 = 96 << 20;

/// Bytes of a frame, at most. The specification names no limit; implementations end a connection
/// at frames of 1 MiB. Other streams wait for a frame's end: for half a second at 1 Mbit/s.
pub(crate) const FRAME_LEN: usize = 64 << 10;
