//! One peer as a source of one download: its streams, what it has, what it sends.
//!
//! A source is a task that ends with the reason why; what it learns on the way are [`Event`]s. What has
//! come is verified and written on blocking threads ([`batch`](super::batch)) while the next is being
//! read.

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
    availability::{self, Has, Update},
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
    receiving::Throttled,
    scheduler::{Failure, MAX_IN_FLIGHT},
    subscription::{Subscription, hold, subscribe},
};
use crate::{
    limits::Limits,
    network::{Candidate, Network, Outgoing},
};

/// Orders that may be handed to a source and not yet carried out: all that may be in flight, before
/// and after a cancel.
pub(super) const MAX_ORDERS: usize = 4 * MAX_IN_FLIGHT;

/// How long after a source did not give what it said it had it is asked anew what it has.
const DENIED_PAUSE: Duration = Duration::from_secs(1);

/// What sources have said and the download has not taken note of yet, at most: some 130 KB each, as large as
/// an update may be. A source with more waits, and its peer with it.
pub(super) const MAX_UPDATES: usize = 16;

/// How long after an update the next one is read. Peers that keep to the protocol send four a second.
const UPDATE_PAUSE: Duration = Duration::from_millis(100);

/// Names the source of an event; a peer's id may not be known yet.
pub(super) type SourceId = u64;

/// What a source is told to do.
pub(super) enum Order {
    /// Fetch a chunk.
    Fetch(ChunkRequest),
    /// Nothing of what was ordered before is wanted any more: have the peer stop sending it.
    Cancel,
}

/// What a source learns.
pub(super) enum Event {
    /// It has blocks: more of them, or these and no others if it is the first answer to a question. The
    /// permit is one of [`MAX_UPDATES`].
    Has(PeerId, Box<Availability>, UpdateKind, OwnedSemaphorePermit),
    /// Chunks are on their way from it, and not verified yet.
    Arriving(PeerId),
    /// Chunks have come, and are verified and written.
    Arrived(PeerId, Vec<StagePart>),
    /// A chunk has not come.
    Failed(PeerId, StagePart, Failure),
    /// A chunk of a file has come and failed its proof, for this reason.
    Unproven(PeerId, StagePart, String),
    /// The answer to a question that followed a failed proof is a lie, for this reason.
    Dishonest(PeerId, String),
    /// It has ended.
    Ended(Option<PeerId>, End),
}

/// Which answer it is to the question what a source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpdateKind {
    /// The first: all that it has.
    Snapshot,
    /// Another: what came since.
    Addition,
}

/// What all sources of a download share.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) network: Network,
    pub(super) limits: Limits,
    pub(super) hash: Hash,
    pub(super) allowed: Option<Arc<[PeerId]>>,
    pub(super) stall: Duration,
    /// Whether our own limits hold the download back.
    pub(super) throttled: Throttled,
    pub(super) events: mpsc::Sender<(SourceId, Event)>,
    /// Room for what they say they have.
    pub(super) updates: Arc<Semaphore>,
}

/// Runs `candidate` as a source until it ends or `orders` closes.
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
        Some(allowed) if !allowed.contains(&peer) => Err(End::NotAllowed),
        _ => Ok(peer),
    }
}

struct Source<'a> {
    context: &'a Context,
    id: SourceId,
    peer: PeerId,
    /// It did not give a chunk that it said it had.
    denied: Notify,
    /// It said that it has all of the content.
    has_all: AtomicBool,
}

/// Why an availability stream is of no more use.
enum Renewal {
    /// The source did not give what it said it had.
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
                    // There is no more news until it denies some of it.
                    self.denied.notified().await;
                }
                // It may be ending a download, and have all of it when that is done.
                sleep(DENIED_PAUSE).await;
                subscription = self.subscribe().await?;
            }
        };
        let mut writes = Writes::default();
        let mut end = tokio::select! {
            end = more_updates => end,
            end = self.fetch(orders, &mut writes) => end,
        };
        // What has come before the end is not to be fetched again; and a lie is one, also if whoever
        // told it was gone before it was found out.
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

    /// Asks what the peer has; passes on the first that it says.
    async fn subscribe(&self) -> Result<Subscription, End> {
        let Context {
            network,
            hash,
            stall,
            ..
        } = self.context;
        let (has, subscription) = subscribe(network, self.peer, *hash, *stall).await?;
        self.take(has, UpdateKind::Snapshot).await;
        Ok(subscription)
    }

    /// Passes on what the peer says; returns only if that cannot be read.
    async fn read_updates(&self, updates: &mut Stall<Outgoing>) -> Result<Renewal, End> {
        while let Some(Update::Has(has)) = availability::read_update(updates).await? {
            if has.descriptor.hash() != self.context.hash {
                return Err(End::Dishonest(chunk::WrongAnswer::Descriptor.to_string()));
            }
            self.take(has, UpdateKind::Addition).await;
            sleep(UPDATE_PAUSE).await;
        }
        // A peer that closes has no more news; what it has, it still has.
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
        let room = Arc::clone(&self.context.updates).acquire_owned().await;
        // It is never closed.
        if let Ok(room) = room {
            self.send_event(Event::Has(self.peer, Box::new(has), kind, room))
                .await;
        }
    }

    async fn written(&self, written: Written) -> Result<(), End> {
        self.arrived(written.parts).await;
        for unproven in written.unproven {
            let why = unproven.error.to_string();
            // A manifest is proven by everyone who sends it.
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
        // The download may be over; then this task is about to be ended too.
        let _ = self.context.events.send((self.id, event)).await;
    }
}
