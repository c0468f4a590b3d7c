//! Streams: how many are served at a time, shared fairly among peers.
//!
//! When there are as many as can be borne, the peer with the most gives one up for a newcomer, so
//! that a few who open all they may keep nobody out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libp2p::PeerId;
use tokio::sync::oneshot;

/// The streams of one node. A handle: clones share them.
#[derive(Clone)]
pub(super) struct Streams(Arc<Mutex<State>>);

struct State {
    total: usize,
    per_peer: usize,
    next: u64,
    open: HashMap<PeerId, Vec<(u64, oneshot::Sender<()>)>>,
}

/// The right to have one stream served. Given back when dropped.
pub(super) struct Place {
    streams: Streams,
    peer: PeerId,
    number: u64,
    ended: oneshot::Receiver<()>,
}

impl Streams {
    /// `total` streams, of which one peer has at most `per_peer`.
    pub(super) fn new(total: usize, per_peer: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            total,
            per_peer,
            next: 0,
            open: HashMap::new(),
        })))
    }

    /// A place for one more stream of `peer`; none if it has its part, or no other has more.
    pub(super) fn enter(&self, peer: PeerId) -> Option<Place> {
        let mut state = self.lock();
        let own = state.open.get(&peer).map_or(0, Vec::len);
        if own >= state.per_peer {
            return None;
        }
        if state.open.values().map(Vec::len).sum::<usize>() >= state.total {
            let most = state
                .open
                .values_mut()
                .max_by_key(|streams| streams.len())?;
            // With one more than the newcomer, the two would only change places.
            if most.len() <= own + 1 {
                return None;
            }
            // The one that was opened last: dropping the sender tells it.
            most.pop();
        }
        let number = state.next;
        state.next += 1;
        let (sender, ended) = oneshot::channel();
        state.open.entry(peer).or_default().push((number, sender));
        Some(Place {
            streams: self.clone(),
            peer,
            number,
            ended,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until the place is needed for another peer.
    pub(super) async fn is_needed(&mut self) {
        // Nothing is ever sent: the sender is dropped.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.streams.lock();
        if let Some(streams) = state.open.get_mut(&self.peer) {
            streams.retain(|(number, _)| *number != self.number);
            if streams.is_empty() {
                state.open.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn when_full_the_peer_with_the_most_streams_gives_one_up_for_a_newcomer() {
        let [greedy, modest, newcomer] = [PeerId::random(), PeerId::random(), PeerId::random()];
        let streams = Streams::new(5, 5);
        let mut of_modest = streams.enter(modest).unwrap();
        let mut of_greedy: Vec<_> = (0..4).map(|_| streams.enter(greedy).unwrap()).collect();
        assert!(streams.enter(greedy).is_none(), "it has the most itself");
        let _new = streams.enter(newcomer).unwrap();
        let is_ended = |place: &mut Place| place.is_needed().now_or_never().is_some();
        let ended: Vec<_> = of_greedy.iter_mut().map(is_ended).collect();
        assert_eq!(ended, [false, false, false, true], "the last one only");
        assert!(!is_ended(&mut of_modest));
    }

    #[test]
    fn one_peer_has_no_more_than_its_part_and_gets_back_what_it_ends() {
        let peer = PeerId::random();
        let streams = Streams::new(100, 2);
        let held = [streams.enter(peer).unwrap(), streams.enter(peer).unwrap()];
        assert!(streams.enter(peer).is_none());
        drop(held);
        assert!(streams.lock().open.is_empty());
        assert!(streams.enter(peer).is_some());
    }

    #[test]
    fn where_all_have_one_nobody_loses_it() {
        let streams = Streams::new(3, 3);
        let _held: Vec<_> = (0..3)
            .map(|_| streams.enter(PeerId::random()).unwrap())
            .collect();
        assert!(streams.enter(PeerId::random()).is_none());
    }
}
