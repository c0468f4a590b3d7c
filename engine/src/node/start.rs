//! Starts a node: makes its parts, connects them, and begins its duties.

use std::{path::PathBuf, sync::Arc, time::Instant};

use libp2p::{PeerId, identity};
use pelago_behaviour::{InvalidNetworkName, OwnKeys};
use pelago_content::Hash;
use pelago_groups::GroupId;
use thiserror::Error;
use tokio::sync::mpsc;

use super::{
    CodedError, LocalUser, Mode, Node, Settings,
    background::{self, ASKERS_QUEUED},
    being_written::WriteTracker,
    blocking::blocking,
    catalogues::CatalogueCache,
    core::NodeCore,
    gauges::Gauges,
    incoming::IncomingFiles,
    known_links::KnownLinks,
    known_peers::known_peers,
    scan::note_missing,
    share_states::DOUBTFUL_QUEUED,
    uploads::restore_uploads,
    watch::Watches,
};
use crate::{
    access::{Access, CompletedDownloads, Memberships},
    duties::Duties,
    groups::{self, GroupError, Groups, Identity},
    limits::Limits,
    network::{self, Network},
    publish::Publisher,
    serve::{GroupService, RehashQueue, Reports, Server, Uploads},
    store::{DatabaseError, Store},
    transfer::{self, SavedList, Transfers},
};

/// The most inbound streams that wait to be served. Further ones are reset.
const INBOUND_QUEUED: usize = 256;

/// Why a node did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The name of the network is invalid.
    #[error(transparent)]
    NetworkName(#[from] InvalidNetworkName),
    /// The node cannot join the network.
    #[error(transparent)]
    Network(#[from] network::StartError),
    /// The database cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The list of downloads was written by a newer version.
    #[error(transparent)]
    Downloads(#[from] transfer::LoadError),
    /// The watched folders are to be shared with a group that is not found.
    #[error("the watched folders cannot be shared with a group: {0}")]
    ShareGroup(GroupError),
    /// The process is ending.
    #[error(transparent)]
    Closed(#[from] network::Closed),
}

impl StartError {
    /// Whether another program uses an address to listen at.
    #[must_use]
    pub fn is_address_in_use(&self) -> bool {
        matches!(
            self,
            Self::Network(network::StartError::Listen {
                is_in_use: true,
                ..
            })
        )
    }
}

impl CodedError for StartError {
    fn code(&self) -> &'static str {
        match self {
            Self::NetworkName(_) => "network-name",
            Self::Network(_) if self.is_address_in_use() => "port-in-use",
            Self::Network(_) => "network",
            Self::Database(_) => "database",
            Self::Downloads(_) => "newer-data",
            Self::ShareGroup(error) => error.code(),
            Self::Closed(_) => "closed",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Downloads(error) => Some(error.hint()),
            Self::ShareGroup(error) => error.hint(),
            _ if self.is_address_in_use() => {
                let hint = "stop that program, or choose another port with --port or --listen; 0 is \
                            any that is free";
                Some(hint.to_owned())
            }
            _ => None,
        }
    }
}

impl Node {
    /// Starts the node of `keypair` over `store`, as a node of `user` if there is one. It listens
    /// when this returns. Everything that takes time (announcing, hashing shared folders, resuming
    /// downloads) happens in the background.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        settings: Settings,
        store: Store,
        keypair: &identity::Keypair,
        user: Option<LocalUser>,
    ) -> Result<Self, StartError> {
        let saved = match settings.mode {
            Mode::LongRunning => Some(SavedList::read(&store).await?),
            Mode::OneShot => None,
        };
        let (own_keys, duties) = (OwnKeys::default(), Duties::default());
        let (inbound, streams) = mpsc::channel(INBOUND_QUEUED);
        let queued_streams = inbound.downgrade();
        let network = settings.network(known_peers(&settings, &store).await?)?;
        let network = Network::start(keypair, network, own_keys.clone(), inbound, &duties).await?;
        let publisher = match settings.announce {
            true => {
                let (network, store) = (network.clone(), store.clone());
                Publisher::start(network, store, own_keys, &settings.publish(), &duties)
            }
            false => Publisher::silent(),
        };
        let memberships = Memberships::default();
        let completed = CompletedDownloads::default();
        let (limits, rehash) = (Limits::new(settings.limits), RehashQueue::default());
        let transfers = Transfers::new(
            network.clone(),
            limits.clone(),
            store.clone(),
            memberships.clone(),
            completed.clone(),
            settings.transfer(),
        );
        let users = (user.clone(), settings.is_locked);
        let groups = open_groups(&store, keypair, users, memberships.clone()).await?;
        let answers = groups::Answers::new(groups.clone());
        let group_service: GroupService = Box::new(move |peer, origin, stream| {
            Box::pin(answers.clone().serve(peer, origin, stream))
        });
        let share_group = match &settings.share_group {
            Some(text) => Some(share_group(&groups, text)?),
            None => None,
        };
        let uploads = Uploads::default();
        let moved_before = restore_uploads(&store, &uploads);
        let (reports, askers, doubtful) = reports(&rehash, &uploads);
        let server = Server::new(
            store.clone(),
            Access::new(store.clone(), memberships.clone()).with_completed(completed.clone()),
            network.clone(),
            limits.clone(),
            reports,
            group_service,
            &settings.serve(),
        );
        store.set_live_folders(settings.share_folders.clone());
        note_missing_folders(&settings, &store).await;
        let core = Arc::new(NodeCore {
            gauges: Gauges::new(server.metrics(), queued_streams),
            settings,
            user,
            store,
            memberships,
            share_group,
            network,
            publisher,
            groups,
            transfers,
            limits,
            rehash,
            incoming: IncomingFiles::default(),
            uploads,
            moved_before,
            completed,
            being_written: WriteTracker::default(),
            duties,
            watches: Watches::default(),
            links: KnownLinks::default(),
            catalogue: CatalogueCache::default(),
            started: Instant::now(),
        });
        background::begin_serving(&core, server, streams, askers, doubtful);
        if let Some(saved) = saved {
            begin_lasting_work(&core, saved).await;
        }
        Ok(Self::new(core))
    }
}

/// The groups in `store`, of `user` on the node of `keypair`, who may be logged out.
async fn open_groups(
    store: &Store,
    keypair: &identity::Keypair,
    (user, is_locked): (Option<LocalUser>, bool),
    memberships: Memberships,
) -> Result<Groups, StartError> {
    let identity = user.and_then(|user| Identity::new(user.secret, user.name, keypair));
    let (store, local) = (store.clone(), keypair.public().to_peer_id());
    let open = move || Groups::open(store, local, identity, is_locked, memberships);
    Ok(blocking(open).await??)
}

/// The group that `text` selects. The user need not belong to it: an owner may have removed the user, or
/// has yet to accept a request.
fn share_group(groups: &Groups, text: &str) -> Result<GroupId, StartError> {
    let known = super::groups::known(groups, text).map_err(StartError::ShareGroup)?;
    let (group, is_member) = (known.0.id(), known.1);
    if !is_member {
        tracing::warn!(
            %group,
            "the watched folders are for a group that you do not belong to: no peer gets their files"
        );
    }
    Ok(group)
}

/// The queues into which the server puts its reports, with the receivers of peers that asked
/// for content, and of paths that it could not serve.
fn reports(
    rehash: &RehashQueue,
    uploads: &Uploads,
) -> (
    Reports,
    mpsc::Receiver<(Hash, PeerId)>,
    mpsc::Receiver<PathBuf>,
) {
    let (asked, askers) = mpsc::channel(ASKERS_QUEUED);
    let (doubtful, doubted) = mpsc::channel(DOUBTFUL_QUEUED);
    let (rehash, uploads) = (rehash.clone(), uploads.clone());
    let reports = Reports {
        rehash,
        uploads,
        doubtful,
        asked,
    };
    (reports, askers, doubted)
}

/// Begins the work of a long-running node: its further duties, and the downloads of earlier runs.
async fn begin_lasting_work(core: &Arc<NodeCore>, saved: SavedList) {
    background::begin_lasting(core);
    if core.store.folder().is_some()
        && let Err(error) = core.transfers.clear_cache().await
    {
        tracing::warn!(%error, "cannot clear the cache of content that an earlier run read");
    }
    core.resume_downloads(saved).await;
}

/// Marks missing watched folders, before anything is served from them.
async fn note_missing_folders(settings: &Settings, store: &Store) {
    let (folders, store) = (settings.share_folders.clone(), store.clone());
    let noting = blocking(move || {
        for folder in folders {
            note_missing(&store, &folder, &folder);
        }
    });
    // It fails only when the runtime is shutting down.
    let _ = noting.await;
}
