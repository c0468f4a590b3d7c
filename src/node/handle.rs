//! The handle to a node: started here, asked here, shut down here.

use std::{
    fs, io,
    ops::ControlFlow,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use libp2p::{Multiaddr, PeerId, identity, multiaddr::Protocol};
use parking_lot::{Mutex, MutexGuard};
use pelago_behaviour::OwnKeys;
use pelago_content::Link;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
    time::timeout,
};

use super::{
    Catalogue, ListError, Listed, Mode, Settings, ShareError, ShareRequest, Shared, StartError,
    UnshareError,
    background::{self, ASKERS_QUEUED},
    being_written::WriteTracker,
    catalogues,
    check::{CheckEvent, check_shares},
    metrics::Metrics,
    read::KnownLinks,
    share_states::DOUBTFUL_QUEUED,
    shares::{list, share},
    unshare::unshare,
    uploads::Uploads,
    watch::Watches,
};
use crate::{
    access::Access,
    duties::Duties,
    limits::Limits,
    network::{self, Closed, Network, PeerAddress, Reach},
    publish::Publisher,
    serve::{Notices, RehashQueue, Server},
    store::{DatabaseError, Store},
    transfer::{Download, SavedList, Transfers},
};

/// Streams that peers opened and nobody serves yet, at most; further ones are reset.
const INBOUND_QUEUED: usize = 256;

/// Peers of earlier runs that a node tries when it starts.
const KNOWN_TRIED: usize = 16;

/// Peers named in a link.
const LINK_PEERS: usize = 6;

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

pub(super) struct NodeCore {
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) network: Network,
    pub(super) publisher: Publisher,
    pub(super) transfers: Transfers,
    pub(super) limits: Limits,
    pub(super) rehash: RehashQueue,
    pub(super) uploads: Uploads,
    pub(super) being_written: WriteTracker,
    pub(super) duties: Duties,
    pub(super) watches: Watches,
    pub(super) metrics: Metrics,
    pub(super) links: Mutex<KnownLinks>,
    pub(super) catalogue: catalogues::CatalogueCache,
    started: Instant,
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

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub peer_id: PeerId,
    /// What it calls itself. Untrusted.
    pub name: Option<String>,
    /// Where it is.
    pub addresses: Vec<Multiaddr>,
    /// The latest round trip.
    pub rtt: Option<Duration>,
    /// Bytes of content sent to it.
    pub sent_bytes: u64,
    /// Bytes of content received from it.
    pub received_bytes: u64,
}

impl Node {
    /// Starts the node of `keypair` over `store`. It listens when this returns; everything that takes
    /// time (announcing, hashing shared folders, going on with downloads) happens behind.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        settings: Settings,
        store: Store,
        keypair: &identity::Keypair,
    ) -> Result<Self, StartError> {
        let saved = match settings.mode {
            Mode::LongRunning => Some(SavedList::read(&store).await?),
            Mode::OneShot => None,
        };
        let (own_keys, duties) = (OwnKeys::default(), Duties::default());
        let (inbound, streams) = mpsc::channel(INBOUND_QUEUED);
        let waiting = inbound.downgrade();
        let known = known_peers(&settings, &store).await?;
        let network_settings = settings.network(known)?;
        let network = Network::start(
            keypair,
            network_settings,
            own_keys.clone(),
            inbound,
            &duties,
        )
        .await?;
        let publisher = if settings.announce {
            Publisher::start(
                network.clone(),
                store.clone(),
                own_keys,
                &settings.publish(),
                &duties,
            )
        } else {
            Publisher::silent()
        };
        let limits = Limits::new(settings.limits);
        let transfers = Transfers::new(
            network.clone(),
            limits.clone(),
            store.clone(),
            settings.transfer(),
        );
        let rehash = RehashQueue::default();
        let (asked, askers) = mpsc::channel(ASKERS_QUEUED);
        let (doubtful, doubted) = mpsc::channel(DOUBTFUL_QUEUED);
        let server = Server::new(
            store.clone(),
            Access::new(store.clone()),
            network.clone(),
            limits.clone(),
            Notices {
                rehash: rehash.clone(),
                doubtful,
                asked,
            },
            &settings.serve(),
        );
        store.set_live_folders(settings.share_folders.clone());
        note_missing(&settings, &store).await;
        let metrics = Metrics::new(server.metrics(), waiting);
        let started = Instant::now();
        let core = Arc::new(NodeCore {
            settings,
            store,
            network,
            publisher,
            transfers,
            limits,
            rehash,
            uploads: Uploads::default(),
            being_written: WriteTracker::default(),
            duties: duties.clone(),
            watches: Watches::default(),
            metrics,
            links: Mutex::default(),
            catalogue: catalogues::CatalogueCache::default(),
            started,
        });
        background::serve(&core, server, streams, askers, doubted);
        if let Some(saved) = saved {
            background::stay(&core);
            if core.store.folder().is_some()
                && let Err(error) = core.transfers.clear_cache().await
            {
                tracing::warn!(%error, "what an earlier run only read is still here");
            }
            core.resume_downloads(saved).await;
        }
        let lifetime = Lifetime {
            duties,
            transfers: core.transfers.clone(),
        };
        Ok(Self {
            core,
            lifetime: Arc::new(lifetime),
        })
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

    /// The addresses that the node listens at and that lead to it from anywhere, each with its id.
    ///
    /// # Errors
    /// The node has shut down.
    pub async fn addresses(&self) -> Result<Vec<Multiaddr>, Closed> {
        let addresses = self.core.network.listen_addresses().await?;
        let id = Protocol::P2p(self.peer_id());
        Ok(addresses
            .into_iter()
            .filter(|address| Reach::of(address) > Reach::Nowhere)
            .map(|address| address.with(id.clone()))
            .collect())
    }

    /// The peers that the node is connected to.
    ///
    /// # Errors
    /// The node has shut down.
    pub async fn peers(&self) -> Result<Vec<Peer>, Closed> {
        let peers = self.core.network.peers().await?;
        let peer = |peer: network::Peer| {
            let counts = self.core.network.traffic().of(&peer.peer_id);
            Peer {
                peer_id: peer.peer_id,
                name: peer.name,
                addresses: peer.addresses,
                rtt: peer.rtt,
                sent_bytes: counts.sent,
                received_bytes: counts.received,
            }
        };
        Ok(peers.into_iter().map(peer).collect())
    }

    /// Shares a file or directory from where it lies, and announces it. `progress` is given the bytes
    /// hashed so far. Dropping the call ends the hashing.
    ///
    /// # Errors
    /// See [`ShareError`].
    pub async fn share(
        &self,
        request: ShareRequest,
        progress: impl Fn(u64) + Send + 'static,
    ) -> Result<Shared, ShareError> {
        let store = self.core.store.clone();
        let mut included = store.exclusions();
        included.retain(|excluded| excluded.path.starts_with(&request.path));
        let (caller, waiting) = oneshot::channel::<()>();
        let hashing = move |bytes| {
            progress(bytes);
            // Gone with this future.
            match caller.is_closed() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let mut shared = blocking(move || share(&store, &request, &hashing)).await??;
        drop(waiting);
        self.core.share_included(included).await;
        shared.link.peers = self.link_peers().await?;
        self.core.provide_if_shared(shared.hash).await;
        if let Some(before) = shared.replaced {
            self.core.withdraw_if_gone(before).await;
        }
        Ok(shared)
    }

    /// Withdraws what `what` means: a hash or at least 6 of its first digits mean all places of that
    /// content, a name those of that name, an absolute path that place. `path` is what a relative path
    /// leads to, for what nothing is called. Gives each place.
    ///
    /// # Errors
    /// See [`UnshareError`].
    pub async fn unshare(
        &self,
        what: &str,
        path: Option<PathBuf>,
    ) -> Result<Vec<Shared>, UnshareError> {
        let (store, what) = (self.core.store.clone(), what.to_owned());
        let withdrawn = blocking(move || unshare(&store, &what, path.as_deref())).await??;
        for shared in &withdrawn {
            self.core.withdraw_if_gone(shared.hash).await;
        }
        Ok(withdrawn)
    }

    /// What this node shares, by name.
    ///
    /// # Errors
    /// The database cannot be read, or the node has shut down.
    pub async fn list(&self) -> Result<Vec<Listed>, ListError> {
        let store = self.core.store.clone();
        Ok(blocking(move || list(&store)).await??)
    }

    /// Reads all that this node shares, and compares it with what is listed. `take` is given what is
    /// found, on a thread that may block, and may stop it.
    ///
    /// # Errors
    /// The database cannot be read, or the node has shut down.
    pub async fn check_shares(
        &self,
        mut take: impl FnMut(CheckEvent) -> ControlFlow<()> + Send + 'static,
    ) -> Result<(), ListError> {
        let store = self.core.store.clone();
        Ok(blocking(move || check_shares(&store, &mut take)).await??)
    }

    /// What the peer at `address` shares with this node.
    ///
    /// # Errors
    /// See [`ListError`].
    pub async fn list_peer(&self, address: &PeerAddress) -> Result<Catalogue, ListError> {
        catalogues::of_peer(&self.core.network, address).await
    }

    /// What all peers in reach share with this node, after waiting `wait` for peers to turn up.
    ///
    /// # Errors
    /// The node has shut down.
    pub async fn list_network(&self, wait: Duration) -> Result<Catalogue, ListError> {
        catalogues::of_network(&self.core.network, wait).await
    }

    /// How many nodes of the DHT this node knows.
    #[must_use]
    pub fn routable(&self) -> watch::Receiver<usize> {
        self.core.network.routable()
    }

    /// Waits until everything that was shared before this call has been announced: it takes for as
    /// long as no other node is known.
    pub async fn announced(&self) {
        self.core.publisher.announced().await;
    }

    /// How many requests this node has sent in the DHT to find providers.
    #[must_use]
    pub fn lookup_requests(&self) -> u64 {
        self.core.network.lookup_requests()
    }

    /// Connects to a peer: by that the node joins the network, if it had not yet.
    ///
    /// # Errors
    /// See [`network::ConnectError`].
    pub async fn connect(&self, peer: &PeerAddress) -> Result<PeerId, network::ConnectError> {
        self.core
            .network
            .connect(peer.peer(), vec![peer.address().clone()])
            .await
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

    /// Where this node can be reached, for a link: by the addresses that others can use, if there are any.
    ///
    /// # Errors
    /// The node has shut down.
    pub async fn link_peers(&self) -> Result<Vec<String>, Closed> {
        let mut addresses = self.addresses().await?;
        let farthest = addresses.iter().map(Reach::of).max();
        addresses.retain(|address| Some(Reach::of(address)) == farthest);
        Ok(addresses
            .iter()
            .take(LINK_PEERS)
            .map(Multiaddr::to_string)
            .collect())
    }

    /// All that a receiver needs to get what is shared under `shared`'s hash from this node.
    ///
    /// # Errors
    /// The node has shut down.
    pub async fn link(&self, shared: &Shared) -> Result<Link, Closed> {
        Ok(Link {
            peers: self.link_peers().await?,
            ..shared.link.clone()
        })
    }
}

impl NodeCore {
    /// What the links said that were asked for.
    pub(super) fn links(&self) -> MutexGuard<'_, KnownLinks> {
        self.links.lock()
    }
}

/// Runs `work` where blocking is allowed. It fails only when the runtime is shutting down.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Closed> {
    spawn_blocking(work).await.map_err(|_| Closed)
}

/// Takes note of watched folders that are not there, before anything is served from them.
async fn note_missing(settings: &Settings, store: &Store) {
    let (folders, store) = (settings.share_folders.clone(), store.clone());
    let noting = blocking(move || {
        for folder in folders {
            let missing = store.missing_folders(&folder, &folder);
            let (gone, _) = store.set_missing(&folder, &folder, &missing);
            for folder in gone {
                let folder = folder.display();
                tracing::warn!(%folder, "missing: its shares are offered again when it is back");
            }
        }
    });
    // It fails only when the runtime ends.
    let _ = noting.await;
}

async fn known_peers(
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
