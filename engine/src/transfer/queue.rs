//! The queues of downloads: a limited number of them look for a source at a time, and fewer fetch.
//! The others wait in an order that the user can change.
//!
//! A download keeps its place in the queue for turns to fetch while it looks. A free turn is for the
//! first that could use it, or that may know in a moment that it could. So those without a source
//! keep none from fetching, and of those that begin together the first in order fetches first.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use pelago_content::Hash;
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    time::sleep,
};

use super::{DownloadStatus, WaitReason};

/// Whether a download would use a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Not now: it has no source.
    No,
    /// It has just begun to look, or asks a peer that was just found. A turn is kept for it.
    Soon,
    /// Yes.
    Now,
}

/// How long after a change the waiting downloads see their new positions.
const SHOW_PAUSE: Duration = Duration::from_millis(50);

/// The maximum number of downloads that look for a source at a time. Each may hold some streams and
/// a query in the DHT.
const LOOKS: usize = 64;

/// The queues of all downloads of a node. A handle: clones share them.
#[derive(Clone)]
pub(super) struct Queues {
    /// For turns to look for a source.
    pub(super) looks: Queue,
    /// For turns to fetch.
    pub(super) turns: Queue,
}

/// The places of a download in both queues. Dropping them leaves the queues.
pub(super) struct Places {
    /// It is ready for a turn to look.
    pub(super) look: QueueTicket,
    pub(super) turn: QueueTicket,
}

impl Queues {
    /// At most `at_a_time` downloads fetch at a time.
    pub(super) fn new(at_a_time: usize) -> Self {
        Self {
            looks: Queue::new(LOOKS),
            turns: Queue::new(at_a_time),
        }
    }

    /// Takes the last places in both queues for `hash`. `status` shows how many downloads are
    /// before it.
    pub(super) fn enter(&self, hash: Hash, status: &watch::Sender<DownloadStatus>) -> Places {
        let mut look = self.looks.enter(hash, status.clone());
        look.set_readiness(Readiness::Now);
        Places {
            look,
            turn: self.turns.enter(hash, status.clone()),
        }
    }

    /// Sorts the waiting downloads into the order of `hashes`.
    pub(super) fn arrange(&self, hashes: impl Iterator<Item = Hash>) {
        let places: HashMap<_, _> = hashes.zip(0_usize..).collect();
        self.looks.arrange(&places);
        self.turns.arrange(&places);
    }
}

/// A queue for turns, of which there is a limited number. A handle: clones share it.
#[derive(Clone)]
pub(super) struct Queue(Arc<Mutex<Turns>>);

struct Turns {
    at_a_time: usize,
    /// The number of free turns; negative while more turns are taken than are allowed now.
    free: isize,
    /// In their order, whether they are ready or not.
    waiting: Vec<QueuedDownload>,
    /// Whether the waiting downloads are about to see their new positions.
    is_stale: bool,
}

impl Turns {
    /// The number of turns that are taken now.
    fn taken(&self) -> u64 {
        let taken = self.at_a_time.cast_signed() - self.free;
        u64::try_from(taken).unwrap_or(0)
    }

    /// Takes a free turn for a download that is ready, if it is among the first that may use one.
    fn grant(&mut self) -> Option<oneshot::Sender<Turn>> {
        let free = usize::try_from(self.free).unwrap_or(0);
        let waiting = self.waiting.iter().enumerate();
        let mut first = waiting.filter(|(_, waiter)| waiter.readiness != Readiness::No);
        let (at, _) = first
            .by_ref()
            .take(free)
            .find(|(_, waiter)| waiter.is_ready())?;
        self.free -= 1;
        Some(self.waiting.remove(at).granted)
    }
}

struct QueuedDownload {
    hash: Hash,
    readiness: Readiness,
    status: watch::Sender<DownloadStatus>,
    granted: oneshot::Sender<Turn>,
}

impl QueuedDownload {
    fn is_ready(&self) -> bool {
        self.readiness == Readiness::Now
    }
}

/// The permission to fetch, or to look for a source, until it is dropped.
pub(super) struct Turn(Queue);

/// A place in a queue. Dropping it leaves the queue.
pub(super) struct QueueTicket {
    queue: Queue,
    readiness: Readiness,
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

    /// Changes how many turns there are. If the number grows, more downloads begin immediately. If
    /// it shrinks, those that have a turn continue, and others wait until enough of them are done.
    pub(super) fn set_at_a_time(&self, at_a_time: usize) {
        self.change(|turns| {
            let at_a_time = at_a_time.max(1);
            turns.free += at_a_time.cast_signed() - turns.at_a_time.cast_signed();
            turns.at_a_time = at_a_time;
        });
    }

    /// Takes the last place in the queue for `hash`, which would not use a turn yet.
    pub(super) fn enter(&self, hash: Hash, status: watch::Sender<DownloadStatus>) -> QueueTicket {
        let (sender, granted) = oneshot::channel();
        self.0.lock().waiting.push(QueuedDownload {
            hash,
            readiness: Readiness::No,
            status: status.clone(),
            granted: sender,
        });
        QueueTicket {
            queue: self.clone(),
            readiness: Readiness::No,
            status,
            granted,
        }
    }

    /// Whether a download is ready for a turn and waits for it.
    pub(super) fn is_waited_for(&self) -> bool {
        self.0.lock().waiting.iter().any(QueuedDownload::is_ready)
    }

    /// Sorts the waiting downloads by these places.
    fn arrange(&self, places: &HashMap<Hash, usize>) {
        self.change(|turns| {
            let place = |waiter: &QueuedDownload| places.get(&waiter.hash).copied();
            let waiting = &mut turns.waiting;
            waiting.sort_by_key(|waiter| place(waiter).unwrap_or(usize::MAX));
            show_positions(turns);
        });
    }

    /// Makes a change, and grants the turns that are free then.
    fn change(&self, change: impl FnOnce(&mut Turns)) {
        let granted: Vec<_> = {
            let mut turns = self.0.lock();
            change(&mut turns);
            let granted = std::iter::from_fn(|| turns.grant()).collect();
            self.show_soon(&mut turns);
            granted
        };
        for granted in granted {
            // Sent after the lock is released: a waiter that is gone gives its turn back.
            let _ = granted.send(Turn(self.clone()));
        }
    }

    /// Shows the waiting downloads their new positions soon: if thousands leave together, only
    /// once.
    fn show_soon(&self, turns: &mut Turns) {
        let Ok(runtime) = Handle::try_current() else {
            return show_positions(turns);
        };
        if !std::mem::replace(&mut turns.is_stale, true) {
            let queue = self.clone();
            runtime.spawn(async move {
                sleep(SHOW_PAUSE).await;
                let mut turns = queue.0.lock();
                turns.is_stale = false;
                show_positions(&turns);
            });
        }
    }
}

/// Shows each download that is ready how many are before it.
fn show_positions(turns: &Turns) {
    let ready = turns.waiting.iter().filter(|waiter| waiter.is_ready());
    for (waiter, ahead) in ready.zip(turns.taken()..) {
        let waits = Some(WaitReason::Turn { ahead });
        waiter.status.send_if_modified(|status| {
            let is_new = status.waits != waits;
            status.waits = waits;
            is_new
        });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.change(|turns| turns.free += 1);
    }
}

impl QueueTicket {
    /// Says whether the download would use a turn. While it is ready and waits, its status shows
    /// how many are before it.
    pub(super) fn set_readiness(&mut self, readiness: Readiness) {
        if std::mem::replace(&mut self.readiness, readiness) == readiness {
            return;
        }
        self.queue.change(|turns| {
            let mut waiting = turns.waiting.iter_mut();
            if let Some(waiter) = waiting.find(|waiter| waiter.status.same_channel(&self.status)) {
                waiter.readiness = readiness;
            }
        });
    }

    /// The download may be about to know that it would use a turn.
    pub(super) fn hope(&mut self) {
        if self.readiness == Readiness::No {
            self.set_readiness(Readiness::Soon);
        }
    }

    /// Waits for the turn; for ever if there will be no more turns, as the node shuts down.
    pub(super) async fn turn(&mut self) -> Turn {
        match (&mut self.granted).await {
            Ok(turn) => turn,
            Err(_) => std::future::pending().await,
        }
    }

    /// The turn, if it is granted already.
    pub(super) fn try_turn(&mut self) -> Option<Turn> {
        self.granted.try_recv().ok()
    }

    /// The number of downloads before it that are ready, including those that have a turn.
    pub(super) fn ahead(&self) -> u64 {
        let turns = self.queue.0.lock();
        let is_other = |waiter: &&QueuedDownload| !waiter.status.same_channel(&self.status);
        let before = turns.waiting.iter().take_while(is_other);
        turns.taken() + before.filter(|waiter| waiter.is_ready()).count() as u64
    }
}

impl Drop for QueueTicket {
    fn drop(&mut self) {
        self.queue.change(|turns| {
            let waiting = &mut turns.waiting;
            waiting.retain(|waiter| !waiter.status.same_channel(&self.status));
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn hash(number: u8) -> Hash {
        Hash::from_bytes([number; 32])
    }

    fn place(queue: &Queue, number: u8) -> (QueueTicket, watch::Receiver<DownloadStatus>) {
        let (status, now) = watch::channel(DownloadStatus::new(hash(number), None));
        (queue.enter(hash(number), status), now)
    }

    fn enter(queue: &Queue, number: u8) -> (QueueTicket, watch::Receiver<DownloadStatus>) {
        let (mut ticket, now) = place(queue, number);
        ticket.set_readiness(Readiness::Now);
        (ticket, now)
    }

    fn arrange(queue: &Queue, order: &[u8]) {
        let places = order.iter().map(|number| hash(*number)).zip(0..);
        queue.arrange(&places.collect());
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
        let (mut first, _) = enter(&queue, 1);
        let running = first.turn().now_or_never();
        assert!(running.is_some() && !queue.is_waited_for());
        let (mut second, second_status) = enter(&queue, 2);
        let (mut third, third_status) = enter(&queue, 3);
        let (fourth, fourth_status) = enter(&queue, 4);
        assert_eq!(
            (ahead(&second_status), ahead(&fourth_status)),
            (Some(1), Some(3))
        );

        arrange(&queue, &[4, 3, 2]);
        assert_eq!(
            (ahead(&second_status), ahead(&fourth_status)),
            (Some(3), Some(1))
        );
        // A download that leaves does not count any more.
        drop(fourth);
        assert_eq!((ahead(&third_status), third.ahead()), (Some(1), 1));

        drop(running);
        assert!(second.try_turn().is_none());
        let turn = third.turn().now_or_never();
        assert!(turn.is_some());
        drop(turn);
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
        let enter_again = || {
            let mut ticket = queue.enter(hash(1), status.clone());
            ticket.set_readiness(Readiness::Now);
            ticket
        };
        let running = enter_again().try_turn();
        let (mut second, _second_status) = enter(&queue, 2);
        assert!(running.is_some() && queue.is_waited_for());

        drop(running);
        let mut again = enter_again();
        assert_eq!((again.try_turn().is_none(), again.ahead()), (true, 1));
        let running = second.try_turn();
        assert!(running.is_some());
        drop(running);
        assert!(again.try_turn().is_some());
    }

    #[test]
    fn sixty_downloads_that_only_look_keep_no_turn_from_one_that_has_a_source() {
        let queue = Queue::new(1);
        let mut looking: Vec<_> = (1..=60).map(|number| place(&queue, number).0).collect();
        for ticket in &mut looking {
            ticket.set_readiness(Readiness::Soon);
        }
        let (mut good, _) = enter(&queue, 61);
        assert!(
            good.try_turn().is_none(),
            "the first may have its source in a moment"
        );
        for ticket in &mut looking {
            ticket.set_readiness(Readiness::No);
        }
        let running = good.try_turn();
        assert!(running.is_some());

        // One that finds a source later comes before those that entered after it.
        let (mut later, later_status) = enter(&queue, 62);
        looking[7].set_readiness(Readiness::Now);
        assert_eq!((looking[7].ahead(), ahead(&later_status)), (1, Some(2)));
        looking[7].set_readiness(Readiness::No);
        assert_eq!(ahead(&later_status), Some(1));
        drop(running);
        assert!(later.try_turn().is_some());
        assert!(looking.iter_mut().all(|ticket| ticket.try_turn().is_none()));
    }

    #[test]
    fn of_downloads_that_begin_together_the_first_in_order_fetches_first() {
        let queue = Queue::new(2);
        let mut places: Vec<_> = (1..=3).map(|number| place(&queue, number).0).collect();
        let mut set = |at: usize, readiness| {
            places[at].set_readiness(readiness);
            let granted = places.iter_mut().map(QueueTicket::try_turn);
            granted.collect::<Vec<_>>()
        };
        let which = |granted: &Vec<Option<Turn>>| granted.iter().position(Option::is_some);
        for at in 0..3 {
            assert_eq!(which(&set(at, Readiness::Soon)), None);
        }
        assert_eq!(which(&set(2, Readiness::Now)), None, "two are before it");
        let second = set(1, Readiness::Now);
        assert_eq!(which(&second), Some(1));
        let third = set(0, Readiness::No);
        assert_eq!(which(&third), Some(2));
    }

    const READINESS: [Readiness; 3] = [Readiness::No, Readiness::Soon, Readiness::Now];

    proptest! {
        /// However downloads enter, change, leave and give turns back: no more turns are taken than
        /// there are, and none of the first that the free turns are for is ready.
        #[test]
        fn free_turns_are_for_the_first_that_may_use_them(
            at_a_time in 1_usize..4,
            steps in proptest::collection::vec((0_u8..6, 0_usize..8), 0..64),
        ) {
            let queue = Queue::new(at_a_time);
            let mut waiting: Vec<(QueueTicket, Readiness)> = Vec::new();
            let mut running: Vec<Turn> = Vec::new();
            for (step, at) in steps {
                match step {
                    0 => waiting.push((place(&queue, 0).0, Readiness::No)),
                    1..=3 if at < waiting.len() => {
                        waiting[at].1 = READINESS[usize::from(step - 1)];
                        let (ticket, readiness) = &mut waiting[at];
                        ticket.set_readiness(*readiness);
                    }
                    4 if at < waiting.len() => drop(waiting.remove(at)),
                    5 if at < running.len() => drop(running.swap_remove(at)),
                    _ => {}
                }
                waiting.retain_mut(|(ticket, readiness)| {
                    let turn = ticket.try_turn();
                    assert!(turn.is_none() || *readiness == Readiness::Now);
                    let is_waiting = turn.is_none();
                    running.extend(turn);
                    is_waiting
                });
                prop_assert!(running.len() <= at_a_time);
                let free = at_a_time - running.len();
                let hopeful = waiting.iter().filter(|(_, readiness)| *readiness != Readiness::No);
                let mut first = hopeful.take(free);
                prop_assert!(!first.any(|(_, readiness)| *readiness == Readiness::Now));
            }
        }
    }
}
