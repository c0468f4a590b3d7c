//! The activity of a connection, and which connection is evicted at the limit. Pure: time is an
//! argument.

use std::{
    cmp::Reverse,
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use tokio::time::Instant;

/// How long every connection is safe from eviction: an honest client sends its request, and reads
/// the response, immediately.
pub(super) const HEAD_START: Duration = Duration::from_millis(500);

/// How long a client may read nothing of a response before it counts as slow.
const STALL: Duration = Duration::from_secs(2);

/// Bytes per second that a client has to read while a response waits for it. Any video needs more.
const MIN_RATE: u64 = 64 * 1024;

/// The time of waiting for a client that counts fully. Beyond it, older time counts half.
const WINDOW: Duration = Duration::from_secs(8);

/// The activity of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Activity {
    is_answered: bool,
    /// When its current request began, or its last one ended.
    since: Instant,
    /// Since when the client has read nothing of the response.
    unread_since: Option<Instant>,
    /// How long the client read nothing in all, and how many bytes it has read since the first
    /// time.
    unread: Duration,
    read: u64,
}

/// Why a connection is evicted. Earlier reasons come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// It has no request.
    Idle,
    /// Its client reads the response too slowly.
    Slow,
    /// Its site has most of the connections, and the new client is from another site.
    Crowd,
}

/// The origin of a client, for sharing connections fairly: an IPv4 host, or a /64 network of IPv6
/// (RFC 4291, 2.5.4). This machine is one site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Site {
    Here,
    There(IpAddr),
}

impl Site {
    pub(super) fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() => Self::Here,
            IpAddr::V6(ip) => {
                let network = ip.to_bits() & (u128::MAX << 64);
                Self::There(Ipv6Addr::from_bits(network).into())
            }
            ip => Self::There(ip),
        }
    }
}

impl Activity {
    /// A connection without a request yet.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            is_answered: false,
            since: now,
            unread_since: None,
            unread: Duration::ZERO,
            read: 0,
        }
    }

    /// A request begins.
    pub(super) fn begin(&mut self, now: Instant) {
        let unread_since = self.unread_since;
        *self = Self::new(now);
        self.is_answered = true;
        self.unread_since = unread_since;
    }

    /// The response is complete. The client may not have read all of it.
    pub(super) fn end(&mut self, now: Instant) {
        (self.is_answered, self.since) = (false, now);
    }

    /// The client does not read what is sent.
    pub(super) fn write_blocked(&mut self, now: Instant) {
        self.unread_since.get_or_insert(now);
    }

    /// The client has read bytes.
    pub(super) fn read_bytes(&mut self, bytes: u64, now: Instant) {
        if let Some(since) = self.unread_since.take() {
            self.unread += now.saturating_duration_since(since);
        }
        if self.unread.is_zero() {
            return;
        }
        // A fast start of a long response must not hide that the client is slow now.
        self.read = (self.read + bytes).min(MIN_RATE * 4 * WINDOW.as_secs());
        if self.unread > WINDOW {
            self.unread /= 2;
            self.read /= 2;
        }
    }

    /// How long the connection has been idle: no request, and the last response was read.
    pub(super) fn idle_for(&self, now: Instant) -> Option<Duration> {
        let is_idle = !self.is_answered && self.unread_since.is_none();
        is_idle.then(|| now.saturating_duration_since(self.since))
    }

    fn is_slow(&self, now: Instant) -> bool {
        let stalled = self
            .unread_since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let unread = self.unread + stalled;
        let wanted = u128::from(MIN_RATE) * unread.as_millis() / 1000;
        stalled >= STALL || (unread >= HEAD_START && u128::from(self.read) < wanted)
    }

    fn reason(&self, now: Instant) -> Option<Reason> {
        match self.idle_for(now) {
            Some(idle) => (idle >= HEAD_START).then_some(Reason::Idle),
            None if self.is_slow(now) => Some(Reason::Slow),
            None => {
                (now.saturating_duration_since(self.since) >= HEAD_START).then_some(Reason::Crowd)
            }
        }
    }
}

/// The one of the `open` connections that is evicted for a new one from `site`, if any may be.
///
/// Idle connections come first, then slow ones, then those of a site with more than half of all
/// connections. Among equals, the site with most connections loses its oldest one. A new connection
/// evicts a busy one only from its own site, or from a site that has more.
pub(super) fn to_evict<I: Copy + Eq + Hash>(
    open: &[(I, Site, Activity)],
    site: Site,
    now: Instant,
) -> Option<I> {
    let mut counts: HashMap<Site, usize> = HashMap::new();
    for (_, of, _) in open {
        *counts.entry(*of).or_default() += 1;
    }
    let count = |site: &Site| counts.get(site).copied().unwrap_or_default();
    let candidates = open.iter().filter_map(|(id, of, activity)| {
        let reason = activity.reason(now)?;
        let has_more = count(of) > count(&site) + 1;
        let may = match reason {
            Reason::Idle => true,
            Reason::Slow => *of == site || has_more,
            Reason::Crowd => *of != site && has_more && count(of) * 2 > open.len(),
        };
        may.then_some((reason, Reverse(count(of)), activity.since, *id))
    });
    let first = candidates.min_by_key(|(reason, count, since, _)| (*reason, *count, *since));
    first.map(|(.., id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn there(last: u8) -> Site {
        Site::of(IpAddr::from([192, 0, 2, last]))
    }

    fn answered(now: Instant) -> Activity {
        let mut activity = Activity::new(now);
        activity.begin(now);
        activity
    }

    #[test]
    fn idle_connections_are_evicted_first_and_after_a_head_start() {
        let now = Instant::now();
        let mut stuck = answered(now);
        stuck.write_blocked(now);
        let mut done = answered(now);
        done.end(now + SECOND);
        let open = [
            (0, Site::Here, stuck),
            (1, Site::Here, done),
            (2, Site::Here, Activity::new(now + SECOND / 2)),
        ];
        let at = |after| to_evict(&open, Site::Here, now + after);
        assert_eq!(at(HEAD_START / 2), None);
        assert_eq!(at(SECOND / 2 + HEAD_START), Some(2));
        assert_eq!(to_evict(&open[..2], Site::Here, now + SECOND), Some(0));
        assert_eq!(to_evict(&open[..2], Site::Here, now + 2 * SECOND), Some(1));
    }

    #[test]
    fn a_client_that_reads_slowly_is_slow_and_one_that_waits_for_us_is_not() {
        let begun = Instant::now();
        let mut waits = answered(begun);
        let (mut drips, mut pauses) = (answered(begun), answered(begun));
        let mut now = begun;
        for _ in 0..40 {
            drips.write_blocked(now);
            pauses.write_blocked(now);
            now += SECOND / 4;
            drips.read_bytes(1000, now);
            pauses.read_bytes(100_000, now);
            waits.read_bytes(1000, now);
        }
        assert!(drips.is_slow(now) && !pauses.is_slow(now) && !waits.is_slow(now));
        // Bytes that were read long ago do not help.
        pauses.write_blocked(now);
        assert!(!pauses.is_slow(now + STALL / 2) && pauses.is_slow(now + STALL));
        pauses.read_bytes(1, now + STALL);
        for _ in 0..30 {
            pauses.write_blocked(now);
            now += SECOND;
            pauses.read_bytes(1, now);
        }
        assert!(pauses.is_slow(now));
        // Another request on the same connection begins anew.
        pauses.begin(now);
        assert!(!pauses.is_slow(now));
    }

    #[test]
    fn a_connection_with_an_unread_response_is_not_idle() {
        let now = Instant::now();
        let mut activity = answered(now);
        activity.write_blocked(now);
        activity.end(now);
        assert_eq!(activity.idle_for(now + SECOND), None);
        activity.read_bytes(1, now + SECOND);
        assert_eq!(activity.idle_for(now + SECOND), Some(SECOND));
    }

    #[test]
    fn a_site_with_most_connections_is_evicted_for_others_and_not_the_other_way() {
        let now = Instant::now();
        let later = now + SECOND;
        let crowd = (0..3).map(|id| (id, there(1), answered(now)));
        let open: Vec<_> = crowd.chain([(3, there(2), answered(now))]).collect();
        assert_eq!(to_evict(&open, there(1), later), None);
        assert_eq!(to_evict(&open, there(3), later), Some(0));
        assert_eq!(to_evict(&open, there(2), later), Some(0));
        let mut slow = open.clone();
        slow[3].2.write_blocked(now);
        assert_eq!(to_evict(&slow, there(1), now + STALL), None);
        assert_eq!(to_evict(&slow, there(2), now + STALL), Some(3));
    }

    #[test]
    fn an_ipv4_host_is_a_site_and_so_is_an_ipv6_network() {
        let site = |ip: &str| Site::of(ip.parse().unwrap());
        assert_eq!(site("127.0.0.1"), site("::1"));
        assert_eq!(site("127.0.0.1"), site("127.9.9.9"));
        assert_eq!(site("::ffff:192.0.2.1"), site("192.0.2.1"));
        assert_ne!(site("192.0.2.1"), site("192.0.2.2"));
        assert_eq!(site("2001:db8::1"), site("2001:db8::2:3"));
        assert_ne!(site("2001:db8::1"), site("2001:db8:0:1::1"));
    }
}
