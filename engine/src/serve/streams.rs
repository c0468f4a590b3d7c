//! How many streams are served at a time, shared fairly by site, host and peer.
//!
//! At the limit, the site with the most streams gives one up for a newcomer from another site;
//! within the site the host with the most, and on that host the peer with the most. So a few peers
//! that open all they may cannot keep others out.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::requester::{LEVELS, QuotaKey, Requester};

/// The streams of one node. A handle: clones share them.
#[derive(Clone)]
pub(super) struct Streams(Arc<Mutex<Shared>>);

struct Shared {
    total: usize,
    per_peer: usize,
    next: u64,
    /// In the order in which they were opened.
    open: Vec<OpenStream>,
    counts: HashMap<QuotaKey, usize>,
}

struct OpenStream {
    number: u64,
    requester: Requester,
    /// Dropped to end the stream.
    _ends: oneshot::Sender<()>,
}

/// The right to have one stream served. Dropping it returns it.
pub(super) struct StreamPermit {
    streams: Streams,
    number: u64,
    ended: oneshot::Receiver<()>,
}

impl Streams {
    /// `total` streams, of which one peer may have at most `per_peer`.
    pub(super) fn new(total: usize, per_peer: usize) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            total,
            per_peer,
            next: 0,
            open: Vec::new(),
            counts: HashMap::new(),
        })))
    }

    /// A permit for one more stream of `requester`; `None` if it has its share, or if every other
    /// peer has as few streams.
    pub(super) fn enter(&self, requester: Requester) -> Option<StreamPermit> {
        let mut state = self.0.lock();
        let own = state.counts_of(&requester);
        if own[LEVELS - 1] >= state.per_peer {
            return None;
        }
        if state.open.len() >= state.total {
            let most = state.most()?;
            let is_more = |(most, own): (usize, usize)| most > own + 1;
            // A peer with just one stream more than the newcomer would only swap roles with it.
            let theirs = state.counts_of(&state.open[most].requester);
            let differ = theirs
                .into_iter()
                .zip(own)
                .find(|(theirs, own)| theirs != own);
            if !differ.is_some_and(is_more) {
                return None;
            }
            state.remove(most);
        }
        let number = state.next;
        state.next += 1;
        let (sender, ended) = oneshot::channel();
        state.open.push(OpenStream {
            number,
            requester,
            _ends: sender,
        });
        for key in requester.keys() {
            *state.counts.entry(key).or_default() += 1;
        }
        Some(StreamPermit {
            streams: self.clone(),
            number,
            ended,
        })
    }
}

impl Shared {
    fn counts_of(&self, requester: &Requester) -> [usize; LEVELS] {
        requester
            .keys()
            .map(|key| self.counts.get(&key).copied().unwrap_or(0))
    }

    /// The newest stream of the peer with the most, on the host with the most, of the site with
    /// the most.
    fn most(&self) -> Option<usize> {
        let open = self.open.iter().enumerate();
        let most = open.max_by_key(|(_, open)| self.counts_of(&open.requester));
        most.map(|(index, _)| index)
    }

    /// Forgets a stream, which ends it if it is being served.
    fn remove(&mut self, index: usize) {
        for key in self.open.remove(index).requester.keys() {
            if let Some(count) = self.counts.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&key);
                }
            }
        }
    }
}

impl StreamPermit {
    /// Waits until the permit is revoked in favour of another peer.
    pub(super) async fn revoked(&mut self) {
        // The sender sends nothing: it is dropped.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut state = self.streams.0.lock();
        let found = state
            .open
            .binary_search_by_key(&self.number, |open| open.number);
        if let Ok(index) = found {
            state.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn is_ended(permit: &mut StreamPermit) -> bool {
        permit.revoked().now_or_never().is_some()
    }

    #[test]
    fn when_full_the_peer_with_the_most_streams_gives_one_up_for_a_newcomer() {
        let [greedy, modest, newcomer] = ["11.0.0.1", "11.0.1.1", "11.0.2.1"].map(Requester::at);
        let streams = Streams::new(5, 5);
        let mut of_modest = streams.enter(modest).unwrap();
        let mut of_greedy: Vec<_> = (0..4).map(|_| streams.enter(greedy).unwrap()).collect();
        assert!(streams.enter(greedy).is_none(), "it has the most itself");
        let _new = streams.enter(newcomer).unwrap();
        let ended: Vec<_> = of_greedy.iter_mut().map(is_ended).collect();
        assert_eq!(ended, [false, false, false, true], "the last one only");
        assert!(!is_ended(&mut of_modest));
    }

    #[test]
    fn many_ids_of_one_network_give_up_for_a_newcomer_of_another() {
        let streams = Streams::new(6, 5);
        let crowd = (0..6).map(|n| Requester::at(&format!("11.0.0.{}", n / 4)));
        let mut crowd: Vec<_> = crowd.map(|peer| streams.enter(peer).unwrap()).collect();
        assert!(
            streams.enter(Requester::at("11.0.0.0")).is_none(),
            "no more of the host"
        );
        let _new = streams.enter(Requester::at("12.0.0.1")).unwrap();
        let ended: Vec<_> = crowd.iter_mut().map(is_ended).collect();
        assert_eq!(ended, [false, false, false, true, false, false]);
    }

    #[test]
    fn one_peer_has_no_more_than_its_part_and_gets_back_what_it_ends() {
        let peer = Requester::at("11.0.0.1");
        let streams = Streams::new(100, 2);
        let held = [streams.enter(peer).unwrap(), streams.enter(peer).unwrap()];
        assert!(streams.enter(peer).is_none());
        drop(held);
        assert!(streams.0.lock().open.is_empty() && streams.0.lock().counts.is_empty());
        assert!(streams.enter(peer).is_some());
    }

    #[test]
    fn where_all_have_one_stream_none_is_revoked() {
        let streams = Streams::new(3, 3);
        let held = (0..3).map(|n| streams.enter(Requester::at(&format!("11.0.{n}.1"))));
        let _held: Vec<_> = held.map(Option::unwrap).collect();
        assert!(streams.enter(Requester::at("11.0.9.1")).is_none());
    }
}
