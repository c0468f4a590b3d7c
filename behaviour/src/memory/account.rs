//! The account of one connection, shared by its multiplexer, its socket and its streams.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    task::{Context, Poll, Waker},
};

use futures::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};

use super::{Memory, Overrun, held::Held};
use crate::Origin;

/// Bytes that may be written to the streams of a connection and not yet sent, together, while there is enough
/// memory. The streams' own queues hold no more than 192 KiB each.
const MAX_UNSENT: u64 = 2 << 20;

/// What a connection holds. See [`Memory`].
pub(crate) struct Account {
    id: u64,
    origin: Origin,
    memory: Memory,
    charge: AtomicU64,
    held: Mutex<Held>,
    is_closed: AtomicBool,
    /// The task of the connection.
    task: AtomicWaker,
}

impl Account {
    pub(super) fn new(id: u64, origin: Origin, memory: Memory) -> Self {
        Self {
            id,
            origin,
            memory,
            charge: AtomicU64::new(0),
            held: Mutex::default(),
            is_closed: AtomicBool::new(false),
            task: AtomicWaker::new(),
        }
    }

    pub(crate) const fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether the connection is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// Bytes that the connection holds.
    pub(crate) fn held(&self) -> u64 {
        self.charge.load(Ordering::Relaxed)
    }

    /// Whether the connection holds more than its share while memory is short. `task` is woken when memory
    /// runs short.
    pub(crate) fn has_to_wait(&self, task: &Waker) -> bool {
        self.task.register(task);
        self.memory.has_to_wait(self.held())
    }

    /// Whether this connection is the next to be closed.
    pub(crate) fn is_worst(&self) -> bool {
        self.memory.is_worst(self)
    }

    /// Counts that it was closed for what it held.
    pub(crate) fn count_closed(&self) {
        self.memory.count_closed();
    }

    /// Ready when the socket may be read.
    pub(crate) fn poll_may_read(&self, context: &mut Context<'_>) -> Poll<()> {
        if !self.memory.has_to_wait(self.held()) {
            return Poll::Ready(());
        }
        self.lock().reader = Some(context.waker().clone());
        // It may have changed before the waker was there.
        if self.memory.has_to_wait(self.held()) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Ready when somebody of ours may write to `stream`.
    pub(crate) fn poll_may_write(&self, stream: u32, context: &mut Context<'_>) -> Poll<()> {
        let mut held = self.lock();
        let most = if self.memory.has_to_wait(held.charge()) {
            0
        } else {
            MAX_UNSENT
        };
        // What is sent wakes the writers: with nothing to send, nothing would.
        if held.unsent() <= most {
            return Poll::Ready(());
        }
        held.wait_to_write(stream, context.waker());
        Poll::Pending
    }

    /// The peer opens a stream.
    pub(crate) fn opened(&self, stream: u32) -> Result<(), Overrun> {
        self.change(|held| held.opened(stream))
    }

    /// Somebody of ours has the stream from now on.
    pub(crate) fn taken(&self, stream: u32) {
        self.change(|held| held.taken(stream));
    }

    /// The body of a frame begins.
    pub(crate) fn begun(&self, body: u32) -> Result<(), Overrun> {
        self.change(|held| held.begun(body))
    }

    /// The body of a frame is whole.
    pub(crate) fn received(&self, stream: u32, body: u32) {
        self.change(|held| held.received(stream, body));
    }

    /// Somebody of ours has read from a stream.
    pub(crate) fn read(&self, stream: u32, bytes: usize) {
        self.change(|held| held.read(stream, bytes));
    }

    /// Somebody of ours has written to a stream.
    pub(crate) fn written(&self, bytes: usize) {
        self.change(|held| held.written(bytes));
    }

    /// Bytes of streams have left.
    pub(crate) fn sent(&self, bytes: u64) {
        let writers = self.change(|held| {
            held.sent(bytes);
            if held.unsent() <= MAX_UNSENT / 2 {
                held.writers()
            } else {
                Vec::new()
            }
        });
        writers.into_iter().for_each(Waker::wake);
    }

    /// Somebody of ours has dropped a stream.
    pub(crate) fn dropped(&self, stream: u32) {
        self.change(|held| held.dropped(stream));
    }

    /// A turn of the multiplexer begins.
    pub(crate) fn turn_begins(&self) {
        self.lock().turn_begins();
    }

    /// The multiplexer has done all that there was to do.
    pub(crate) fn turn_is_done(&self) {
        self.change(Held::turn_is_done);
    }

    /// The connection is gone.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        let writers = self.change(|held| {
            held.close();
            held.writers()
        });
        writers.into_iter().for_each(Waker::wake);
    }

    /// Wakes the task of the connection.
    pub(super) fn wake(&self) {
        self.task.wake();
    }

    /// Memory is no longer short: whoever waits for it goes on.
    pub(super) fn resume(&self) {
        let (reader, writers) = {
            let mut held = self.lock();
            (held.reader.take(), held.writers())
        };
        reader.into_iter().chain(writers).for_each(Waker::wake);
    }

    fn change<T>(&self, act: impl FnOnce(&mut Held) -> T) -> T {
        let mut held = self.lock();
        let before = held.charge();
        let result = act(&mut held);
        let after = held.charge();
        self.charge.store(after, Ordering::Relaxed);
        let has_to_wait = self.memory.has_to_wait(after);
        let is_less = after < before;
        let reader = (is_less && !has_to_wait)
            .then(|| held.reader.take())
            .flatten();
        drop(held);
        self.memory.change(before, after);
        if let Some(reader) = reader {
            reader.wake();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock()
    }

    #[cfg(test)]
    pub(super) fn fill(&self, bytes: u64) {
        self.change(|held| held.fill(bytes));
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.memory.change(self.held(), 0);
        self.memory.forget(self.id);
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("origin", &self.origin)
            .field("held", &self.held())
            .finish()
    }
}
