//! A stream that fails when its peer stops making progress.
//!
//! Time-outs apply to progress, never to the whole: a slow peer may take as long as it needs, a
//! silent one may not. An occasional byte counts as silence, or a peer could hold a stream at no
//! cost.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, Future};
use tokio::time::{Instant, Sleep, sleep};

/// Fewer bytes than this in a period count as none. At the default period of 10 s it is 100 bytes
/// a second, below any link over which a transfer could finish.
pub const STALL_MIN_BYTES: u64 = 1024;

/// Watches the progress of reads and writes on `S` during an exchange.
pub struct Stall<S> {
    stream: S,
    period: Duration,
    watch: Pin<Box<Sleep>>,
    moved: u64,
    counter: Option<Arc<AtomicU64>>,
    armed: bool,
}

impl<S> Stall<S> {
    /// Watches `stream`. While armed, reads and writes fail with [`io::ErrorKind::TimedOut`] after
    /// a period in which fewer than [`STALL_MIN_BYTES`] moved. Starts armed.
    ///
    /// # Panics
    /// Outside a tokio runtime with time.
    pub fn new(stream: S, period: Duration) -> Self {
        Self {
            stream,
            period,
            watch: Box::pin(sleep(period)),
            moved: 0,
            counter: None,
            armed: true,
        }
    }

    /// Also adds the bytes that move to `counter`.
    #[must_use]
    pub fn counting(self, counter: Arc<AtomicU64>) -> Self {
        Self {
            counter: Some(counter),
            ..self
        }
    }

    /// Expects progress from now on.
    pub fn arm(&mut self) {
        self.armed = true;
        self.restart();
    }

    /// Expects nothing: the peer may be silent for any time.
    pub fn disarm(&mut self) {
        self.armed = false;
    }

    fn restart(&mut self) {
        self.moved = 0;
        self.watch.as_mut().reset(Instant::now() + self.period);
    }

    /// Accounts for a read or a write that made `progress`, or is pending.
    fn check<T>(
        &mut self,
        cx: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
        bytes: impl Fn(&T) -> u64,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(Ok(done)) = &progress {
            self.moved += bytes(done);
            if let Some(counter) = &self.counter {
                counter.fetch_add(bytes(done), Ordering::Relaxed);
            }
        }
        if !self.armed || progress.is_ready() {
            return progress;
        }
        while self.watch.as_mut().poll(cx).is_ready() {
            if self.moved < STALL_MIN_BYTES {
                let what = format!("the peer made no progress for {:?}", self.period);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, what)));
            }
            self.restart();
        }
        progress
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stall<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.check(cx, progress, |bytes| *bytes as u64)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stall<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.check(cx, progress, |bytes| *bytes as u64)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_flush(cx);
        self.check(cx, progress, |()| 0)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_close(cx);
        self.check(cx, progress, |()| 0)
    }
}

#[cfg(test)]
mod tests {
    use futures::{AsyncReadExt, TryStreamExt, stream};
    use tokio::time::sleep;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(10);

    /// A reader that returns `size` bytes every second, without end.
    fn trickle(size: usize) -> impl AsyncRead + Unpin {
        let seconds = stream::unfold((), move |()| async move {
            sleep(Duration::from_secs(1)).await;
            Some((io::Result::Ok(vec![0; size]), ()))
        });
        Box::pin(seconds).into_async_read()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_peer_may_take_as_long_as_it_likes() {
        let mut slow = Stall::new(trickle(200), PERIOD);
        slow.read_exact(&mut vec![0; 200 * 120]).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_a_second_is_silence() {
        let mut trickling = Stall::new(trickle(1), PERIOD);
        let error = trickling.read_exact(&mut [0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_may_be_silent_while_nothing_is_expected() {
        let mut idle = Stall::new(trickle(1), PERIOD);
        idle.disarm();
        idle.read_exact(&mut [0; 100]).await.unwrap();
    }
}
