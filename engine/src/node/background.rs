//! The background duties of a node: begins all of them, and holds the small ones.
//!
//! The supervisor in `duties` restarts each with back-off. The large ones have modules of their
//! own.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
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
    announce, catalogues,
    core::NodeCore,
    groups::meet_members,
    known_peers, poll_catalogues, recovery, rehash,
    return_memory::return_memory,
    share_states::{inspect_doubtful, keep_states},
    uploads::{follow_uploads, save_uploads},
    watch,
};
use crate::{
    duties::Outcome,
    groups,
    serve::Server,
    store::{Collected, Store},
    transfer::Transfers,
};

/// The most peers that asked for content and that its download does not know yet.
pub(super) const ASKERS_QUEUED: usize = 256;

/// How often the node makes sure that space is reserved for when the disk is full.
const SPARE_INTERVAL: Duration = Duration::from_secs(30);

/// How often idle files are closed. Together with the time that a file may be idle, a person who
/// unmounts a disk waits a few seconds.
const CLOSE_INTERVAL: Duration = Duration::from_secs(1);

/// How often the node looks for downloads whose pause is over.
const RESUME_INTERVAL: Duration = Duration::from_secs(1);

/// How often unused trees and manifests are removed.
const COLLECT_INTERVAL: Duration = Duration::from_secs(3600);

/// Begins the duties of every node.
pub(super) fn begin_serving(
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
    let (groups, network) = (core.groups.clone(), core.network.clone());
    duties.run("exchange-groups", move || {
        groups::run(groups.clone(), network.clone())
    });
    let (transfers, askers) = (core.transfers.clone(), Arc::new(Mutex::new(askers)));
    duties.run("offer-sources", move || {
        offer_askers(transfers.clone(), Arc::clone(&askers))
    });
    let (node, doubtful) = (Arc::clone(core), Arc::new(Mutex::new(doubtful)));
    duties.run("inspect-doubtful", move || {
        inspect_doubtful(Arc::clone(&node), Arc::clone(&doubtful))
    });
    let node = Arc::clone(core);
    duties.run("keep-share-states", move || keep_states(Arc::clone(&node)));
    let node = Arc::clone(core);
    duties.run("follow-uploads", move || follow_uploads(Arc::clone(&node)));
    let node = Arc::clone(core);
    duties.run("save-uploads", move || save_uploads(Arc::clone(&node)));
    let store = core.store.clone();
    duties.run("close-idle-files", move || close_idle(store.clone()));
    let node = Arc::clone(core);
    duties.run("announce-shares", move || {
        announce::follow_shares(Arc::clone(&node))
    });
}

/// Begins the further duties of a long-running node.
pub(super) fn begin_lasting(core: &Arc<NodeCore>) {
    let duties = &core.duties;
    duties.run("return-memory", return_memory);
    let node = Arc::clone(core);
    duties.run("remember-catalogues", move || {
        catalogues::remember(Arc::clone(&node))
    });
    let node = Arc::clone(core);
    duties.run("meet-members", move || meet_members(Arc::clone(&node)));
    let node = Arc::clone(core);
    duties.run_single("inspect-shares", move || {
        announce::announce_everything(Arc::clone(&node))
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
    // Shares that were lost with a damaged database are recovered first. If that fails, watching
    // does not wait for the next attempt.
    watch::begin(core, &recovered);
    let (node, mut runs) = (Arc::clone(core), 0_u64);
    duties.run("remember-peers", move || {
        runs += 1;
        known_peers::keep_known_peers(Arc::clone(&node), runs > 1)
    });
    let store = core.store.clone();
    duties.run("collect", move || collect(store.clone()));
    let node = Arc::clone(core);
    duties.run("resume-paused", move || resume_paused(Arc::clone(&node)));
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

/// Removes unused trees and manifests, at the start and once per interval.
async fn collect(store: Store) -> Outcome {
    let mut tick = interval(COLLECT_INTERVAL);
    loop {
        tick.tick().await;
        let store = store.clone();
        let Collected { trees, manifests } = spawn_blocking(move || store.collect()).await??;
        if trees + manifests > 0 {
            tracing::info!(trees, manifests, "removed unused trees and manifests");
        }
    }
}

/// Resumes downloads that were paused for some time.
async fn resume_paused(core: Arc<NodeCore>) -> Outcome {
    let mut tick = interval(RESUME_INTERVAL);
    loop {
        tick.tick().await;
        for hash in core.transfers.due(SystemTime::now()) {
            // A person may have resumed or removed it in the meantime.
            let Ok(download) = core.transfers.resume(&hash, None) else {
                continue;
            };
            tracing::info!(%hash, "the time for which the download was paused is over");
            if download.is_to_seed() {
                core.seed_when_done(&download);
            }
            core.transfers.save_or_log().await;
        }
    }
}

/// Keeps space reserved on the disk of the data folder for writes that cannot wait, and warns when
/// the disk is full.
async fn keep_spare(store: Store) -> Outcome {
    let mut tick = interval(SPARE_INTERVAL);
    let mut was_full = false;
    loop {
        tick.tick().await;
        let keeping = store.clone();
        let is_full = match spawn_blocking(move || keeping.keep_spare()).await? {
            Ok(is_full) => is_full,
            Err(error) => {
                tracing::debug!(%error, "cannot reserve space for a full disk");
                true
            }
        };
        if is_full && !was_full {
            let folder = store.folder().unwrap_or(Path::new("")).display();
            tracing::warn!(
                "the disk with the data folder {folder} is full: new shares, downloads and known \
                 peers may be lost. Free space: pelago remove --with-data, pelago cancel, or \
                 delete other files"
            );
        }
        was_full = is_full;
    }
}

/// Closes idle files: an open file prevents unmounting its disk, and keeps its space after it is
/// deleted.
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

/// Offers peers that ask for content to the download of that content: they may have some of it.
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
