//! One budget for all that the waiting downloads of a node ask: look-ups in the DHT, questions to
//! peers, and listings. It grants one inquiry a second, however many downloads wait.
//!
//! [`InquiryQueue`] is pure: the time is an argument. Requests of one kind are granted in their
//! order, and the kinds take turns, so that none of them blocks another.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{sync::oneshot, time::sleep_until};

/// The pause between two inquiries of a node.
const INTERVAL: Duration = Duration::from_secs(1);

/// The kind of an inquiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transfer) enum InquiryKind {
    /// Asks a peer whether it has some content.
    Question,
    /// Asks a peer which content it lists.
    Listing,
    /// Asks the DHT which peers have some content.
    LookUp,
}

const KINDS: usize = 3;

/// Requests that wait to be granted.
#[derive(Debug)]
struct InquiryQueue<T> {
    waiting: [VecDeque<T>; KINDS],
    /// The kind that comes first at the next grant.
    first: usize,
    /// When the next request may be granted.
    next_at: Option<Instant>,
}

impl<T> Default for InquiryQueue<T> {
    fn default() -> Self {
        Self {
            waiting: std::array::from_fn(|_| VecDeque::new()),
            first: 0,
            next_at: None,
        }
    }
}

impl<T> InquiryQueue<T> {
    fn enter(&mut self, kind: InquiryKind, request: T) {
        self.waiting[kind as usize].push_back(request);
    }

    /// When to call [`InquiryQueue::grant`]; `None` if no request waits.
    fn due(&self, now: Instant) -> Option<Instant> {
        let is_empty = self.waiting.iter().all(VecDeque::is_empty);
        (!is_empty).then(|| self.next_at.unwrap_or(now))
    }

    /// Grants at most one request. `take` returns whether it still wants the request; one that it
    /// does not want costs nothing.
    fn grant(&mut self, now: Instant, mut take: impl FnMut(T) -> bool) -> bool {
        if self.next_at.is_some_and(|at| now < at) {
            return false;
        }
        for turn in 0..KINDS {
            let kind = (self.first + turn) % KINDS;
            while let Some(request) = self.waiting[kind].pop_front() {
                if take(request) {
                    self.first = (kind + 1) % KINDS;
                    self.next_at = Some(now + INTERVAL);
                    return true;
                }
            }
        }
        false
    }
}

/// The budget of a node. A handle: clones share it.
#[derive(Clone, Default)]
pub(in crate::transfer) struct InquiryBudget(Arc<Mutex<Grants>>);

#[derive(Default)]
struct Grants {
    queue: InquiryQueue<oneshot::Sender<()>>,
    /// Whether a task grants requests.
    is_driven: bool,
}

impl InquiryBudget {
    /// Waits until one inquiry of this kind may be made.
    pub(in crate::transfer) async fn permit(&self, kind: InquiryKind) {
        // The sender lives until it grants the request.
        let _ = self.request_permit(kind).await;
    }

    /// Requests one inquiry. The receiver resolves when it may be made; dropping it withdraws the
    /// request.
    pub(in crate::transfer) fn request_permit(&self, kind: InquiryKind) -> oneshot::Receiver<()> {
        let (granted, request_permit) = oneshot::channel();
        let mut state = self.0.lock();
        state.queue.enter(kind, granted);
        if !std::mem::replace(&mut state.is_driven, true) {
            tokio::spawn(self.clone().drive());
        }
        request_permit
    }

    /// Grants requests when they are due, until none waits.
    async fn drive(self) {
        loop {
            let due = {
                let mut state = self.0.lock();
                let now = tokio::time::Instant::now().into_std();
                state.queue.grant(now, |granted| granted.send(()).is_ok());
                let due = state.queue.due(now);
                state.is_driven = due.is_some();
                due
            };
            let Some(due) = due else { return };
            sleep_until(due.into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITING: usize = 5000;

    /// Grants for `seconds`, once per 100 ms, and returns when each request was granted.
    fn grants(
        queue: &mut InquiryQueue<(InquiryKind, usize)>,
        start: Instant,
        seconds: u32,
        mut again: impl FnMut(&mut InquiryQueue<(InquiryKind, usize)>, InquiryKind, usize),
    ) -> Vec<(Duration, InquiryKind, usize)> {
        let mut granted = Vec::new();
        for tick in 0..10 * seconds {
            let at = tick * Duration::from_millis(100);
            let mut request = None;
            queue.grant(start + at, |taken| request.replace(taken).is_none());
            if let Some((kind, number)) = request {
                granted.push((at, kind, number));
                again(queue, kind, number);
            }
        }
        granted
    }

    #[test]
    fn five_thousand_waiting_downloads_ask_once_a_second_and_each_in_its_turn() {
        let (mut queue, start) = (InquiryQueue::default(), Instant::now());
        for number in 0..WAITING {
            queue.enter(InquiryKind::LookUp, (InquiryKind::LookUp, number));
        }
        // Each download requests its next inquiry as soon as it had one.
        let again = |queue: &mut InquiryQueue<_>, kind, number| queue.enter(kind, (kind, number));
        let granted = grants(&mut queue, start, 10_000, again);
        assert_eq!(granted.len(), 10_000);
        let pauses = granted.windows(2).map(|pair| pair[1].0 - pair[0].0);
        assert!(pauses.into_iter().all(|pause| pause >= INTERVAL));
        let order = granted.iter().map(|(.., number)| *number);
        assert!(order.eq((0..WAITING).chain(0..WAITING)), "in turn");
    }

    #[test]
    fn no_kind_of_inquiry_keeps_another_waiting() {
        let (mut queue, start) = (InquiryQueue::default(), Instant::now());
        for number in 0..WAITING {
            queue.enter(InquiryKind::Question, (InquiryKind::Question, number));
        }
        queue.enter(InquiryKind::Listing, (InquiryKind::Listing, 0));
        let granted = grants(&mut queue, start, 10, |queue, kind, number| {
            queue.enter(kind, (kind, number));
        });
        let listings = granted
            .iter()
            .filter(|(_, kind, _)| *kind == InquiryKind::Listing);
        assert_eq!((granted.len(), listings.count()), (10, 5));
    }

    #[test]
    fn a_request_that_is_given_up_costs_nothing() {
        let (mut queue, now) = (InquiryQueue::default(), Instant::now());
        for number in 0..3 {
            queue.enter(InquiryKind::LookUp, number);
        }
        assert!(queue.grant(now, |number| number == 2));
        assert_eq!(queue.due(now), None);
        queue.enter(InquiryKind::LookUp, 3);
        assert!(!queue.grant(now, |_| true), "a second has not passed");
        assert_eq!(queue.due(now), Some(now + INTERVAL));
    }

    #[tokio::test(start_paused = true)]
    async fn permits_come_once_a_second() {
        let (budget, begun) = (InquiryBudget::default(), tokio::time::Instant::now());
        let given_up = budget.request_permit(InquiryKind::LookUp);
        drop(given_up);
        for _ in 0..5 {
            budget.permit(InquiryKind::LookUp).await;
        }
        assert_eq!(begun.elapsed().as_secs(), 4);
    }
}
