//! Connections through relays: another node passes on their bytes.

use std::{
    collections::HashMap,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId, Transport, TransportError as ListenError,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, ListenerId, TransportEvent},
        upgrade::Version,
    },
    identity,
    multiaddr::Protocol,
    noise, relay,
};
use tokio::time::sleep;

use super::{HANDSHAKE_TIMEOUT, TransportError, muxer};
use crate::{
    Connections, PrivateNetwork,
    connections::{ConnectionKind, Gate},
    private::Members,
};

/// How long direct dials of a peer run before those through relays begin: most that succeed do so
/// by then.
const HEAD_START: Duration = Duration::from_millis(300);

/// `direct`, and connections through relays, which are encrypted from end to end as all others are.
/// The behaviour reserves places at relays, and belongs to this transport.
///
/// # Errors
/// See [`TransportError`].
pub fn with_circuits(
    direct: Boxed<(PeerId, StreamMuxerBox)>,
    keypair: &identity::Keypair,
    connections: &Connections,
    private: &PrivateNetwork,
) -> Result<(Boxed<(PeerId, StreamMuxerBox)>, relay::client::Behaviour), TransportError> {
    let memory = connections.memory().clone();
    let local = keypair.public().to_peer_id();
    let (circuits, behaviour) = relay::client::new(local);
    let circuits = Circuits::new(circuits, local)
        .upgrade(Version::V1Lazy)
        // One protocol is one round trip less, and a relay is slower than every cipher.
        .authenticate(noise::Config::new(keypair)?)
        .multiplex_ext(move |peer, endpoint| muxer(&memory, peer, endpoint))
        .timeout(HANDSHAKE_TIMEOUT)
        .and_then(Members::new(local, private).gate());
    let circuits = Gate::new(circuits, ConnectionKind::Relayed, connections);
    // First: names in an address through a relay are resolved by the dial of the relay alone.
    let all = circuits.or_transport(direct);
    Ok((all.map(|either, _| either.into_inner()).boxed(), behaviour))
}

/// Dials later than other transports, and reports for each reservation the address that was asked for. A relay names its own addresses in
/// the answer, and could name those of others.
struct Circuits<T> {
    transport: T,
    local: PeerId,
    /// The address of each listener, until it is reported.
    asked: HashMap<ListenerId, Option<Multiaddr>>,
}

impl<T> Circuits<T> {
    fn new(transport: T, local: PeerId) -> Self {
        Self {
            transport,
            local,
            asked: HashMap::new(),
        }
    }
}

impl<T> Transport for Circuits<T>
where
    T: Transport<Dial: Send + 'static> + Unpin,
{
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = BoxFuture<'static, Result<T::Output, T::Error>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), ListenError<Self::Error>> {
        self.transport.listen_on(id, address.clone())?;
        self.asked.insert(id, Some(address));
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.transport.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, ListenError<Self::Error>> {
        let dial = self.transport.dial(address, options)?;
        let later = async move {
            sleep(HEAD_START).await;
            dial.await
        };
        Ok(later.boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        loop {
            let event = ready!(Pin::new(&mut self.transport).poll(context));
            let listener_id = match &event {
                TransportEvent::NewAddress { listener_id, .. } => *listener_id,
                TransportEvent::ListenerClosed { listener_id, .. } => {
                    self.asked.remove(listener_id);
                    return Poll::Ready(event);
                }
                _ => return Poll::Ready(event),
            };
            // A renewal reports the addresses again.
            let asked = self.asked.get_mut(&listener_id).and_then(Option::take);
            if let Some(asked) = asked {
                return Poll::Ready(TransportEvent::NewAddress {
                    listener_id,
                    // Without the id, it would be that of each node that reserves there, and the
                    // swarm never dials addresses of its own.
                    listen_addr: asked.with(Protocol::P2p(self.local)),
                });
            }
        }
    }
}
