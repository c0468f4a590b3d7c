//! Streams that this node opens: how many to one peer at a time, and which request is next.
//!
//! A peer accepts 32 streams on a connection and resets the others (docs/PROTOCOL.md, section 3),
//! so this node counts its own and waits for one to end. Requests are granted in order.
//! Availability streams last as long as a download, so they get half of the streams: otherwise
//! downloads that only subscribe could keep each other from fetching. The holder of a stream
//! learns when others wait ([`StreamDemand`]), and decides itself when to end it.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use libp2p::PeerId;
use parking_lot::Mutex;
use pelago_behaviour::{
    Protocol,
    streams::{MAX_INBOUND_STREAMS, PeerStream},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Streams that this node opens to one peer at a time: as many as a peer accepts on a connection.
const MAX_OPEN: usize = MAX_INBOUND_STREAMS;

/// Availability streams among these, at most.
const MAX_LASTING: usize = MAX_OPEN / 2;

/// The streams to all peers. A handle: clones share them.
#[derive(Clone, Default)]
pub(super) struct OutgoingStreams(Arc<Mutex<HashMap<PeerId, Weak<StreamsToPeer>>>>);

/// The streams to one peer.
struct StreamsToPeer {
    any: Arc<Semaphore>,
    lasting: Arc<Semaphore>,
    /// How many requests wait for a permit of `any`, and of `lasting`.
    waiting: watch::Sender<[usize; 2]>,
}

/// The right to have one stream open. Dropping it returns it.
pub struct OutgoingPermit {
    // Dropped before the last reference to the peer's state.
    _held: [Option<OwnedSemaphorePermit>; 2],
    to_peer: Arc<StreamsToPeer>,
    is_lasting: bool,
}

/// A stream to a peer. It counts until it is dropped.
pub type Outgoing = PeerStream<OutgoingPermit>;

/// Notifies the holder of a stream when other requests wait for one.
#[derive(Clone)]
pub struct StreamDemand {
    waiting: watch::Receiver<[usize; 2]>,
    is_lasting: bool,
}

/// A request that waits, for as long as this lives.
struct Waiter<'a> {
    to_peer: &'a StreamsToPeer,
    class: usize,
}

impl OutgoingStreams {
    /// Waits until one more stream of `protocol` may be opened to `peer`.
    pub(super) async fn enter(&self, peer: PeerId, protocol: Protocol) -> Option<OutgoingPermit> {
        let to_peer = self.to_peer(peer);
        let is_lasting = protocol == Protocol::Availability;
        let lasting = match is_lasting {
            true => Some(to_peer.permit(1).await?),
            false => None,
        };
        let any = Some(to_peer.permit(0).await?);
        Some(OutgoingPermit {
            _held: [any, lasting],
            to_peer,
            is_lasting,
        })
    }

    fn to_peer(&self, peer: PeerId) -> Arc<StreamsToPeer> {
        let mut peers = self.0.lock();
        if let Some(to_peer) = peers.get(&peer).and_then(Weak::upgrade) {
            return to_peer;
        }
        peers.retain(|_, to_peer| to_peer.strong_count() > 0);
        let to_peer = Arc::new(StreamsToPeer {
            any: Arc::new(Semaphore::new(MAX_OPEN)),
            lasting: Arc::new(Semaphore::new(MAX_LASTING)),
            waiting: watch::Sender::default(),
        });
        peers.insert(peer, Arc::downgrade(&to_peer));
        to_peer
    }
}

impl StreamsToPeer {
    /// A permit of one class, in the order of requests. `None` does not occur: the semaphores stay
    /// open.
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
    fn new(to_peer: &'a StreamsToPeer, class: usize) -> Self {
        to_peer.waiting.send_modify(|waiting| waiting[class] += 1);
        Self { to_peer, class }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let class = self.class;
        self.to_peer
            .waiting
            .send_modify(|waiting| waiting[class] -= 1);
    }
}

impl OutgoingPermit {
    /// Notifies of requests that wait for a stream like this one.
    #[must_use]
    pub fn demand(&self) -> StreamDemand {
        StreamDemand {
            waiting: self.to_peer.waiting.subscribe(),
            is_lasting: self.is_lasting,
        }
    }
}

impl StreamDemand {
    /// Waits until there is a request that the end of this stream would serve.
    pub async fn until_demanded(&mut self) {
        let is_lasting = self.is_lasting;
        let is_demanded = |waiting: &[usize; 2]| waiting[usize::from(is_lasting)] > 0;
        // The stream itself keeps the sender alive.
        if self.waiting.wait_for(is_demanded).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn enter(
        streams: &OutgoingStreams,
        peer: PeerId,
        protocol: Protocol,
    ) -> impl Future<Output = Option<OutgoingPermit>> + use<> {
        let streams = streams.clone();
        async move { streams.enter(peer, protocol).await }
    }

    fn is_demanded(permit: &OutgoingPermit) -> bool {
        permit.demand().until_demanded().now_or_never().is_some()
    }

    #[test]
    fn as_many_streams_are_open_as_a_peer_accepts_and_the_next_waits_its_turn() {
        let (streams, peer) = (OutgoingStreams::default(), PeerId::random());
        let open = || enter(&streams, peer, Protocol::Chunk).now_or_never();
        let mut held: Vec<_> = (0..MAX_OPEN).map(|_| open().unwrap().unwrap()).collect();
        assert!(!is_demanded(&held[0]));
        let mut first = Box::pin(enter(&streams, peer, Protocol::Chunk));
        let mut second = Box::pin(enter(&streams, peer, Protocol::Catalogue));
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        assert!(is_demanded(&held[0]), "its holder learns that others wait");
        let other = enter(&streams, PeerId::random(), Protocol::Chunk);
        assert!(other.now_or_never().is_some(), "other peers have their own");

        held.pop();
        assert!((&mut second).now_or_never().is_none(), "it came later");
        held.push(first.now_or_never().unwrap().unwrap());
        held.pop();
        assert!(second.now_or_never().is_some());
        assert!(!is_demanded(&held[0]));
    }

    #[test]
    fn streams_that_last_leave_half_to_those_that_fetch() {
        let (streams, peer) = (OutgoingStreams::default(), PeerId::random());
        let open = |protocol| enter(&streams, peer, protocol).now_or_never().flatten();
        let lasting: Vec<_> = (0..MAX_LASTING)
            .map(|_| open(Protocol::Availability).unwrap())
            .collect();
        let mut next = Box::pin(enter(&streams, peer, Protocol::Availability));
        assert!((&mut next).now_or_never().is_none());
        let fetching: Vec<_> = (MAX_LASTING..MAX_OPEN)
            .map(|_| open(Protocol::Chunk).unwrap())
            .collect();
        assert!(is_demanded(&lasting[0]));
        assert!(!is_demanded(&fetching[0]), "its end would not help");
        drop(lasting);
        assert!(next.now_or_never().is_some());
        drop(fetching);
        let _other = open(Protocol::Chunk);
        streams.to_peer(PeerId::random());
        assert_eq!(
            streams.0.lock().len(),
            2,
            "peers without streams are forgotten"
        );
    }

    #[test]
    fn a_request_that_is_given_up_is_not_waited_for() {
        let (streams, peer) = (OutgoingStreams::default(), PeerId::random());
        let open = || enter(&streams, peer, Protocol::Chunk).now_or_never();
        let held: Vec<_> = (0..MAX_OPEN).map(|_| open().unwrap().unwrap()).collect();
        let mut next = Box::pin(enter(&streams, peer, Protocol::Chunk));
        assert!((&mut next).now_or_never().is_none());
        assert!(is_demanded(&held[0]));
        drop(next);
        assert!(!is_demanded(&held[0]));
    }
}
