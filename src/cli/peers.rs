//! `pelago peers`: whom the running node is connected to.

use super::{
    attach,
    context::Context,
    output::{Exit, Output},
    table::{Column, Table},
    text::{bytes, harmless},
};
use crate::api::types::Peer;

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let peers = attach::required(context).await?.peers().await?;
    if peers.is_empty() {
        context.output.note("the node is connected to nobody yet");
    }
    context
        .output
        .result(&peers, || describe(&peers, Output::room()))?;
    Ok(Exit::Done)
}

fn describe(peers: &[Peer], room: Option<usize>) -> String {
    let columns = [
        Column::text("PEER").cut_to(16),
        Column::number("RTT").leaves(3),
        Column::number("SENT").leaves(2),
        Column::number("RECEIVED").leaves(2),
        Column::text("NAME").cut_to(12),
        Column::text("ADDRESS").cut_to(16).leaves(1),
    ];
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
    Table::new(columns, peers.iter().map(row)).text(room)
}
