//! A socket that records how its client reads, and fails when the client reads nothing for too
//! long.

use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_io_timeout::TimeoutWriter;

use super::shared_activity::SharedActivity;

/// A stream that fails when a write waits for the client for longer than `timeout`.
pub(super) fn with_write_timeout<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    activity: Arc<SharedActivity>,
    timeout: Duration,
) -> Pin<Box<impl AsyncRead + AsyncWrite>> {
    let mut stream = TimeoutWriter::new(RecordedStream { stream, activity });
    stream.set_timeout(Some(timeout));
    Box::pin(stream)
}

/// A stream that records whether its client reads what is sent.
struct RecordedStream<S> {
    stream: S,
    activity: Arc<SharedActivity>,
}

impl<S> RecordedStream<S> {
    /// Records the outcome of a write: how many `bytes` the client took, or that it takes none.
    fn record<T>(
        &self,
        sent: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match &sent {
            Poll::Ready(Ok(sent)) => self.activity.read_bytes(bytes(sent)),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.write_blocked(),
        }
        sent
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for RecordedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RecordedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = pin!(&mut self.stream).poll_write(context, data);
        self.record(sent, |bytes| *bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = pin!(&mut self.stream).poll_write_vectored(context, data);
        self.record(sent, |bytes| *bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = pin!(&mut self.stream).poll_flush(context);
        self.record(sent, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::{Instant, sleep},
    };

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(120);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_disconnected_and_one_that_reads_little_is_not() {
        let (ours, mut theirs) = duplex(1);
        let mut ours = with_write_timeout(ours, SharedActivity::new(), TIMEOUT);
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
