//! `pelago peers`: lists the peers to which the running node is connected.

use super::{
    attach,
    context::Context,
    output::{Exit, Printer},
    table::{Column, Table},
    text::{bytes, escape},
};
use crate::api::types::{Peer, Way};

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let peers = attach::require_running(context).await?.peers().await?;
    if peers.is_empty() {
        context
            .output
            .note("the node is not connected to any peer yet");
    }
    context
        .output
        .result(&peers, || describe(&peers, Printer::width()))?;
    Ok(Exit::Done)
}

fn describe(peers: &[Peer], width: Option<usize>) -> String {
    let columns = [
        Column::text("PEER").min_width(16),
        Column::number("RTT").drop_order(3),
        Column::number("SENT").drop_order(2),
        Column::number("RECEIVED").drop_order(2),
        Column::text("WAY").drop_order(3),
        Column::text("NAME").min_width(12),
        Column::text("ADDRESS").min_width(16).drop_order(1),
    ];
    let row = |peer: &Peer| {
        vec![
            peer.peer_id.clone(),
            peer.rtt_ms
                .map_or_else(|| "?".to_owned(), |rtt| format!("{rtt:.1} ms")),
            bytes(peer.sent_bytes),
            bytes(peer.received_bytes),
            way(peer.way).to_owned(),
            escape(peer.name.as_deref().unwrap_or_default()),
            peer.addresses.first().cloned().unwrap_or_default(),
        ]
    };
    Table::new(columns, peers.iter().map(row)).text(width)
}

const fn way(way: Way) -> &'static str {
    match way {
        Way::Direct => "direct",
        Way::Punched => "punched",
        Way::Relayed => "relayed",
        Way::Lan => "lan",
    }
}
