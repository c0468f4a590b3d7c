//! The background duties of a node: the table of all of them, and the small ones themselves.
//!
//! The supervisor in `duties` restarts each with back-off. `rehash` and `watch` own the large ones.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use libp2p::PeerId;
use pelago_behaviour::streams;
use pelago_content::Hash;
use tokio::{
    sync::{Mutex, mpsc, watch::channel},
    task::spawn_blocking,
    time::interval,
};

use super::{
    handle::NodeCore, poll_catalogues, recovery, rehash, return_memory::return_memory,
    share_states::keep_states, shares::each_page, watch,
};
use crate::{
    access::{Action, allows},
    duties::Outcome,
    publish::Publisher,
    serve::Server,
    store::{Collected, DatabaseError, KnownPeer, Scopes, Share, Store},
    transfer::{SavedList, Transfers},
};

/// Peers interested in some content that were not told to its download yet, at most.
pub(super) const ASKERS_QUEUED: usize = 256;

/// Pages of hashes on their way to the publisher, at most; whoever finds them waits.
pub(super) const FOUND_QUEUED: usize = 16;

/// How often room is kept for a full disk.
const SPARE_INTERVAL: Duration = Duration::from_secs(30);

/// Duties at which no lookup of a hash becomes another one: a task and a name each, some 10 MB in all.
const MAX_DUTIES: usize = 10_000;

/// How often files that nobody reads any more are closed: with the time that a file may be idle, a
/// person who unmounts a disk waits a few seconds.
const CLOSE_INTERVAL: Duration = Duration::from_secs(1);

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

/// Begins the duties of every node.
pub(super) fn serve(
    core: &Arc<NodeCore>,
    server: Server,
    streams: mpsc::Receiver<streams::Event>,
    askers: mpsc::Receiver<(Hash, PeerId)>,
    doubtful: mpsc::Receiver<PathBuf>,
) {
    let duties = &core.duties;
    let (server, streams) = (Arc::new(server), Arc::new(Mutex::new(streams)));
    duties.run("serve-peers", move || {
        let (server, streams) = (Arc::clone(&server), Arc::clone(&streams));
        async move {
            server.run(&mut *streams.lock().await).await;
            Ok(())
        }
    });
    let node = Arc::clone(core);
    duties.run("rehash", move || rehash::rehash_all(Arc::clone(&node)));
    let (transfers, askers) = (core.transfers.clone(), Arc::new(Mutex::new(askers)));
    duties.run("offer-sources", move || {
        offer_askers(transfers.clone(), Arc::clone(&askers))
    });
    let (node, doubtful) = (Arc::clone(core), Arc::new(Mutex::new(doubtful)));
    duties.run("keep-share-states", move || {
        keep_states(Arc::clone(&node), Arc::clone(&doubtful))
    });
    let store = core.store.clone();
    duties.run("close-idle-files", move || close_idle(store.clone()));
}

/// Begins the duties of a node that is there to stay.
pub(super) fn stay(core: &Arc<NodeCore>) {
    let duties = &core.duties;
    duties.run("return-memory", return_memory);
    let node = Arc::clone(core);
    duties.run("announce-shares", move || {
        announce_shares(Arc::clone(&node))
    });
    let (attempted, recovered) = channel(false);
    let node = Arc::clone(core);
    duties.run("recover-shares", move || {
        let (node, attempted) = (Arc::clone(&node), attempted.clone());
        async move {
            let found = recovery::find_lost(node).await;
            attempted.send_replace(true);
            found
        }
    });
    // What was lost with a damaged database is found first. A failed attempt is no reason to wait for
    // the next one.
    watch::begin(core, &recovered);
    let (node, mut runs) = (Arc::clone(core), 0_u64);
    duties.run("remember-peers", move || {
        runs += 1;
        remember_peers(Arc::clone(&node), runs > 1)
    });
    let store = core.store.clone();
    duties.run("collect", move || collect(store.clone()));
    let store = core.store.clone();
    duties.run("keep-spare-room", move || keep_spare(store.clone()));
    let node = Arc::clone(core);
    duties.run("read-listings", move || {
        let node = Arc::clone(&node);
        async move {
            poll_catalogues::run(node).await;
            Ok(())
        }
    });
}

/// Provides everything that is shared: at the start, and again when the publisher has lost its plan.
async fn announce_shares(core: Arc<NodeCore>) -> Outcome {
    core.inspect_shares().await;
    // The first peer that asks need not wait until it is made.
    let store = core.store.clone();
    spawn_blocking(move || store.index_provider_keys()).await??;
    loop {
        provide_recorded(&core).await?;
        core.publisher.restarted().await;
    }
}

async fn provide_recorded(core: &Arc<NodeCore>) -> Outcome {
    let (found, mut hashes) = mpsc::channel::<Vec<Hash>>(FOUND_QUEUED);
    let store = core.store.clone();
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
            core.publisher.provide(hash).await;
        }
    }
    Ok(reading.await??)
}

/// Writes down who is connected, so that the next run knows somebody.
async fn remember_peers(core: Arc<NodeCore>, is_overdue: bool) -> Outcome {
    let mut tick = interval(REMEMBER_INTERVAL);
    if !is_overdue {
        tick.tick().await;
    }
    loop {
        tick.tick().await;
        core.remember_peers().await?;
    }
}

/// Removes what the store keeps and nothing needs any more, at the start and from time to time.
async fn collect(store: Store) -> Outcome {
    let mut tick = interval(COLLECT_INTERVAL);
    loop {
        tick.tick().await;
        let store = store.clone();
        let Collected { trees, manifests } = spawn_blocking(move || store.collect()).await??;
        if trees + manifests > 0 {
            tracing::info!(trees, manifests, "removed what nothing needs any more");
        }
    }
}

/// Keeps room for what cannot wait when the disk of the data folder is full, and warns when it is.
async fn keep_spare(store: Store) -> Outcome {
    let mut tick = interval(SPARE_INTERVAL);
    let mut was_full = false;
    loop {
        tick.tick().await;
        let keeping = store.clone();
        let is_full = match spawn_blocking(move || keeping.keep_spare()).await? {
            Ok(is_full) => is_full,
            Err(error) => {
                tracing::debug!(%error, "no room is kept for a full disk");
                true
            }
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

/// Closes files that nobody has read for a while: an open file keeps its disk from being unmounted,
/// and its space from coming back once it is deleted.
async fn close_idle(store: Store) -> Outcome {
    let mut tick = interval(CLOSE_INTERVAL);
    loop {
        tick.tick().await;
        if store.has_open_files() {
            let store = store.clone();
            spawn_blocking(move || store.close_idle(Instant::now())).await?;
        }
    }
}

/// Has downloads ask those who are interested in the same.
async fn offer_askers(
    transfers: Transfers,
    askers: Arc<Mutex<mpsc::Receiver<(Hash, PeerId)>>>,
) -> Outcome {
    let mut askers = askers.lock().await;
    while let Some((hash, peer)) = askers.recv().await {
        transfers.offer(&hash, peer);
    }
    Ok(())
}

impl NodeCore {
    /// Writes down the peers connected to.
    pub(super) async fn remember_peers(&self) -> Outcome {
        let peers = self.network.peers().await?;
        let seen = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs());
        let known = |peer: crate::network::Peer| {
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

    /// Provides `hash`, of which a download has some, if everyone may know of that.
    pub(super) async fn provide_while_downloading(&self, hash: Hash) -> Outcome {
        let store = self.store.clone();
        let scopes = spawn_blocking(move || store.scopes(&hash)).await??;
        let may_announce = |scopes: Scopes| scopes.iter().any(|s| allows(s, Action::Announce));
        if scopes.is_some_and(may_announce) {
            self.publisher.provide(hash).await;
        }
        Ok(())
    }

    /// Provides `hash` if it is shared: later, if the database cannot be read now.
    pub(super) async fn provide_if_shared(&self, hash: Hash) {
        self.settle_announcement(hash, true).await;
    }

    /// Withdraws `hash` if it is not shared: later, if the database cannot be read now.
    pub(super) async fn withdraw_if_gone(&self, hash: Hash) {
        self.settle_announcement(hash, false).await;
    }

    async fn settle_announcement(&self, hash: Hash, provides: bool) {
        let (store, publisher) = (self.store.clone(), self.publisher.clone());
        let attempt =
            move || announce_or_withdraw(store.clone(), publisher.clone(), hash, provides);
        let Err(error) = attempt().await else {
            return;
        };
        if self.duties.count() < MAX_DUTIES {
            tracing::warn!(%hash, %error, "whether this is shared is not known: it is looked up again");
            let name = format!("announce-shares {hash}");
            self.duties.run_single(&name, attempt);
        } else {
            tracing::error!(%hash, %error, "whether this is shared is not known until the next start");
        }
    }

    /// Resumes the downloads that ran when the node ended.
    pub(super) async fn resume_downloads(self: &Arc<Self>, saved: SavedList) {
        let resumed = self.transfers.load(saved).await;
        for download in resumed.iter().filter(|download| download.is_to_seed()) {
            self.seed_when_done(download);
        }
    }
}

/// Provides `hash` if it is offered, or withdraws it if it is not.
async fn announce_or_withdraw(
    store: Store,
    publisher: Publisher,
    hash: Hash,
    provides: bool,
) -> Outcome {
    let look = move || {
        let is_offered =
            |share: &Share| is_announced(share) && store.state_of(share).is_available();
        Ok::<_, DatabaseError>(store.shares_of(&hash)?.iter().any(is_offered))
    };
    match (spawn_blocking(look).await??, provides) {
        (true, true) => publisher.provide(hash).await,
        (false, false) => publisher.withdraw(hash).await,
        _ => {}
    }
    Ok(())
}
