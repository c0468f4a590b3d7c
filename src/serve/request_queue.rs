//! Requests that wait for something that is granted one after another: how many may, and who is dropped.
//!
//! The queue is pure; what is granted, and to whom next, is its owner's to decide. Tickets tie what the owner
//! decides to those who wait for it.

use std::{collections::HashMap, io};

use pelago_behaviour::FrameError;
use tokio::sync::oneshot;

use super::requester::{QuotaKey, Requester};

/// Requests of one peer that may wait.
const MAX_WAITING_PER_PEER: usize = 32;

/// Requests that may wait in all. When there are as many, the site with the most loses its last one.
pub(super) const MAX_WAITING: usize = 512;

/// A number for one request.
pub(super) type Ticket = u64;

/// Too much is waiting already.
#[derive(Debug)]
pub(super) struct QueueFull;

impl From<QueueFull> for FrameError {
    /// The stream ends: that says nothing about what was asked for.
    fn from(_: QueueFull) -> Self {
        Self::Io(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "too much is asked for",
        ))
    }
}

/// One that waits for as much, or for such a thing, as `wants` says.
pub(super) struct WaitingRequest<T> {
    pub(super) ticket: Ticket,
    pub(super) requester: Requester,
    pub(super) wants: T,
}

/// Those that wait, in the order in which they came.
pub(super) struct RequestQueue<T>(Vec<WaitingRequest<T>>);

impl<T> Default for RequestQueue<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> RequestQueue<T> {
    /// Another one waits from now on; the ticket of the one that is dropped, if there are too many: it may be
    /// the same.
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

    /// One waits no more.
    pub(super) fn give_up(&mut self, ticket: Ticket) {
        self.0.retain(|waiting| waiting.ticket != ticket);
    }

    /// Takes the one at `index`, whose turn it is.
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

/// The tickets that are out, and who is told of a grant.
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
    /// A new ticket, and where what it is for arrives; that ends when the ticket is taken back.
    pub(super) fn issue(&mut self) -> (Ticket, oneshot::Receiver<G>) {
        let (sender, granted) = oneshot::channel();
        let ticket = self.next;
        self.next += 1;
        self.out.insert(ticket, sender);
        (ticket, granted)
    }

    /// Takes a ticket back; none if it is not out any more.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<oneshot::Sender<G>> {
        self.out.remove(&ticket)
    }
}
