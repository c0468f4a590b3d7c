//! Reads data no faster than the limits allow.

use std::io;

use futures::{AsyncRead, AsyncReadExt};
use libp2p::PeerId;
use pelago_behaviour::Stall;

use crate::limits::Limits;

/// Reads from `peer` until `data` is full. While we wait for our own limits, the peer does not stall.
pub(super) async fn receive(
    limits: &Limits,
    peer: PeerId,
    reader: &mut Stall<impl AsyncRead + Unpin>,
    mut missing: &mut [u8],
) -> io::Result<()> {
    while !missing.is_empty() {
        let bytes = limits.download(peer, missing.len()).await;
        let (granule, rest) = missing.split_at_mut(bytes);
        reader.arm();
        reader.read_exact(granule).await?;
        missing = rest;
    }
    Ok(())
}
