//! What a node does by itself: provides what it shares, keeps shared folders in line, remembers peers,
//! goes on with downloads. How it hashes files again is in `rehash`.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use libp2p::PeerId;
use pelago_content::Hash;
use tokio::{sync::mpsc, task::spawn_blocking, time::interval};

use super::{handle::Inner, recovery, shares::each_page, watch};
use crate::{
    access::{Action, allows},
    store::{Collected, DatabaseError, KnownPeer, Share, Store},
    transfer::{Saved, Transfers},
};

/// Peers interested in some content that were not told to its download yet, at most.
pub(super) const ASKERS_QUEUED: usize = 256;

/// Pages of hashes on their way to the publisher, at most; whoever finds them waits.
pub(super) const FOUND_QUEUED: usize = 16;

/// How often room is kept for a full disk.
const SPARE_INTERVAL: Duration = Duration::from_secs(30);

/// How often the peers connected to are written down.
const REMEMBER_INTERVAL: Duration = Duration::from_secs(300);

/// How often trees and manifests that nothing needs any more are removed.
const COLLECT_INTERVAL: Duration = Duration::from_secs(3600);

/// Whether the network may be told of a share.
pub(super) fn is_announced(share: &Share) -> bool {
    share
        .scopes
        .iter()
        .any(|scope| allows(scope, Action::Announce))
}

/// Provides all that is shared, looks for what was lost, then keeps the shared folders in line.
pub(super) async fn share_all(inner: Arc<Inner>) {
    inner.look_at_shares().await;
    provide_recorded(&inner).await;
    recovery::find_lost(Arc::clone(&inner)).await;
    watch::watch_all(inner).await;
}

async fn provide_recorded(inner: &Arc<Inner>) {
    let (found, mut hashes) = mpsc::channel::<Vec<Hash>>(FOUND_QUEUED);
    let store = inner.store.clone();
    let reading = spawn_blocking(move || {
        each_page(&store.clone(), |shares| {
            let announced = shares
                .iter()
                .filter(|share| is_announced(share) && store.state_of(share).is_available());
            // The node may be shutting down: then nobody needs the rest.
            let _ = found.blocking_send(announced.map(|share| share.hash).collect());
            Ok(())
        })
    });
    while let Some(hashes) = hashes.recv().await {
        for hash in hashes {
            inner.publisher.provide(hash).await;
        }
    }
    if let Ok(Err(error)) = reading.await {
        tracing::error!(%error, "what is shared cannot be announced");
    }
}

/// Writes down who is connected, so that the next run knows somebody.
pub(super) async fn remember_peers(inner: Arc<Inner>) {
    let mut tick = interval(REMEMBER_INTERVAL);
    tick.tick().await;
    loop {
        tick.tick().await;
        inner.remember_peers().await;
    }
}

/// Removes what the store keeps and nothing needs any more, at the start and from time to time.
pub(super) async fn collect(inner: Arc<Inner>) {
    let mut tick = interval(COLLECT_INTERVAL);
    loop {
        tick.tick().await;
        let store = inner.store.clone();
        match spawn_blocking(move || store.collect()).await {
            Ok(Ok(Collected { trees, manifests })) if trees + manifests > 0 => {
                tracing::info!(trees, manifests, "removed what nothing needs any more");
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "what is not needed any more is kept"),
            Err(_) => return,
        }
    }
}

/// Keeps room for what cannot wait when the disk of the data folder is full, and warns when it is.
pub(super) async fn keep_spare(store: Store) {
    let mut tick = interval(SPARE_INTERVAL);
    let mut was_full = false;
    loop {
        tick.tick().await;
        let keeping = store.clone();
        let is_full = match spawn_blocking(move || keeping.keep_spare()).await {
            Ok(Ok(is_full)) => is_full,
            Ok(Err(error)) => {
                tracing::debug!(%error, "no room is kept for a full disk");
                true
            }
            Err(_) => return,
        };
        if is_full && !was_full {
            let folder = store.folder().unwrap_or(Path::new("")).display();
            tracing::warn!(
                "the disk with the data folder {folder} is full: new shares, downloads and known peers \
                 may not be kept. Make room: pelago remove --with-data, pelago cancel, or delete other \
                 files"
            );
        }
        was_full = is_full;
    }
}

/// Has downloads ask those who are interested in the same.
pub(super) async fn offer_askers(transfers: Transfers, mut askers: mpsc::Receiver<(Hash, PeerId)>) {
    while let Some((hash, peer)) = askers.recv().await {
        transfers.offer(&hash, peer);
    }
}

impl Inner {
    /// Writes down the peers connected to.
    pub(super) async fn remember_peers(&self) {
        let Ok(peers) = self.network.peers().await else {
            return;
        };
        let seen = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs());
        let known = |peer: crate::network::Peer| {
            let (id, addresses) = (peer.peer_id, peer.listen_addresses);
            (!addresses.is_empty()).then_some(KnownPeer {
                id,
                addresses,
                seen,
            })
        };
        let known: Vec<_> = peers.into_iter().filter_map(known).collect();
        if known.is_empty() {
            return;
        }
        let store = self.store.clone();
        if let Ok(Err(error)) = spawn_blocking(move || store.remember_peers(&known)).await {
            tracing::warn!(%error, "peers are not remembered");
        }
    }

    pub(super) async fn provide_if_shared(&self, hash: Hash) {
        if self.is_to_announce(hash).await == Some(true) {
            self.publisher.provide(hash).await;
        }
    }

    /// Announces content no more that nothing shares, or that is not available.
    pub(super) async fn withdraw_if_gone(&self, hash: Hash) {
        if self.is_to_announce(hash).await == Some(false) {
            self.publisher.withdraw(hash).await;
        }
    }

    /// Whether the network may be told of content that is available here; none if that cannot be told.
    async fn is_to_announce(&self, hash: Hash) -> Option<bool> {
        let store = self.store.clone();
        let told = spawn_blocking(move || {
            let shares = store.shares_of(&hash)?;
            let is_offered =
                |share: &Share| is_announced(share) && store.state_of(share).is_available();
            Ok::<_, DatabaseError>(shares.iter().any(is_offered))
        });
        told.await.ok()?.ok()
    }

    /// Resumes the downloads that ran when the node ended.
    pub(super) async fn resume_downloads(self: &Arc<Self>, saved: Saved) {
        let resumed = self.transfers.load(saved).await;
        for download in resumed.iter().filter(|download| download.is_to_seed()) {
            self.seed_when_done(download);
        }
    }
}
