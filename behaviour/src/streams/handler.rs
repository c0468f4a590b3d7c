//! The streams of one connection: negotiates and counts them.

use std::{
    collections::VecDeque,
    future::{Ready, ready},
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use futures::channel::oneshot;
use libp2p::{
    Stream, StreamProtocol,
    core::{InboundUpgrade, OutboundUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        },
    },
};
use thiserror::Error;

use super::{
    MAX_INBOUND_STREAMS, MAX_PENDING_STREAMS, Outbound, PeerStream, peer_stream::LastActivity,
};
use crate::{Origin, Protocol, Protocols};

/// The channel for the result of a request for a stream.
pub type Reply = oneshot::Sender<Result<Outbound, OpenError>>;

/// Why a stream could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no connection to the peer.
    #[error("not connected to the peer")]
    NotConnected,
    /// The peer does not speak this protocol of this network.
    #[error("the peer does not speak {0}: it is not a Pelago node of this network")]
    Unsupported(StreamProtocol),
    /// Too many streams of this connection wait to be negotiated.
    #[error("too many streams to the peer are being opened (at most {MAX_PENDING_STREAMS})")]
    Busy,
    /// The negotiation took too long.
    #[error("the peer did not answer the request for a stream in time")]
    TimedOut,
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// Asks the handler to open a stream.
#[derive(Debug)]
pub struct Open {
    pub(super) protocol: Protocol,
    pub(super) reply: Reply,
}

/// A stream that a peer opened.
pub type Inbound = PeerStream<Accepted>;

/// What is known of a stream that a peer opened. Counts against the limit of the peer until it is
/// dropped.
#[derive(Debug)]
pub struct Accepted {
    /// The protocol of the stream.
    pub protocol: Protocol,
    /// As whom limits count the peer.
    pub origin: Origin,
    /// Since when its connection exists, if it leads through a relay.
    pub relayed_since: Option<Instant>,
    _counted: Arc<()>,
}

/// The handler of one connection.
pub struct Handler {
    protocols: Protocols,
    /// Requests not yet passed on to the swarm.
    queue: VecDeque<Open>,
    /// Requests passed on whose negotiation has not ended.
    negotiating: usize,
    arrived: VecDeque<Inbound>,
    /// Every inbound stream has a clone: the strong count less one is their number.
    inbound: Arc<()>,
    /// How many streams exceeded the limit, over all connections.
    refused: Arc<AtomicU64>,
    /// When bytes last moved on a stream of this connection.
    last_activity: LastActivity,
    /// Where the peer comes from.
    origin: Origin,
    /// Since when the connection exists, if it leads through a relay.
    relayed_since: Option<Instant>,
}

impl Handler {
    pub(super) fn new(
        protocols: Protocols,
        origin: Origin,
        is_relayed: bool,
        refused: Arc<AtomicU64>,
        last_activity: LastActivity,
    ) -> Self {
        Self {
            protocols,
            queue: VecDeque::new(),
            negotiating: 0,
            arrived: VecDeque::new(),
            inbound: Arc::new(()),
            refused,
            last_activity,
            origin,
            relayed_since: is_relayed.then(Instant::now),
        }
    }

    fn accept(&mut self, stream: Stream, protocol: Protocol) {
        if Arc::strong_count(&self.inbound) > MAX_INBOUND_STREAMS {
            self.refused.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(?protocol, "stream reset: the peer has too many open");
            return;
        }
        let accepted = Accepted {
            protocol,
            origin: self.origin,
            relayed_since: self.relayed_since,
            _counted: Arc::clone(&self.inbound),
        };
        let stream = Outbound::new(stream, self.last_activity.clone());
        self.arrived.push_back(stream.holding(accepted));
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = Inbound;
    type InboundProtocol = Upgrade;
    type OutboundProtocol = Upgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Open;

    fn listen_protocol(&self) -> SubstreamProtocol<Upgrade> {
        let offered = Protocol::ALL.map(|p| (p, self.protocols.name(p).clone()));
        SubstreamProtocol::new(Upgrade(offered.to_vec()), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Upgrade, Open, Inbound>> {
        if let Some(inbound) = self.arrived.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(inbound));
        }
        if let Some(open) = self.queue.pop_front() {
            self.negotiating += 1;
            let name = self.protocols.name(open.protocol).clone();
            let upgrade = Upgrade(vec![(open.protocol, name)]);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(upgrade, open),
            });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, open: Open) {
        if self.queue.len() + self.negotiating >= MAX_PENDING_STREAMS {
            // The caller may have stopped waiting: nothing is lost then.
            let _ = open.reply.send(Err(OpenError::Busy));
        } else {
            self.queue.push_back(open);
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Upgrade, Upgrade, (), Open>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol),
                ..
            }) => self.accept(stream, protocol),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (stream, _),
                info: open,
            }) => {
                self.negotiating -= 1;
                // If the caller has stopped waiting, the stream is dropped, which resets it.
                let stream = Outbound::new(stream, self.last_activity.clone());
                let _ = open.reply.send(Ok(stream));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, info: open }) => {
                self.negotiating -= 1;
                let _ = open.reply.send(Err(match error {
                    StreamUpgradeError::Timeout => OpenError::TimedOut,
                    StreamUpgradeError::NegotiationFailed => {
                        OpenError::Unsupported(self.protocols.name(open.protocol).clone())
                    }
                    StreamUpgradeError::Io(error) => OpenError::Io(error),
                    StreamUpgradeError::Apply(never) => match never {},
                }));
            }
            _ => {}
        }
    }
}

/// Negotiates the name of a protocol, and does not change the stream.
#[derive(Clone, Debug)]
pub struct Upgrade(Vec<(Protocol, StreamProtocol)>);

/// A protocol with its negotiated name.
#[derive(Clone, Debug)]
pub struct Offer(Protocol, StreamProtocol);

impl AsRef<str> for Offer {
    fn as_ref(&self) -> &str {
        self.1.as_ref()
    }
}

impl UpgradeInfo for Upgrade {
    type Info = Offer;
    type InfoIter = std::vec::IntoIter<Offer>;

    fn protocol_info(&self) -> Self::InfoIter {
        let offers = self
            .0
            .iter()
            .map(|(protocol, name)| Offer(*protocol, name.clone()));
        offers.collect::<Vec<_>>().into_iter()
    }
}

impl InboundUpgrade<Stream> for Upgrade {
    type Output = (Stream, Protocol);
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, offer: Offer) -> Self::Future {
        ready(Ok((stream, offer.0)))
    }
}

impl OutboundUpgrade<Stream> for Upgrade {
    type Output = (Stream, Protocol);
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, stream: Stream, offer: Offer) -> Self::Future {
        ready(Ok((stream, offer.0)))
    }
}
