//! When a download may look for sources and fetch, and how long it waits.

use std::time::{Duration, Instant};

use pelago_content::Hash;
use tokio::sync::watch;

use crate::transfer::{
    DownloadStatus,
    patience::Patience,
    queue::{QueueTicket, Queues, Readiness, Turn},
    waiting::AttachedWait,
};

/// How long a download keeps its turn without a source that has missing blocks; and, while others
/// wait for a turn, without any arrival.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// How long after a download began to look, or found a peer to ask, it may be about to have a
/// source.
const HOPE: Duration = Duration::from_secs(1);

/// The turns and waits of a download.
pub(super) struct Timing {
    queues: Queues,
    /// Held while the download looks for a source, until it may fetch.
    look: Option<Turn>,
    /// Held while the download may fetch.
    pub(super) turn: Option<Turn>,
    /// Its place in the queue for turns to fetch.
    pub(super) ticket: Option<QueueTicket>,
    /// Until when it may be about to have a source.
    hopes_until: Instant,
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
    pub(super) fn new(queues: Queues, waiting: AttachedWait, now: Instant) -> Self {
        Self {
            queues,
            look: None,
            turn: None,
            ticket: None,
            hopes_until: now,
            started: now,
            patience: Patience::new(now),
            last_source: now,
            last_arrival: now,
            waiting,
        }
    }

    /// The download begins at `now` to look for a source, with this turn to look and place in the
    /// queue. What it does first, such as to look for content that is here, does not let those
    /// behind it pass.
    pub(super) fn begin(&mut self, look: Turn, ticket: QueueTicket, now: Instant) {
        (self.look, self.ticket) = (Some(look), Some(ticket));
        self.hope(now);
    }

    /// Time counts from `now` on.
    pub(super) fn restart(&mut self, now: Instant) {
        self.patience.restart(now);
        (self.last_source, self.last_arrival) = (now, now);
        self.hope(now);
    }

    /// A peer that may have the content was just found, or the search just began.
    pub(super) fn hope(&mut self, now: Instant) {
        // Peers that are found one after another do not keep a turn from others for ever.
        self.hopes_until = (now + HOPE).min(self.last_source + TURN_PATIENCE);
        if now < self.hopes_until
            && let Some(ticket) = &mut self.ticket
        {
            ticket.hope();
        }
    }

    /// Waits for the turn to fetch, if the download waits for one.
    pub(super) async fn granted(&mut self) -> Turn {
        match &mut self.ticket {
            Some(ticket) => ticket.turn().await,
            None => std::future::pending().await,
        }
    }

    /// Is ready for a turn to fetch, and waits for it.
    pub(super) async fn turn(&mut self) -> Turn {
        if let Some(ticket) = &mut self.ticket {
            ticket.set_readiness(Readiness::Now);
        }
        self.granted().await
    }

    /// The download may fetch from now on.
    pub(super) fn take(&mut self, turn: Turn, now: Instant) {
        (self.turn, self.ticket, self.look) = (Some(turn), None, None);
        self.last_arrival = now;
    }

    /// Is ready for a turn if the download could fetch, and yields the turn while nothing arrives.
    pub(super) fn take_turns(
        &mut self,
        hash: Hash,
        status: &watch::Sender<DownloadStatus>,
        is_able: bool,
        now: Instant,
    ) {
        if !is_able {
            // A download that can fetch must not wait for one that cannot.
            if let Some(ticket) = &mut self.ticket {
                ticket.set_readiness(match now < self.hopes_until {
                    true => Readiness::Soon,
                    false => Readiness::No,
                });
            }
            if now.duration_since(self.last_source) >= TURN_PATIENCE {
                self.turn = None;
            }
        } else if self.turn.is_none() {
            let enter = || self.queues.turns.enter(hash, status.clone());
            let ticket = self.ticket.get_or_insert_with(enter);
            ticket.set_readiness(Readiness::Now);
        } else if now.duration_since(self.last_arrival) >= TURN_PATIENCE
            && self.queues.turns.is_waited_for()
        {
            self.turn = None;
        }
    }

    /// Whether the download has a turn, or gets one that is free. If not, it is ready for one.
    pub(super) fn try_turn(
        &mut self,
        hash: Hash,
        status: &watch::Sender<DownloadStatus>,
        now: Instant,
    ) -> bool {
        self.take_turns(hash, status, true, now);
        let turn = self.ticket.as_mut().and_then(QueueTicket::try_turn);
        if let Some(turn) = turn {
            self.take(turn, now);
        }
        self.turn.is_some()
    }

    /// Whether a download without a source should wait for one without streams, as others want to
    /// look: all peers that it knows have answered, or it has looked for long enough. One that may
    /// not wait so continues to look, and others look, too.
    pub(super) fn makes_way(&mut self, may_wait: bool, is_asking: bool, now: Instant) -> bool {
        let patience = match is_asking || !may_wait {
            true => TURN_PATIENCE,
            false => HOPE,
        };
        let makes_way = now.duration_since(self.last_source) >= patience
            && self.look.is_some()
            && self.queues.looks.is_waited_for();
        if makes_way && !may_wait {
            self.look = None;
        }
        makes_way && may_wait
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::transfer::waiting::{InquiryBudget, Waiters};

    fn timing(queues: &Queues, now: Instant) -> Timing {
        let permits = Arc::new(Semaphore::new(1));
        let waiting = AttachedWait::new(InquiryBudget::default(), Waiters::default(), permits);
        Timing::new(queues.clone(), waiting, now)
    }

    fn status(hash: Hash) -> watch::Sender<DownloadStatus> {
        watch::channel(DownloadStatus::new(hash, None)).0
    }

    #[test]
    fn a_download_that_has_not_begun_to_search_is_not_passed_by_one_behind_it() {
        let queues = Queues::new(1);
        let now = Instant::now();
        let hashes = [1, 2].map(|number| Hash::from_bytes([number; 32]));
        let statuses = hashes.map(status);
        let mut timings = [0, 1].map(|at| {
            let mut places = queues.enter(hashes[at], &statuses[at]);
            let look = places.look.turn().now_or_never().expect("a turn to look");
            let mut timing = timing(&queues, now);
            timing.begin(look, places.turn, now);
            timing
        });
        // The first looks for content that is here, and the second has its source.
        assert!(!timings[1].try_turn(hashes[1], &statuses[1], now));
        timings[0].restart(now);
        timings[0].take_turns(hashes[0], &statuses[0], false, now);
        assert!(!timings[1].try_turn(hashes[1], &statuses[1], now));

        let later = now + HOPE;
        timings[0].take_turns(hashes[0], &statuses[0], false, later);
        assert!(timings[1].try_turn(hashes[1], &statuses[1], later));
    }
}
