//! Which job runs next. Pure: time and cost are arguments.
//!
//! Start-time fair queueing (Goyal, Vin and Cheng, 1996) on three levels: the next job belongs to
//! the site with the lowest cost since it became busy, within it to the host, and on that host to
//! the peer. Idle requesters save nothing up. Look-ups also have an allowance of processor time,
//! as a request of a few bytes may be expensive.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::allowance::Allowances;
use crate::serve::{
    request_queue::{self, MAX_WAITING, RequestQueue, Ticket},
    requester::{LEVELS, QuotaKey, Requester},
};

/// The cost of a job until its actual cost is known.
const ESTIMATE: Duration = Duration::from_micros(100);

/// The kind of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum JobKind {
    /// Reads chunks to send; the bytes sent are bounded elsewhere.
    Read,
    /// Looks up or proves something, and sends little.
    LookUp,
}

/// How many jobs may run at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct JobLimits {
    pub(super) reads: usize,
    pub(super) reads_per_peer: usize,
    pub(super) look_ups: usize,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NextJob {
    /// Run this job now.
    Run(Ticket, RunningJob),
    /// No job may run before then.
    At(Instant),
    /// No job may run before another one ends.
    Nothing,
}

/// A job that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) struct RunningJob {
    requester: Requester,
    kind: JobKind,
}

/// A job that waits for its turn.
type WaitingRequest = request_queue::WaitingRequest<JobKind>;

/// All jobs that run or wait.
pub(super) struct FairQueue {
    limits: JobLimits,
    waiting: RequestQueue<JobKind>,
    running: Vec<RunningJob>,
    /// The accumulated cost of each key, from its starting point.
    cost: HashMap<QuotaKey, Duration>,
    /// The cost, at the time of its last turn, of the key that was last served among all sites,
    /// among the hosts of a site, and among the peers of a host. Newcomers start there.
    begun: HashMap<Option<QuotaKey>, Duration>,
    allowances: Allowances,
}

impl FairQueue {
    pub(super) fn new(limits: JobLimits) -> Self {
        Self {
            limits,
            waiting: RequestQueue::default(),
            running: Vec::new(),
            cost: HashMap::new(),
            begun: HashMap::new(),
            allowances: Allowances::default(),
        }
    }

    /// Queues a job. If the queue is full, returns the ticket of the job that is dropped, which
    /// may be this one.
    pub(super) fn wait(
        &mut self,
        ticket: Ticket,
        requester: Requester,
        kind: JobKind,
    ) -> Option<Ticket> {
        self.begin(&requester);
        self.waiting.add(WaitingRequest {
            ticket,
            requester,
            wants: kind,
        })
    }

    /// Removes a job from the queue.
    pub(super) fn give_up(&mut self, ticket: Ticket) {
        self.waiting.give_up(ticket);
    }

    /// Gives a requester that was idle the cost of its active neighbours.
    fn begin(&mut self, requester: &Requester) {
        let waiting = self.waiting.iter().map(|waiting| waiting.requester.keys());
        let running = self.running.iter().map(|turn| turn.requester.keys());
        let busy: Vec<_> = waiting.chain(running).collect();
        let keys = requester.keys();
        for (level, key) in keys.into_iter().enumerate() {
            if !busy.iter().any(|other| other[level] == key) {
                let begun = self.begun.get(&parent(&keys, level)).copied();
                let cost = self.cost.entry(key).or_default();
                *cost = begun.unwrap_or_default().max(*cost);
            }
        }
    }

    fn cost_of(&self, key: QuotaKey) -> Duration {
        self.cost.get(&key).copied().unwrap_or_default()
    }

    /// Takes the next job to run.
    pub(super) fn next(&mut self, now: Instant) -> NextJob {
        let mut wake: Option<Instant> = None;
        let candidates = self.waiting.iter().enumerate();
        let candidates = candidates.filter(|(_, waiting)| {
            self.has_free_slot(waiting) && {
                let at = match waiting.wants {
                    JobKind::Read => now,
                    JobKind::LookUp => self.allowances.ready_at(&waiting.requester, now),
                };
                if at > now {
                    wake = Some(wake.map_or(at, |wake| wake.min(at)));
                }
                at <= now
            }
        });
        let next = candidates
            .min_by_key(|(_, waiting)| waiting.requester.keys().map(|key| self.cost_of(key)));
        let Some((index, _)) = next else {
            return wake.map_or(NextJob::Nothing, NextJob::At);
        };
        let WaitingRequest {
            ticket,
            requester,
            wants: kind,
        } = self.waiting.take(index);
        let keys = requester.keys();
        for (level, key) in keys.into_iter().enumerate() {
            self.begun.insert(parent(&keys, level), self.cost_of(key));
        }
        let turn = RunningJob { requester, kind };
        self.running.push(turn);
        self.charge(&requester, ESTIMATE);
        NextJob::Run(ticket, turn)
    }

    fn has_free_slot(&self, waiting: &WaitingRequest) -> bool {
        let running = self
            .running
            .iter()
            .filter(|turn| turn.kind == waiting.wants);
        match waiting.wants {
            JobKind::LookUp => running.count() < self.limits.look_ups,
            JobKind::Read => {
                let (mut all, mut of_peer) = (0, 0);
                for turn in running {
                    all += 1;
                    of_peer += usize::from(turn.requester.peer == waiting.requester.peer);
                }
                all < self.limits.reads && of_peer < self.limits.reads_per_peer
            }
        }
    }

    fn charge(&mut self, requester: &Requester, cost: Duration) {
        for key in requester.keys() {
            *self.cost.entry(key).or_default() += cost;
        }
    }

    /// Ends a job, with its actual cost.
    pub(super) fn end(&mut self, turn: RunningJob, cost: Duration, now: Instant) {
        if let Some(index) = self.running.iter().position(|running| *running == turn) {
            self.running.swap_remove(index);
        }
        self.charge(&turn.requester, cost.saturating_sub(ESTIMATE));
        if turn.kind == JobKind::LookUp {
            self.allowances.charge(&turn.requester, cost, now);
        }
        if self.waiting.is_empty() && self.running.is_empty() {
            self.cost.clear();
            self.begun.clear();
        } else if self.cost.len() > LEVELS * MAX_WAITING {
            // Requesters that wait or run keep their costs.
            let waiting = self.waiting.iter().map(|waiting| &waiting.requester);
            let all = waiting.chain(self.running.iter().map(|turn| &turn.requester));
            let keys: Vec<_> = all.flat_map(Requester::keys).collect();
            self.begun
                .retain(|parent, _| parent.is_none_or(|parent| keys.contains(&parent)));
            let kept = keys.into_iter().map(|key| (key, self.cost_of(key)));
            self.cost = kept.collect();
        }
    }

    /// How many jobs of a kind run, and how many wait.
    pub(super) fn depths(&self, kind: JobKind) -> (usize, usize) {
        let running = self.running.iter().filter(|turn| turn.kind == kind);
        let waiting = self.waiting.iter().filter(|waiting| waiting.wants == kind);
        (running.count(), waiting.count())
    }
}

/// The key that contains the one at `level`.
fn parent(keys: &[QuotaKey; LEVELS], level: usize) -> Option<QuotaKey> {
    level.checked_sub(1).map(|above| keys[above])
}
