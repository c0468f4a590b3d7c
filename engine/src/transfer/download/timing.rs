//! When a download may fetch, and how long it waits.

use std::time::{Duration, Instant};

use pelago_content::Hash;
use tokio::sync::watch;

use crate::transfer::{
    DownloadStatus,
    patience::Patience,
    queue::{Queue, QueueTicket, Turn},
    waiting::AttachedWait,
};

/// How long a download keeps its turn without a source that has missing blocks; and, while others
/// wait for a turn, without any arrival.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// The turns and waits of a download.
pub(super) struct Timing {
    queue: Queue,
    /// Held while the download may fetch.
    pub(super) turn: Option<Turn>,
    /// Its place in the queue, if it could fetch and has no turn.
    pub(super) ticket: Option<QueueTicket>,
    pub(super) started: Instant,
    /// How long nothing useful has arrived.
    pub(super) patience: Patience,
    /// When there last was a source with missing blocks.
    pub(super) last_source: Instant,
    /// When something last arrived.
    pub(super) last_arrival: Instant,
    /// Whether the download waits while attached to sources that have nothing more for it.
    pub(super) waiting: AttachedWait,
}

impl Timing {
    pub(super) fn new(queue: Queue, waiting: AttachedWait, now: Instant) -> Self {
        Self {
            queue,
            turn: None,
            ticket: None,
            started: now,
            patience: Patience::new(now),
            last_source: now,
            last_arrival: now,
            waiting,
        }
    }

    /// Time counts from `now` on.
    pub(super) fn restart(&mut self, now: Instant) {
        self.patience.restart(now);
        (self.last_source, self.last_arrival) = (now, now);
    }

    /// Enters the queue if the download could fetch, and yields the turn while nothing arrives.
    pub(super) fn take_turns(
        &mut self,
        hash: Hash,
        status: &watch::Sender<DownloadStatus>,
        is_able: bool,
        now: Instant,
    ) {
        if !is_able {
            // A download that can fetch must not wait for one that cannot.
            self.ticket = None;
            if now.duration_since(self.last_source) >= TURN_PATIENCE {
                self.turn = None;
            }
        } else if self.turn.is_none() {
            let enter = || self.queue.enter(hash, status.clone());
            self.turn = self.ticket.get_or_insert_with(enter).try_turn();
            if self.turn.is_some() {
                self.ticket = None;
                self.last_arrival = now;
            }
        } else if now.duration_since(self.last_arrival) >= TURN_PATIENCE
            && self.queue.is_waited_for()
        {
            self.turn = None;
        }
    }
}
