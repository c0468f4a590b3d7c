//! What all downloads of a node share, and the settings of all downloads.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tokio::sync::Semaphore;

use super::{
    queue::Queues,
    waiting::{InquiryBudget, MAX_ATTACHED, Waiters},
};
use crate::{
    access::{Circle, CompletedDownloads, Memberships},
    limits::Limits,
    network::{Members, Network},
    store::Store,
};

/// The settings of all downloads.
#[derive(Clone, Debug)]
pub struct TransferSettings {
    /// The maximum number of downloads that fetch at a time; others wait for their turn.
    pub max_downloads: usize,
    /// The maximum number of sources of one download.
    pub max_sources: usize,
    /// The maximum number of candidates that are being connected to or asked at a time. Many of the
    /// peers that the DHT names may be gone, and each of these takes until a time-out.
    pub max_asked: usize,
    /// The maximum number of bytes in flight at one source.
    pub window: u64,
    /// How long a source may send nothing of what it was asked for.
    pub stall: Duration,
    /// Whether finished downloads are shared, until [`set_seed`](super::Transfers::set_seed)
    /// changes it.
    pub seed: bool,
    /// The maximum number of bytes that are cached of content that was only read.
    pub read_cache: u64,
    /// The maximum number of bytes that are fetched ahead of all readers together.
    pub read_ahead: u64,
}

/// The peers among whom discovery searches, if it is in a group.
pub(super) fn members_of(circle: Circle) -> Option<Members> {
    circle.group()?;
    Some(Arc::new(move || circle.members().unwrap_or_default()))
}

/// What all downloads of a node share.
#[derive(Clone)]
pub(super) struct Services {
    pub(super) network: Network,
    pub(super) limits: Limits,
    pub(super) store: Store,
    pub(super) memberships: Memberships,
    pub(super) completed: CompletedDownloads,
    pub(super) settings: TransferSettings,
    /// Grants turns to look for sources and to fetch, in order.
    pub(super) queues: Queues,
    /// Whether finished downloads are shared.
    pub(super) seeds: Arc<AtomicBool>,
    /// What waiting downloads may ask.
    pub(super) budget: InquiryBudget,
    pub(super) waiters: Waiters,
    /// One permit for each download that waits while attached to its sources.
    pub(super) attached: Arc<Semaphore>,
}

impl Services {
    pub(super) fn new(
        network: Network,
        limits: Limits,
        store: Store,
        memberships: Memberships,
        completed: CompletedDownloads,
        settings: TransferSettings,
    ) -> Self {
        Self {
            queues: Queues::new(settings.max_downloads),
            seeds: Arc::new(AtomicBool::new(settings.seed)),
            network,
            limits,
            store,
            memberships,
            completed,
            settings,
            budget: InquiryBudget::default(),
            waiters: Waiters::default(),
            attached: Arc::new(Semaphore::new(MAX_ATTACHED)),
        }
    }
}
