//! Collects the health of a node.

use std::{fs, path::Path, sync::Arc, time::SystemTime};

use libp2p::Multiaddr;
use tokio::task::spawn_blocking;

use super::{DiskSpace, Health, SystemLimits, WaitingDownload, clock_lag, notices};
use crate::{
    network::Closed,
    node::{DownloadStatus, Node, PeerAddress, WaitReason, core::NodeCore},
    store::{OnDisk, Presence, files_set_aside},
};

/// The most waiting downloads that are named.
const MAX_WAITING: usize = 20;

impl Node {
    /// The health of the node.
    ///
    /// # Errors
    /// The node has shut down.
    pub async fn health(&self) -> Result<Health, Closed> {
        let peers = self.core.network.peers().await?;
        let unreached = self.core.network.unreached().await?;
        let bootstrap = &self.core.settings.bootstrap;
        let is_there = |node: &&PeerAddress| {
            peers.iter().any(|peer| match node.peer() {
                Some(id) => peer.peer_id == id,
                None => peer
                    .addresses
                    .iter()
                    .any(|remote| is_at(remote, node.address())),
            })
        };
        let downloads = self.downloads();
        let waiting = waiting(&downloads);
        let mut health = Health {
            peers: peers.len() as u64,
            inbound_peers: peers.iter().filter(|peer| peer.is_inbound).count() as u64,
            dht_nodes: *self.core.network.routable().borrow() as u64,
            bootstrap: bootstrap.len() as u64,
            bootstrap_connected: bootstrap.iter().filter(is_there).count() as u64,
            unreached,
            identity_clash: self
                .core
                .network
                .identity_clash()
                .map(|clash| clash.address),
            watches: self.watched_folders(),
            duties: self.core.duties.report(),
            waiting_count: waiting.len() as u64,
            waiting: waiting.into_iter().take(MAX_WAITING).collect(),
            ..Health::default()
        };
        // If the database cannot be read, a duty fails, which the report shows.
        let unavailable = self.unavailable().await.unwrap_or_default();
        health.count_states(&unavailable, self.exclusions().len() as u64);
        let core = Arc::clone(&self.core);
        let reading = spawn_blocking(move || {
            core.inspect_machine(&mut health);
            health.notices = notices::of(&health, &downloads);
            health
        });
        reading.await.map_err(|_| Closed)
    }
}

impl NodeCore {
    /// Adds what calls of the system tell. Blocks.
    fn inspect_machine(&self, health: &mut Health) {
        for watched in &mut health.watches {
            // This is newer than the last scan.
            let presence = self.store.presence(&watched.path);
            watched.is_there = presence.is_there() || presence == Presence::Unreadable;
            if presence == Presence::Unreadable {
                let path = watched.path.clone();
                let read = move || fs::read_dir(path).map(drop);
                let read = self.store.on_disk_of(&watched.path, read).flatten();
                watched.failure = read.err().map(|error| error.to_string());
            }
        }
        let watches = health.watches.iter().map(|folder| folder.watches).sum();
        health.limits = SystemLimits {
            connections_budget: self.settings.memory_budget,
            read_ahead_budget: self.settings.read_ahead,
            ..SystemLimits::read(watches)
        };
        health.disks = self.disks();
        let folder = self.store.folder();
        // Another part of the report shows a folder that cannot be read.
        let set_aside = folder.and_then(|folder| files_set_aside(folder).ok());
        health.set_aside = set_aside.unwrap_or_default();
        health.clock_lag = folder.and_then(|folder| clock_lag(folder, SystemTime::now()));
    }

    /// Each disk once, with the first of the node's folders on it.
    fn disks(&self) -> Vec<DiskSpace> {
        let (settings, mut devices, mut disks) = (&self.settings, Vec::new(), Vec::new());
        let own = self.store.folder().map(Path::to_owned);
        let folders = own.into_iter().chain(settings.download_folder.clone());
        for path in folders.chain(settings.share_folders.clone()) {
            let at = path.clone();
            let measured = self.store.on_disk_of(&path, move || {
                // A folder that does not exist yet will be on the disk of its parent.
                let there = at.ancestors().find(|above| above.exists())?;
                Some((there.device()?, there.disk()?))
            });
            let Some((device, disk)) = measured.ok().flatten() else {
                continue;
            };
            if !devices.contains(&device) {
                devices.push(device);
                disks.push(DiskSpace {
                    path,
                    size: disk.size,
                    free: disk.free,
                    reserve: disk.reserve(),
                });
            }
        }
        disks
    }
}

/// The downloads that wait, those without a source first.
fn waiting(downloads: &[DownloadStatus]) -> Vec<WaitingDownload> {
    let waits = |download: &DownloadStatus| {
        let why = download.waits.as_ref();
        let why = why.filter(|_| !download.state.is_ended())?;
        let waiting = WaitingDownload {
            hash: download.hash,
            name: download.name.clone(),
            why: why.to_string(),
        };
        Some((matches!(why, WaitReason::Source { .. }), waiting))
    };
    let mut waiting: Vec<_> = downloads.iter().filter_map(waits).collect();
    waiting.sort_by_key(|(has_no_source, _)| !has_no_source);
    waiting.into_iter().map(|(_, waiting)| waiting).collect()
}

/// Whether `remote`, the remote end of a connection, begins with `address`.
fn is_at(remote: &Multiaddr, address: &Multiaddr) -> bool {
    let mut remote = remote.iter();
    address.iter().all(|part| remote.next() == Some(part))
}
