//! The multiplexer of one connection.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, ready};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep};

use super::{
    FRAME_LEN, MAX_STREAMS, MAX_WINDOW, STREAM_WINDOW,
    metered::{Blocked, Metered},
    stream::Stream,
};
use crate::memory::{Account, LOOK_INTERVAL, PATIENCE};

/// How long closing a connection may take. A peer that reads nothing must not keep it open.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a connection ended.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Yamux(#[from] yamux::ConnectionError),
    #[error("it held {0} bytes, the most of all connections, while memory was short")]
    HeldTooMuch(u64),
}

/// A connection with many streams.
pub(crate) struct Muxer<C> {
    connection: yamux::Connection<Metered<C>>,
    account: Arc<Account>,
    blocked: Blocked,
    /// Streams that the peer opened and that were not requested yet: at most the limit of streams.
    arrived: VecDeque<Stream>,
    arrival: Option<Waker>,
    /// How long this connection may continue to hold more than its share.
    patience: Option<Pin<Box<Sleep>>>,
    /// How long it may take to close.
    closing: Option<Pin<Box<Sleep>>>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    pub(super) fn new(socket: C, mode: yamux::Mode, account: Arc<Account>) -> Self {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(MAX_STREAMS);
        config.set_split_send_size(FRAME_LEN);
        let windows = MAX_STREAMS * STREAM_WINDOW as usize + MAX_WINDOW as usize;
        config.set_max_connection_receive_window(Some(windows));
        let metered = Metered::new(socket, Arc::clone(&account));
        Self {
            blocked: Arc::clone(&metered.blocked),
            connection: yamux::Connection::new(metered, config, mode),
            account,
            arrived: VecDeque::new(),
            arrival: None,
            patience: None,
            closing: None,
        }
    }

    /// Advances all streams, until the peer opens one.
    fn poll_yamux(&mut self, context: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        self.account.turn_begins();
        match self.connection.poll_next_inbound(context) {
            Poll::Ready(Some(Ok(stream))) => Poll::Ready(Ok(Stream::new(stream, &self.account))),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(error.into())),
            Poll::Ready(None) => Poll::Ready(Err(yamux::ConnectionError::Closed.into())),
            Poll::Pending => {
                // Otherwise a frame may be waiting, and behind it the end of a dropped stream.
                if !self.blocked.load(Ordering::Relaxed) {
                    self.account.turn_is_done();
                }
                Poll::Pending
            }
        }
    }

    /// Ready when this connection has to end so that others have memory.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        if !self.account.has_to_wait(context.waker()) {
            self.patience = None;
            return Poll::Pending;
        }
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        loop {
            ready!(patience.as_mut().poll(context));
            if self.account.closes() {
                break;
            }
            patience.as_mut().reset(Instant::now() + LOOK_INTERVAL);
        }
        let (held, origin) = (self.account.held(), self.account.origin());
        tracing::info!(
            ?origin,
            held,
            "connection closed: it held the most memory of all connections"
        );
        Poll::Ready(Error::HeldTooMuch(held))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = Stream;
    type Error = Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Stream, Error>> {
        if let Some(stream) = self.arrived.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        if let Poll::Ready(stream) = self.poll_yamux(context) {
            return Poll::Ready(stream);
        }
        self.arrival = Some(context.waker().clone());
        Poll::Pending
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Stream, Error>> {
        let stream = ready!(self.connection.poll_new_outbound(context))?;
        Poll::Ready(Ok(Stream::new(stream, &self.account)))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let sleeping = || Box::pin(sleep(CLOSE_TIMEOUT));
        let timeout = self.closing.get_or_insert_with(sleeping).as_mut();
        if timeout.poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.connection.poll_close(context).map_err(Error::from)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Error>> {
        if let Poll::Ready(error) = self.poll_patience(context) {
            return Poll::Ready(Err(error));
        }
        let stream = ready!(self.poll_yamux(context))?;
        // yamux counts these against the limit of streams, and refuses more.
        self.arrived.push_back(stream);
        if let Some(waker) = self.arrival.take() {
            waker.wake();
        }
        // Other tasks run before the next turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<C> Drop for Muxer<C> {
    fn drop(&mut self) {
        self.arrived.clear();
        self.account.close();
    }
}
