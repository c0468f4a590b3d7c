//! How much processor time look-ups may take: for one host, and for all. Pure: time is an
//! argument.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use pelago_behaviour::Origin;

use crate::serve::requester::Requester;

/// Time that may be used in one burst: listing 100,000 shares takes a fifth of it.
const BURST: Duration = Duration::from_secs(1);

/// The part of one processor that the look-ups of one host may take.
const HOST_SHARE: f64 = 0.1;

/// The part of one processor that all look-ups may take.
const TOTAL_SHARE: f64 = 0.5;

/// Hosts with less than a full allowance to remember, at most: about 0.5 MB.
const MAX_HOSTS: usize = 4096;

/// The allowance for all, and that of each host where it is not full.
#[derive(Default)]
pub(super) struct Allowances {
    all: Option<Allowance>,
    hosts: HashMap<Origin, Allowance>,
}

#[derive(Clone, Copy)]
struct Allowance {
    /// Seconds; negative when in debt, as the cost of a job is known only afterwards.
    left: f64,
    at: Instant,
}

impl Allowance {
    fn left(&self, rate: f64, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + rate * age).min(BURST.as_secs_f64())
    }

    fn charge(&mut self, rate: f64, cost: Duration, now: Instant) {
        self.left = self.left(rate, now) - cost.as_secs_f64();
        self.at = now;
    }

    /// When the allowance is out of debt.
    fn ready_at(&self, rate: f64, now: Instant) -> Instant {
        let debt = -self.left(rate, now);
        // Rounded up, so that it is out of debt at that time.
        let wait = Duration::from_secs_f64((debt / rate).max(0.0));
        if debt > 0.0 {
            now + wait + Duration::from_millis(1)
        } else {
            now
        }
    }
}

impl Allowances {
    /// When the next look-up of `requester` may start; `now` if it may immediately.
    pub(super) fn ready_at(&self, requester: &Requester, now: Instant) -> Instant {
        let of_all = self.all.map_or(now, |all| all.ready_at(TOTAL_SHARE, now));
        let of_host = self.hosts.get(&requester.origin);
        let of_host = of_host.map_or(now, |host| host.ready_at(HOST_SHARE, now));
        of_all.max(of_host)
    }

    /// Charges the cost of a look-up of `requester`.
    pub(super) fn charge(&mut self, requester: &Requester, cost: Duration, now: Instant) {
        let full = Allowance {
            left: BURST.as_secs_f64(),
            at: now,
        };
        self.all.get_or_insert(full).charge(TOTAL_SHARE, cost, now);
        if self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(&requester.origin) {
            self.forget(now);
        }
        let host = self.hosts.entry(requester.origin).or_insert(full);
        host.charge(HOST_SHARE, cost, now);
    }

    /// Forgets full allowances, or else the fuller half.
    fn forget(&mut self, now: Instant) {
        let full = BURST.as_secs_f64();
        self.hosts
            .retain(|_, host| host.left(HOST_SHARE, now) < full);
        if self.hosts.len() >= MAX_HOSTS {
            let left = self.hosts.values().map(|host| host.left(HOST_SHARE, now));
            let mut left: Vec<_> = left.collect();
            let (_, median, _) = left.select_nth_unstable_by(MAX_HOSTS / 2, f64::total_cmp);
            let median = *median;
            self.hosts
                .retain(|_, host| host.left(HOST_SHARE, now) < median);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processor time used in `time` by look-ups of `requesters` of 1 ms each, requested without
    /// pause.
    fn used(requesters: &[Requester], time: Duration) -> Duration {
        let (mut allowances, start) = (Allowances::default(), Instant::now());
        let (mut used, mut now) = (Duration::ZERO, start);
        let cost = Duration::from_millis(1);
        while now < start + time {
            let next = requesters.iter().map(|r| (allowances.ready_at(r, now), r));
            let (at, requester) = next.min_by_key(|(at, _)| *at).unwrap();
            now = now.max(at) + cost;
            allowances.charge(requester, cost, now);
            used += cost;
        }
        used
    }

    #[test]
    fn a_host_takes_its_share_however_many_ids_it_has() {
        let ids: Vec<_> = (0..50).map(|_| Requester::at("11.0.0.1")).collect();
        let used = used(&ids, Duration::from_secs(20));
        assert!(used < Duration::from_secs(4), "{used:?}");
    }

    #[test]
    fn all_hosts_together_leave_half_of_a_processor() {
        let hosts: Vec<_> = (0..50)
            .map(|n| Requester::at(&format!("11.0.{n}.1")))
            .collect();
        let used = used(&hosts, Duration::from_secs(20));
        assert!(used < Duration::from_secs(12), "{used:?}");
    }

    #[test]
    fn as_many_hosts_as_there_may_be_are_remembered() {
        let (mut allowances, now) = (Allowances::default(), Instant::now());
        for n in 0..3 * MAX_HOSTS {
            let requester = Requester::at(&format!("11.{}.{}.1", n >> 8, n & 255));
            allowances.charge(&requester, Duration::from_millis(1), now);
            assert!(allowances.hosts.len() <= MAX_HOSTS);
        }
    }
}
