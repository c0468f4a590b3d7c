//! Slots: how many chunks may be read and on their way at a time, shared fairly among peers.
//!
//! A free slot goes to the waiting peer that holds the fewest, the longest waiting first among
//! equals. So one peer with many streams gets no more than one with few, and the memory that serving
//! takes is bounded by slots times the largest response.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use libp2p::PeerId;
use tokio::sync::oneshot;

/// Requests of one peer that may wait for a slot; further ones are told to come back.
const MAX_WAITING_PER_PEER: usize = 32;

/// Requests that may wait for a slot in all.
const MAX_WAITING: usize = 1024;

/// How long a peer may take for what is in a slot at any rate: a block in this time is half a
/// kilobyte a second, and who is slow asks for little at a time.
const SLOT_GRACE: Duration = Duration::from_secs(30);

/// Bytes a second that a slot held for longer is to move while others wait for one: a modem of 20 KB/s
/// does in two at a time. The largest response is gone in nine minutes then, not in hours.
const SLOT_MIN_RATE: u64 = 8 << 10;

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
    pace: Mutex<Pace>,
}

/// How fast a peer takes what is in a slot. Time in which we keep it waiting is no part of this.
#[derive(Clone, Copy, Default)]
struct Pace {
    taken: u64,
    time: Duration,
}

impl Pace {
    fn is_too_slow(self) -> bool {
        self.time > SLOT_GRACE && self.taken < self.time.as_secs() * SLOT_MIN_RATE
    }
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
                pace: Mutex::default(),
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

    /// Whether somebody else would have a slot that `peer` gives back.
    fn are_waited_for(&self, peer: PeerId) -> bool {
        let state = self.lock();
        let is_kept_out = |(other, sender): &(PeerId, oneshot::Sender<Slot>)| {
            let holds = state.held.get(other).copied().unwrap_or(0);
            *other != peer && holds < state.per_peer && !sender.is_closed()
        };
        state.free == 0 && state.waiting.iter().any(is_kept_out)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// The peer took `bytes` of what is in the slot in `time`.
    pub(super) fn taken(&self, bytes: usize, time: Duration) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.taken += bytes as u64;
        pace.time += time;
    }

    /// Whether the peer is to lose the slot: it takes too little, and others wait.
    pub(super) fn is_over(&self) -> bool {
        let pace = *self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.is_too_slow() && self.slots.are_waited_for(self.peer)
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
    async fn a_slot_is_lost_by_who_takes_too_little_for_too_long_while_others_wait() {
        let [slow, other] = [PeerId::random(), PeerId::random()];
        let slots = Slots::new(1, 1);
        let held = try_now(&slots, slow).unwrap();
        held.taken(100 << 10, SLOT_GRACE);
        assert!(!held.is_over(), "nobody waits, and it is not long yet");
        let mut waiting = Box::pin(slots.acquire(other));
        assert!((&mut waiting).now_or_never().is_none());
        assert!(!held.is_over(), "it is not long yet");
        held.taken(0, Duration::from_secs(1));
        assert!(held.is_over());
        held.taken(31 * SLOT_MIN_RATE as usize - (100 << 10), Duration::ZERO);
        assert!(!held.is_over(), "as fast as is asked of it");
        held.taken(0, Duration::from_secs(1));
        drop(waiting);
        assert!(!held.is_over(), "nobody waits any more");
        assert!(slots.acquire(slow).now_or_never().is_none());
        assert!(!held.is_over(), "only the peer itself waits");
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
