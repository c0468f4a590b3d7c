//! The handle to a node: its status, and its end.

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use futures::future::join_all;
use libp2p::{Multiaddr, PeerId};
use pelago_behaviour::NetworkKey;
use tokio::time::timeout;

use super::{ListError, LocalUser, Mode, blocking::blocking, core::NodeCore};
use crate::{
    duties::Duties,
    network::{MovedBytes, ReachReport},
    transfer::{Download, Transfers},
};

/// How long downloads that are too late to stop may take to put their content in place when the
/// node ends. If it takes longer, the next run finds the content there.
const PLACING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the rest of an orderly shutdown may take.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// A running node. A handle: clones refer to the same node. It ends with [`Node::shutdown`] or with
/// the last handle.
#[derive(Clone)]
pub struct Node {
    pub(super) core: Arc<NodeCore>,
    lifetime: Arc<Lifetime>,
}

/// The duties and downloads of a node, which end with its last handle.
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

/// The status of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its id.
    pub peer_id: PeerId,
    /// Its name.
    pub name: String,
    /// The name of its network.
    pub network: String,
    /// The id of the key of its private network; none in a network that is open to all.
    pub network_key: Option<String>,
    /// The addresses at which it listens, each with its id.
    pub listen: Vec<Multiaddr>,
    /// How many files and folders it shares.
    pub shares: u64,
    /// How many of its downloads have not ended.
    pub downloads: u64,
    /// How many peers it is connected to.
    pub peers: u64,
    /// How many bytes of content it has moved, over all of its runs.
    pub moved: MovedBytes,
    /// The time since it started.
    pub uptime: Duration,
    /// How others reach it.
    pub reach: ReachReport,
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

    /// The background duties of this node. Other parts of the program add their own.
    #[must_use]
    pub fn duties(&self) -> &Duties {
        &self.core.duties
    }

    /// The id of this node.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.core.network.local_peer_id()
    }

    /// The name of this node, as others see it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.core.settings.name
    }

    /// The user whose node this is; none for a node without a user, or whose user is logged out.
    #[must_use]
    pub fn user(&self) -> Option<&LocalUser> {
        self.core.user.as_ref()
    }

    /// A number that changes with each change of the shares of this node.
    #[must_use]
    pub fn shares_revision(&self) -> u64 {
        self.core.store.shares_revision()
    }

    /// The folder for downloads without a chosen target. It exists when this returns.
    ///
    /// # Errors
    /// No such folder is set, or it cannot be created.
    pub async fn download_folder(&self) -> io::Result<PathBuf> {
        let folder = self.core.settings.download_folder.clone();
        let folder = folder.ok_or(io::ErrorKind::NotFound)?;
        blocking(move || fs::create_dir_all(&folder).map(|()| folder))
            .await
            .map_err(io::Error::other)?
    }

    /// The status of the node.
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
        let newest = self.core.settings.network_keys.as_slice().first();
        Ok(Status {
            peer_id: self.peer_id(),
            name: self.core.settings.name.clone(),
            network: self.core.settings.network.clone(),
            network_key: newest.map(NetworkKey::id),
            listen: self.addresses().await?,
            shares,
            downloads: running.count() as u64,
            peers: self.core.network.peers().await?.len() as u64,
            moved: self.moved(),
            uptime: self.core.started.elapsed(),
            reach: self.reachability().borrow().clone(),
        })
    }

    /// Waits until everything shared before this call has been announced. While no other node is
    /// known, that does not happen.
    pub async fn announced(&self) {
        self.core.store.share_feed().caught_up().await;
        self.core.publisher.announced().await;
    }

    /// Closes connections whose peers would not notice that this process ends, for a process that
    /// ends without [`shutdown`](Self::shutdown). Takes no time over TCP, and half a second at most.
    pub async fn disconnect(&self) {
        self.core.network.disconnect().await;
    }

    /// Ends the node within a few seconds: stops downloads, which resume at the next start, records
    /// known peers, and closes connections.
    pub async fn shutdown(&self) {
        let late = self.core.transfers.stop_all();
        let ends = join_all(late.iter().map(Download::finished));
        if timeout(PLACING_TIMEOUT, ends).await.is_err() {
            tracing::warn!(
                "a download is still moving its content into place: the next start finds it \
                 there"
            );
        }
        let in_order = async {
            self.core.transfers.save_or_log().await;
            if let Err(error) = self.core.save_uploads().await {
                tracing::warn!(%error, "cannot record what was sent to peers in the last minute");
            }
            if self.core.settings.mode == Mode::LongRunning
                && let Err(error) = self.core.remember_peers().await
            {
                tracing::warn!(
                    %error, "cannot record known peers: the next start does not know the peers \
                     of this run"
                );
            }
            self.core.network.shutdown().await;
        };
        if timeout(SHUTDOWN_TIMEOUT, in_order).await.is_err() {
            tracing::warn!("the node did not shut down in time: its connections are dropped");
        }
        self.lifetime.end();
    }
}
