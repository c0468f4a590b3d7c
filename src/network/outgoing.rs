//! Streams that this node opens: how many at a time towards one peer, and which request is next.
//!
//! A peer accepts 32 streams on a connection and resets the others (docs/PROTOCOL.md, section 3), so this
//! node counts its own and waits for one to end. Requests are granted in the order in which they were made.
//! Availability streams last as long as a download, so they get half of the streams: the other half is
//! left for chunks, or downloads that only subscribe could keep each other from fetching. A holder learns
//! that others wait ([`Wanted`]) and decides itself when to end its stream.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use libp2p::PeerId;
use parking_lot::{Mutex, MutexGuard};
use pelago_behaviour::{
    Protocol,
    streams::{MAX_INBOUND_STREAMS, PeerStream},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Streams that this node opens towards one peer at a time: as many as a peer accepts on a connection.
const MAX_OPEN: usize = MAX_INBOUND_STREAMS;

/// Availability streams among these, at most.
const MAX_LASTING: usize = MAX_OPEN / 2;

/// The streams towards all peers. A handle: clones share them.
#[derive(Clone, Default)]
pub(super) struct Outgoings(Arc<Mutex<HashMap<PeerId, Weak<Towards>>>>);

/// The streams towards one peer.
struct Towards {
    any: Arc<Semaphore>,
    lasting: Arc<Semaphore>,
    /// How many requests wait for one of `any`, and for one of `lasting`.
    waiting: watch::Sender<[usize; 2]>,
}

/// The right to have one stream open, until it is dropped.
pub struct Permit {
    // Dropped before the peer's entry may go.
    _held: [Option<OwnedSemaphorePermit>; 2],
    towards: Arc<Towards>,
    is_lasting: bool,
}

/// A stream to a peer. It counts until it is dropped.
pub type Outgoing = PeerStream<Permit>;

/// Tells the holder of a stream when other requests wait for one.
#[derive(Clone)]
pub struct Wanted {
    waiting: watch::Receiver<[usize; 2]>,
    is_lasting: bool,
}

/// One request that waits, for as long as this lives.
struct Waiter<'a> {
    towards: &'a Towards,
    class: usize,
}

impl Outgoings {
    /// Waits until one more stream of `protocol` may be opened towards `peer`.
    pub(super) async fn enter(&self, peer: PeerId, protocol: Protocol) -> Option<Permit> {
        let towards = self.towards(peer);
        let is_lasting = protocol == Protocol::Availability;
        let lasting = match is_lasting {
            true => Some(towards.permit(1).await?),
            false => None,
        };
        let any = Some(towards.permit(0).await?);
        Some(Permit {
            _held: [any, lasting],
            towards,
            is_lasting,
        })
    }

    fn towards(&self, peer: PeerId) -> Arc<Towards> {
        let mut peers = self.lock();
        if let Some(towards) = peers.get(&peer).and_then(Weak::upgrade) {
            return towards;
        }
        peers.retain(|_, towards| towards.strong_count() > 0);
        let towards = Arc::new(Towards {
            any: Arc::new(Semaphore::new(MAX_OPEN)),
            lasting: Arc::new(Semaphore::new(MAX_LASTING)),
            waiting: watch::Sender::default(),
        });
        peers.insert(peer, Arc::downgrade(&towards));
        towards
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PeerId, Weak<Towards>>> {
        self.0.lock()
    }
}

impl Towards {
    /// A permit of one class, in the order of requests. None never happens: the semaphores stay open.
    async fn permit(&self, class: usize) -> Option<OwnedSemaphorePermit> {
        let permits = [&self.any, &self.lasting][class];
        if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
            return Some(permit);
        }
        let _waiter = Waiter::new(self, class);
        Arc::clone(permits).acquire_owned().await.ok()
    }
}

impl<'a> Waiter<'a> {
    fn new(towards: &'a Towards, class: usize) -> Self {
        towards.waiting.send_modify(|waiting| waiting[class] += 1);
        Self { towards, class }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let class = self.class;
        self.towards
            .waiting
            .send_modify(|waiting| waiting[class] -= 1);
    }
}

impl Permit {
    /// Tells when other requests wait for a stream like this one.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        Wanted {
            waiting: self.towards.waiting.subscribe(),
            is_lasting: self.is_lasting,
        }
    }
}

impl Wanted {
    /// Waits until a request waits that the end of this stream would serve.
    pub async fn until_wanted(&mut self) {
        let is_lasting = self.is_lasting;
        let is_wanted = |waiting: &[usize; 2]| waiting[usize::from(is_lasting)] > 0;
        // The stream itself keeps the sender.
        if self.waiting.wait_for(is_wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn enter(
        streams: &Outgoings,
        peer: PeerId,
        protocol: Protocol,
    ) -> impl Future<Output = Option<Permit>> + use<> {
        let streams = streams.clone();
        async move { streams.enter(peer, protocol).await }
    }

    fn is_wanted(permit: &Permit) -> bool {
        permit.wanted().until_wanted().now_or_never().is_some()
    }

    #[test]
    fn as_many_streams_are_open_as_a_peer_accepts_and_the_next_waits_its_turn() {
        let (streams, peer) = (Outgoings::default(), PeerId::random());
        let open = || enter(&streams, peer, Protocol::Chunk).now_or_never();
        let mut held: Vec<_> = (0..MAX_OPEN).map(|_| open().unwrap().unwrap()).collect();
        assert!(!is_wanted(&held[0]));
        let mut first = Box::pin(enter(&streams, peer, Protocol::Chunk));
        let mut second = Box::pin(enter(&streams, peer, Protocol::Catalogue));
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        assert!(is_wanted(&held[0]), "its holder learns that others wait");
        let other = enter(&streams, PeerId::random(), Protocol::Chunk);
        assert!(other.now_or_never().is_some(), "other peers have their own");

        held.pop();
        assert!((&mut second).now_or_never().is_none(), "it came later");
        held.push(first.now_or_never().unwrap().unwrap());
        held.pop();
        assert!(second.now_or_never().is_some());
        assert!(!is_wanted(&held[0]));
    }

    #[test]
    fn streams_that_last_leave_half_to_those_that_fetch() {
        let (streams, peer) = (Outgoings::default(), PeerId::random());
        let open = |protocol| enter(&streams, peer, protocol).now_or_never().flatten();
        let lasting: Vec<_> = (0..MAX_LASTING)
            .map(|_| open(Protocol::Availability).unwrap())
            .collect();
        let mut next = Box::pin(enter(&streams, peer, Protocol::Availability));
        assert!((&mut next).now_or_never().is_none());
        let fetching: Vec<_> = (MAX_LASTING..MAX_OPEN)
            .map(|_| open(Protocol::Chunk).unwrap())
            .collect();
        assert!(is_wanted(&lasting[0]));
        assert!(!is_wanted(&fetching[0]), "its end would not help");
        drop(lasting);
        assert!(next.now_or_never().is_some());
        drop(fetching);
        let _other = open(Protocol::Chunk);
        streams.towards(PeerId::random());
        assert_eq!(
            streams.lock().len(),
            2,
            "peers without streams are forgotten"
        );
    }

    #[test]
    fn a_request_that_is_given_up_is_not_waited_for() {
        let (streams, peer) = (Outgoings::default(), PeerId::random());
        let open = || enter(&streams, peer, Protocol::Chunk).now_or_never();
        let held: Vec<_> = (0..MAX_OPEN).map(|_| open().unwrap().unwrap()).collect();
        let mut next = Box::pin(enter(&streams, peer, Protocol::Chunk));
        assert!((&mut next).now_or_never().is_none());
        assert!(is_wanted(&held[0]));
        drop(next);
        assert!(!is_wanted(&held[0]));
    }
}
