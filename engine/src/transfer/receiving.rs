//! Reads data at most as fast as the limits allow, and records when a download waits for that
//! reason.

use std::{
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use futures::{AsyncRead, AsyncReadExt, FutureExt};
use libp2p::PeerId;
use pelago_behaviour::Stall;

use crate::limits::Limits;

/// Whether a download waits for our own limits. A handle: clones share it.
#[derive(Clone, Default)]
pub(super) struct Throttled(Arc<Counters>);

#[derive(Default)]
struct Counters {
    waiting: AtomicUsize,
    /// Whether anything waited since the last call of `take`.
    has_waited: AtomicBool,
}

/// Counts as waiting until it is dropped.
struct WaitGuard<'a>(&'a Counters);

impl Throttled {
    /// Whether anything waits for our own limits, or did since the last call.
    pub(super) fn take(&self) -> bool {
        let is_waiting = self.0.waiting.load(Ordering::Relaxed) > 0;
        self.0.has_waited.swap(false, Ordering::Relaxed) || is_waiting
    }

    fn wait(&self) -> WaitGuard<'_> {
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        self.0.has_waited.store(true, Ordering::Relaxed);
        WaitGuard(&self.0)
    }
}

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads from `peer` until `data` is full. While we wait for our own limits, the peer does not
/// stall, and `throttled` records the wait.
pub(super) async fn receive(
    limits: &Limits,
    throttled: &Throttled,
    peer: PeerId,
    reader: &mut Stall<impl AsyncRead + Unpin>,
    mut missing: &mut [u8],
) -> io::Result<()> {
    while !missing.is_empty() {
        let bytes = {
            let mut passes = pin!(limits.download(peer, missing.len()));
            match (&mut passes).now_or_never() {
                Some(bytes) => bytes,
                None => {
                    let _waiter = throttled.wait();
                    passes.await
                }
            }
        };
        let (granule, rest) = missing.split_at_mut(bytes);
        reader.arm();
        reader.read_exact(granule).await?;
        missing = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::limits::{Rate, Rates};

    async fn receive_for(limits: &Limits, throttled: &Throttled, data: &mut [u8]) -> bool {
        let mut reader = Stall::new(futures::io::repeat(7), Duration::from_secs(10));
        let peer = PeerId::random();
        let received = receive(limits, throttled, peer, &mut reader, data);
        timeout(Duration::from_secs(1), received).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_limit_that_holds_a_download_is_noted() {
        let throttled = Throttled::default();
        let data = &mut [0; 256 << 10];
        assert!(receive_for(&Limits::default(), &throttled, data).await);
        assert!(!throttled.take(), "nothing is limited");

        let slow = Rate::limit(8 << 10).unwrap();
        let limits = Limits::new(Rates {
            download: slow,
            ..Rates::default()
        });
        assert!(
            !receive_for(&limits, &throttled, data).await,
            "it takes 32 s"
        );
        assert!(throttled.take());
        assert!(!throttled.take(), "nothing has waited since");
    }
}
