//! One peer as a source of one download: its streams, what it has, what it sends.
//!
//! A source is a task that ends with the reason why; what it learns on the way are [`Event`]s. What has
//! come is verified and written on blocking threads ([`batch`](super::batch)) while the next is being
//! read.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite};
use libp2p::PeerId;
use pelago_behaviour::{
    FrameError, Protocol, Stall,
    availability::{self, Has, Update},
    chunk::{self, Answer, Item, MAX_ITEMS},
};
use pelago_content::{Hash, Part};
use tokio::{
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};

use super::{
    batch::{Batch, Writes, Written},
    receiving::receive,
    scheduler::{Failure, MAX_IN_FLIGHT},
    sink::Sink,
};
use crate::{
    limits::Limits,
    network::{Candidate, Network, Stream, StreamError},
    store::WriteError,
};

/// Orders that may be handed to a source and not yet carried out: all that may be in flight, before
/// and after a cancel.
pub(super) const MAX_ORDERS: usize = 4 * MAX_IN_FLIGHT;

/// Bytes asked for in one request that has several items: half of what a source may have to verify at
/// a time, so that small files are written while the next are on their way.
const MAX_REQUEST: u64 = 256 << 10;

/// How long after a source did not give what it said it had it is asked anew what it has.
const DENIED_PAUSE: Duration = Duration::from_secs(1);

/// Names the source of an event; a peer's id may not be known yet.
pub(super) type SourceId = u64;

/// What a source is told to do.
pub(super) enum Order {
    /// Fetch a chunk.
    Fetch(Request),
    /// Nothing of what was ordered before is wanted any more: have the peer stop sending it.
    Cancel,
}

/// A chunk, and of what. A download fetches one content after another (manifests, then files), each of
/// which numbers its files anew: what comes late of one shall not be taken for the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) content: u64,
    pub(super) part: Part,
}

/// A chunk to be fetched, and where it is to be written.
pub(super) struct Request {
    pub(super) wanted: Wanted,
    pub(super) item: Item,
    pub(super) bytes: u64,
    pub(super) sink: Sink,
}

/// A request that was sent.
struct Asked {
    request: Request,
    /// Whether it was the last item of a frame.
    ends_frame: bool,
}

/// What a source learns.
pub(super) enum Event {
    /// It has blocks: more of them, or these and no others if it is the first answer to a question.
    Has(PeerId, Box<Has>, Answered),
    /// Chunks have come, and are verified and written.
    Arrived(PeerId, Vec<Wanted>),
    /// A chunk has not come.
    Failed(PeerId, Wanted, Failure),
    /// A chunk of a file has come and failed its proof, for this reason.
    Unproven(PeerId, Wanted, String),
    /// The answer to a question that followed a failed proof is a lie, for this reason.
    Lied(PeerId, String),
    /// It has ended.
    Ended(Option<PeerId>, End),
}

/// Which answer it is to the question what a source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// The first: all that it has.
    First,
    /// Another: what came since.
    More,
}

/// Why a source ended.
#[derive(Debug)]
pub(super) enum End {
    /// It cannot be connected to.
    Unreachable(String),
    /// It has nothing of the content that it would give us.
    Absent,
    /// It is not among those that may be asked.
    NotAllowed,
    /// The connection or the stream failed, or stalled.
    Lost(String),
    /// It sent what is not true: never to be asked again.
    Lied(String),
    /// It is more trouble than it is worth: not to be asked again either.
    Refused(String),
    /// Not the source's fault: the chunk cannot be written.
    Disk(WriteError),
}

impl From<FrameError> for End {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(error) => Self::Lost(error.to_string()),
            broken => Self::Lied(broken.to_string()),
        }
    }
}

impl From<StreamError> for End {
    fn from(error: StreamError) -> Self {
        Self::Lost(error.to_string())
    }
}

/// What all sources of a download share.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) network: Network,
    pub(super) limits: Limits,
    pub(super) hash: Hash,
    pub(super) allowed: Option<Arc<[PeerId]>>,
    pub(super) stall: Duration,
    pub(super) events: mpsc::Sender<(SourceId, Event)>,
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
    let connected = context
        .network
        .connect(candidate.peer, candidate.addresses)
        .await;
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
}

impl Source<'_> {
    async fn run(&self, orders: mpsc::Receiver<Order>) -> Result<Infallible, End> {
        let mut updates = self.subscribe().await?;
        let more_updates = async {
            loop {
                tokio::select! {
                    heard = self.hear_all(&mut updates) => heard?,
                    () = self.denied.notified() => {}
                }
                // It may be ending a download, and have all of it when that is done.
                sleep(DENIED_PAUSE).await;
                updates = self.subscribe().await?;
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
            let is_worse = !matches!(end, Err(End::Lied(_) | End::Disk(_)));
            if let Err(found_out) = self.written(written).await
                && is_worse
            {
                end = Err(found_out);
            }
        }
        end
    }

    /// Asks what the peer has; passes on the first that it says.
    async fn subscribe(&self) -> Result<Stall<Stream>, End> {
        let stream = self
            .context
            .network
            .open(self.peer, Protocol::Availability)
            .await?;
        let mut updates = Stall::new(stream, self.context.stall);
        availability::write_request(&mut updates, self.context.hash).await?;
        if !self.hear(&mut updates, Answered::First).await? {
            return Err(End::Absent);
        }
        updates.disarm();
        Ok(updates)
    }

    /// Passes on what the peer says; returns only if that cannot be read.
    async fn hear_all(&self, updates: &mut Stall<Stream>) -> Result<(), End> {
        while self.hear(updates, Answered::More).await? {}
        // A peer that closes has no more news; what it has, it still has.
        std::future::pending().await
    }

    /// Reads an update and passes it on; whether there may be another.
    async fn hear(
        &self,
        updates: &mut (impl AsyncRead + Unpin),
        answered: Answered,
    ) -> Result<bool, End> {
        match availability::read_update(updates).await? {
            Some(Update::Has(has)) if has.descriptor.hash() == self.context.hash => {
                let event = Event::Has(self.peer, Box::new(has), answered);
                self.tell(event).await;
                Ok(true)
            }
            Some(Update::Has(_)) => Err(End::Lied(chunk::WrongAnswer::Descriptor.to_string())),
            Some(Update::Absent) | None => Ok(false),
        }
    }

    /// Fetches what is ordered, on one stream until a cancel or until nothing was wanted for a while; the
    /// next order opens another.
    async fn fetch(
        &self,
        mut orders: mpsc::Receiver<Order>,
        writes: &mut Writes,
    ) -> Result<Infallible, End> {
        loop {
            let first = match orders.recv().await {
                Some(Order::Fetch(request)) => request,
                Some(Order::Cancel) => continue,
                // The download wants no more from this source: it is about to end it.
                None => std::future::pending().await,
            };
            let stream = self
                .context
                .network
                .open(self.peer, Protocol::Chunk)
                .await?;
            let (reader, writer) = stream.split();
            let (asked, outstanding) = mpsc::channel(MAX_ORDERS);
            tokio::select! {
                // Both halves are dropped with it, which resets the stream.
                ended = self.ask(writer, first, &mut orders, asked) => ended?,
                ended = self.receive(reader, outstanding, writes) => ended?,
            }
        }
    }

    /// Sends requests as they come, without waiting for answers, until they are cancelled. Small ones
    /// that wait already share a frame.
    async fn ask(
        &self,
        mut writer: impl AsyncWrite + Unpin,
        first: Request,
        orders: &mut mpsc::Receiver<Order>,
        asked: mpsc::Sender<Asked>,
    ) -> Result<(), End> {
        let mut next = Some(Order::Fetch(first));
        loop {
            let order = match next.take() {
                Some(order) => Some(order),
                None => orders.recv().await,
            };
            let mut frame = match order {
                Some(Order::Fetch(request)) => vec![request],
                Some(Order::Cancel) => return Ok(()),
                None => std::future::pending().await,
            };
            let mut bytes = frame[0].bytes;
            while frame.len() < MAX_ITEMS && next.is_none() {
                match orders.try_recv() {
                    Ok(Order::Fetch(request)) if bytes + request.bytes <= MAX_REQUEST => {
                        bytes += request.bytes;
                        frame.push(request);
                    }
                    Ok(order) => next = Some(order),
                    Err(_) => break,
                }
            }
            let items: Vec<_> = frame.iter().map(|request| request.item).collect();
            let last = frame.len() - 1;
            for (index, request) in frame.into_iter().enumerate() {
                let ends_frame = index == last;
                let note = Asked {
                    request,
                    ends_frame,
                };
                // Whoever reads is gone only when this source is about to be.
                let _ = asked.send(note).await;
            }
            chunk::write_request(&mut writer, &items).await?;
        }
    }

    /// Reads answers in the order of the requests, and hands the data on, until there was nothing to
    /// wait for as long as would be a stall. Givers let go of streams that nobody uses, too: whoever is
    /// first saves the other from taking that for a failure.
    async fn receive(
        &self,
        reader: impl AsyncRead + Unpin,
        mut outstanding: mpsc::Receiver<Asked>,
        writes: &mut Writes,
    ) -> Result<(), End> {
        let mut reader = Stall::new(reader, self.context.stall);
        let mut batch = writes.batch();
        loop {
            tokio::select! {
                biased;
                Some(written) = writes.next() => self.written(written).await?,
                asked = timeout(self.context.stall, outstanding.recv()), if writes.has_room() => {
                    let Ok(Some(Asked { request, ends_frame })) = asked else {
                        return Ok(());
                    };
                    reader.arm();
                    let read = self.read_answer(&mut reader, request, &mut batch).await;
                    // What has come before an end is not to be fetched again.
                    if ends_frame || batch.is_full() || read.is_err() {
                        let full = std::mem::replace(&mut batch, writes.batch());
                        writes.start(full);
                    }
                    read?;
                }
            }
        }
    }

    /// Reads one answer: data goes into the batch, anything else is told.
    async fn read_answer(
        &self,
        reader: &mut Stall<impl AsyncRead + Unpin>,
        request: Request,
        batch: &mut Batch,
    ) -> Result<(), End> {
        let answer = chunk::read_answer(reader).await?;
        let checked = answer.check(&request.item);
        checked.map_err(|wrong| End::Lied(wrong.to_string()))?;
        let failure = match answer {
            Answer::Data { proof, length, .. } => {
                let data = batch.add(request, proof, length);
                let received = receive(&self.context.limits, self.peer, reader, data).await;
                if let Err(error) = received {
                    // What is not whole proves nothing against anybody.
                    batch.take_back();
                    return Err(FrameError::from(error).into());
                }
                let traffic = self.context.network.traffic();
                traffic.received(self.peer, length.into());
                return Ok(());
            }
            Answer::Busy(wait) => Failure::Busy(wait),
            Answer::Absent | Answer::Changed => {
                self.denied.notify_one();
                Failure::Absent
            }
            Answer::OutOfRange | Answer::Malformed | Answer::Node { .. } => {
                let what = "it refuses a chunk that the content has";
                return Err(End::Lied(what.to_owned()));
            }
        };
        self.tell(Event::Failed(self.peer, request.wanted, failure))
            .await;
        Ok(())
    }

    async fn written(&self, written: Written) -> Result<(), End> {
        self.arrived(written.parts).await;
        for unproven in written.unproven {
            let why = unproven.error.to_string();
            // A manifest is proven by everyone who sends it.
            if unproven.is_manifest {
                return Err(End::Lied(why));
            }
            self.tell(Event::Unproven(self.peer, unproven.wanted, why))
                .await;
        }
        written.result.map_err(End::Disk)
    }

    async fn arrived(&self, parts: Vec<Wanted>) {
        if !parts.is_empty() {
            self.tell(Event::Arrived(self.peer, parts)).await;
        }
    }

    async fn tell(&self, event: Event) {
        // The download may be over; then this task is about to be ended too.
        let _ = self.context.events.send((self.id, event)).await;
    }
}
