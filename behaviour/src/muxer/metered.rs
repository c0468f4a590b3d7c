//! The socket below the multiplexer: reports to the account what passes, and reads nothing while
//! the account has to wait.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite, ready};
use thiserror::Error;

use super::frames::{Frames, Part, TooLong};
use crate::memory::{Account, Overrun};

/// A violation of the rules by the peer.
#[derive(Debug, Error)]
enum Violation {
    #[error(transparent)]
    Overrun(#[from] Overrun),
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

impl From<Violation> for io::Error {
    fn from(violation: Violation) -> Self {
        Self::new(io::ErrorKind::InvalidData, violation)
    }
}

pub(super) struct Metered<C> {
    socket: C,
    account: Arc<Account>,
    received: Frames,
    sent: Frames,
    /// Shared with the multiplexer above: whether the last write is incomplete.
    pub(super) blocked: Blocked,
}

/// Whether bytes are waiting for the socket.
pub(super) type Blocked = Arc<std::sync::atomic::AtomicBool>;

impl<C> Metered<C> {
    pub(super) fn new(socket: C, account: Arc<Account>) -> Self {
        Self {
            socket,
            account,
            received: Frames::default(),
            sent: Frames::default(),
            blocked: Blocked::default(),
        }
    }

    fn note_received(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let account = &self.account;
        self.received.pass(bytes, |part| {
            match part {
                Part::Header {
                    stream,
                    opens,
                    body,
                } => {
                    if opens {
                        account.opened(stream)?;
                    }
                    if body > 0 {
                        account.begun(body)?;
                    }
                }
                Part::Body(_) => {}
                Part::End { stream, body } => account.received(stream, body),
            }
            Ok(())
        })
    }

    fn note_sent(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let account = &self.account;
        self.sent.pass(bytes, |part| {
            if let Part::Body(len) = part {
                account.sent(len.into());
            }
            Ok(())
        })
    }

    fn note_blocked<T>(&self, poll: &Poll<T>) {
        let is_blocked = poll.is_pending();
        self.blocked
            .store(is_blocked, std::sync::atomic::Ordering::Relaxed);
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Metered<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.account.poll_may_read(context));
        let len = ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        self.note_received(&buffer[..len])?;
        Poll::Ready(Ok(len))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Metered<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.note_blocked(&written);
        let len = ready!(written)?;
        self.note_sent(&bytes[..len])?;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context)
    }
}
