//! Sends data no faster than the limits allow.

use std::io;

use futures::{AsyncWrite, AsyncWriteExt, io::BufWriter};
use libp2p::PeerId;
use pelago_behaviour::Stall;

use crate::limits::Limits;

/// Sends `data` to `peer`. While we make it wait, the peer does not stall.
pub(super) async fn send(
    limits: &Limits,
    peer: PeerId,
    writer: &mut BufWriter<Stall<impl AsyncWrite + Unpin>>,
    mut data: &[u8],
) -> io::Result<()> {
    while !data.is_empty() {
        let (granule, rest) = data.split_at(limits.upload(peer, data.len()).await);
        writer.get_mut().arm();
        writer.write_all(granule).await?;
        // What may pass is not kept back until more may.
        if !rest.is_empty() {
            writer.flush().await?;
        }
        data = rest;
    }
    Ok(())
}
