//! Whose turn it is: so many downloads fetch at a time, the others wait in an order that people may
//! change. The first of them gets the turn that becomes free.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use pelago_content::Hash;
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    time::sleep,
};

use super::{DownloadStatus, Waiting};

/// How soon those who wait are told of changes.
const TELL_PAUSE: Duration = Duration::from_millis(50);

/// The turns of all downloads of a node. A handle: clones share them.
#[derive(Clone)]
pub(super) struct Turns(Arc<Inner>);

struct Inner {
    queue: Mutex<Queue>,
}

struct Queue {
    at_a_time: usize,
    /// None while anybody waits; below 0 if there are to be fewer than are being used.
    free: isize,
    waiting: Vec<Waiter>,
    /// Whether those who wait are about to be told of changes.
    is_stale: bool,
}

impl Queue {
    /// How many fetch now.
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

/// Leave to fetch, until it is dropped.
pub(super) struct Turn(Turns);

/// A place in the queue, left by dropping it.
pub(super) struct Queued {
    turns: Turns,
    status: watch::Sender<DownloadStatus>,
    granted: oneshot::Receiver<Turn>,
}

impl Turns {
    pub(super) fn new(at_a_time: usize) -> Self {
        let at_a_time = at_a_time.max(1);
        let queue = Mutex::new(Queue {
            at_a_time,
            free: at_a_time.cast_signed(),
            waiting: Vec::new(),
            is_stale: false,
        });
        Self(Arc::new(Inner { queue }))
    }

    /// Changes how many fetch at a time. More begin at once; where there are to be fewer, those that
    /// fetch go on, and others wait until enough of them are done.
    pub(super) fn set_at_a_time(&self, at_a_time: usize) {
        let mut queue = self.lock();
        let at_a_time = at_a_time.max(1);
        queue.free += at_a_time.cast_signed() - queue.at_a_time.cast_signed();
        queue.at_a_time = at_a_time;
        let begin = usize::try_from(queue.free).unwrap_or(0);
        let begin = begin.min(queue.waiting.len());
        queue.free -= begin.cast_signed();
        let first: Vec<_> = queue.waiting.drain(..begin).collect();
        self.changed(&mut queue);
        drop(queue);
        for waiter in first {
            // Not under the lock: one who has gone meanwhile passes it on.
            let _ = waiter.granted.send(Turn(self.clone()));
        }
    }

    /// Takes the last place in the queue for `hash`. How many are before it shows in `status`.
    pub(super) fn enter(&self, hash: Hash, status: watch::Sender<DownloadStatus>) -> Queued {
        let (sender, granted) = oneshot::channel();
        let mut queue = self.lock();
        if queue.free > 0 {
            queue.free -= 1;
            // Whoever is to get it is still here.
            let _ = sender.send(Turn(self.clone()));
        } else {
            let ahead = queue.taken() + queue.waiting.len() as u64;
            show(&status, ahead);
            queue.waiting.push(Waiter {
                hash,
                status: status.clone(),
                granted: sender,
            });
        }
        drop(queue);
        Queued {
            turns: self.clone(),
            status,
            granted,
        }
    }

    /// Whether somebody waits for a turn.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// Puts those who wait in the order of `hashes`.
    pub(super) fn arrange(&self, hashes: impl Iterator<Item = Hash>) {
        let places: HashMap<_, _> = hashes.zip(0_usize..).collect();
        let mut queue = self.lock();
        queue
            .waiting
            .sort_by_key(|waiter| places.get(&waiter.hash).copied().unwrap_or(usize::MAX));
        tell(&queue);
    }

    fn leave(&self, status: &watch::Sender<DownloadStatus>) {
        let mut queue = self.lock();
        queue
            .waiting
            .retain(|waiter| !waiter.status.same_channel(status));
        self.changed(&mut queue);
    }

    /// Gives a turn to the first who waits.
    fn pass_on(&self) {
        let granted = {
            let mut queue = self.lock();
            if queue.waiting.is_empty() || queue.free < 0 {
                queue.free += 1;
                self.changed(&mut queue);
                return;
            }
            let first = queue.waiting.remove(0);
            self.changed(&mut queue);
            first.granted
        };
        // Not under the lock: one who has gone meanwhile passes it on.
        let _ = granted.send(Turn(self.clone()));
    }

    /// Has those who wait told of a change soon: where thousands leave at once, they are told once.
    fn changed(&self, queue: &mut Queue) {
        let Ok(runtime) = Handle::try_current() else {
            return tell(queue);
        };
        if !std::mem::replace(&mut queue.is_stale, true) {
            let turns = self.clone();
            runtime.spawn(async move {
                sleep(TELL_PAUSE).await;
                let mut queue = turns.lock();
                queue.is_stale = false;
                tell(&queue);
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock()
    }
}

/// Shows those who wait how many come before them.
fn tell(queue: &Queue) {
    for (waiter, ahead) in queue.waiting.iter().zip(queue.taken()..) {
        show(&waiter.status, ahead);
    }
}

fn show(status: &watch::Sender<DownloadStatus>, ahead: u64) {
    let waits = Some(Waiting::Turn { ahead });
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

impl Queued {
    /// Waits for the turn; none if there will be no more.
    pub(super) async fn turn(mut self) -> Option<Turn> {
        (&mut self.granted).await.ok()
    }

    /// The turn, if it has come.
    pub(super) fn try_turn(&mut self) -> Option<Turn> {
        self.granted.try_recv().ok()
    }

    /// How many come before it, with those that fetch.
    pub(super) fn ahead(&self) -> u64 {
        let queue = self.turns.lock();
        let mut waiting = queue.waiting.iter();
        let before = waiting.position(|waiter| waiter.status.same_channel(&self.status));
        queue.taken() + before.unwrap_or(0) as u64
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.turns.leave(&self.status);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn hash(number: u8) -> Hash {
        Hash::from_bytes([number; 32])
    }

    fn enter(turns: &Turns, number: u8) -> (Queued, watch::Receiver<DownloadStatus>) {
        let (status, now) = watch::channel(DownloadStatus::new(hash(number), None));
        (turns.enter(hash(number), status), now)
    }

    fn ahead(status: &watch::Receiver<DownloadStatus>) -> Option<u64> {
        match status.borrow().waits {
            Some(Waiting::Turn { ahead }) => Some(ahead),
            _ => None,
        }
    }

    #[test]
    fn those_who_wait_get_their_turn_in_the_order_that_people_want() {
        let turns = Turns::new(1);
        let (first, _) = enter(&turns, 1);
        let running = first.turn().now_or_never().flatten();
        assert!(running.is_some() && !turns.is_waited_for());
        let (mut second, second_status) = enter(&turns, 2);
        let (third, third_status) = enter(&turns, 3);
        let (fourth, fourth_status) = enter(&turns, 4);
        assert_eq!(
            (ahead(&second_status), ahead(&fourth_status)),
            (Some(1), Some(3))
        );

        turns.arrange([4, 3, 2].map(hash).into_iter());
        assert_eq!(
            (ahead(&second_status), ahead(&fourth_status)),
            (Some(3), Some(1))
        );
        // One that leaves is no longer waited for.
        drop(fourth);
        assert_eq!((ahead(&third_status), third.ahead()), (Some(1), 1));

        drop(running);
        assert!(second.try_turn().is_none());
        let third = third.turn().now_or_never().flatten();
        assert!(third.is_some());
        drop(third);
        drop(second);
        let (mut last, _) = enter(&turns, 5);
        assert!(last.try_turn().is_some(), "what nobody took is free again");
    }

    #[test]
    fn more_may_fetch_at_once_and_fewer_when_some_are_done() {
        let turns = Turns::new(1);
        let mut all: Vec<_> = (1..=4).map(|number| enter(&turns, number)).collect();
        let mut taken = |at: usize| all[at].0.try_turn();
        let first = taken(0).unwrap();
        turns.set_at_a_time(3);
        let (second, third) = (taken(1).unwrap(), taken(2).unwrap());
        assert!(taken(3).is_none());
        turns.set_at_a_time(1);
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
    fn one_that_lets_others_go_first_gets_its_turn_after_them() {
        let turns = Turns::new(1);
        let (status, _now) = watch::channel(DownloadStatus::new(hash(1), None));
        let running = turns.enter(hash(1), status.clone()).try_turn();
        let (mut second, _second_status) = enter(&turns, 2);
        assert!(running.is_some() && turns.is_waited_for());

        drop(running);
        let mut again = turns.enter(hash(1), status);
        assert_eq!((again.try_turn().is_none(), again.ahead()), (true, 1));
        let running = second.try_turn();
        assert!(running.is_some());
        drop(running);
        assert!(again.try_turn().is_some());
    }
}
