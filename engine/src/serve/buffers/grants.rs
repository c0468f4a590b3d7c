//! Which requester may hold how many unsent bytes, and which one yields. Pure: time is an
//! argument.
//!
//! Bytes are counted by site, by host and by peer. Free bytes go to the site that holds the least,
//! within it to the host that holds the least, and on that host to the peer that holds the least.
//! Requesters that ask for far more than they take share a part of their own, on which the others
//! do not depend, and yield first.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::history::{RequesterHistory, Standing};
use crate::serve::{
    request_queue::{self, RequestQueue, Ticket},
    requester::{LEVELS, QuotaKey, Requester},
};

/// How long a slow requester may drain below [`MIN_RATE`], and how long it may hold bytes at all,
/// while others wait for them.
const SLOW_SILENCE: Duration = Duration::from_secs(2);
const SLOW_GRACE: Duration = Duration::from_secs(10);

/// How long any other requester may drain below [`MIN_RATE`] while others wait.
const GRACE: Duration = Duration::from_secs(30);

/// The rate, in bytes a second, at which a requester has to drain what it holds beyond its grace
/// period while others wait: a modem of 20 KB/s achieves it with two requests at a time.
const MIN_RATE: u64 = 8 << 10;

/// Progress enters the history after this time or this many bytes: rarely enough to cost nothing.
const NOTED_AFTER: Duration = Duration::from_millis(100);
const NOTED_BYTES: u64 = 256 << 10;

/// How many bytes may be held.
#[derive(Clone, Copy, Debug)]
pub(super) struct BufferLimits {
    pub(super) total: u64,
    pub(super) per_peer: u64,
}

impl BufferLimits {
    /// The limits of a site, a host and a peer: a quarter remains for other sites, half for other
    /// hosts.
    const fn of_levels(self) -> [u64; LEVELS] {
        [self.total / 4 * 3, self.total / 2, self.per_peer]
    }

    /// The limit of all requesters of this standing or a lower one: a quarter is reserved for
    /// proven requesters, and half cannot be taken by slow ones.
    const fn of_standing(self, standing: Standing) -> u64 {
        match standing {
            Standing::Proven => self.total,
            Standing::New => self.total / 4 * 3,
            Standing::Slow => self.total / 4,
        }
    }
}

/// Bytes granted to a requester. The owner has to return them with [`Grants::end`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub(super) requester: Requester,
    pub(super) bytes: u64,
    standing: Standing,
}

/// How fast a requester drains what is held for it. Time in which this node makes it wait does not
/// count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DrainRate {
    taken: u64,
    time: Duration,
    /// The same for the last seconds.
    recent: (u64, Duration),
    /// Whether the rate in the period before those was below [`MIN_RATE`].
    is_silent: bool,
    /// The part that the history has already recorded.
    noted: (u64, Duration),
}

impl DrainRate {
    fn is_below_min_rate(&self) -> bool {
        self.taken < self.time.as_secs() * MIN_RATE
    }
}

/// A request that waits for this many bytes.
type WaitingRequest = request_queue::WaitingRequest<u64>;

/// All grants, and the requests that wait for one.
pub(super) struct Grants {
    limits: BufferLimits,
    total: u64,
    held: HashMap<QuotaKey, u64>,
    /// Bytes held by requesters of each standing or a lower one.
    by_standing: [u64; Standing::ALL.len()],
    waiting: RequestQueue<u64>,
    history: RequesterHistory,
}

impl Grants {
    pub(super) fn new(limits: BufferLimits) -> Self {
        Self {
            limits,
            total: 0,
            held: HashMap::new(),
            by_standing: [0; Standing::ALL.len()],
            waiting: RequestQueue::default(),
            history: RequesterHistory::default(),
        }
    }

    /// Queues a request for `bytes`. If the queue is full, returns the ticket of the request that
    /// is dropped, which may be this one.
    pub(super) fn wait(
        &mut self,
        ticket: Ticket,
        requester: Requester,
        bytes: u64,
    ) -> Option<Ticket> {
        self.waiting.add(WaitingRequest {
            ticket,
            requester,
            wants: bytes,
        })
    }

    /// Removes a request from the queue.
    pub(super) fn give_up(&mut self, ticket: Ticket) {
        self.waiting.give_up(ticket);
    }

    /// Grants the next request for which enough bytes are free.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Ticket, Grant)> {
        let candidates = self.waiting.iter().enumerate();
        let candidates = candidates.map(|(index, waiting)| {
            let standing = self.history.standing(&waiting.requester, now);
            (index, waiting, standing)
        });
        let (index, waiting, standing) = candidates
            .filter(|(_, waiting, standing)| self.is_within_parts(waiting, *standing))
            .min_by_key(|(_, waiting, standing)| {
                let is_slow = *standing == Standing::Slow;
                (is_slow, self.holds(&waiting.requester), waiting.wants)
            })?;
        // The next request waits for its bytes: later ones do not overtake it.
        if self.total > 0 && self.total + waiting.wants > self.limits.total {
            return None;
        }
        let grant = Grant {
            requester: waiting.requester,
            bytes: waiting.wants,
            standing,
        };
        let ticket = self.waiting.take(index).ticket;
        self.total += grant.bytes;
        for held in &mut self.by_standing[..=standing as usize] {
            *held += grant.bytes;
        }
        for key in grant.requester.keys() {
            *self.held.entry(key).or_default() += grant.bytes;
        }
        Some((ticket, grant))
    }

    /// Whether the request is within the limits of its site, its host, its peer and its standing.
    /// A requester that holds nothing may always have one request.
    fn is_within_parts(&self, waiting: &WaitingRequest, standing: Standing) -> bool {
        let fits = |held: u64, part: u64| held == 0 || held + waiting.wants <= part;
        let held = self.holds(&waiting.requester);
        let of_standing = self.by_standing[standing as usize];
        held.into_iter()
            .zip(self.limits.of_levels())
            .chain([(of_standing, self.limits.of_standing(standing))])
            .all(|(held, part)| fits(held, part))
    }

    fn holds(&self, requester: &Requester) -> [u64; LEVELS] {
        let held = |key| self.held.get(&key).copied().unwrap_or(0);
        requester.keys().map(held)
    }

    /// Ends a grant: all of its bytes are free again.
    pub(super) fn end(&mut self, grant: &mut Grant, drain: &mut DrainRate, now: Instant) {
        self.note(grant, drain, now);
        self.release(grant, grant.bytes);
    }

    /// Returns `bytes` of a grant.
    pub(super) fn release(&mut self, grant: &mut Grant, bytes: u64) {
        let bytes = bytes.min(grant.bytes);
        grant.bytes -= bytes;
        self.total -= bytes;
        for held in &mut self.by_standing[..=grant.standing as usize] {
            *held -= bytes;
        }
        for key in grant.requester.keys() {
            if let Some(held) = self.held.get_mut(&key) {
                *held -= bytes;
                if *held == 0 {
                    self.held.remove(&key);
                }
            }
        }
    }

    /// Records that the requester took `taken` bytes of a grant in `time`.
    pub(super) fn taken(
        &mut self,
        grant: &Grant,
        drain: &mut DrainRate,
        (taken, time): (u64, Duration),
        now: Instant,
    ) {
        drain.taken += taken;
        drain.time += time;
        drain.recent = (drain.recent.0 + taken, drain.recent.1 + time);
        if drain.recent.1 > SLOW_SILENCE {
            let (taken, time) = std::mem::take(&mut drain.recent);
            drain.is_silent = taken < time.as_secs() * MIN_RATE;
        }
        let is_much = drain.taken - drain.noted.0 >= NOTED_BYTES;
        if is_much || drain.time - drain.noted.1 >= NOTED_AFTER {
            self.note(grant, drain, now);
        }
    }

    fn note(&mut self, grant: &Grant, drain: &mut DrainRate, now: Instant) {
        let (taken, time) = (drain.taken - drain.noted.0, drain.time - drain.noted.1);
        if taken > 0 || !time.is_zero() {
            let held = (grant.bytes, taken);
            self.history.note(&grant.requester, held, time, now);
            drain.noted = (drain.taken, drain.time);
        }
    }

    /// Whether a grant has to end: its requester takes too little, and others wait for the bytes.
    pub(super) fn is_over(&self, grant: &Grant, drain: DrainRate, now: Instant) -> bool {
        let is_stuck = drain.time > GRACE && drain.is_below_min_rate();
        let is_slow = (drain.is_silent || drain.time > SLOW_GRACE)
            && self.history.standing(&grant.requester, now) == Standing::Slow;
        let is_waited_for = |waiting: &WaitingRequest| {
            let standing = self.history.standing(&waiting.requester, now);
            let yields = is_stuck || is_slow && standing != Standing::Slow;
            yields
                && waiting.requester.peer != grant.requester.peer
                && self.is_in_the_way(grant, waiting, standing)
        };
        (is_stuck || is_slow) && self.waiting.iter().any(is_waited_for)
    }

    /// Whether the waiting request could use the bytes of this grant.
    fn is_in_the_way(&self, grant: &Grant, waiting: &WaitingRequest, standing: Standing) -> bool {
        if self.is_within_parts(waiting, standing) {
            return true;
        }
        let of_standing = self.by_standing[standing as usize];
        let share_standing = grant.standing >= standing
            && of_standing + waiting.wants > self.limits.of_standing(standing);
        let [site, host, _] = grant.requester.keys();
        let [other_site, other_host, _] = waiting.requester.keys();
        share_standing || site == other_site || host == other_host
    }

    /// How many bytes are held, and how many requests wait.
    pub(super) fn depths(&self) -> (u64, usize) {
        (self.total, self.waiting.len())
    }
}
