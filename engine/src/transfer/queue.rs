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
const SHOW_PAUSE: Duration = Duration::from_millis(50);

/// The queue of all downloads of a node. A handle: clones share it.
#[derive(Clone)]
pub(super) struct Queue(Arc<Mutex<Turns>>);

struct Turns {
    at_a_time: usize,
    /// The number of free turns; 0 while a download waits, and negative while more turns are taken
    /// than are allowed now.
    free: isize,
    waiting: Vec<QueuedDownload>,
    /// Whether the waiting downloads are about to see their new positions.
    is_stale: bool,
}

impl Turns {
    /// The number of downloads that fetch now.
    fn taken(&self) -> u64 {
        let taken = self.at_a_time.cast_signed() - self.free;
        u64::try_from(taken).unwrap_or(0)
    }
}

struct QueuedDownload {
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
        Self(Arc::new(Mutex::new(Turns {
            at_a_time,
            free: at_a_time.cast_signed(),
            waiting: Vec::new(),
            is_stale: false,
        })))
    }

    /// Changes how many downloads fetch at a time. If the number grows, more begin immediately. If
    /// it shrinks, those that fetch continue, and others wait until enough of them are done.
    pub(super) fn set_at_a_time(&self, at_a_time: usize) {
        let mut turns = self.lock();
        let at_a_time = at_a_time.max(1);
        turns.free += at_a_time.cast_signed() - turns.at_a_time.cast_signed();
        turns.at_a_time = at_a_time;
        let begin = usize::try_from(turns.free).unwrap_or(0);
        let begin = begin.min(turns.waiting.len());
        turns.free -= begin.cast_signed();
        let first: Vec<_> = turns.waiting.drain(..begin).collect();
        self.changed(&mut turns);
        drop(turns);
        for waiter in first {
            // Sent after the lock is released: a waiter that is gone passes its turn on.
            let _ = waiter.granted.send(Turn(self.clone()));
        }
    }

    /// Takes the last place in the queue for `hash`. `status` shows how many downloads are before
    /// it.
    pub(super) fn enter(&self, hash: Hash, status: watch::Sender<DownloadStatus>) -> QueueTicket {
        let (sender, granted) = oneshot::channel();
        let mut turns = self.lock();
        if turns.free > 0 {
            turns.free -= 1;
            // The receiver still exists here.
            let _ = sender.send(Turn(self.clone()));
        } else {
            let ahead = turns.taken() + turns.waiting.len() as u64;
            show(&status, ahead);
            turns.waiting.push(QueuedDownload {
                hash,
                status: status.clone(),
                granted: sender,
            });
        }
        drop(turns);
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
        let mut turns = self.lock();
        turns
            .waiting
            .sort_by_key(|waiter| places.get(&waiter.hash).copied().unwrap_or(usize::MAX));
        show_positions(&turns);
    }

    fn leave(&self, status: &watch::Sender<DownloadStatus>) {
        let mut turns = self.lock();
        turns
            .waiting
            .retain(|waiter| !waiter.status.same_channel(status));
        self.changed(&mut turns);
    }

    /// Gives a turn to the first waiting download.
    fn pass_on(&self) {
        let granted = {
            let mut turns = self.lock();
            if turns.waiting.is_empty() || turns.free < 0 {
                turns.free += 1;
                self.changed(&mut turns);
                return;
            }
            let first = turns.waiting.remove(0);
            self.changed(&mut turns);
            first.granted
        };
        // Sent after the lock is released: a waiter that is gone passes its turn on.
        let _ = granted.send(Turn(self.clone()));
    }

    /// Shows the waiting downloads their new positions soon: if thousands leave together, only
    /// once.
    fn changed(&self, turns: &mut Turns) {
        let Ok(runtime) = Handle::try_current() else {
            return show_positions(turns);
        };
        if !std::mem::replace(&mut turns.is_stale, true) {
            let queue = self.clone();
            runtime.spawn(async move {
                sleep(SHOW_PAUSE).await;
                let mut turns = queue.lock();
                turns.is_stale = false;
                show_positions(&turns);
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.0.lock()
    }
}

/// Shows each waiting download how many are before it.
fn show_positions(turns: &Turns) {
    for (waiter, ahead) in turns.waiting.iter().zip(turns.taken()..) {
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
        let turns = self.queue.lock();
        let mut waiting = turns.waiting.iter();
        let before = waiting.position(|waiter| waiter.status.same_channel(&self.status));
        turns.taken() + before.unwrap_or(0) as u64
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
        assert!(
            last.try_turn().is_some(),
            "a turn that was not taken is free again"
        );
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
        assert_eq!(all[3].0.ahead(), 3, "those that fetch continue");
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
