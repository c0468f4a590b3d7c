//! Where a download gets its content from: discovery, sources, and what is known of them.

use std::sync::Arc;

use libp2p::PeerId;
use pelago_content::Hash;
use tokio::sync::{Semaphore, mpsc};

use crate::{
    access::Circle,
    network::{Candidate, Discovery},
    transfer::{
        Wanted,
        faults::Faults,
        holding::Holdings,
        receiving::Inflow,
        roster::Roster,
        services::{Services, members_of},
        source::{Context, Event, MAX_UPDATES, SourceId},
        sources::Sources,
        waiting::{AttachedWait, Offer},
    },
};

/// The maximum number of events that wait for the download. If there are more, the sources wait.
pub(super) const EVENTS_QUEUED: usize = 256;

/// The sources of a download, and what is known of them.
pub(super) struct Supply {
    pub(super) discovery: Discovery,
    pub(super) sources: Sources,
    pub(super) events: mpsc::Receiver<(SourceId, Event)>,
    /// Peers that may have the content.
    pub(super) offers: mpsc::Receiver<Offer>,
    /// What the sources have, while no scheduler keeps it.
    pub(super) holdings: Holdings,
    /// Which files each source sent wrong data of.
    pub(super) faults: Faults,
    /// Whether our own limits hold the download back.
    pub(super) inflow: Inflow,
}

impl Supply {
    /// Looks for `found_by` in order to find sources of the wanted content.
    pub(super) fn new(
        services: &Services,
        wanted: &Wanted,
        found_by: Hash,
        waiting: &AttachedWait,
        offers: mpsc::Receiver<Offer>,
    ) -> Self {
        let (sender, events) = mpsc::channel(EVENTS_QUEUED);
        let (network, settings) = (&services.network, &services.settings);
        let inflow = Inflow::default();
        let circle = Circle::of(wanted.group, &services.memberships);
        let context = Context {
            network: network.clone(),
            limits: services.limits.clone(),
            hash: wanted.hash,
            allowed: wanted.allowed.clone().map(Arc::from),
            circle: circle.clone(),
            stall: settings.stall,
            inflow: inflow.clone(),
            events: sender,
            updates: Arc::new(Semaphore::new(MAX_UPDATES)),
        };
        let roster = Roster::new(settings.max_sources, settings.max_asked);
        Self {
            discovery: Discovery::find(
                network,
                found_by,
                wanted.peers.clone(),
                members_of(circle),
                waiting.pace(),
            ),
            sources: Sources::new(context, roster, waiting.clone()),
            events,
            offers,
            holdings: Holdings::default(),
            faults: Faults::default(),
            inflow,
        }
    }

    /// A peer was found that may have the content.
    pub(super) fn handle_candidate(&mut self, candidate: Candidate) {
        let peer = candidate.peer;
        // A candidate that is not remembered may be found again.
        if !self.sources.offer(candidate)
            && let Some(peer) = peer
        {
            self.discovery.forget(&peer);
        }
    }

    /// A peer was offered that may have the content.
    pub(super) fn handle_offer(&mut self, offer: Offer) {
        match offer {
            Offer::Asked(peer) | Offer::Listed(peer) => {
                self.discovery.add_peer(peer);
            }
            Offer::Named(address) => {
                self.sources.offer(Candidate::given(&address));
            }
            // A download that does not wait has looked before it began.
            Offer::Own => {}
        }
    }

    /// The peer is not a source any more. It may be found again.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.discovery.forget(&peer);
        self.holdings.remove(&peer);
    }
}
