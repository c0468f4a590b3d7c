//! Which nodes this node wants to be connected to, and when each is dialed next. Pure: time is an
//! argument.
//!
//! Bootstrap nodes and peers of earlier runs are dialed with growing, random pauses until each was
//! reached once, and again when an address of this machine has changed or when no other node is
//! connected. Nodes that a command named are dialed for as long as the command waits. A peer whose
//! connection died silently is dialed a few times: it may be back, or at another address.

use std::time::{Duration, Instant};

use libp2p::{
    PeerId,
    swarm::{ConnectionId, dial_opts::DialOpts},
};
use pelago_behaviour::dial::{NamedBy, Subnets, check};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{ConnectError, PeerAddress};

mod target;
#[cfg(test)]
mod tests;

pub(super) use target::DialReason;
use target::Target;

/// The pause after the first failure; each further one is twice as long, up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// The random part of a pause, a quarter, so that nodes that lost the same node do not return
/// together.
const JITTER: u32 = 4;

/// Time over which dials are spread after an address has changed.
const SPREAD: Duration = Duration::from_millis(500);

/// Running dials of this module, at most.
const MAX_DIALS: usize = 16;

/// Nodes named by commands, and peers that were lost or have to be reached again, at most.
const MAX_PASSING: usize = 64;

/// How often a lost peer is dialed: over about a minute and a half.
const LOST_TRIES: u32 = 7;

/// The first failed dial of a node that a person named.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// The node, as it was named.
    pub(super) node: PeerAddress,
    /// Why it was dialed.
    pub(super) reason: DialReason,
}

/// A bootstrap node whose dials have failed since the start, or since it was last reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreachedNode {
    /// The node, as the settings name it.
    pub node: PeerAddress,
    /// Why the last dial failed.
    pub why: String,
}

/// The nodes to be connected to.
pub(super) struct Redial {
    local: PeerId,
    targets: Vec<Target>,
    random: StdRng,
}

impl Redial {
    /// A plan in which all of these nodes are due `now`. `seed` determines the random part of
    /// pauses.
    pub(super) fn new(
        local: PeerId,
        bootstrap: &[PeerAddress],
        known: &[PeerAddress],
        seed: u64,
        now: Instant,
    ) -> Self {
        let mut redial = Self {
            local,
            targets: Vec::new(),
            random: StdRng::seed_from_u64(seed),
        };
        for node in bootstrap {
            redial.add(Target::named(DialReason::Bootstrap, node, now));
        }
        // One refused address would deny all dials of its peer.
        let is_allowed = |node: &&PeerAddress| {
            check(&NamedBy::Record, node.address(), &Subnets::default()).is_ok()
        };
        for node in known.iter().filter(is_allowed) {
            let at_peer = |target: &&mut Target| target.peer == node.peer();
            let mut known = redial.targets.iter_mut();
            match known.find(at_peer).filter(|_| node.peer().is_some()) {
                Some(target) => target.addresses.push(node.address().clone()),
                None => redial.add(Target::named(DialReason::Known, node, now)),
            }
        }
        redial
    }

    /// Adds `nodes` that a command named; the command waits until `until`.
    pub(super) fn ask(&mut self, nodes: &[PeerAddress], until: Instant, now: Instant) {
        self.forget_asked(now);
        for node in nodes {
            let mut named = self.targets.iter_mut();
            let same = named.find(|target| target.named.as_ref() == Some(node));
            match same {
                Some(target) => {
                    if let DialReason::Asked(before) = target.reason {
                        target.reason = DialReason::Asked(before.max(until));
                    }
                    if target.dialing.is_none() {
                        target.due = Some(now);
                    }
                    target.failure = None;
                }
                None => self.add(Target::named(DialReason::Asked(until), node, now)),
            }
        }
    }

    /// The last connection to `peer` died.
    pub(super) fn lost(&mut self, peer: PeerId, now: Instant) {
        self.want(DialReason::Lost, peer, now);
    }

    /// An address of this machine is gone, over which the `connected` peers may have been reached.
    pub(super) fn moved(&mut self, connected: impl IntoIterator<Item = PeerId>, now: Instant) {
        for peer in connected {
            let due = now + self.part_of(SPREAD);
            self.want(DialReason::Moved, peer, due);
        }
    }

    /// This machine has a new address: nodes that were unreachable may be reachable now.
    pub(super) fn address_changed(&mut self, now: Instant) {
        for target in 0..self.targets.len() {
            let due = now + self.part_of(SPREAD);
            let target = &mut self.targets[target];
            target.tries = 0;
            if target.dialing.is_none() {
                target.due = Some(target.due.map_or(due, |before| before.min(due)));
            }
        }
    }

    /// No other node is connected: nodes that were reached once are dialed again.
    pub(super) fn alone(&mut self, now: Instant) {
        for target in 0..self.targets.len() {
            let pause = self.pause(self.targets[target].tries);
            let target = &mut self.targets[target];
            if target.due.is_none() && target.dialing.is_none() && target.reason.lasts() {
                target.due = Some(now + pause);
                target.tries = target.tries.saturating_add(1);
            }
        }
    }

    /// The dials of nodes that are due and not connected, each with its namer.
    pub(super) fn dials(
        &mut self,
        now: Instant,
        is_connected: impl Fn(&PeerId) -> bool,
    ) -> Vec<(DialOpts, NamedBy)> {
        self.forget_asked(now);
        let under_way = self
            .targets
            .iter()
            .filter(|target| target.dialing.is_some());
        let mut free = MAX_DIALS.saturating_sub(under_way.count());
        let mut dials = Vec::new();
        for target in &mut self.targets {
            if target.dialing.is_some() || target.due.is_none_or(|due| due > now) || free == 0 {
                continue;
            }
            if target.reason != DialReason::Moved
                && target.peer.is_some_and(|peer| is_connected(&peer))
            {
                target.due = None;
                continue;
            }
            let options = target.options(self.local);
            (target.due, target.dialing) = (None, Some(options.connection_id()));
            dials.push((options, target.reason.named_by()));
            free -= 1;
        }
        dials
    }

    /// Whether each node was dialed at least once, and no dial is running.
    pub(super) fn has_dialed_all(&self) -> bool {
        let mut targets = self.targets.iter();
        targets.all(|target| {
            let was_dialed = target.due.is_none() || target.tries > 0 || target.failure.is_some();
            target.dialing.is_none() && was_dialed
        })
    }

    /// When to call [`dials`](Self::dials) next.
    pub(super) fn next(&self) -> Option<Instant> {
        let under_way = self
            .targets
            .iter()
            .filter(|target| target.dialing.is_some());
        if under_way.count() >= MAX_DIALS {
            return None;
        }
        self.targets.iter().filter_map(|target| target.due).min()
    }

    /// A connection to `peer` was established.
    pub(super) fn reached(&mut self, connection: ConnectionId, peer: PeerId) {
        self.targets.retain_mut(|target| {
            let is_by_dial = target.dialing == Some(connection);
            if !is_by_dial && (target.peer != Some(peer) || target.reason == DialReason::Moved) {
                return true;
            }
            target.peer = Some(peer);
            (target.due, target.tries, target.failure) = (None, 0, None);
            if is_by_dial {
                target.dialing = None;
            }
            target.reason.lasts() || matches!(target.reason, DialReason::Asked(_))
        });
    }

    /// A dial was not started: the node is connected, or another dial of it is running.
    pub(super) fn not_dialed(&mut self, connection: ConnectionId, now: Instant) {
        let pause = self.pause(0);
        if let Some(target) = self.dialed(connection) {
            (target.dialing, target.due) = (None, Some(now + pause));
        }
    }

    /// The dial reached this node itself: no other node is at that address.
    pub(super) fn led_here(&mut self, connection: ConnectionId) {
        if let Some(target) = self.dialed(connection) {
            (target.dialing, target.due) = (None, None);
        }
    }

    /// A dial failed. Returns the failure to report to people: once for each node until it is
    /// reached.
    pub(super) fn failed(
        &mut self,
        connection: ConnectionId,
        why: &ConnectError,
        now: Instant,
    ) -> Option<Failed> {
        let tries = self.dialed(connection)?.tries;
        let pause = self.pause(tries);
        let target = self.dialed(connection)?;
        (target.dialing, target.due) = (None, Some(now + pause));
        target.tries = tries.saturating_add(1);
        let before = target.failure.replace(why.to_string());
        let is_news = target.reason.is_named() && before.is_none();
        let news = target.named.clone().filter(|_| is_news);
        let news = news.map(|node| Failed {
            node,
            reason: target.reason,
        });
        let is_given_up = |target: &Target| {
            let is_passing = matches!(target.reason, DialReason::Lost | DialReason::Moved);
            is_passing && target.tries >= LOST_TRIES
        };
        self.targets.retain(|target| !is_given_up(target));
        news
    }

    /// The bootstrap nodes that are not reached.
    pub(super) fn unreached(&self) -> Vec<UnreachedNode> {
        let bootstrap = self.targets.iter();
        let bootstrap = bootstrap.filter(|target| target.reason == DialReason::Bootstrap);
        let unreached = bootstrap.filter_map(|target| {
            let (node, why) = (target.named.clone()?, target.failure.clone()?);
            Some(UnreachedNode { node, why })
        });
        unreached.collect()
    }

    /// Forgets the nodes whose commands no longer wait.
    fn forget_asked(&mut self, now: Instant) {
        let is_over =
            |target: &Target| matches!(target.reason, DialReason::Asked(until) if until <= now);
        self.targets.retain(|target| !is_over(target));
    }

    fn want(&mut self, reason: DialReason, peer: PeerId, due: Instant) {
        let mut targets = self.targets.iter_mut();
        let same = targets.find(|target| target.peer == Some(peer) && target.reason == reason);
        match same {
            Some(target) => {
                target.tries = 0;
                if target.dialing.is_none() {
                    target.due = Some(due);
                }
            }
            None => self.add(Target {
                reason,
                peer: Some(peer),
                named: None,
                addresses: Vec::new(),
                due: Some(due),
                tries: 0,
                dialing: None,
                failure: None,
            }),
        }
    }

    /// Adds a target, unless there are too many temporary ones.
    fn add(&mut self, target: Target) {
        let passing = self.targets.iter().filter(|target| !target.reason.lasts());
        if target.reason.lasts() || passing.count() < MAX_PASSING {
            self.targets.push(target);
        }
    }

    fn dialed(&mut self, connection: ConnectionId) -> Option<&mut Target> {
        let mut targets = self.targets.iter_mut();
        targets.find(|target| target.dialing == Some(connection))
    }

    /// The pause after this many failures.
    fn pause(&mut self, tries: u32) -> Duration {
        // Doubled eight times, it is far beyond the last one.
        let pause = (FIRST_PAUSE * 2_u32.pow(tries.min(8))).min(LAST_PAUSE);
        pause - self.part_of(pause / JITTER)
    }

    fn part_of(&mut self, whole: Duration) -> Duration {
        whole.mul_f64(self.random.random_range(0.0..1.0))
    }
}
