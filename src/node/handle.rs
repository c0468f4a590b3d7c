//! The handle to a node: what it is doing, and how it ends.

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use futures::future::join_all;
use libp2p::{Multiaddr, PeerId};
use tokio::time::timeout;

use super::{ListError, Mode, blocking::blocking, core::NodeCore};
use crate::{
    duties::Duties,
    transfer::{Download, Transfers},
};

/// How long the content of downloads that are too late to stop may take to be put in place, as the node
/// ends. The next run finds it there if it takes longer.
const PLACING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a node may take to end in good order, apart from that.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// A running node. A handle: clones are the same node; it ends with [`Node::shutdown`] or with the
/// last handle.
#[derive(Clone)]
pub struct Node {
    pub(super) core: Arc<NodeCore>,
    lifetime: Arc<Lifetime>,
}

/// The duties and downloads of a node: they end with it.
struct Lifetime {
    duties: Duties,
    transfers: Transfers,
}

impl Drop for Lifetime {
    fn drop(&mut self) {
        self.end();
    }
}

impl Lifetime {
    fn end(&self) {
        self.transfers.stop_all();
        self.duties.stop();
    }
}

/// What a node is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Who it is.
    pub peer_id: PeerId,
    /// What it is called.
    pub name: String,
    /// Where it listens, with its id.
    pub listen: Vec<Multiaddr>,
    /// How many things it shares.
    pub shares: u64,
    /// How many downloads run.
    pub downloads: u64,
    /// How many peers it is connected to.
    pub peers: u64,
    /// Since it started.
    pub uptime: Duration,
}

impl Node {
    pub(super) fn new(core: Arc<NodeCore>) -> Self {
        let lifetime = Lifetime {
            duties: core.duties.clone(),
            transfers: core.transfers.clone(),
        };
        Self {
            core,
            lifetime: Arc::new(lifetime),
        }
    }

    /// The background duties of this node: a part of the program that serves it adds its own.
    #[must_use]
    pub fn duties(&self) -> &Duties {
        &self.core.duties
    }

    /// Who this node is.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.core.network.local_peer_id()
    }

    /// What others see it called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.settings.name
    }

    /// A number that is another after each change of what this node shares.
    #[must_use]
    pub fn shares_revision(&self) -> u64 {
        self.core.store.shares_revision()
    }

    /// The folder of downloads for which nobody chose one. It is there when this returns.
    ///
    /// # Errors
    /// No such folder was set, or it cannot be made.
    pub async fn download_folder(&self) -> io::Result<PathBuf> {
        let folder = self.core.settings.download_folder.clone();
        let folder = folder.ok_or(io::ErrorKind::NotFound)?;
        blocking(move || fs::create_dir_all(&folder).map(|()| folder))
            .await
            .map_err(io::Error::other)?
    }

    /// What the node is doing.
    ///
    /// # Errors
    /// The node has shut down, or its database cannot be read.
    pub async fn status(&self) -> Result<Status, ListError> {
        let store = self.core.store.clone();
        let shares = blocking(move || store.count()).await??;
        let downloads = self.downloads();
        let running = downloads
            .iter()
            .filter(|download| !download.state.is_ended());
        Ok(Status {
            peer_id: self.peer_id(),
            name: self.core.settings.name.clone(),
            listen: self.addresses().await?,
            shares,
            downloads: running.count() as u64,
            peers: self.core.network.peers().await?.len() as u64,
            uptime: self.core.started.elapsed(),
        })
    }

    /// Waits until everything that was shared before this call has been announced: it takes for as
    /// long as no other node is known.
    pub async fn announced(&self) {
        self.core.publisher.announced().await;
    }

    /// Ends the node within a few seconds: downloads are stopped, to go on with the next start, peers remembered, connections closed.
    pub async fn shutdown(&self) {
        let late = self.core.transfers.stop_all();
        let ends = join_all(late.iter().map(Download::finished));
        if timeout(PLACING_TIMEOUT, ends).await.is_err() {
            tracing::warn!("a download is still being put in its place");
        }
        let in_order = async {
            self.core.transfers.save_or_log().await;
            if self.core.settings.mode == Mode::LongRunning
                && let Err(error) = self.core.remember_peers().await
            {
                tracing::warn!(%error, "the next start knows no peers of this run");
            }
            self.core.network.shutdown().await;
        };
        if timeout(SHUTDOWN_TIMEOUT, in_order).await.is_err() {
            tracing::warn!("the node did not end in good order in time");
        }
        self.lifetime.end();
    }
}
