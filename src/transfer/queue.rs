//! The queue of downloads: a limited number of them fetch at a time, and the others wait in an
//! order that the user can change. A turn that becomes free goes to the first waiting download.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use pelago_content::Hash;
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    time::sleep,
};

use super::{DownloadStatus, WaitReason};

/// How long after a change the waiting downloads see their new positions.
const TELL_PAUSE: Duration = Duration::from_millis(50);

/// The queue of all downloads of a node. A handle: clones share it.
#[derive(Clone)]
pub(super) struct Queue(Arc<Mutex<Order>>);

struct Order {
    at_a_time: usize,
    /// The number of free turns; 0 while a download waits, and negative while more turns are taken
    /// than are allowed now.
    free: isize,
    waiting: Vec<Waiter>,
    /// Whether the waiting downloads are about to see their new positions.
    is_stale: bool,
}

impl Order {
    /// The number of downloads that fetch now.
    fn taken(&self) -> u64 {
        let taken = self.at_a_time.cast_signed() - self.free;
        u64::try_from(taken).unwrap_or(0)
    }
}

struct Waiter {
    hash: Hash,
    status: watch::Sender<DownloadStatus>,
    granted: oneshot::Sender<Turn>,
}

/// The permission to fetch, until it is dropped.
pub(super) struct Turn(Queue);

/// A place in the queue. Dropping it leaves the queue.
pub(super) struct QueueTicket {
    queue: Queue,
    status: watch::Sender<DownloadStatus>,
    granted: oneshot::Receiver<Turn>,
}

impl Queue {
    pub(super) fn new(at_a_time: usize) -> Self {
        let at_a_time = at_a_time.max(1);
        Self(Arc::new(Mutex::new(Order {
            at_a_time,
            free: at_a_time.cast_signed(),
            waiting: Vec::new(),
            is_stale: false,
        })))
    }

    /// Changes how many downloads fetch at a time. If the number grows, more begin immediately. If
    /// it shrinks, those that fetch continue, and others wait until enough of them are done.
    pub(super) fn set_at_a_time(&self, at_a_time: usize) {
        let mut order = self.lock();
        let at_a_time = at_a_time.max(1);
        order.free += at_a_time.cast_signed() - order.at_a_time.cast_signed();
        order.at_a_time = at_a_time;
        let begin = usize::try_from(order.free).unwrap_or(0);
        let begin = begin.min(order.waiting.len());
        order.free -= begin.cast_signed();
        let first: Vec<_> = order.waiting.drain(..begin).collect();
        self.changed(&mut order);
        drop(order);
        for waiter in first {
            // Sent after the lock is released: a waiter that is gone passes its turn on.
            let _ = waiter.granted.send(Turn(self.clone()));
        }
    }

    /// Takes the last place in the queue for `hash`. `status` shows how many downloads are before
    /// it.
    pub(super) fn enter(&self, hash: Hash, status: watch::Sender<DownloadStatus>) -> QueueTicket {
        let (sender, granted) = oneshot::channel();
        let mut order = self.lock();
        if order.free > 0 {
            order.free -= 1;
            // The receiver still exists here.
            let _ = sender.send(Turn(self.clone()));
        } else {
            let ahead = order.taken() + order.waiting.len() as u64;
            show(&status, ahead);
            order.waiting.push(Waiter {
                hash,
                status: status.clone(),
                granted: sender,
            });
        }
        drop(order);
        QueueTicket {
            queue: self.clone(),
            status,
            granted,
        }
    }

    /// Whether a download waits for a turn.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// Sorts the waiting downloads into the order of `hashes`.
    pub(super) fn arrange(&self, hashes: impl Iterator<Item = Hash>) {
        let places: HashMap<_, _> = hashes.zip(0_usize..).collect();
        let mut order = self.lock();
        order
            .waiting
            .sort_by_key(|waiter| places.get(&waiter.hash).copied().unwrap_or(usize::MAX));
        tell(&order);
    }

    fn leave(&self, status: &watch::Sender<DownloadStatus>) {
        let mut order = self.lock();
        order
            .waiting
            .retain(|waiter| !waiter.status.same_channel(status));
        self.changed(&mut order);
    }

    /// Gives a turn to the first waiting download.
    fn pass_on(&self) {
        let granted = {
            let mut order = self.lock();
            if order.waiting.is_empty() || order.free < 0 {
                order.free += 1;
                self.changed(&mut order);
                return;
            }
            let first = order.waiting.remove(0);
            self.changed(&mut order);
            first.granted
        };
        // Sent after the lock is released: a waiter that is gone passes its turn on.
        let _ = granted.send(Turn(self.clone()));
    }

    /// Shows the waiting downloads their new positions soon: if thousands leave together, only
    /// once.
    fn changed(&self, order: &mut Order) {
        let Ok(runtime) = Handle::try_current() else {
            return tell(order);
        };
        if !std::mem::replace(&mut order.is_stale, true) {
            let queue = self.clone();
            runtime.spawn(async move {
                sleep(TELL_PAUSE).await;
                let mut order = queue.lock();
                order.is_stale = false;
                tell(&order);
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Order> {
        self.0.lock()
    }
}

/// Shows each waiting download how many are before it.
fn tell(order: &Order) {
    for (waiter, ahead) in order.waiting.iter().zip(order.taken()..) {
        show(&waiter.status, ahead);
    }
}

fn show(status: &watch::Sender<DownloadStatus>, ahead: u64) {
    let waits = Some(WaitReason::Turn { ahead });
    status.send_if_modified(|status| {
        let is_new = status.waits != waits;
        status.waits = waits;
        is_new
    });
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

impl QueueTicket {
    /// Waits for the turn; `None` if there will be no more turns.
    pub(super) async fn turn(mut self) -> Option<Turn> {
        (&mut self.granted).await.ok()
    }

    /// The turn, if it is granted already.
    pub(super) fn try_turn(&mut self) -> Option<Turn> {
        self.granted.try_recv().ok()
    }

    /// The number of downloads before it, including those that fetch.
    pub(super) fn ahead(&self) -> u64 {
        let order = self.queue.lock();
        let mut waiting = order.waiting.iter();
        let before = waiting.position(|waiter| waiter.status.same_channel(&self.status));
        order.taken() + before.unwrap_or(0) as u64
    }
}

impl Drop for QueueTicket {
    fn drop(&mut self) {
        self.queue.leave(&self.status);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn hash(number: u8) -> Hash {
        Hash::from_bytes([number; 32])
    }

    fn enter(queue: &Queue, number: u8) -> (QueueTicket, watch::Receiver<DownloadStatus>) {
        let (status, now) = watch::channel(DownloadStatus::new(hash(number), None));
        (queue.enter(hash(number), status), now)
    }

    fn ahead(status: &watch::Receiver<DownloadStatus>) -> Option<u64> {
        match status.borrow().waits {
            Some(WaitReason::Turn { ahead }) => Some(ahead),
            _ => None,
        }
    }

    #[test]
    fn waiting_downloads_get_their_turns_in_the_order_of_the_user() {
        let queue = Queue::new(1);
        let (first, _) = enter(&queue, 1);
        let running = first.turn().now_or_never().flatten();
        assert!(running.is_some() && !queue.is_waited_for());
        let (mut second, second_status) = enter(&queue, 2);
        let (third, third_status) = enter(&queue, 3);
        let (fourth, fourth_status) = enter(&queue, 4);
        assert_eq!(
            (ahead(&second_status), ahead(&fourth_status)),
            (Some(1), Some(3))
        );

        queue.arrange([4, 3, 2].map(hash).into_iter());
        assert_eq!(
            (ahead(&second_status), ahead(&fourth_status)),
            (Some(3), Some(1))
        );
        // A download that leaves does not count any more.
        drop(fourth);
        assert_eq!((ahead(&third_status), third.ahead()), (Some(1), 1));

        drop(running);
        assert!(second.try_turn().is_none());
        let third = third.turn().now_or_never().flatten();
        assert!(third.is_some());
        drop(third);
        drop(second);
        let (mut last, _) = enter(&queue, 5);
        assert!(last.try_turn().is_some(), "what nobody took is free again");
    }

    #[test]
    fn more_fetch_immediately_and_fewer_once_some_are_done() {
        let queue = Queue::new(1);
        let mut all: Vec<_> = (1..=4).map(|number| enter(&queue, number)).collect();
        let mut taken = |at: usize| all[at].0.try_turn();
        let first = taken(0).unwrap();
        queue.set_at_a_time(3);
        let (second, third) = (taken(1).unwrap(), taken(2).unwrap());
        assert!(taken(3).is_none());
        queue.set_at_a_time(1);
        assert_eq!(all[3].0.ahead(), 3, "those that fetch go on");
        drop(first);
        drop(second);
        assert_eq!(ahead(&all[3].1), Some(1));
        let mut taken = |at: usize| all[at].0.try_turn();
        assert!(taken(3).is_none(), "one fetches, and one may");
        drop(third);
        assert!(taken(3).is_some());
    }

    #[test]
    fn a_download_that_yields_its_turn_gets_it_after_the_others() {
        let queue = Queue::new(1);
        let (status, _now) = watch::channel(DownloadStatus::new(hash(1), None));
        let running = queue.enter(hash(1), status.clone()).try_turn();
        let (mut second, _second_status) = enter(&queue, 2);
        assert!(running.is_some() && queue.is_waited_for());

        drop(running);
        let mut again = queue.enter(hash(1), status);
        assert_eq!((again.try_turn().is_none(), again.ahead()), (true, 1));
        let running = second.try_turn();
        assert!(running.is_some());
        drop(running);
        assert!(again.try_turn().is_some());
    }
}
