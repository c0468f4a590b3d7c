//! One peer as a source of one download: its streams, the blocks that it has, and the data that it
//! sends.
//!
//! A source is a task that ends with a reason. On the way it sends [`Event`]s. Arrived data is
//! verified and written on blocking threads ([`batch`](super::batch)) while the next data is read.

mod end;
mod exchange;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use libp2p::PeerId;
use pelago_behaviour::{
    Stall,
    availability::{self, Availability, Update},
    chunk,
};
use pelago_content::{Hash, Kind};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc},
    time::sleep,
};

pub(super) use self::end::End;
use super::{
    batch::{ChunkRequest, StagePart, Writes, Written},
    receiving::Inflow,
    scheduler::{Failure, MAX_IN_FLIGHT},
    subscription::{Subscription, UPDATE_PAUSE, hold, subscribe},
};
use crate::{
    access::Circle,
    limits::Limits,
    network::{Candidate, Network, Outgoing},
};

/// The maximum number of orders that a source has not carried out yet: all chunks that may be in
/// flight, before and after a cancel.
pub(super) const MAX_ORDERS: usize = 4 * MAX_IN_FLIGHT;

/// The pause before a source is asked again which blocks it has, after it did not give one that it
/// claimed.
const DENIED_PAUSE: Duration = Duration::from_secs(1);

/// The maximum number of updates of sources that the download has not handled yet: each is at most
/// some 130 KB. A source with more updates waits, and its peer with it.
pub(super) const MAX_UPDATES: usize = 16;

/// Identifies the source of an event. Its peer id may not be known yet.
pub(super) type SourceId = u64;

/// An order to a source.
pub(super) enum Order {
    /// Fetch a chunk.
    Fetch(ChunkRequest),
    /// Cancel all earlier orders: make the peer stop sending.
    Cancel,
}

/// An event of a source.
pub(super) enum Event {
    /// The source has blocks: further ones, or exactly these if it is a snapshot. The permit is one
    /// of [`MAX_UPDATES`].
    Has(PeerId, Box<Availability>, UpdateKind, OwnedSemaphorePermit),
    /// Chunks from the source are arriving, and are not verified yet.
    Arriving(PeerId),
    /// Chunks have arrived, and are verified and written.
    Arrived(PeerId, Vec<StagePart>),
    /// A chunk did not arrive.
    Failed(PeerId, StagePart, Failure),
    /// A chunk of a file arrived and failed its proof, for this reason.
    Unproven(PeerId, StagePart, String),
    /// The answer to a recheck proves that the source is dishonest, for this reason.
    Dishonest(PeerId, String),
    /// The source has ended.
    Ended(Option<PeerId>, End),
}

/// The meaning of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpdateKind {
    /// The first update: all blocks that the source has.
    Snapshot,
    /// A later update: blocks that the source has in addition.
    Addition,
}

/// What all sources of a download share.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) network: Network,
    pub(super) limits: Limits,
    pub(super) hash: Hash,
    pub(super) allowed: Option<Arc<[PeerId]>>,
    pub(super) circle: Circle,
    pub(super) stall: Duration,
    /// Whether our own limits hold the download back.
    pub(super) inflow: Inflow,
    pub(super) events: mpsc::Sender<(SourceId, Event)>,
    /// Permits for updates that the download has not handled yet.
    pub(super) updates: Arc<Semaphore>,
}

/// Runs `candidate` as a source until it ends, or until `orders` closes.
pub(super) async fn run(
    context: Context,
    id: SourceId,
    candidate: Candidate,
    orders: mpsc::Receiver<Order>,
) {
    let known = candidate.peer;
    let (peer, end) = match connect(&context, candidate).await {
        Ok(peer) => {
            let source = Source {
                context: &context,
                id,
                peer,
                denied: Notify::new(),
                has_all: AtomicBool::new(false),
            };
            let Err(end) = source.run(orders).await;
            (Some(peer), end)
        }
        Err(end) => (known, end),
    };
    // The download may be over.
    let _ = context.events.send((id, Event::Ended(peer, end))).await;
}

async fn connect(context: &Context, candidate: Candidate) -> Result<PeerId, End> {
    let connected = context.network.reach(candidate).await;
    let peer = connected.map_err(|error| End::Unreachable(error.to_string()))?;
    match &context.allowed {
        _ if !context.circle.has(&peer) => Err(End::NotAMember),
        Some(allowed) if !allowed.contains(&peer) => Err(End::NotAllowed),
        _ => Ok(peer),
    }
}

struct Source<'a> {
    context: &'a Context,
    id: SourceId,
    peer: PeerId,
    /// Notified when the source did not give a chunk that it claimed.
    denied: Notify,
    /// Whether the source said that it has all of the content.
    has_all: AtomicBool,
}

/// Why an availability stream must be renewed.
enum Renewal {
    /// The source did not give a chunk that it claimed.
    Denied,
    /// Others of our downloads wait for a stream.
    Yielded,
}

impl Source<'_> {
    async fn run(&self, orders: mpsc::Receiver<Order>) -> Result<Infallible, End> {
        let mut subscription = self.subscribe().await?;
        let more_updates = async {
            loop {
                let renewal = tokio::select! {
                    renewed = self.read_updates(&mut subscription.updates) => renewed?,
                    () = self.denied.notified() => Renewal::Denied,
                    () = hold(&mut subscription.demand) => Renewal::Yielded,
                };
                drop(subscription);
                if matches!(renewal, Renewal::Yielded) && self.has_all.load(Ordering::Relaxed) {
                    // There are no further updates until it denies a chunk.
                    self.denied.notified().await;
                }
                // It may be finishing a download, and have everything when that is done.
                sleep(DENIED_PAUSE).await;
                subscription = self.subscribe().await?;
            }
        };
        let mut writes = Writes::default();
        let mut end = tokio::select! {
            end = more_updates => end,
            end = self.fetch(orders, &mut writes) => end,
        };
        // Data that arrived before the end must not be fetched again. And a dishonest source is
        // banned even if it was gone before its data was verified.
        while let Some(written) = writes.next().await {
            let is_worse = !matches!(end, Err(End::Dishonest(_) | End::Disk(_)));
            if let Err(found_out) = self.written(written).await
                && is_worse
            {
                end = Err(found_out);
            }
        }
        end
    }

    /// Asks the peer which blocks it has. Passes its first update on.
    async fn subscribe(&self) -> Result<Subscription, End> {
        let Context {
            network,
            hash,
            circle,
            stall,
            ..
        } = self.context;
        let (has, subscription) = subscribe(network, self.peer, *hash, circle, *stall).await?;
        self.take(has, UpdateKind::Snapshot).await;
        Ok(subscription)
    }

    /// Passes further updates on. Returns only if the stream must be renewed or fails.
    async fn read_updates(&self, updates: &mut Stall<Outgoing>) -> Result<Renewal, End> {
        while let Some(Update::Has(has)) = availability::read_update(updates).await? {
            if has.descriptor.hash() != self.context.hash {
                return Err(End::Dishonest(chunk::WrongAnswer::Descriptor.to_string()));
            }
            self.take(has, UpdateKind::Addition).await;
            sleep(UPDATE_PAUSE).await;
        }
        // A peer that closes the stream has no further updates. It still has its blocks.
        std::future::pending().await
    }

    /// Passes an update on.
    async fn take(&self, has: Availability, kind: UpdateKind) {
        let blocks = has.descriptor.geometry().blocks();
        let is_whole = has.descriptor.kind() == Kind::File && has.blocks.len() == blocks;
        match kind {
            UpdateKind::Snapshot => self.has_all.store(is_whole, Ordering::Relaxed),
            UpdateKind::Addition => _ = self.has_all.fetch_or(is_whole, Ordering::Relaxed),
        }
        let permit = Arc::clone(&self.context.updates).acquire_owned().await;
        // The semaphore is never closed.
        if let Ok(permit) = permit {
            self.send_event(Event::Has(self.peer, Box::new(has), kind, permit))
                .await;
        }
    }

    async fn written(&self, written: Written) -> Result<(), End> {
        self.arrived(written.parts).await;
        for unproven in written.unproven {
            let why = unproven.error.to_string();
            // Each peer that sends a manifest has verified it.
            if unproven.is_manifest {
                return Err(End::Dishonest(why));
            }
            self.send_event(Event::Unproven(self.peer, unproven.part, why))
                .await;
        }
        written.result.map_err(End::Disk)
    }

    async fn arrived(&self, parts: Vec<StagePart>) {
        if !parts.is_empty() {
            self.send_event(Event::Arrived(self.peer, parts)).await;
        }
    }

    async fn send_event(&self, event: Event) {
        // The download may be over; then this task is ended, too.
        let _ = self.context.events.send((self.id, event)).await;
    }
}
