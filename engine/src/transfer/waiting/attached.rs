//! A download that waits while attached to its sources: they are busy, or will have more blocks.
//!
//! It keeps their streams and receives updates immediately, so only a few downloads do so at a
//! time; the others wait without streams. While it waits, the node's budget says when it may ask
//! further peers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{InquiryBudget, InquiryKind, Waiter, Waiters};
use crate::network::{LookupPace, steady_pace};

/// The maximum number of downloads that wait while attached. Each holds streams.
pub(in crate::transfer) const MAX_ATTACHED: usize = 8;

/// Whether a download waits while attached to its sources. A handle: clones share it.
#[derive(Clone)]
pub(in crate::transfer) struct AttachedWait(Arc<SharedWait>);

struct SharedWait {
    budget: InquiryBudget,
    waiters: Waiters,
    permits: Arc<Semaphore>,
    is_waiting: AtomicBool,
    /// Whether the download has a source now.
    has_source: AtomicBool,
    held: Mutex<WaitPermits>,
}

#[derive(Default)]
struct WaitPermits {
    permit: Option<(OwnedSemaphorePermit, Waiter)>,
    /// The request to ask one more peer, until it is granted.
    granted: Option<oneshot::Receiver<()>>,
}

impl AttachedWait {
    pub(in crate::transfer) fn new(
        budget: InquiryBudget,
        waiters: Waiters,
        permits: Arc<Semaphore>,
    ) -> Self {
        Self(Arc::new(SharedWait {
            budget,
            waiters,
            permits,
            is_waiting: AtomicBool::new(false),
            has_source: AtomicBool::new(false),
            held: Mutex::default(),
        }))
    }

    /// Begins to wait, or continues; false if too many downloads wait so.
    pub(in crate::transfer) fn begin(&self) -> bool {
        if self.is_waiting() {
            return true;
        }
        let Ok(permit) = Arc::clone(&self.0.permits).try_acquire_owned() else {
            return false;
        };
        self.0.held.lock().permit = Some((permit, self.0.waiters.enter()));
        self.0.is_waiting.store(true, Ordering::Relaxed);
        true
    }

    /// Stops waiting.
    pub(in crate::transfer) fn end(&self) {
        if self.0.is_waiting.swap(false, Ordering::Relaxed) {
            *self.0.held.lock() = WaitPermits::default();
        }
    }

    /// Records whether the download has a source.
    pub(in crate::transfer) fn note_source(&self, has_source: bool) {
        self.0.has_source.store(has_source, Ordering::Relaxed);
    }

    pub(in crate::transfer) fn is_waiting(&self) -> bool {
        self.0.is_waiting.load(Ordering::Relaxed)
    }

    /// Whether one more peer may be asked now. While the download waits, each question takes a part
    /// of the budget.
    pub(in crate::transfer) fn may_ask(&self) -> bool {
        if !self.is_waiting() {
            return true;
        }
        let mut held = self.0.held.lock();
        let budget = &self.0.budget;
        let granted = held
            .granted
            .get_or_insert_with(|| budget.request_permit(InquiryKind::Question));
        let is_granted = granted.try_recv().is_ok();
        if is_granted {
            held.granted = None;
        }
        is_granted
    }

    /// The pace of its look-ups.
    pub(in crate::transfer) fn pace(&self) -> LookupPace {
        let attached = self.clone();
        Box::new(move || {
            let attached = attached.clone();
            let pause = async move {
                steady_pace().await;
                // Downloads without a source share the budget with those that wait.
                let has_source = attached.0.has_source.load(Ordering::Relaxed);
                if attached.is_waiting() || !has_source {
                    attached.0.budget.permit(InquiryKind::LookUp).await;
                }
            };
            pause.boxed()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_download_that_waits_asks_when_the_budget_allows_it() {
        let (budget, waiters) = (InquiryBudget::default(), Waiters::default());
        let permits = Arc::new(Semaphore::new(1));
        let new = || AttachedWait::new(budget.clone(), waiters.clone(), Arc::clone(&permits));
        let (first, second) = (new(), new());
        assert!(first.may_ask(), "it does not wait");
        assert!(first.begin() && first.begin());
        assert!(!second.begin(), "too many wait");
        assert_eq!(*waiters.count().borrow(), 1);
        let mut asked = 0;
        for _ in 0..100 {
            asked += u32::from(first.may_ask());
            sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(asked, 10);
        first.end();
        assert!(first.may_ask() && second.begin());
        drop(second);
        assert_eq!(
            (*waiters.count().borrow(), permits.available_permits()),
            (0, 1)
        );
    }
}
