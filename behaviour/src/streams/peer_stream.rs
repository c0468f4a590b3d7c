//! Streams that record when bytes last moved on their connection: a connection that moves bytes is
//! alive, even if a ping is stuck behind them. Sent bytes count as well as received ones: behind a
//! slow uplink, an upload is all that moves.

use std::{
    io::{self, IoSlice, IoSliceMut},
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::Stream;

/// The time to which all values of [`LastActivity`] are relative.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// When bytes last moved on one connection. Clones share the value.
#[derive(Clone, Debug)]
pub(super) struct LastActivity(Arc<AtomicU64>);

impl LastActivity {
    /// A new connection counts as active now.
    pub(super) fn now() -> Self {
        let last_activity = Self(Arc::default());
        last_activity.mark();
        last_activity
    }

    fn mark(&self) {
        // 2^64 milliseconds are longer than any machine runs.
        let now = EPOCH.elapsed().as_millis() as u64;
        self.0.store(now, Ordering::Relaxed);
    }

    /// How long ago the last bytes moved.
    pub(super) fn elapsed(&self) -> Duration {
        let at = Duration::from_millis(self.0.load(Ordering::Relaxed));
        EPOCH.elapsed().saturating_sub(at)
    }
}

/// A stream that records when bytes move on it.
#[derive(Debug)]
pub struct PeerStream<H> {
    stream: Stream,
    last_activity: LastActivity,
    /// Held for as long as the stream is open. Dropped after the stream.
    pub held: H,
}

/// A stream that this node opened.
pub type Outbound = PeerStream<()>;

impl Outbound {
    pub(super) const fn new(stream: Stream, last_activity: LastActivity) -> Self {
        let held = ();
        Self {
            stream,
            last_activity,
            held,
        }
    }

    /// The same stream, which also holds `held`.
    pub fn holding<H>(self, held: H) -> PeerStream<H> {
        PeerStream {
            stream: self.stream,
            last_activity: self.last_activity,
            held,
        }
    }
}

impl<H> PeerStream<H> {
    fn count(&self, moved: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(moved, Poll::Ready(Ok(1..))) {
            self.last_activity.mark();
        }
        moved
    }
}

impl<H: Unpin> AsyncRead for PeerStream<H> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.count(read)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.stream).poll_read_vectored(cx, bufs);
        self.count(read)
    }
}

impl<H: Unpin> AsyncWrite for PeerStream<H> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.count(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_alive_when_bytes_move() {
        let last_activity = LastActivity::now();
        assert!(last_activity.elapsed() < Duration::from_secs(60));
        let silent = LastActivity(Arc::new(AtomicU64::new(0)));
        while EPOCH.elapsed() < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        assert!(silent.elapsed() >= Duration::from_millis(2));
        silent.mark();
        assert!(silent.elapsed() <= EPOCH.elapsed());
    }
}
