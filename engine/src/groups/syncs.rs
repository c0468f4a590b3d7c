//! How many members' nodes compare groups with this node at a time.

use std::pin::pin;

use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};

use super::pace::{Exchange, Exchanges, UNDISTURBED};

/// Syncs that are answered at a time, of as many users: each may hold a batch of 16 MiB.
const SYNCS: usize = 16;

/// The syncs that are answered now.
pub(super) struct Syncs {
    permits: Semaphore,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    exchanges: Exchanges<u64>,
    begun: u64,
}

/// The right to sync. Dropping it ends that.
pub(super) struct Syncing<'s> {
    syncs: &'s Syncs,
    number: u64,
    _permit: Option<SemaphorePermit<'s>>,
}

impl Default for Syncs {
    fn default() -> Self {
        Self {
            permits: Semaphore::new(SYNCS),
            running: Mutex::default(),
        }
    }
}

impl Syncs {
    /// Waits until `exchange` may begin. One that waits for long makes the slowest one give way.
    pub(super) async fn enter(&self, exchange: &Exchange) -> Syncing<'_> {
        let mut acquired = pin!(self.permits.acquire());
        let mut patience = Instant::now();
        let permit = loop {
            let next = self.running.lock().exchanges.next();
            let next = next.map_or_else(|| Instant::now() + UNDISTURBED, Instant::from_std);
            tokio::select! {
                biased;
                permit = &mut acquired => break permit.ok(),
                () = sleep_until(next.max(patience)) => {
                    let now = Instant::now();
                    let slowest = self.running.lock().exchanges.make_way(now.into_std());
                    if slowest.is_some() {
                        patience = now + UNDISTURBED;
                    }
                }
            }
        };
        let mut running = self.running.lock();
        running.begun += 1;
        let number = running.begun;
        running
            .exchanges
            .begin(number, exchange, Instant::now().into_std());
        Syncing {
            syncs: self,
            number,
            _permit: permit,
        }
    }
}

impl Drop for Syncing<'_> {
    fn drop(&mut self) {
        self.syncs.running.lock().exchanges.end(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, future::join_all};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn slow_members_hold_up_others_for_seconds() {
        let (syncs, begun) = (Syncs::default(), Instant::now());
        let slow: Vec<_> = (0..SYNCS).map(|_| Exchange::default()).collect();
        let mut held: Vec<_> = join_all(slow.iter().map(|one| syncs.enter(one))).await;
        let (first, second) = (Exchange::default(), Exchange::default());
        assert!(syncs.enter(&first).now_or_never().is_none());
        let others = async {
            let both = tokio::join!(syncs.enter(&first), syncs.enter(&second));
            (both, Instant::now())
        };
        let make_way = async {
            let over = slow.iter().map(|one| Box::pin(one.over()));
            let mut over: Vec<_> = over.collect();
            for _ in 0..2 {
                let (_, number, rest) = futures::future::select_all(over).await;
                held.remove(number);
                over = rest;
            }
        };
        let ((both, entered), ()) = tokio::join!(others, make_way);
        assert_eq!(entered - begun, UNDISTURBED);
        drop(both);
        let free: Vec<_> = (0..2).map(|_| Exchange::default()).collect();
        assert!(
            join_all(free.iter().map(|one| syncs.enter(one)))
                .now_or_never()
                .is_some()
        );
    }
}
