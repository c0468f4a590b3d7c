//! Slots: how many chunks may be read and on their way at a time, shared fairly among peers.
//!
//! A free slot goes to the waiting peer that holds the fewest, the longest waiting first among
//! equals. So one peer with many streams gets no more than one with few, and the memory that serving
//! takes is bounded by slots times the largest response.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libp2p::PeerId;
use tokio::sync::oneshot;

/// Requests of one peer that may wait for a slot; further ones are told to come back.
const MAX_WAITING_PER_PEER: usize = 32;

/// Requests that may wait for a slot in all.
const MAX_WAITING: usize = 1024;

/// The slots of one node. A handle: clones share them.
#[derive(Clone)]
pub(super) struct Slots(Arc<Mutex<State>>);

struct State {
    free: usize,
    per_peer: usize,
    held: HashMap<PeerId, usize>,
    waiting: VecDeque<(PeerId, oneshot::Sender<Slot>)>,
}

/// Too much is waiting already.
#[derive(Debug)]
pub(super) struct Full;

/// The right to hold one chunk in memory. Given back when dropped.
pub(super) struct Slot {
    slots: Slots,
    peer: PeerId,
}

impl Slots {
    /// `total` slots, of which one peer holds at most `per_peer`.
    pub(super) fn new(total: usize, per_peer: usize) -> Self {
        let (free, per_peer) = (total.max(1), per_peer.max(1));
        let state = State {
            free,
            per_peer,
            held: HashMap::new(),
            waiting: VecDeque::new(),
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Waits for a slot for `peer`.
    pub(super) async fn acquire(&self, peer: PeerId) -> Result<Slot, Full> {
        let (sender, granted) = oneshot::channel();
        {
            let mut state = self.lock();
            state.waiting.retain(|(_, sender)| !sender.is_closed());
            let of_peer = state
                .waiting
                .iter()
                .filter(|(waiting, _)| *waiting == peer)
                .count();
            if of_peer >= MAX_WAITING_PER_PEER || state.waiting.len() >= MAX_WAITING {
                return Err(Full);
            }
            state.waiting.push_back((peer, sender));
        }
        self.grant();
        granted.await.map_err(|_| Full)
    }

    /// How many slots are held, and how many requests wait for one.
    pub(super) fn depths(&self) -> (usize, usize) {
        let state = self.lock();
        let waiting = state
            .waiting
            .iter()
            .filter(|(_, sender)| !sender.is_closed());
        (state.held.values().sum(), waiting.count())
    }

    /// Hands out the free slots.
    fn grant(&self) {
        while let Some((peer, sender)) = self.next_granted() {
            // Whoever stopped waiting gives its slot back by dropping it, outside of the lock.
            let _ = sender.send(Slot {
                slots: self.clone(),
                peer,
            });
        }
    }

    fn next_granted(&self) -> Option<(PeerId, oneshot::Sender<Slot>)> {
        let mut state = self.lock();
        if state.free == 0 {
            return None;
        }
        let holds = |peer: &PeerId| state.held.get(peer).copied().unwrap_or(0);
        let eligible = state.waiting.iter().enumerate();
        let (index, _) = eligible
            .map(|(index, (peer, _))| (index, holds(peer)))
            .filter(|(_, held)| *held < state.per_peer)
            .min_by_key(|(_, held)| *held)?;
        let granted = state.waiting.remove(index)?;
        state.free -= 1;
        *state.held.entry(granted.0).or_default() += 1;
        Some(granted)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut state = self.slots.lock();
            state.free += 1;
            if let Some(held) = state.held.get_mut(&self.peer) {
                *held -= 1;
                if *held == 0 {
                    state.held.remove(&self.peer);
                }
            }
        }
        self.slots.grant();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn try_now(slots: &Slots, peer: PeerId) -> Option<Slot> {
        slots.acquire(peer).now_or_never().map(Result::unwrap)
    }

    #[tokio::test]
    async fn a_peer_with_many_requests_does_not_keep_others_out() {
        let [greedy, modest] = [PeerId::random(), PeerId::random()];
        let slots = Slots::new(4, 4);
        let mut held: Vec<_> = (0..4).map(|_| try_now(&slots, greedy).unwrap()).collect();
        let again = tokio::spawn({
            let slots = slots.clone();
            async move { slots.acquire(greedy).await }
        });
        tokio::task::yield_now().await;
        let first = tokio::spawn({
            let slots = slots.clone();
            async move { slots.acquire(modest).await }
        });
        tokio::task::yield_now().await;
        held.pop();
        assert_eq!(
            first.await.unwrap().unwrap().peer,
            modest,
            "it came later but holds fewer"
        );
        assert_eq!(again.await.unwrap().unwrap().peer, greedy);
    }

    #[tokio::test]
    async fn one_peer_never_holds_more_than_its_part() {
        let [greedy, modest] = [PeerId::random(), PeerId::random()];
        let slots = Slots::new(3, 2);
        let _two = [
            try_now(&slots, greedy).unwrap(),
            try_now(&slots, greedy).unwrap(),
        ];
        assert!(try_now(&slots, greedy).is_none());
        assert!(try_now(&slots, modest).is_some());
    }

    #[tokio::test]
    async fn those_who_stop_waiting_lose_nothing_for_others() {
        let peer = PeerId::random();
        let slots = Slots::new(1, 1);
        let held = try_now(&slots, peer).unwrap();
        for _ in 0..100 {
            assert!(try_now(&slots, peer).is_none());
        }
        drop(held);
        assert!(try_now(&slots, peer).is_some());
    }
}
