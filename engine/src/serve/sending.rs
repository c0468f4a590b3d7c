//! Sends data no faster than the limits allow, and gives up on peers that take too little.

use std::{io, pin::pin, time::Duration};

use futures::{AsyncWrite, AsyncWriteExt, io::BufWriter};
use libp2p::PeerId;
use pelago_behaviour::Stall;
use tokio::time::{Instant, timeout};

use super::buffers::Buffer;
use crate::limits::Limits;

/// How often to check whether others need the bytes held for a peer that takes too little.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Watches how fast a peer takes the bytes that are held for it.
pub(super) struct Pace<'a> {
    buffer: Option<&'a Buffer>,
    /// Since the last check.
    waited: Duration,
}

impl<'a> Pace<'a> {
    /// The pace at which `buffer` is taken, if any is held.
    pub(super) const fn new(buffer: Option<&'a Buffer>) -> Self {
        Self {
            buffer,
            waited: Duration::ZERO,
        }
    }

    /// Waits for the peer to take as many bytes as `bytes` says, unless it takes so long that
    /// others get the bytes held for it.
    pub(super) async fn wait<T, E: From<io::Error>>(
        &mut self,
        taking: impl Future<Output = Result<T, E>>,
        bytes: impl Fn(&T) -> usize,
    ) -> Result<T, E> {
        let Some(buffer) = self.buffer else {
            return taking.await;
        };
        let mut taking = pin!(taking);
        loop {
            let began = Instant::now();
            let taken = timeout(LOOK_INTERVAL, &mut taking).await;
            let bytes = taken
                .as_ref()
                .map_or(0, |taken| taken.as_ref().map_or(0, &bytes));
            buffer.taken(bytes, began.elapsed());
            self.waited += began.elapsed();
            if self.waited >= LOOK_INTERVAL {
                self.waited = Duration::ZERO;
                if buffer.is_over() {
                    let what = "the peer reads too slowly while others wait";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, what).into());
                }
            }
            if let Ok(taken) = taken {
                return taken;
            }
        }
    }
}

/// A peer, and how content gets to it.
#[derive(Clone, Copy)]
pub(super) struct Receiver {
    pub(super) peer: PeerId,
    /// Whether through a relay.
    pub(super) is_relayed: bool,
}

impl Receiver {
    async fn may_get(self, limits: &Limits, wanted: usize) -> usize {
        match self.is_relayed {
            true => limits.upload_relayed(self.peer, wanted).await,
            false => limits.upload(self.peer, wanted).await,
        }
    }
}

/// Sends `data` to `to`. Time in which our own limits hold the data back does not count against
/// the peer.
pub(super) async fn send(
    limits: &Limits,
    to: Receiver,
    pace: &mut Pace<'_>,
    writer: &mut BufWriter<Stall<impl AsyncWrite + Unpin>>,
    mut data: &[u8],
) -> io::Result<()> {
    while !data.is_empty() {
        let (mut granule, rest) = data.split_at(to.may_get(limits, data.len()).await);
        writer.get_mut().arm();
        while !granule.is_empty() {
            let taken = pace.wait(writer.write(granule), |taken| *taken).await?;
            if taken == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            granule = &granule[taken..];
        }
        // Bytes that may pass are not held back until more may.
        if !rest.is_empty() {
            pace.wait(writer.flush(), |()| 0).await?;
        }
        data = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use tokio::time::{Sleep, sleep};

    use super::*;
    use crate::{
        limits::{Rate, Rates},
        serve::{buffers::Buffers, requester::Requester},
    };

    /// Takes `rate` bytes a second, and that many at once at most.
    struct Trickle {
        rate: usize,
        sleep: Pin<Box<Sleep>>,
    }

    impl AsyncWrite for Trickle {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            data: &[u8],
        ) -> Poll<io::Result<usize>> {
            futures::ready!(self.sleep.as_mut().poll(cx));
            let taken = data.len().min(self.rate);
            let pause = Duration::from_secs_f64(taken as f64 / self.rate as f64);
            self.sleep.as_mut().reset(Instant::now() + pause);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Sends `size` bytes to a peer that takes `bytes` a second, while another peer waits for all
    /// bytes that may be held. Returns the result, and how long it took.
    async fn sent(size: usize, bytes: usize, rates: Rates) -> (io::Result<()>, Duration) {
        let [requester, other] = ["11.0.0.1", "11.0.1.1"].map(Requester::at);
        let buffers = Buffers::new(4 << 20, 4 << 20);
        let held = buffers.acquire(requester, size as u64).await.unwrap();
        let waiting = tokio::spawn(async move { buffers.acquire(other, 4 << 20).await.map(drop) });
        let trickle = Trickle {
            rate: bytes,
            sleep: Box::pin(sleep(Duration::ZERO)),
        };
        let mut writer = BufWriter::new(Stall::new(trickle, Duration::from_secs(10)));
        let (limits, data, began) = (Limits::new(rates), vec![0; size], Instant::now());
        let to = Receiver {
            peer: requester.peer,
            is_relayed: false,
        };
        let mut pace = Pace::new(Some(&held));
        let sent = send(&limits, to, &mut pace, &mut writer, &data).await;
        let time = began.elapsed();
        drop(held);
        waiting.await.unwrap().unwrap();
        (sent, time)
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_does_not_keep_memory_from_others_for_hours() {
        let (sent, time) = sent(4 << 20, 110, Rates::default()).await;
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(time < Duration::from_secs(40), "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_peer_is_served_while_others_wait() {
        let (modem, _) = sent(128 << 10, 20_000, Rates::default()).await;
        modem.unwrap();
        let (slower, _) = sent(16 << 10, 1000, Rates::default()).await;
        slower.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_slowed_by_our_limits_keeps_its_buffer() {
        let rates = Rates {
            upload_per_peer: Some(Rate::new(2000).unwrap()),
            ..Rates::default()
        };
        let (kept_waiting, time) = sent(200_000, 20_000, rates).await;
        kept_waiting.unwrap();
        assert!(time > Duration::from_secs(60), "{time:?}");
    }
}
