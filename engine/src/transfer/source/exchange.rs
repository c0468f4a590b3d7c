//! The chunk streams of a source: requests are sent as they come, and answers are read in their
//! order.
//!
//! A stream that ends before its first answer was refused. Its requests are soon repeated on
//! another stream.

use std::{convert::Infallible, io, pin::pin, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite};
use parking_lot::Mutex;
use pelago_behaviour::{
    FrameError, Protocol, Stall,
    chunk::{self, Answer, MAX_ITEMS},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::{Context, End, Event, MAX_ORDERS, Order, Source};
use crate::{
    network::{Outgoing, StreamDemand},
    transfer::{
        batch::{Batch, ChunkRequest, StagePart, Writes},
        receiving::receive,
        scheduler::Failure,
        subscription::{MAX_REFUSED, hold, is_refusal, refused_pause},
    },
};

/// The maximum number of bytes in one request of several items: half of what a source may have to
/// verify at a time, so that small files are written while the next ones arrive.
const MAX_REQUEST: u64 = 256 << 10;

/// How long chunks arrive before the download gets an event. Faster arrivals need no patience.
const SLOW_ARRIVAL: Duration = Duration::from_secs(1);

/// A request that was sent.
struct SentRequest {
    request: ChunkRequest,
    /// Whether it was the last item of a frame.
    ends_frame: bool,
}

/// The progress of the exchange on one chunk stream.
#[derive(Default)]
struct Progress(Mutex<Step>);

#[derive(Default)]
struct Step {
    /// The part whose answer is being awaited.
    current: Option<StagePart>,
    is_answered: bool,
    /// Since when data has arrived that is not being verified yet.
    begun: Option<Instant>,
    /// An order that did not fit into the last frame.
    next: Option<Order>,
}

impl Progress {
    /// Why the source ends if its stream ended with `error`. Before the first answer, the stream
    /// was refused.
    fn end_of(&self, error: FrameError) -> End {
        match error {
            FrameError::Io(error) if !self.0.lock().is_answered && is_refusal(&error) => End::Busy,
            error => error.into(),
        }
    }
}

/// Why no more requests are sent on a stream.
enum StreamEnd {
    /// The requests were cancelled.
    Cancelled,
    /// Others wait for a stream, so this one ends after the outstanding answers.
    Yielded,
}

impl Source<'_> {
    /// Carries out orders. A stream lasts until a cancel, until it was idle for a while, or until
    /// others wait for a stream; the next order opens another.
    pub(super) async fn fetch(
        &self,
        mut orders: mpsc::Receiver<Order>,
        writes: &mut Writes,
    ) -> Result<Infallible, End> {
        let mut refused = 0;
        loop {
            let first = match self.taking(writes, orders.recv()).await? {
                Some(Order::Fetch(request)) => request,
                Some(Order::Cancel) => continue,
                // The download wants nothing more from this source, and is about to end it.
                None => std::future::pending().await,
            };
            let open = self.context.network.open(self.peer, Protocol::Chunk);
            let stream = self.taking(writes, open).await??;
            let exchange = self.exchange(stream, first, &mut orders, writes, refused);
            match exchange.await {
                Ok(()) => refused = 0,
                Err(End::Busy) if refused < MAX_REFUSED => refused += 1,
                Err(end) => return Err(end),
            }
        }
    }

    /// Waits for `next`, and meanwhile handles written batches. Otherwise their chunks would count
    /// as owed.
    async fn taking<T>(
        &self,
        writes: &mut Writes,
        next: impl Future<Output = T>,
    ) -> Result<T, End> {
        let mut next = pin!(next);
        loop {
            tokio::select! {
                biased;
                Some(written) = writes.next() => self.written(written).await?,
                next = &mut next => return Ok(next),
            }
        }
    }

    /// Runs one stream from its first request to its end. If the peer refuses the stream, after it
    /// `refused` this many others, the requests are repeated after a pause.
    async fn exchange(
        &self,
        stream: Outgoing,
        first: ChunkRequest,
        orders: &mut mpsc::Receiver<Order>,
        writes: &mut Writes,
        refused: u32,
    ) -> Result<(), End> {
        let progress = Progress::default();
        progress.0.lock().next = Some(Order::Fetch(first));
        let demand = stream.held.demand();
        let (reader, writer) = stream.split();
        let (asked, mut outstanding) = mpsc::channel(MAX_ORDERS);
        let ended = {
            let receive = self.receive(reader, &mut outstanding, writes, demand.clone(), &progress);
            let mut receive = pin!(receive);
            // Both halves are dropped at the end of this block, which resets the stream.
            tokio::select! {
                end = self.ask(writer, orders, asked, demand, &progress) => match end {
                    Ok(StreamEnd::Cancelled) => return Ok(()),
                    Ok(StreamEnd::Yielded) => receive.await,
                    Err(error) => Err(progress.end_of(error)),
                },
                ended = &mut receive => ended,
            }
        };
        let pause = match ended {
            Ok(()) => Duration::ZERO,
            Err(End::Busy) => refused_pause(refused),
            Err(_) => return ended,
        };
        // Unanswered requests are ordered again, on another stream.
        let (current, next) = {
            let mut step = progress.0.lock();
            (step.current.take(), step.next.take())
        };
        let asked = std::iter::from_fn(|| Some(outstanding.try_recv().ok()?.request.part));
        let mut left: Vec<_> = current.into_iter().chain(asked).collect();
        if let Some(Order::Fetch(request)) = next {
            left.push(request.part);
        }
        for part in left {
            self.failed(part, Failure::Busy(pause)).await;
        }
        ended
    }

    /// Sends requests as they come, without waiting for answers, until they are cancelled, or until
    /// others wait for a stream. Small requests that wait already share a frame.
    async fn ask(
        &self,
        mut writer: impl AsyncWrite + Unpin,
        orders: &mut mpsc::Receiver<Order>,
        asked: mpsc::Sender<SentRequest>,
        mut demand: StreamDemand,
        progress: &Progress,
    ) -> Result<StreamEnd, FrameError> {
        let mut held = pin!(hold(&mut demand));
        loop {
            // There is no await between taking an order and recording it, so an end of this task at
            // any point loses none.
            let _ = asked.reserve().await;
            let next = progress.0.lock().next.take();
            let order = match next {
                Some(order) => Some(order),
                None => tokio::select! {
                    biased;
                    () = &mut held => return Ok(StreamEnd::Yielded),
                    order = orders.recv() => order,
                },
            };
            let mut frame = match order {
                Some(Order::Fetch(request)) => vec![request],
                Some(Order::Cancel) => return Ok(StreamEnd::Cancelled),
                None => std::future::pending().await,
            };
            let mut bytes = frame[0].bytes;
            while frame.len() < MAX_ITEMS.min(asked.capacity()) {
                match orders.try_recv() {
                    Ok(Order::Fetch(request)) if bytes + request.bytes <= MAX_REQUEST => {
                        bytes += request.bytes;
                        frame.push(request);
                    }
                    Ok(order) => {
                        progress.0.lock().next = Some(order);
                        break;
                    }
                    Err(_) => break,
                }
            }
            let items: Vec<_> = frame.iter().map(|request| request.item).collect();
            let last = frame.len() - 1;
            for (index, request) in frame.into_iter().enumerate() {
                let ends_frame = index == last;
                let note = SentRequest {
                    request,
                    ends_frame,
                };
                // Only this task sends, so there is space. The receiver outlives this task.
                let _ = asked.try_send(note);
            }
            chunk::write_request(&mut writer, &items).await?;
        }
    }

    /// Reads answers in the order of the requests, and passes the data on. Returns when nothing was
    /// outstanding for as long as a stall takes, or when nothing is outstanding and others wait for
    /// a stream. The responder ends unused streams, too; a requester that ends them first does not
    /// mistake that for a failure.
    async fn receive(
        &self,
        reader: impl AsyncRead + Unpin,
        outstanding: &mut mpsc::Receiver<SentRequest>,
        writes: &mut Writes,
        mut demand: StreamDemand,
        progress: &Progress,
    ) -> Result<(), End> {
        let mut reader = Stall::new(reader, self.context.stall);
        let mut batch = writes.batch();
        let mut has_begun = false;
        loop {
            tokio::select! {
                biased;
                Some(written) = writes.next() => self.written(written).await?,
                asked = timeout(self.context.stall, outstanding.recv()), if writes.may_start() => {
                    let Ok(Some(SentRequest { request, ends_frame })) = asked else {
                        return Ok(());
                    };
                    has_begun = true;
                    reader.arm();
                    let read = self.read_answer(&mut reader, request, &mut batch, progress).await;
                    // Data that arrived before an end must not be fetched again.
                    if ends_frame || batch.is_full() || read.is_err() {
                        let full = std::mem::replace(&mut batch, writes.batch());
                        writes.start(full);
                        progress.0.lock().begun = None;
                    }
                    read?;
                }
                // Nothing is outstanding, or it will be ordered again.
                () = demand.until_demanded(), if has_begun && writes.may_start() => return Ok(()),
            }
        }
    }

    /// Reads one answer: data goes into the batch, anything else becomes an event.
    async fn read_answer(
        &self,
        reader: &mut Stall<impl AsyncRead + Unpin>,
        request: ChunkRequest,
        batch: &mut Batch,
        progress: &Progress,
    ) -> Result<(), End> {
        progress.0.lock().current = Some(request.part);
        let answer = chunk::read_answer(reader).await;
        let answer = answer.map_err(|error| progress.end_of(error))?;
        {
            let mut step = progress.0.lock();
            (step.current, step.is_answered) = (None, true);
        }
        let checked = answer.check(&request.item);
        checked.map_err(|wrong| End::Dishonest(wrong.to_string()))?;
        let failure = match answer {
            Answer::Data { proof, length, .. } => {
                let data = batch.add(request, proof, length);
                let received = self.read_data(reader, data, progress).await;
                if let Err(error) = received {
                    // Incomplete data proves nothing against a peer.
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
                let what = "it refused a chunk of the content";
                return Err(End::Dishonest(what.to_owned()));
            }
        };
        self.failed(request.part, failure).await;
        Ok(())
    }

    /// Reads the data of an answer. If this takes long, together with earlier data that is not
    /// verified yet, the download gets an event.
    async fn read_data(
        &self,
        reader: &mut Stall<impl AsyncRead + Unpin>,
        data: &mut [u8],
        progress: &Progress,
    ) -> io::Result<()> {
        let Context { limits, inflow, .. } = self.context;
        let begun = *progress.0.lock().begun.get_or_insert_with(Instant::now);
        let mut received = pin!(receive(limits, inflow, self.peer, reader, data));
        if let Ok(received) = timeout_at(begun + SLOW_ARRIVAL, &mut received).await {
            return received;
        }
        self.send_event(Event::Arriving(self.peer)).await;
        received.await
    }

    async fn failed(&self, part: StagePart, failure: Failure) {
        self.send_event(Event::Failed(self.peer, part, failure))
            .await;
    }
}
