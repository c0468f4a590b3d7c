//! Sources among many dead ones: addresses without a listener, and provider records of nodes that have left.
//!
//! ```text
//!   10 that have it ──┬── one DHT ──── sink      knows all of them, alive or dead,
//!   10 that had it ···┘                          and addresses that never had a listener
//! ```

use std::net::TcpListener;

use pelago::{Mode, PeerAddress};

use crate::{
    Failure,
    cases::{Scale, addresses, end, fetch_anew, size},
    figures::{Figures, Interest, Row},
    peers::{Peer, Place},
};

/// Nodes that have the content, and as many that had it: together as many as a key has records.
const ALIVE: usize = 10;

pub(crate) async fn measure(place: &Place, scale: &Scale, repeat: u32) -> Result<Figures, Failure> {
    let original = place.file(scale.amid_dead)?;
    let mut nodes: Vec<Peer> = Vec::new();
    let mut shared = None;
    for _ in 0..2 * ALIVE {
        let first: Vec<_> = addresses(&nodes).into_iter().take(1).collect();
        let node = place.member(Mode::LongRunning, &first).await?;
        shared = Some(node.share(&original).await?);
        nodes.push(node);
    }
    let hash = shared.ok_or("there is no source")?;
    for node in &nodes {
        node.node.announced().await;
    }
    let alive = addresses(&nodes[..ALIVE]);
    let calm = fetch_anew(place, hash, &alive, &original, repeat).await?;

    let dead = nodes.split_off(ALIVE);
    let mut among: Vec<PeerAddress> = addresses(&dead);
    end(dead).await;
    among.extend(closed_ports(scale.dead_addresses)?);
    // The dead come first, so that a downloader that keeps this order meets them first.
    among.extend(alive);
    let mut runs = Vec::new();
    for _ in 0..repeat {
        let first = [nodes[0].address.clone()];
        let sink = place.member(Mode::OneShot, &first).await?;
        runs.push(sink.fetch(hash, &among, &original).await?);
        sink.node.shutdown().await;
    }
    let count = among.len() - ALIVE;
    end(nodes).await;
    Ok(Figures {
        case: "dead",
        title: format!("{} from {ALIVE} sources", size(scale.amid_dead)),
        interest: Interest::Rate,
        rows: vec![
            Row::new("alone", scale.amid_dead, calm),
            Row::new(format!("among {count} dead"), scale.amid_dead, runs),
        ],
    })
}

/// Addresses of ports that no longer have a listener.
fn closed_ports(count: usize) -> Result<Vec<PeerAddress>, Failure> {
    let bound = (0..count).map(|_| TcpListener::bind("127.0.0.1:0"));
    let bound: Vec<_> = bound.collect::<Result<_, _>>()?;
    let address = |listener: &TcpListener| {
        let port = listener.local_addr()?.port();
        Ok(format!("/ip4/127.0.0.1/tcp/{port}").parse()?)
    };
    bound.iter().map(address).collect()
}
