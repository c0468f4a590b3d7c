//! `pelago peers`: whom the running node is connected to.

use super::{
    attach,
    context::Context,
    output::Exit,
    text::{bytes, harmless, table},
};
use crate::api::types::Peer;

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let peers = attach::required(context).await?.peers().await?;
    if peers.is_empty() {
        context.output.note("the node is connected to nobody yet");
    }
    context.output.result(&peers, || describe(&peers))?;
    Ok(Exit::Done)
}

fn describe(peers: &[Peer]) -> String {
    if peers.is_empty() {
        return String::new();
    }
    let headings = ["PEER", " RTT", " SENT", " RECEIVED", "NAME", "ADDRESS"].map(str::to_owned);
    let row = |peer: &Peer| {
        vec![
            peer.peer_id.clone(),
            peer.rtt_ms
                .map_or_else(|| "?".to_owned(), |rtt| format!("{rtt:.1} ms")),
            bytes(peer.sent_bytes),
            bytes(peer.received_bytes),
            harmless(peer.name.as_deref().unwrap_or_default()),
            peer.addresses.first().cloned().unwrap_or_default(),
        ]
    };
    let rows = peers.iter().map(row);
    table(
        &[headings.to_vec()]
            .into_iter()
            .chain(rows)
            .collect::<Vec<_>>(),
    )
}
