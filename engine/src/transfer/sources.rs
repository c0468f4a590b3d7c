//! The sources of one download: carries out what the [`roster`](super::roster) decides, and hands
//! requests to the tasks of the sources.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use pelago_behaviour::chunk::Item;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tracing::Instrument;

use super::{
    recheck::{Recheck, RecheckOutcome},
    roster::{Effect, Roster},
    source::{self, Context, End, Event, MAX_ORDERS, Order, SourceId},
    waiting::AttachedWait,
};
use crate::network::Candidate;

/// The maximum number of rechecks at a time. Each holds a block; beyond it, sources are not
/// rechecked.
const MAX_RECHECKS: usize = 16;

/// How long a finished download waits for rechecks. By then the questions are sent, and the sources
/// have begun to verify what they were asked for.
const RECHECK_PATIENCE: Duration = Duration::from_secs(1);

/// The task of a source.
struct Running {
    orders: mpsc::Sender<Order>,
    task: AbortHandle,
}

/// The sources of one download.
pub(super) struct Sources {
    context: Context,
    roster: Roster,
    running: HashMap<SourceId, Running>,
    tasks: JoinSet<()>,
    rechecks: JoinSet<()>,
    waiting: AttachedWait,
}

impl Sources {
    pub(super) fn new(context: Context, roster: Roster, waiting: AttachedWait) -> Self {
        Self {
            context,
            roster,
            running: HashMap::new(),
            tasks: JoinSet::new(),
            rechecks: JoinSet::new(),
            waiting,
        }
    }

    /// Which peers are asked, used and banned.
    pub(super) const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// See [`Roster::offer`].
    pub(super) fn offer(&mut self, candidate: Candidate) -> bool {
        let is_remembered = self.roster.offer(candidate);
        self.apply(Instant::now());
        is_remembered
    }

    /// Retries the candidates that are due. Returns when to call this next.
    pub(super) fn retry(&mut self, now: Instant) -> Option<Instant> {
        // While the download waits, the node's budget says when one more may be asked.
        let at_a_time = if self.waiting.is_waiting() {
            1
        } else {
            usize::MAX
        };
        let is_due = self.roster.is_due(now);
        let next = match !is_due || self.waiting.may_ask() {
            true => self.roster.retry(now, at_a_time),
            false => None,
        };
        self.apply(now);
        while self.tasks.try_join_next().is_some() {}
        while self.rechecks.try_join_next().is_some() {}
        next
    }

    /// See [`Roster::replace`].
    pub(super) fn replace(&mut self, peer: PeerId, now: Instant) -> bool {
        let is_replaced = self.roster.replace(peer, now);
        self.apply(now);
        is_replaced
    }

    /// See [`Roster::has_content`]. The events of a source that is not used mean nothing.
    pub(super) fn has_content(&mut self, id: SourceId, peer: PeerId, now: Instant) -> bool {
        let is_used = self.roster.has_content(id, peer);
        self.apply(now);
        is_used
    }

    /// See [`Roster::was_useful`].
    pub(super) fn was_useful(&mut self, peer: PeerId) {
        self.roster.was_useful(peer);
    }

    /// Hands an order to the source `peer`; false if the source cannot take it.
    pub(super) fn order(&self, peer: PeerId, order: Order) -> bool {
        let source = self.roster.source_of(peer);
        let running = source.and_then(|id| self.running.get(&id));
        running.is_some_and(|running| running.orders.try_send(order).is_ok())
    }

    /// See [`Roster::ended`].
    pub(super) fn ended(&mut self, id: SourceId, peer: Option<PeerId>, end: &End, now: Instant) {
        self.running.remove(&id);
        self.roster.ended(id, peer, end, now);
        self.apply(now);
    }

    /// See [`Roster::give_up`].
    pub(super) fn give_up(&mut self, peer: PeerId, now: Instant) {
        self.roster.give_up(peer, now);
        self.apply(now);
    }

    /// See [`Roster::ban`].
    pub(super) fn ban(&mut self, peer: PeerId, end: &End) {
        self.roster.ban(peer, end);
        self.apply(Instant::now());
    }

    /// See [`Roster::lost_files`].
    pub(super) fn lost_files(&mut self, peer: PeerId, count: usize, why: &str) {
        self.roster.lost_files(peer, count, why);
    }

    /// See [`Roster::restart`].
    pub(super) fn restart(&mut self) {
        self.roster.restart();
        self.apply(Instant::now());
    }

    /// See [`Roster::pause`].
    pub(super) fn pause(&mut self) {
        self.roster.pause();
        self.apply(Instant::now());
    }

    /// See [`Roster::resume`].
    pub(super) fn resume(&mut self) {
        self.roster.resume();
        self.apply(Instant::now());
    }

    /// Ends all sources.
    pub(super) fn abort_all(&mut self) {
        self.tasks.abort_all();
        self.running.clear();
        self.roster.clear();
    }

    fn apply(&mut self, now: Instant) {
        for effect in self.roster.poll(now) {
            match effect {
                Effect::Start(id, candidate) => self.start(id, *candidate),
                Effect::Stop(id) => {
                    if let Some(running) = self.running.remove(&id) {
                        running.task.abort();
                    }
                }
            }
        }
    }

    fn start(&mut self, id: SourceId, candidate: Candidate) {
        let (orders, receiver) = mpsc::channel(MAX_ORDERS);
        let run = source::run(self.context.clone(), id, candidate, receiver);
        let task = self.tasks.spawn(run.in_current_span());
        self.running.insert(id, Running { orders, task });
    }

    /// Asks `peer` for `items`, of a chunk that failed its proof, on a stream of its own. Only a
    /// dishonest answer becomes an event.
    pub(super) fn recheck(&mut self, id: SourceId, peer: PeerId, items: Vec<Item>) {
        if self.rechecks.len() >= MAX_RECHECKS {
            return;
        }
        let events = self.context.events.clone();
        let recheck = Recheck {
            network: self.context.network.clone(),
            limits: self.context.limits.clone(),
            stall: self.context.stall,
            peer,
        };
        let ask = async move {
            match recheck.ask(&items).await {
                RecheckOutcome::Withdrawn => {
                    tracing::debug!(%peer, "the source does not offer the chunk any more");
                }
                RecheckOutcome::Good => {
                    tracing::debug!(%peer, "the source sends good blocks now");
                }
                RecheckOutcome::Nothing(why) => {
                    tracing::debug!(%peer, why, "the source did not answer the recheck");
                }
                RecheckOutcome::Dishonest(why) => {
                    // The download may be over.
                    let _ = events.send((id, Event::Dishonest(peer, why))).await;
                }
            }
        };
        self.rechecks.spawn(ask.in_current_span());
    }

    /// Waits for the rechecks that are under way, but not long.
    pub(super) async fn rechecked(&mut self) {
        let answered = async { while self.rechecks.join_next().await.is_some() {} };
        // Later answers change nothing for this download.
        let _ = timeout(RECHECK_PATIENCE, answered).await;
    }
}
