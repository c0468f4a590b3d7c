//! Sends data no faster than the limits allow, and no slower than a slot may be held.

use std::{io, pin::pin, time::Duration};

use futures::{AsyncWrite, AsyncWriteExt, io::BufWriter};
use libp2p::PeerId;
use pelago_behaviour::Stall;
use tokio::time::{Instant, timeout};

use super::slots::Slot;
use crate::limits::Limits;

/// Bytes between two looks at how fast the peer takes them: 8 s at the rate that is asked of it.
const PIECE: usize = 64 << 10;

/// How often it is looked whether others need the slot of a peer that takes nothing.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Sends `data` to `peer`. While we make it wait, the peer does not stall, nor does it hold its slot.
pub(super) async fn send(
    limits: &Limits,
    peer: PeerId,
    slot: Option<&Slot>,
    writer: &mut BufWriter<Stall<impl AsyncWrite + Unpin>>,
    mut data: &[u8],
) -> io::Result<()> {
    while !data.is_empty() {
        let (granule, rest) = data.split_at(limits.upload(peer, data.len()).await);
        writer.get_mut().arm();
        for piece in granule.chunks(PIECE) {
            paced(slot, piece.len(), writer.write_all(piece)).await?;
        }
        // What may pass is not kept back until more may.
        if !rest.is_empty() {
            paced(slot, 0, writer.flush()).await?;
        }
        data = rest;
    }
    Ok(())
}

/// Waits for the peer to take `bytes`, unless it takes so long that others get its slot.
pub(super) async fn paced<E: From<io::Error>>(
    slot: Option<&Slot>,
    bytes: usize,
    taking: impl Future<Output = Result<(), E>>,
) -> Result<(), E> {
    let Some(slot) = slot else {
        return taking.await;
    };
    let mut taking = pin!(taking);
    loop {
        let began = Instant::now();
        let taken = timeout(LOOK_INTERVAL, &mut taking).await;
        slot.taken(if taken.is_ok() { bytes } else { 0 }, began.elapsed());
        match taken {
            Ok(taken) => return taken,
            Err(_) if slot.is_over() => {
                let what = "the peer takes too little while others wait";
                return Err(io::Error::new(io::ErrorKind::TimedOut, what).into());
            }
            Err(_) => {}
        }
    }
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
        serve::slots::Slots,
    };

    /// Takes so many bytes, then as many again every `pause`.
    struct Trickle {
        bytes: usize,
        pause: Duration,
        sleep: Pin<Box<Sleep>>,
    }

    impl AsyncWrite for Trickle {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            data: &[u8],
        ) -> Poll<io::Result<usize>> {
            futures::ready!(self.sleep.as_mut().poll(cx));
            let next = Instant::now() + self.pause;
            self.sleep.as_mut().reset(next);
            Poll::Ready(Ok(data.len().min(self.bytes)))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Sends `size` bytes to a peer that takes `bytes` a second, from the only slot, while another
    /// peer waits for it. Tells how long that took.
    async fn sent(size: usize, bytes: usize, rates: Rates) -> (io::Result<()>, Duration) {
        let [peer, other] = [PeerId::random(), PeerId::random()];
        let slots = Slots::new(1, 1);
        let slot = slots.acquire(peer).await.unwrap();
        let waiting = tokio::spawn(async move { slots.acquire(other).await.map(drop) });
        let trickle = Trickle {
            bytes,
            pause: Duration::from_secs(1),
            sleep: Box::pin(sleep(Duration::ZERO)),
        };
        let mut writer = BufWriter::new(Stall::new(trickle, Duration::from_secs(10)));
        let (limits, data, began) = (Limits::new(rates), vec![0; size], Instant::now());
        let sent = send(&limits, peer, Some(&slot), &mut writer, &data).await;
        let time = began.elapsed();
        drop(slot);
        waiting.await.unwrap().unwrap();
        (sent, time)
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_does_not_keep_a_slot_from_others_for_hours() {
        let (sent, time) = sent(4 << 20, 110, Rates::default()).await;
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(time < Duration::from_secs(40), "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_peer_is_served_whatever_waits() {
        let (modem, _) = sent(1 << 20, 20_000, Rates::default()).await;
        modem.unwrap();
        let (slower, _) = sent(16 << 10, 1000, Rates::default()).await;
        slower.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_we_keep_waiting_does_not_lose_its_slot_for_it() {
        let rates = Rates {
            upload_per_peer: Some(Rate::new(2000).unwrap()),
            ..Rates::default()
        };
        let (kept_waiting, time) = sent(200_000, 20_000, rates).await;
        kept_waiting.unwrap();
        assert!(time > Duration::from_secs(60), "{time:?}");
    }
}
