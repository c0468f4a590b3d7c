//! What is to be done with which peer, and what waits until it may be sent. Pure: the time is an
//! argument.
//!
//! Entries, by which users are in or out, are never delayed. What fills other slots anew waits, so that
//! a member that changes its statement all the time costs the others one message in ten seconds.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::{Duration, Instant},
};

use libp2p::PeerId;
use pelago_groups::{GroupId, Slot};

use super::{
    ask::Errand,
    pace::{Exchange, Exchanges},
};

/// The pause between two deliveries of what is not urgent, for each group.
const PAUSE: Duration = Duration::from_secs(10);

/// Peers with which this node speaks at a time.
const AT_A_TIME: usize = 32;

/// The errands of a node.
#[derive(Default)]
pub(super) struct Outbox {
    errands: HashMap<PeerId, BTreeSet<Errand>>,
    /// Peers with errands that were not begun, in order.
    waiting: VecDeque<PeerId>,
    /// Peers with which this node speaks now.
    busy: Exchanges<PeerId>,
    delayed: HashMap<GroupId, BTreeSet<Slot>>,
    delivered: HashMap<GroupId, Instant>,
}

impl Outbox {
    /// Adds something to do with a peer.
    pub(super) fn add(&mut self, peer: PeerId, errand: Errand) {
        let errands = self.errands.entry(peer).or_default();
        errands.insert(errand);
        if !self.busy.has(&peer) && !self.waiting.contains(&peer) {
            self.waiting.push_back(peer);
        }
    }

    /// The next peer to speak with, and all there is to do with it.
    pub(super) fn begin(&mut self, now: Instant) -> Option<(PeerId, Exchange, BTreeSet<Errand>)> {
        if self.busy.len() >= AT_A_TIME {
            return None;
        }
        let peer = self.waiting.pop_front()?;
        let exchange = Exchange::default();
        self.busy.begin(peer, &exchange, now);
        let errands = self.errands.remove(&peer).unwrap_or_default();
        Some((peer, exchange, errands))
    }

    /// While peers wait, the slowest of those with which this node speaks makes way: what is left to
    /// do with it comes with the next round.
    pub(super) fn make_way(&mut self, now: Instant) {
        if !self.waiting.is_empty() {
            self.busy.make_way(now);
        }
    }

    /// The errands that were begun with `peer` have ended.
    pub(super) fn ended(&mut self, peer: &PeerId) {
        self.busy.end(peer);
        if self.errands.contains_key(peer) {
            self.waiting.push_back(*peer);
        }
    }

    /// Whether what fills a slot is to be sent now: otherwise it is kept for later.
    pub(super) fn may_send(
        &mut self,
        group: GroupId,
        slot: Slot,
        is_urgent: bool,
        now: Instant,
    ) -> bool {
        if is_urgent {
            return true;
        }
        let last = self.delivered.get(&group);
        let is_early = last.is_some_and(|last| now < *last + PAUSE);
        if is_early {
            self.delayed.entry(group).or_default().insert(slot);
        } else {
            self.delivered.insert(group, now);
        }
        !is_early
    }

    /// When something that was kept is due, or a peer may have to make way.
    pub(super) fn next(&self) -> Option<Instant> {
        let due = self
            .delayed
            .keys()
            .filter_map(|group| self.delivered.get(group));
        let due = due.min().map(|last| *last + PAUSE);
        let way = self.busy.next().filter(|_| !self.waiting.is_empty());
        due.into_iter().chain(way).min()
    }

    /// Takes what was kept and is due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(GroupId, BTreeSet<Slot>)> {
        let is_due = |group: &GroupId| {
            self.delivered
                .get(group)
                .is_none_or(|last| now >= *last + PAUSE)
        };
        let groups: Vec<_> = self.delayed.keys().copied().filter(is_due).collect();
        let due = groups.into_iter().filter_map(|group| {
            self.delivered.insert(group, now);
            Some((group, self.delayed.remove(&group)?))
        });
        due.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use futures::FutureExt as _;
    use pelago_groups::UserKey;

    use super::*;

    fn group(byte: u8) -> GroupId {
        GroupId::from_bytes([byte; 32])
    }

    #[test]
    fn errands_with_one_peer_are_done_together_and_one_after_the_other() {
        let (mut outbox, peer, now) = (Outbox::default(), PeerId::random(), Instant::now());
        let begin = |outbox: &mut Outbox| {
            let begun = outbox.begin(now);
            begun.map(|(peer, _, errands)| (peer, errands))
        };
        outbox.add(peer, Errand::Sync(group(1)));
        outbox.add(peer, Errand::Sync(group(2)));
        outbox.add(peer, Errand::Sync(group(1)));
        let (begun, errands) = begin(&mut outbox).unwrap();
        assert_eq!((begun, errands.len()), (peer, 2));
        outbox.add(peer, Errand::Sync(group(3)));
        assert_eq!(begin(&mut outbox), None, "it is busy");
        outbox.ended(&peer);
        assert_eq!(
            begin(&mut outbox),
            Some((peer, [Errand::Sync(group(3))].into()))
        );
        outbox.ended(&peer);
        assert_eq!(begin(&mut outbox), None);
    }

    #[test]
    fn slow_peers_make_way_for_those_that_wait() {
        let (mut outbox, start) = (Outbox::default(), Instant::now());
        for _ in 0..AT_A_TIME + 2 {
            outbox.add(PeerId::random(), Errand::Sync(group(1)));
        }
        let begun = std::iter::from_fn(|| outbox.begin(start));
        let exchanges: Vec<_> = begun.map(|(peer, exchange, _)| (peer, exchange)).collect();
        assert_eq!(exchanges.len(), AT_A_TIME);
        for (_, exchange) in &exchanges[1..] {
            exchange.moved.fetch_add(1000, Ordering::Relaxed);
        }
        let due = outbox.next().unwrap();
        assert!(due > start);
        outbox.make_way(start);
        assert!(exchanges[0].1.over().now_or_never().is_none());
        outbox.make_way(due);
        assert!(exchanges[0].1.over().now_or_never().is_some());
        outbox.ended(&exchanges[0].0);
        assert!(outbox.begin(due).is_some());
        outbox.ended(&exchanges[1].0);
        assert!(outbox.begin(due).is_some());
        assert_eq!(outbox.next(), None, "none waits");
    }

    #[test]
    fn a_member_that_flaps_is_forwarded_once_in_ten_seconds_and_entries_pass() {
        let (mut outbox, start) = (Outbox::default(), Instant::now());
        let user = Slot::User(UserKey::from_bytes([1; 32]));
        let (mut sent, mut now) = (0, start);
        for _ in 0..600 {
            sent += usize::from(outbox.may_send(group(1), user, false, now));
            assert!(outbox.may_send(group(1), user, true, now));
            now += Duration::from_millis(100);
            sent += outbox.due(now).len();
        }
        assert!((6..=7).contains(&sent), "{sent} in a minute");
        assert!(
            outbox.may_send(group(2), user, false, now),
            "groups do not wait for each other"
        );
        assert!(!outbox.may_send(group(1), user, false, now));
        let next = outbox.next().unwrap();
        assert!(next > now && next <= now + PAUSE);
    }
}
