//! Reads data at most as fast as the limits allow, and records when a download waits for that
//! reason, and when data last came.

use std::{
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use futures::{AsyncRead, AsyncReadExt, FutureExt};
use libp2p::PeerId;
use parking_lot::Mutex;
use pelago_behaviour::Stall;

use crate::limits::Limits;

/// When data last came for a download, and whether it waits for our own limits. A handle: clones
/// share it.
#[derive(Clone, Default)]
pub(super) struct Inflow(Arc<Counters>);

#[derive(Default)]
struct Counters {
    waiting: AtomicUsize,
    /// Whether anything waited since the last call of `take_throttled`.
    has_waited: AtomicBool,
    last_bytes: Mutex<Option<Instant>>,
}

/// Counts as waiting until it is dropped.
struct WaitGuard<'a>(&'a Counters);

impl Inflow {
    /// Whether anything waits for our own limits, or did since the last call.
    pub(super) fn take_throttled(&self) -> bool {
        let is_waiting = self.0.waiting.load(Ordering::Relaxed) > 0;
        self.0.has_waited.swap(false, Ordering::Relaxed) || is_waiting
    }

    /// When data last came, verified or not.
    pub(super) fn last_bytes(&self) -> Option<Instant> {
        *self.0.last_bytes.lock()
    }

    fn came(&self) {
        *self.0.last_bytes.lock() = Some(Instant::now());
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
/// stall. `inflow` records that wait, and the time of all data.
pub(super) async fn receive(
    limits: &Limits,
    inflow: &Inflow,
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
                    let _waiter = inflow.wait();
                    passes.await
                }
            }
        };
        let (mut granule, rest) = missing.split_at_mut(bytes);
        reader.arm();
        while !granule.is_empty() {
            let read = reader.read(granule).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            inflow.came();
            granule = &mut granule[read..];
        }
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

    async fn receive_for(limits: &Limits, inflow: &Inflow, data: &mut [u8]) -> bool {
        let mut reader = Stall::new(futures::io::repeat(7), Duration::from_secs(10));
        let peer = PeerId::random();
        let received = receive(limits, inflow, peer, &mut reader, data);
        timeout(Duration::from_secs(1), received).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_limit_that_holds_a_download_is_noted() {
        let inflow = Inflow::default();
        let data = &mut [0; 256 << 10];
        assert!(receive_for(&Limits::default(), &inflow, data).await);
        assert!(!inflow.take_throttled(), "nothing is limited");

        let slow = Rate::limit(8 << 10).unwrap();
        let limits = Limits::new(Rates {
            download: slow,
            ..Rates::default()
        });
        assert!(!receive_for(&limits, &inflow, data).await, "it takes 32 s");
        assert!(inflow.take_throttled());
        assert!(!inflow.take_throttled(), "nothing has waited since");
    }
}
