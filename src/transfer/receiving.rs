//! Reads data no faster than the limits allow.

use std::io;

use futures::{AsyncRead, AsyncReadExt};
use libp2p::PeerId;
use pelago_behaviour::Stall;

use crate::limits::Limits;

/// Reads `length` bytes from `peer` into `data`, replacing what it held. While we wait for our own
/// limits, the peer does not stall.
pub(super) async fn receive(
    limits: &Limits,
    peer: PeerId,
    reader: &mut Stall<impl AsyncRead + Unpin>,
    length: u32,
    data: &mut Vec<u8>,
) -> io::Result<()> {
    data.resize(length as usize, 0);
    let mut missing = &mut data[..];
    while !missing.is_empty() {
        let bytes = limits.download(peer, missing.len()).await;
        let (granule, rest) = missing.split_at_mut(bytes);
        reader.arm();
        reader.read_exact(granule).await?;
        missing = rest;
    }
    Ok(())
}
