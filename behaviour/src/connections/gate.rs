//! The transport for all connections: each one gets a permit, or is refused.

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{
    FutureExt,
    future::{AbortHandle, Abortable, BoxFuture},
    ready,
};
use libp2p::{
    Multiaddr, PeerId, Transport, TransportError,
    core::{
        muxing::{StreamMuxer, StreamMuxerBox},
        transport::{DialOpts, ListenerId, TransportEvent},
    },
};
use thiserror::Error;

use super::{ConnectionKind, Connections, admitted::Admitted, permits::ConnectionPermits};
use crate::remote_address;

/// Why a connection was not made.
#[derive(Debug, Error)]
pub(crate) enum GateError<E: Error> {
    #[error(transparent)]
    Transport(E),
    #[error("the limit of connections is reached, and all of them are in use")]
    Full,
    #[error("too many dials are running, or the limit of connections is reached")]
    TooManyDials,
    #[error("the handshake took too long while others were waiting")]
    Late,
}

/// A transport whose connections have permits.
pub(crate) struct Gate<T> {
    transport: T,
    permits: Arc<ConnectionPermits>,
    kind: ConnectionKind,
}

impl<T> Gate<T> {
    pub(crate) fn new(transport: T, kind: ConnectionKind, connections: &Connections) -> Self {
        Self {
            transport,
            permits: connections.permits(),
            kind,
        }
    }
}

type Made<E> = BoxFuture<'static, Result<(PeerId, StreamMuxerBox), GateError<E>>>;

impl<T, M> Transport for Gate<T>
where
    T: Transport<Output = (PeerId, M)> + Unpin,
    T::Error: Send,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
    M: StreamMuxer + Unpin + Send + 'static,
    M::Substream: Unpin + Send + 'static,
    M::Error: Send + Sync + 'static,
{
    type Output = (PeerId, StreamMuxerBox);
    type Error = GateError<T::Error>;
    type ListenerUpgrade = Made<T::Error>;
    type Dial = Made<T::Error>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Self::Error>> {
        let listens = self.transport.listen_on(id, address);
        listens.map_err(|error| error.map(GateError::Transport))
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.transport.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        let dial = self.transport.dial(address.clone(), options);
        let dial = dial.map_err(|error| error.map(GateError::Transport))?;
        let Some(permit) = self.permits.dial(self.kind) else {
            return Err(TransportError::Other(GateError::TooManyDials));
        };
        let (permits, kind) = (Arc::clone(&self.permits), self.kind);
        let made = async move {
            let output = dial.await.map_err(GateError::Transport)?;
            drop(permit);
            admit(&permits, kind, output, &address, false)
        };
        Ok(made.boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        loop {
            let event = ready!(Pin::new(&mut self.transport).poll(context));
            let (listener_id, upgrade, local_addr, send_back_addr) = match event {
                TransportEvent::Incoming {
                    listener_id,
                    upgrade,
                    local_addr,
                    send_back_addr,
                } => (listener_id, upgrade, local_addr, send_back_addr),
                other => return Poll::Ready(without_upgrade(other)),
            };
            let (abort, aborted) = AbortHandle::new_pair();
            let address = remote_address(&local_addr, &send_back_addr);
            let Some(permit) = self.permits.begin(self.kind, &address, abort) else {
                continue;
            };
            let (permits, kind) = (Arc::clone(&self.permits), self.kind);
            let made = async move {
                let output = Abortable::new(upgrade, aborted).await;
                let output = output
                    .map_err(|_| GateError::Late)?
                    .map_err(GateError::Transport)?;
                drop(permit);
                admit(&permits, kind, output, &address, true)
            };
            return Poll::Ready(TransportEvent::Incoming {
                listener_id,
                upgrade: made.boxed(),
                local_addr,
                send_back_addr,
            });
        }
    }
}

/// Gives a connection a permit, or ends it.
fn admit<M, E>(
    permits: &Arc<ConnectionPermits>,
    kind: ConnectionKind,
    (peer, muxer): (PeerId, M),
    address: &Multiaddr,
    is_inbound: bool,
) -> Result<(PeerId, StreamMuxerBox), GateError<E>>
where
    M: StreamMuxer + Unpin + Send + 'static,
    M::Substream: Unpin + Send + 'static,
    M::Error: Send + Sync + 'static,
    E: Error,
{
    let permit = permits.establish(kind, peer, address, is_inbound);
    let admitted = Admitted::new(muxer, permit.ok_or(GateError::Full)?);
    Ok((peer, StreamMuxerBox::new(admitted)))
}

/// Converts an event other than a connection.
fn without_upgrade<U, V, E: Error>(event: TransportEvent<U, E>) -> TransportEvent<V, GateError<E>> {
    event
        .map_upgrade(|_| unreachable!("connections are handled by the caller"))
        .map_err(GateError::Transport)
}
