//! The account of one connection, shared by its multiplexer, its socket and its streams.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{Memory, Overrun, held::Held, holder::Holder};
use crate::Origin;

/// Unsent bytes of all streams of a connection, at most, while there is enough memory. The
/// streams' own queues hold at most 192 KiB each.
const MAX_UNSENT: u64 = 2 << 20;

/// Bytes that a connection holds, at most, before its socket is read no further. The windows
/// allow more, for what is on its way on a long path; a node that reads its streams holds little.
const MAX_HELD: u64 = 56 << 20;

/// What a connection holds, charged to [`Memory`].
pub(crate) struct Account {
    memory: Memory,
    holder: Arc<Holder>,
}

impl Account {
    /// Opens an account for a connection with a peer of `origin`.
    pub(crate) fn open(memory: &Memory, origin: Origin) -> Arc<Self> {
        let (memory, holder) = (memory.clone(), memory.add(origin));
        Arc::new(Self { memory, holder })
    }

    pub(crate) fn origin(&self) -> Origin {
        self.holder.origin()
    }

    /// Bytes that the connection holds.
    pub(crate) fn held(&self) -> u64 {
        self.holder.charge()
    }

    /// Whether the connection holds more than its share while memory is short. Wakes `task` when
    /// memory runs short.
    pub(crate) fn has_to_wait(&self, task: &Waker) -> bool {
        self.holder.register(task);
        self.memory.has_to_wait(self.held())
    }

    /// Whether this connection has to be closed now for what it holds. Counts it as closed then.
    pub(crate) fn closes(&self) -> bool {
        self.memory.closes(&self.holder)
    }

    /// Whether this connection is the next one to close.
    #[cfg(test)]
    pub(crate) fn is_worst(&self) -> bool {
        self.memory.is_worst(&self.holder)
    }

    /// Ready when the socket may be read.
    pub(crate) fn poll_may_read(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.may_read(self.held()) {
            return Poll::Ready(());
        }
        self.holder.lock().reader = Some(context.waker().clone());
        // It may have changed before the waker was registered.
        if !self.may_read(self.held()) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Whether the socket of a connection that holds this much may be read.
    fn may_read(&self, held: u64) -> bool {
        held < MAX_HELD && !self.memory.has_to_wait(held)
    }

    /// Ready when `stream` may be written to.
    pub(crate) fn poll_may_write(&self, stream: u32, context: &mut Context<'_>) -> Poll<()> {
        let mut held = self.holder.lock();
        let most = if self.memory.has_to_wait(held.charge()) {
            0
        } else {
            MAX_UNSENT
        };
        // Sent bytes wake the writers: with nothing to send, nothing would wake them.
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

    /// A task of this node takes the stream.
    pub(crate) fn taken(&self, stream: u32) {
        self.change(|held| held.taken(stream));
    }

    /// The body of a frame begins.
    pub(crate) fn begun(&self, body: u32) -> Result<(), Overrun> {
        self.change(|held| held.begun(body))
    }

    /// The body of a frame is complete.
    pub(crate) fn received(&self, stream: u32, body: u32) {
        self.change(|held| held.received(stream, body));
    }

    /// A task of this node has read from a stream.
    pub(crate) fn read(&self, stream: u32, bytes: usize) {
        self.change(|held| held.read(stream, bytes));
    }

    /// A task of this node has written to a stream.
    pub(crate) fn written(&self, bytes: usize) {
        self.change(|held| held.written(bytes));
    }

    /// Bytes of streams were sent.
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

    /// A task of this node has dropped a stream.
    pub(crate) fn dropped(&self, stream: u32) {
        self.change(|held| held.dropped(stream));
    }

    /// A turn of the multiplexer begins.
    pub(crate) fn turn_begins(&self) {
        self.holder.lock().turn_begins();
    }

    /// The turn is over: the multiplexer has no more work.
    pub(crate) fn turn_is_done(&self) {
        self.change(Held::turn_is_done);
    }

    /// The connection is closed.
    pub(crate) fn close(&self) {
        self.holder.set_closed();
        let writers = self.change(|held| {
            held.close();
            held.writers()
        });
        writers.into_iter().for_each(Waker::wake);
    }

    fn change<T>(&self, act: impl FnOnce(&mut Held) -> T) -> T {
        let mut held = self.holder.lock();
        let before = held.charge();
        let result = act(&mut held);
        let after = held.charge();
        self.holder.set_charge(after);
        let may_read = self.may_read(after);
        let is_less = after < before;
        let reader = (is_less && may_read).then(|| held.reader.take()).flatten();
        drop(held);
        self.memory.change(before, after);
        if let Some(reader) = reader {
            reader.wake();
        }
        result
    }

    #[cfg(test)]
    pub(super) fn fill(&self, bytes: u64) {
        self.change(|held| held.fill(bytes));
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.memory.change(self.held(), 0);
        self.memory.forget(&self.holder);
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("origin", &self.origin())
            .field("held", &self.held())
            .finish()
    }
}
