//! A socket that notes how its client reads, and ends when it reads nothing for too long.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::SharedActivity;

/// A stream that ends when the other side takes nothing for so long.
pub(super) struct PatientStream<S> {
    stream: S,
    noted: Arc<SharedActivity>,
    timeout: Duration,
    /// When to give up, while something is to be sent and cannot be.
    until: Pin<Box<Sleep>>,
    is_stuck: bool,
}

impl<S> PatientStream<S> {
    pub(super) fn new(stream: S, noted: Arc<SharedActivity>, timeout: Duration) -> Self {
        Self {
            stream,
            noted,
            timeout,
            until: Box::pin(sleep(timeout)),
            is_stuck: false,
        }
    }

    /// Takes what became of an attempt to send: how many bytes went.
    fn take<T>(
        &mut self,
        context: &mut Context<'_>,
        sent: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(sent) = sent {
            self.is_stuck = false;
            if let Ok(sent) = &sent {
                self.noted.took(bytes(sent));
            }
            return Poll::Ready(sent);
        }
        if !self.is_stuck {
            self.is_stuck = true;
            self.noted.stuck();
            self.until.as_mut().reset(Instant::now() + self.timeout);
        }
        ready!(self.until.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PatientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = pin!(&mut self.stream).poll_write(context, data);
        self.take(context, sent, |bytes| *bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = pin!(&mut self.stream).poll_write_vectored(context, data);
        self.take(context, sent, |bytes| *bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = pin!(&mut self.stream).poll_flush(context);
        self.take(context, sent, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(120);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_dropped_and_one_that_takes_little_is_not() {
        let (ours, mut theirs) = duplex(1);
        let mut ours = PatientStream::new(ours, SharedActivity::new(), TIMEOUT);
        let sending = tokio::spawn(async move {
            ours.write_all(&[0; 5]).await.unwrap();
            ours.write_all(&[0; 5]).await.unwrap_err().kind()
        });
        for _ in 0..4 {
            sleep(TIMEOUT / 2).await;
            theirs.read_u8().await.unwrap();
        }
        let began = Instant::now();
        assert_eq!(sending.await.unwrap(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() <= TIMEOUT);
    }
}
