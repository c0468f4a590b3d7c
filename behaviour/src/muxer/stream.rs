//! A stream that reports to the account what is read and written.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite, ready};

use crate::memory::Account;

/// One stream.
pub(crate) struct Stream {
    /// `None` only while it is dropped.
    stream: Option<yamux::Stream>,
    id: u32,
    account: Arc<Account>,
}

impl Stream {
    pub(super) fn new(stream: yamux::Stream, account: &Arc<Account>) -> Self {
        let id = stream.id().val();
        account.taken(id);
        Self {
            stream: Some(stream),
            id,
            account: Arc::clone(account),
        }
    }

    fn inner(&mut self) -> io::Result<Pin<&mut yamux::Stream>> {
        let stream = self.stream.as_mut().map(Pin::new);
        stream.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let len = ready!(self.inner()?.poll_read(context, buffer))?;
        self.account.read(self.id, len);
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.account.poll_may_write(self.id, context));
        let len = ready!(self.inner()?.poll_write(context, bytes))?;
        self.account.written(len);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_close(context)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // yamux comes first: it releases in its next turn only streams that it knows to be
        // dropped.
        drop(self.stream.take());
        self.account.dropped(self.id);
    }
}
