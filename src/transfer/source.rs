//! One peer as a source of one download: its streams, what it has, what it sends.
//!
//! A source is a task that ends with the reason why; what it learns on the way are [`Event`]s. Data is
//! verified and written on blocking threads, a few chunks at a time, while the next are being read;
//! their buffers go round, so that a source costs a fixed amount of memory.

use std::{sync::Arc, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, StreamExt, stream::FuturesUnordered};
use libp2p::PeerId;
use pelago_behaviour::{
    FrameError, Protocol, Stall,
    availability::{self, Has, Update},
    chunk::{self, Answer, Item},
};
use pelago_content::{Chunk, Hash};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

use super::{receiving::receive, scheduler::Failure};
use crate::{
    limits::Limits,
    network::{Candidate, Network, StreamError},
    store::{Partial, WriteError},
};

/// Chunks of one source that may be waiting for disk and hash at a time. Each holds a buffer.
const WRITES_AT_A_TIME: usize = 4;

/// Requests that may be handed to a source and not yet answered: the window of the scheduler is
/// smaller, even in chunks of one block.
pub(super) const MAX_REQUESTS: usize = 2048;

/// Names the source of an event; a peer's id may not be known yet.
pub(super) type SourceId = u64;

/// A chunk to be fetched, and where it is to be written.
pub(super) struct Request {
    pub(super) chunk: Chunk,
    pub(super) partial: Arc<Partial>,
}

/// What a source learns.
pub(super) enum Event {
    /// It has blocks (more of them).
    Has(PeerId, Box<Has>),
    /// A chunk has come, and is verified and written.
    Arrived(PeerId, Chunk),
    /// A chunk has not come.
    Failed(PeerId, Chunk, Failure),
    /// It has ended.
    Ended(Option<PeerId>, End),
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

/// Runs `candidate` as a source until it ends or `requests` closes.
pub(super) async fn run(
    context: Context,
    id: SourceId,
    candidate: Candidate,
    requests: mpsc::Receiver<Request>,
) {
    let known = candidate.peer;
    let (peer, end) = match connect(&context, candidate).await {
        Ok(peer) => {
            let end = Source {
                context: &context,
                id,
                peer,
            }
            .run(requests)
            .await;
            (Some(peer), end.unwrap_or_else(|end| end))
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
}

impl Source<'_> {
    async fn run(&self, requests: mpsc::Receiver<Request>) -> Result<End, End> {
        let stream = self
            .context
            .network
            .open(self.peer, Protocol::Availability)
            .await?;
        let mut updates = Stall::new(stream, self.context.stall);
        availability::write_request(&mut updates, self.context.hash).await?;
        if !self.hear(&mut updates).await? {
            return Err(End::Absent);
        }
        updates.disarm();
        let more_updates = async {
            while self.hear(&mut updates).await? {}
            // A peer that closes has no more news; what it has, it still has.
            std::future::pending().await
        };
        let mut writes = Writes::new();
        let end = tokio::select! {
            end = more_updates => end,
            end = self.fetch(requests, &mut writes) => end,
        };
        // What has come before the end is not to be fetched again.
        while let Some(written) = writes.next().await {
            if let Ok(written) = written
                && written.result.is_ok()
            {
                self.tell(Event::Arrived(self.peer, written.chunk)).await;
            }
        }
        end
    }

    /// Reads an update and passes it on; whether there may be another.
    async fn hear(&self, updates: &mut (impl AsyncRead + Unpin)) -> Result<bool, End> {
        match availability::read_update(updates).await? {
            Some(Update::Has(has)) if has.descriptor.hash() == self.context.hash => {
                self.tell(Event::Has(self.peer, Box::new(has))).await;
                Ok(true)
            }
            Some(Update::Has(_)) => Err(End::Lied(chunk::WrongAnswer::Descriptor.to_string())),
            Some(Update::Absent) | None => Ok(false),
        }
    }

    async fn fetch(
        &self,
        requests: mpsc::Receiver<Request>,
        writes: &mut Writes,
    ) -> Result<End, End> {
        let stream = self
            .context
            .network
            .open(self.peer, Protocol::Chunk)
            .await?;
        let (reader, writer) = stream.split();
        let (asked, outstanding) = mpsc::channel(MAX_REQUESTS);
        tokio::select! {
            end = self.ask(writer, requests, asked) => end,
            end = self.receive(reader, outstanding, writes) => end,
        }
    }

    /// Sends requests as they come, without waiting for answers.
    async fn ask(
        &self,
        mut writer: impl AsyncWrite + Unpin,
        mut requests: mpsc::Receiver<Request>,
        asked: mpsc::Sender<Request>,
    ) -> Result<End, End> {
        while let Some(request) = requests.recv().await {
            let item = self.item(request.chunk);
            if asked.send(request).await.is_err() {
                break;
            }
            chunk::write_request(&mut writer, &[item]).await?;
        }
        // The download wants no more from this source: it is about to end it.
        std::future::pending().await
    }

    /// Reads answers in the order of the requests, and hands the data on.
    async fn receive(
        &self,
        reader: impl AsyncRead + Unpin,
        mut outstanding: mpsc::Receiver<Request>,
        writes: &mut Writes,
    ) -> Result<End, End> {
        let mut reader = Stall::new(reader, self.context.stall);
        let mut buffers = vec![Vec::new(); WRITES_AT_A_TIME];
        loop {
            tokio::select! {
                biased;
                Some(written) = writes.next() => buffers.push(self.written(written).await?),
                request = outstanding.recv(), if !buffers.is_empty() => {
                    let Some(request) = request else { return Ok(End::Absent) };
                    let buffer = buffers.pop().unwrap_or_default();
                    reader.arm();
                    match self.read_answer(&mut reader, request, buffer).await? {
                        Ok(write) => writes.push(write),
                        Err(unused) => buffers.push(unused),
                    }
                }
            }
        }
    }

    /// Reads one answer: data is verified and written in the background, anything else told; the
    /// buffer comes back either way.
    async fn read_answer(
        &self,
        reader: &mut Stall<impl AsyncRead + Unpin>,
        request: Request,
        mut buffer: Vec<u8>,
    ) -> Result<Result<JoinHandle<Written>, Vec<u8>>, End> {
        let answer = chunk::read_answer(reader).await?;
        let checked = answer.check(&self.item(request.chunk));
        checked.map_err(|wrong| End::Lied(wrong.to_string()))?;
        let failure = match answer {
            Answer::Data { proof, length, .. } => {
                let limits = &self.context.limits;
                let received = receive(limits, self.peer, reader, length, &mut buffer).await;
                received.map_err(FrameError::from)?;
                self.context
                    .network
                    .traffic()
                    .received(self.peer, length.into());
                return Ok(Ok(spawn_blocking(move || {
                    let result = request.partial.write(request.chunk, &buffer, &proof);
                    Written {
                        chunk: request.chunk,
                        buffer,
                        result,
                    }
                })));
            }
            Answer::Busy(wait) => Failure::Busy(wait),
            Answer::Absent | Answer::Changed => Failure::Absent,
            Answer::OutOfRange | Answer::Malformed | Answer::Node { .. } => {
                let what = "it refuses a chunk that the content has";
                return Err(End::Lied(what.to_owned()));
            }
        };
        self.tell(Event::Failed(self.peer, request.chunk, failure))
            .await;
        Ok(Err(buffer))
    }

    async fn written(
        &self,
        written: Result<Written, tokio::task::JoinError>,
    ) -> Result<Vec<u8>, End> {
        let Written {
            chunk,
            buffer,
            result,
        } = written.map_err(|error| End::Lost(error.to_string()))?;
        match result {
            Ok(()) => {
                self.tell(Event::Arrived(self.peer, chunk)).await;
                Ok(buffer)
            }
            Err(WriteError::Proof(error)) => Err(End::Lied(error.to_string())),
            Err(error) => Err(End::Disk(error)),
        }
    }

    fn item(&self, chunk: Chunk) -> Item {
        Item {
            hash: self.context.hash,
            level: chunk.level(),
            index: chunk.index(),
            data: true,
        }
    }

    async fn tell(&self, event: Event) {
        // The download may be over; then this task is about to be ended too.
        let _ = self.context.events.send((self.id, event)).await;
    }
}

/// Chunks being verified and written, at most [`WRITES_AT_A_TIME`].
type Writes = FuturesUnordered<JoinHandle<Written>>;

/// A chunk after verifying and writing, with its buffer for the next one.
struct Written {
    chunk: Chunk,
    buffer: Vec<u8>,
    result: Result<(), WriteError>,
}
