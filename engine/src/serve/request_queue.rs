//! A bounded queue of requests for a scarce resource, and which request is dropped when it is
//! full.
//!
//! The queue is pure. Its owner decides what is granted, and to which request next. Tickets tie
//! the decisions of the owner to the tasks that wait for them.

use std::{collections::HashMap, io};

use pelago_behaviour::FrameError;
use tokio::sync::oneshot;

use super::requester::{QuotaKey, Requester};

/// Requests of one peer in the queue, at most.
const MAX_WAITING_PER_PEER: usize = 32;

/// Requests in the queue, at most. Beyond that, the site with the most loses its last one.
pub(super) const MAX_WAITING: usize = 512;

/// Identifies a request.
pub(super) type Ticket = u64;

/// The queue has no space for the request.
#[derive(Debug)]
pub(super) struct QueueFull;

impl From<QueueFull> for FrameError {
    /// The stream ends, which says nothing about the requested content.
    fn from(_: QueueFull) -> Self {
        Self::Io(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "too many requests are waiting",
        ))
    }
}

/// A request that waits for what `wants` describes.
pub(super) struct WaitingRequest<T> {
    pub(super) ticket: Ticket,
    pub(super) requester: Requester,
    pub(super) wants: T,
}

/// Waiting requests, in the order in which they came.
pub(super) struct RequestQueue<T>(Vec<WaitingRequest<T>>);

impl<T> Default for RequestQueue<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> RequestQueue<T> {
    /// Adds a request. If the queue is full, returns the ticket of the request that is dropped,
    /// which may be this one.
    pub(super) fn add(&mut self, waiting: WaitingRequest<T>) -> Option<Ticket> {
        let is_of_peer =
            |other: &&WaitingRequest<T>| other.requester.peer == waiting.requester.peer;
        if self.0.iter().filter(is_of_peer).count() >= MAX_WAITING_PER_PEER {
            return Some(waiting.ticket);
        }
        self.0.push(waiting);
        if self.0.len() <= MAX_WAITING {
            return None;
        }
        let mut counts: HashMap<QuotaKey, usize> = HashMap::new();
        for key in self.0.iter().flat_map(|w| w.requester.keys()) {
            *counts.entry(key).or_default() += 1;
        }
        let crowd = |w: &WaitingRequest<T>| w.requester.keys().map(|key| counts.get(&key).copied());
        // The last one among equals.
        let (index, _) = self.0.iter().enumerate().max_by_key(|(_, w)| crowd(w))?;
        Some(self.0.remove(index).ticket)
    }

    /// Removes a request that was given up.
    pub(super) fn give_up(&mut self, ticket: Ticket) {
        self.0.retain(|waiting| waiting.ticket != ticket);
    }

    /// Takes the request at `index` to grant it.
    pub(super) fn take(&mut self, index: usize) -> WaitingRequest<T> {
        self.0.remove(index)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, WaitingRequest<T>> {
        self.0.iter()
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Issued tickets, each with the channel to the task that waits.
pub(super) struct Tickets<G> {
    next: Ticket,
    out: HashMap<Ticket, oneshot::Sender<G>>,
}

impl<G> Default for Tickets<G> {
    fn default() -> Self {
        Self {
            next: 0,
            out: HashMap::new(),
        }
    }
}

impl<G> Tickets<G> {
    /// Issues a ticket. The receiver gets the grant, or ends when the ticket is taken back.
    pub(super) fn issue(&mut self) -> (Ticket, oneshot::Receiver<G>) {
        let (sender, granted) = oneshot::channel();
        let ticket = self.next;
        self.next += 1;
        self.out.insert(ticket, sender);
        (ticket, granted)
    }

    /// Takes a ticket back; `None` if it was taken back before.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<oneshot::Sender<G>> {
        self.out.remove(&ticket)
    }
}
