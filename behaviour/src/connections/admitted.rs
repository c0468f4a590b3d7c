//! An established connection with a permit, which ends when the permit is revoked.

use std::{
    error::Error,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite, ready};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use thiserror::Error;

use super::{permits::ConnectionPermit, table::Established};

/// Why such a connection ended.
#[derive(Debug, Error)]
pub(super) enum AdmittedError<E: Error> {
    #[error(transparent)]
    Muxer(E),
    #[error("closed in favour of another connection: the limit of connections is reached")]
    Evicted,
}

/// The multiplexer of a connection that has a permit.
pub(super) struct Admitted<M> {
    muxer: M,
    permit: ConnectionPermit,
}

impl<M> Admitted<M> {
    pub(super) const fn new(muxer: M, permit: ConnectionPermit) -> Self {
        Self { muxer, permit }
    }
}

impl<M> Admitted<M>
where
    M: StreamMuxer + Unpin,
{
    fn track(&self, stream: M::Substream, is_ours: bool) -> Tracked<M::Substream> {
        Tracked {
            stream,
            established: Arc::clone(&self.permit.established),
            is_ours,
        }
    }
}

impl<M> StreamMuxer for Admitted<M>
where
    M: StreamMuxer + Unpin,
    M::Substream: Unpin,
{
    type Substream = Tracked<M::Substream>;
    type Error = AdmittedError<M::Error>;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let stream = ready!(Pin::new(&mut self.muxer).poll_inbound(context));
        let stream = stream.map_err(AdmittedError::Muxer)?;
        Poll::Ready(Ok(self.track(stream, false)))
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let stream = ready!(Pin::new(&mut self.muxer).poll_outbound(context));
        let stream = stream.map_err(AdmittedError::Muxer)?;
        Poll::Ready(Ok(self.track(stream, true)))
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        let closed = Pin::new(&mut self.muxer).poll_close(context);
        closed.map_err(AdmittedError::Muxer)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        if self.permit.established.is_evicted(context.waker()) {
            return Poll::Ready(Err(AdmittedError::Evicted));
        }
        let event = Pin::new(&mut self.muxer).poll(context);
        event.map_err(AdmittedError::Muxer)
    }
}

/// A stream of such a connection, which records the bytes that move on it.
pub(super) struct Tracked<S> {
    stream: S,
    established: Arc<Established>,
    is_ours: bool,
}

impl<S: AsyncRead + Unpin> AsyncRead for Tracked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let len = ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if self.is_ours {
            self.established.activity.taken(len);
        } else {
            self.established.activity.moved(len);
        }
        Poll::Ready(Ok(len))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tracked<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let len = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.established.activity.moved(len);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}
