//! The peers that a run of the node remembers for the next one.

use std::{sync::Arc, time::Duration};

use libp2p::multiaddr::Protocol;
use tokio::{task::spawn_blocking, time::interval};

use super::{Mode, PeerAddress, Settings, core::NodeCore};
use crate::{
    duties::Outcome,
    network::Peer,
    store::{DatabaseError, KnownPeer, Store, unix_now},
};

/// The most peers of earlier runs that a node dials when it starts.
const KNOWN_TRIED: usize = 16;

/// How often the connected peers are recorded.
const REMEMBER_INTERVAL: Duration = Duration::from_secs(300);

/// The addresses of peers of earlier runs. A one-shot node uses none.
pub(super) async fn known_peers(
    settings: &Settings,
    store: &Store,
) -> Result<Vec<PeerAddress>, DatabaseError> {
    if settings.mode == Mode::OneShot {
        return Ok(Vec::new());
    }
    let store = store.clone();
    let known = spawn_blocking(move || store.known_peers()).await;
    let known = known.unwrap_or_else(|_| Ok(Vec::new()))?;
    let addresses = known.into_iter().take(KNOWN_TRIED).flat_map(|peer| {
        let id = Protocol::P2p(peer.id);
        peer.addresses
            .into_iter()
            .map(move |address| PeerAddress::from(address.with(id.clone())))
    });
    Ok(addresses.collect())
}

/// Records the connected peers from time to time, so that the next run knows some. `is_overdue`:
/// begins immediately.
pub(super) async fn keep_known_peers(core: Arc<NodeCore>, is_overdue: bool) -> Outcome {
    let mut tick = interval(REMEMBER_INTERVAL);
    if !is_overdue {
        tick.tick().await;
    }
    loop {
        tick.tick().await;
        core.remember_peers().await?;
    }
}

impl NodeCore {
    /// Records the connected peers.
    pub(super) async fn remember_peers(&self) -> Outcome {
        let peers = self.network.peers().await?;
        let seen = unix_now();
        let known = |peer: Peer| {
            let (id, addresses) = (peer.peer_id, peer.vouched_addresses());
            (!addresses.is_empty()).then_some(KnownPeer {
                id,
                addresses,
                seen,
            })
        };
        let known: Vec<_> = peers.into_iter().filter_map(known).collect();
        if !known.is_empty() {
            let store = self.store.clone();
            spawn_blocking(move || store.remember_peers(&known)).await??;
        }
        Ok(())
    }
}
