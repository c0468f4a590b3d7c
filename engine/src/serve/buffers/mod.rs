//! Buffers: how many bytes are held unsent, in total and for each network, host and peer.
//!
//! A handle over the pure [`grants`]. The total bounds the memory that serving takes, however
//! slowly peers read. A peer that takes too little loses what is held for it while others wait.

mod grants;
mod history;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use self::grants::{BufferLimits, DrainRate, Grant, Grants};
use super::{
    request_queue::{QueueFull, Ticket, Tickets},
    requester::Requester,
};

/// The buffers of one node. A handle: clones share them.
#[derive(Clone)]
pub(super) struct Buffers(Arc<Mutex<Shared>>);

struct Shared {
    grants: Grants,
    tickets: Tickets<Buffer>,
}

/// The right to hold a number of bytes for a requester. Dropping it returns them.
pub(super) struct Buffer {
    buffers: Buffers,
    held: Mutex<(Grant, DrainRate)>,
}

/// A request in the queue. Dropping this removes it.
struct Waiter<'a> {
    buffers: &'a Buffers,
    ticket: Ticket,
}

impl Buffers {
    /// `total` bytes, of which one peer may hold at most `per_peer`.
    pub(super) fn new(total: u64, per_peer: u64) -> Self {
        let per_peer = per_peer.min(total);
        Self(Arc::new(Mutex::new(Shared {
            grants: Grants::new(BufferLimits { total, per_peer }),
            tickets: Tickets::default(),
        })))
    }

    /// Waits until `bytes` may be held for `requester`.
    pub(super) async fn acquire(
        &self,
        requester: Requester,
        bytes: u64,
    ) -> Result<Buffer, QueueFull> {
        let (ticket, granted) = {
            let mut state = self.0.lock();
            let (ticket, granted) = state.tickets.issue();
            if let Some(dropped) = state.grants.wait(ticket, requester, bytes) {
                state.tickets.take(dropped);
            }
            (ticket, granted)
        };
        let _waiter = Waiter {
            buffers: self,
            ticket,
        };
        self.grant();
        granted.await.map_err(|_| QueueFull)
    }

    /// Grants all requests for which enough bytes are free.
    fn grant(&self) {
        loop {
            let (sender, grant) = {
                let mut state = self.0.lock();
                let Some((ticket, grant)) = state.grants.next(Instant::now()) else {
                    return;
                };
                (state.tickets.take(ticket), grant)
            };
            let buffer = Buffer {
                buffers: self.clone(),
                held: Mutex::new((grant, DrainRate::default())),
            };
            // If the requester stopped waiting, the buffer is dropped here, outside of the lock,
            // which returns the bytes.
            if let Some(sender) = sender {
                let _ = sender.send(buffer);
            }
        }
    }

    /// How many bytes are held, and how many requests wait.
    pub(super) fn depths(&self) -> (u64, usize) {
        self.0.lock().grants.depths()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut state = self.buffers.0.lock();
        if state.tickets.take(self.ticket).is_some() {
            state.grants.give_up(self.ticket);
        }
    }
}

impl Buffer {
    /// Reduces the buffer to at most `bytes`.
    pub(super) fn shrink(&self, bytes: u64) {
        {
            let mut held = self.held.lock();
            let rest = held.0.bytes.saturating_sub(bytes);
            self.buffers.0.lock().grants.release(&mut held.0, rest);
        }
        self.buffers.grant();
    }

    /// Records that the requester took `bytes` of it in `time`.
    pub(super) fn taken(&self, bytes: usize, time: Duration) {
        let mut held = self.held.lock();
        let (grant, drain) = &mut *held;
        let taken = (bytes as u64, time);
        let mut state = self.buffers.0.lock();
        state.grants.taken(grant, drain, taken, Instant::now());
    }

    /// Whether the requester loses the buffer: it takes too little, and others wait.
    pub(super) fn is_over(&self) -> bool {
        let (grant, drain) = *self.held.lock();
        let state = self.buffers.0.lock();
        state.grants.is_over(&grant, drain, Instant::now())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        {
            let mut held = self.held.lock();
            let (grant, drain) = &mut *held;
            self.buffers
                .0
                .lock()
                .grants
                .end(grant, drain, Instant::now());
        }
        self.buffers.grant();
    }
}
