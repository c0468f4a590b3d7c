//! Whose work is next. Pure: time and cost are arguments.
//!
//! Start-time fair queueing (Goyal, Vin and Cheng, 1996) in three levels: the site that has cost the least
//! since it began to wait is next, in it the host, on that the peer. Who asks for nothing saves nothing up.
//! Work that is not reading of content also has an allowance of processor time, as a question of a few
//! bytes may cost much.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::allowance::Allowances;
use crate::serve::{
    requester::{Key, LEVELS, Requester},
    waiting::{self, MAX_WAITING, Queue, Ticket},
};

/// What a job counts as until its cost is known.
const ESTIMATE: Duration = Duration::from_micros(100);

/// What kind of work a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Kind {
    /// Chunks are read, to be sent: what is sent is bounded elsewhere.
    Read,
    /// Something is looked up or proven, and little is sent.
    LookUp,
}

/// How many jobs may run at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) reads: usize,
    pub(super) reads_per_peer: usize,
    pub(super) look_ups: usize,
}

/// What is next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This job runs from now on.
    Run(Ticket, Turn),
    /// Nothing may run before then.
    At(Instant),
    /// Nothing may run before something ends.
    Nothing,
}

/// A job that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Turn {
    requester: Requester,
    kind: Kind,
}

/// A job that waits for its turn.
type Waiting = waiting::Waiting<Kind>;

/// All jobs that run or wait.
pub(super) struct Turns {
    limits: Limits,
    waiting: Queue<Kind>,
    running: Vec<Turn>,
    /// What the work of each has cost, from where it began.
    cost: HashMap<Key, Duration>,
    /// What that was, of the one whose turn was last, among all sites, the hosts of a site, the peers of a host.
    /// Others begin there.
    begun: HashMap<Option<Key>, Duration>,
    allowances: Allowances,
}

impl Turns {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: Queue::default(),
            running: Vec::new(),
            cost: HashMap::new(),
            begun: HashMap::new(),
            allowances: Allowances::default(),
        }
    }

    /// A job waits from now on; the ticket of the one that is dropped, if there are too many: it may be the
    /// same.
    pub(super) fn wait(
        &mut self,
        ticket: Ticket,
        requester: Requester,
        kind: Kind,
    ) -> Option<Ticket> {
        self.begin(&requester);
        self.waiting.add(Waiting {
            ticket,
            requester,
            wants: kind,
        })
    }

    /// A job waits no more.
    pub(super) fn give_up(&mut self, ticket: Ticket) {
        self.waiting.give_up(ticket);
    }

    /// Whoever asked for nothing begins where those beside it are.
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

    fn cost_of(&self, key: Key) -> Duration {
        self.cost.get(&key).copied().unwrap_or_default()
    }

    /// Begins the next job.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        let mut wake: Option<Instant> = None;
        let candidates = self.waiting.iter().enumerate();
        let candidates = candidates.filter(|(_, waiting)| {
            self.has_place(waiting) && {
                let at = match waiting.wants {
                    Kind::Read => now,
                    Kind::LookUp => self.allowances.ready_at(&waiting.requester, now),
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
            return wake.map_or(Next::Nothing, Next::At);
        };
        let Waiting {
            ticket,
            requester,
            wants: kind,
        } = self.waiting.take(index);
        let keys = requester.keys();
        for (level, key) in keys.into_iter().enumerate() {
            self.begun.insert(parent(&keys, level), self.cost_of(key));
        }
        let turn = Turn { requester, kind };
        self.running.push(turn);
        self.charge(&requester, ESTIMATE);
        Next::Run(ticket, turn)
    }

    fn has_place(&self, waiting: &Waiting) -> bool {
        let running = self
            .running
            .iter()
            .filter(|turn| turn.kind == waiting.wants);
        match waiting.wants {
            Kind::LookUp => running.count() < self.limits.look_ups,
            Kind::Read => {
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

    /// A job ended that has cost so much.
    pub(super) fn end(&mut self, turn: Turn, cost: Duration, now: Instant) {
        if let Some(index) = self.running.iter().position(|running| *running == turn) {
            self.running.swap_remove(index);
        }
        self.charge(&turn.requester, cost.saturating_sub(ESTIMATE));
        if turn.kind == Kind::LookUp {
            self.allowances.charge(&turn.requester, cost, now);
        }
        if self.waiting.is_empty() && self.running.is_empty() {
            self.cost.clear();
            self.begun.clear();
        } else if self.cost.len() > LEVELS * MAX_WAITING {
            // Those who wait or run keep what they have cost.
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
    pub(super) fn depths(&self, kind: Kind) -> (usize, usize) {
        let running = self.running.iter().filter(|turn| turn.kind == kind);
        let waiting = self.waiting.iter().filter(|waiting| waiting.wants == kind);
        (running.count(), waiting.count())
    }
}

/// What a requester is in, at a level.
fn parent(keys: &[Key; LEVELS], level: usize) -> Option<Key> {
    level.checked_sub(1).map(|above| keys[above])
}
