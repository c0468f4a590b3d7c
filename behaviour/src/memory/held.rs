//! What one connection holds, stream by stream. Pure: [`super::Account`] shares it between tasks.

use std::{
    collections::{HashMap, VecDeque},
    task::Waker,
};

use thiserror::Error;

use crate::muxer::{MAX_STREAMS, MAX_WINDOW, STREAM_WINDOW};

/// The cost of a stream in addition to its data, in bytes: state, queue and negotiation.
const STREAM_COST: u64 = 4 << 10;

/// The cost of a received frame in addition to its data, in bytes: its allocation, rounded up, and
/// our record of its length. Without it, a window filled byte by byte would cost a hundred times
/// as much as it counts.
const FRAME_COST: u64 = 56;

/// The cost of each frame that a queue ever held at a time, in bytes: queues never shrink.
const QUEUE_COST: u64 = 40;

/// Unread bytes that the rules allow a peer: every window full, one of them grown.
const MAX_UNREAD: u64 = MAX_STREAMS as u64 * STREAM_WINDOW + MAX_WINDOW;

/// Streams to keep account of, at most: a peer that opens more breaks the rules. Twice the limit
/// of streams, as this account notices the end of a stream a little later.
const MAX_KNOWN: usize = 2 * MAX_STREAMS;

/// A peer broke the rules of the multiplexer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Overrun {
    #[error("the peer opened more streams than a connection may have")]
    Streams,
    #[error("the peer sent more than its windows allow")]
    Windows,
}

/// What a connection holds.
#[derive(Default)]
pub(super) struct Held {
    streams: HashMap<u32, Stream>,
    /// Bytes of the frame that is being received.
    partial: u64,
    unread: u64,
    unsent: u64,
    charge: u64,
    /// Streams that were dropped; `leaving` are those that the multiplexer has certainly released
    /// after its next turn.
    dropped: Vec<u32>,
    leaving: Vec<u32>,
    is_closed: bool,
    /// Whether a writer may be waiting.
    has_writers: bool,
    /// The reader of the socket, while it waits for memory.
    pub(super) reader: Option<Waker>,
}

#[derive(Default)]
struct Stream {
    /// The unread bytes of each frame, the next one first.
    frames: VecDeque<u32>,
    unread: u64,
    /// The most frames that its queue ever held.
    peak: usize,
    /// Whether a task of this node has taken it.
    is_taken: bool,
    writer: Option<Waker>,
}

impl Stream {
    fn charge(&self) -> u64 {
        let frames = self.frames.len() as u64 * FRAME_COST;
        let queue = match self.peak {
            0 => 0,
            peak => peak.next_power_of_two() as u64 * QUEUE_COST,
        };
        STREAM_COST + self.unread + frames + queue
    }
}

impl Held {
    pub(super) const fn charge(&self) -> u64 {
        self.charge
    }

    pub(super) const fn unsent(&self) -> u64 {
        self.unsent
    }

    /// The peer opens a stream.
    pub(super) fn opened(&mut self, stream: u32) -> Result<(), Overrun> {
        if self.streams.contains_key(&stream) {
            return Ok(());
        }
        if self.streams.len() >= MAX_KNOWN {
            return Err(Overrun::Streams);
        }
        self.streams.insert(stream, Stream::default());
        self.charge += STREAM_COST;
        Ok(())
    }

    /// A task of this node takes the stream.
    pub(super) fn taken(&mut self, stream: u32) {
        let charge = &mut self.charge;
        let known = self.streams.entry(stream).or_insert_with(|| {
            *charge += STREAM_COST;
            Stream::default()
        });
        known.is_taken = true;
    }

    /// The body of a frame begins, and is allocated.
    pub(super) fn begun(&mut self, body: u32) -> Result<(), Overrun> {
        if self.unread + u64::from(body) > MAX_UNREAD {
            return Err(Overrun::Windows);
        }
        self.partial += u64::from(body);
        self.charge += u64::from(body);
        Ok(())
    }

    /// The body of a frame is complete. If its stream is gone, it is released.
    pub(super) fn received(&mut self, stream: u32, body: u32) {
        self.partial -= u64::from(body);
        self.charge -= u64::from(body);
        let Some(known) = self.streams.get_mut(&stream).filter(|_| body > 0) else {
            return;
        };
        let before = known.charge();
        known.frames.push_back(body);
        known.peak = known.peak.max(known.frames.len());
        known.unread += u64::from(body);
        self.unread += u64::from(body);
        self.charge += known.charge() - before;
    }

    /// A task of this node has read from a stream.
    pub(super) fn read(&mut self, stream: u32, bytes: usize) {
        let Some(known) = self.streams.get_mut(&stream) else {
            return;
        };
        let before = known.charge();
        let mut left = bytes as u64;
        while left > 0
            && let Some(frame) = known.frames.front_mut()
        {
            let taken = left.min(u64::from(*frame));
            // No more than `frame`, which is a u32.
            *frame -= taken as u32;
            left -= taken;
            known.unread -= taken;
            self.unread -= taken;
            if *frame == 0 {
                known.frames.pop_front();
            }
        }
        self.charge -= before - known.charge();
    }

    /// A task of this node has written to a stream.
    pub(super) fn written(&mut self, bytes: usize) {
        if !self.is_closed {
            self.unsent += bytes as u64;
            self.charge += bytes as u64;
        }
    }

    /// Registers the writer of `stream`, which is woken when more may be unsent.
    pub(super) fn wait_to_write(&mut self, stream: u32, waker: &Waker) {
        if let Some(known) = self.streams.get_mut(&stream) {
            known.writer = Some(waker.clone());
            self.has_writers = true;
        }
    }

    /// Bytes of streams were sent.
    pub(super) fn sent(&mut self, bytes: u64) {
        let bytes = bytes.min(self.unsent);
        self.unsent -= bytes;
        self.charge -= bytes;
    }

    /// Takes the waiting writers.
    pub(super) fn writers(&mut self) -> Vec<Waker> {
        if !std::mem::take(&mut self.has_writers) {
            return Vec::new();
        }
        let streams = self.streams.values_mut();
        streams.filter_map(|stream| stream.writer.take()).collect()
    }

    /// A stream was dropped: the multiplexer releases it in its next turn.
    pub(super) fn dropped(&mut self, stream: u32) {
        if self.is_closed {
            self.remove(stream);
        } else {
            self.dropped.push(stream);
        }
    }

    /// A turn of the multiplexer begins.
    pub(super) fn turn_begins(&mut self) {
        self.leaving.append(&mut self.dropped);
    }

    /// The turn is over: the multiplexer has no more work.
    pub(super) fn turn_is_done(&mut self) {
        for stream in std::mem::take(&mut self.leaving) {
            self.remove(stream);
        }
    }

    /// The connection is closed; only taken streams still hold memory.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.turn_begins();
        self.turn_is_done();
        let left = self.streams.iter().filter(|(_, stream)| !stream.is_taken);
        for stream in left.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.remove(stream);
        }
        self.charge -= self.partial + self.unsent;
        (self.partial, self.unsent) = (0, 0);
    }

    fn remove(&mut self, stream: u32) {
        if let Some(gone) = self.streams.remove(&stream) {
            self.charge -= gone.charge();
            self.unread -= gone.unread;
        }
    }

    #[cfg(test)]
    pub(super) fn fill(&mut self, bytes: u64) {
        self.unsent += bytes;
        self.charge += bytes;
    }
}

#[cfg(test)]
mod tests;
