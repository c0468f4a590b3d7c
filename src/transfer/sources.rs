//! The sources of one download: who is being asked, who is used, who lied.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use pelago_behaviour::chunk::Item;
use pelago_content::Printable;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tracing::Instrument;

use super::waiting::AttachedWait;
use super::{
    block_sources::SourceState,
    candidates::{Candidates, MAX_WAITING, merge},
    recent_peers::{MAX_PEERS, RecentPeers},
    recheck::{Recheck, RecheckOutcome},
    source::{self, Context, End, Event, MAX_ORDERS, Order, SourceId},
};
use crate::network::Candidate;

/// How long a source is used at least before it makes room for another: it may be about to have news.
const MIN_USE: Duration = Duration::from_secs(1);

/// Questions after failed proofs that are under way at a time, at most; of more, the sources are not
/// asked. Each holds a block.
const MAX_RECHECKS: usize = 16;

/// How long a download that has all waits for answers to these questions: they are sent by then, and
/// the sources have begun to prove what they were asked for.
const RECHECK_PATIENCE: Duration = Duration::from_secs(1);

/// Peers that are not asked any more and are shown as such, at most.
const TOLD_BANNED: usize = 64;

/// Outcomes told in a message, of each sort.
const TOLD: usize = 3;

struct Active {
    candidate: Candidate,
    peer: Option<PeerId>,
    orders: mpsc::Sender<Order>,
    task: AbortHandle,
    has_content: bool,
    /// When it was asked.
    since: Instant,
}

/// The sources of one download.
pub(super) struct Sources {
    context: Context,
    max_active: usize,
    max_asked: usize,
    next_id: SourceId,
    active: HashMap<SourceId, Active>,
    tasks: JoinSet<()>,
    rechecks: JoinSet<()>,
    candidates: Candidates,
    banned: RecentPeers,
    useful: RecentPeers,
    outcomes: Outcomes,
    /// Nothing is wanted of any source for now.
    is_paused: bool,
    waiting: AttachedWait,
}

impl Sources {
    pub(super) fn new(
        context: Context,
        max_active: usize,
        max_asked: usize,
        waiting: AttachedWait,
    ) -> Self {
        Self {
            context,
            max_active: max_active.max(1),
            max_asked: max_asked.max(1),
            next_id: 0,
            active: HashMap::new(),
            tasks: JoinSet::new(),
            rechecks: JoinSet::new(),
            candidates: Candidates::default(),
            banned: RecentPeers::default(),
            useful: RecentPeers::default(),
            outcomes: Outcomes::default(),
            is_paused: false,
            waiting,
        }
    }

    /// Takes a candidate: it becomes a source now, or when there is room. False if it is not
    /// remembered for that, as too many are.
    pub(super) fn offer(&mut self, candidate: Candidate) -> bool {
        if let Some(peer) = candidate.peer {
            if self.banned.contains(&peer) {
                return true;
            }
            let mut active = self.active.values_mut();
            if let Some(known) = active.find(|active| active.peer == Some(peer)) {
                merge(&mut known.candidate, candidate);
                return true;
            }
        }
        let is_taken = self.candidates.offer(candidate);
        self.fill();
        is_taken
    }

    /// Tries again those whose time has come; returns when to call this next.
    pub(super) fn retry(&mut self, now: Instant) -> Option<Instant> {
        // While the download waits, the node's budget says when one more may be asked.
        let at_a_time = if self.waiting.is_waiting() {
            1
        } else {
            usize::MAX
        };
        let is_due = self.candidates.is_due(now);
        let next = match !is_due || self.waiting.may_ask() {
            true => self.candidates.wake(now, at_a_time),
            false => None,
        };
        self.fill();
        while self.tasks.try_join_next().is_some() {}
        while self.rechecks.try_join_next().is_some() {}
        next
    }

    /// How many of those who wait could be asked if as many sources made room.
    pub(super) fn crowded_out(&self) -> usize {
        let with_content = self.with_content();
        let asked = self.active.len() - with_content;
        if with_content < self.max_active {
            return 0;
        }
        let room = self.max_asked.saturating_sub(asked);
        self.candidates.waiting().min(room)
    }

    /// A source that has nothing to give makes room for one that waits. False if it shall have some time
    /// yet.
    pub(super) fn replace(&mut self, peer: PeerId, now: Instant) -> bool {
        let theirs = |active: &&Active| active.peer == Some(peer) && active.has_content;
        let used = self.active.values().find(theirs);
        if used.is_none_or(|active| now.duration_since(active.since) < MIN_USE) {
            return false;
        }
        for candidate in self.end_all_of(peer) {
            self.candidates.retry_last(candidate, now);
        }
        self.fill();
        true
    }

    fn fill(&mut self) {
        while !self.is_paused {
            let with_content = self.with_content();
            let is_full = with_content >= self.max_active
                || self.active.len() - with_content >= self.max_asked;
            if is_full {
                return;
            }
            let Some(candidate) = self.candidates.next() else {
                return;
            };
            self.next_id += 1;
            let id = self.next_id;
            let (orders, receiver) = mpsc::channel(MAX_ORDERS);
            let run = source::run(self.context.clone(), id, candidate.clone(), receiver);
            let task = self.tasks.spawn(run.in_current_span());
            let peer = candidate.peer;
            let active = Active {
                candidate,
                peer,
                orders,
                task,
                has_content: false,
                since: Instant::now(),
            };
            self.active.insert(id, active);
        }
    }

    /// The source says that it has content. False if it is the same peer as another source or as
    /// one that lied, one more than may be used, or not one of ours any more: it is ended, and its
    /// events mean nothing.
    pub(super) fn has_content(&mut self, id: SourceId, peer: PeerId) -> bool {
        let is_double = self
            .active
            .iter()
            .any(|(other, active)| *other != id && active.peer == Some(peer) && active.has_content);
        let is_full = self.with_content() >= self.max_active;
        let Some(active) = self.active.get_mut(&id) else {
            return false;
        };
        if is_full && !active.has_content {
            active.task.abort();
            if let Some(spare) = self.active.remove(&id) {
                self.candidates.wait(spare.candidate);
            }
            return false;
        }
        // Who a candidate without an id is shows only now.
        if is_double || self.banned.contains(&peer) {
            active.task.abort();
            self.active.remove(&id);
            return false;
        }
        active.peer = Some(peer);
        active.has_content = true;
        self.candidates.had_content(&active.candidate);
        true
    }

    /// Whether the peer is used as a source that has content.
    pub(super) fn is_used(&self, peer: PeerId) -> bool {
        let mut used = self.active.values().filter(|active| active.has_content);
        used.any(|active| active.peer == Some(peer))
    }

    /// A chunk of this peer was good.
    pub(super) fn was_useful(&mut self, peer: PeerId) {
        self.useful.insert(peer);
        for active in self.active.values().filter(|a| a.peer == Some(peer)) {
            self.candidates.was_useful(&active.candidate);
        }
    }

    /// Hands an order to the source `peer`; false if that cannot take it.
    pub(super) fn order(&self, peer: PeerId, order: Order) -> bool {
        let mut having = self
            .active
            .values()
            .filter(|a| a.has_content && a.peer == Some(peer));
        having
            .next()
            .is_some_and(|active| active.orders.try_send(order).is_ok())
    }

    /// The source has ended: it is tried again later, forgotten, or banned.
    pub(super) fn ended(&mut self, id: SourceId, peer: Option<PeerId>, end: &End, now: Instant) {
        let Some(active) = self.active.remove(&id) else {
            return;
        };
        let who = match (end, peer) {
            // One peer counts once, however it was found.
            (End::Absent, Some(peer)) => peer.to_string(),
            _ => describe(&active.candidate, peer),
        };
        tracing::debug!(source = %who, ?end, "source ended");
        self.outcomes.take(who, end);
        match end {
            End::Dishonest(_) => {
                if let Some(peer) = peer {
                    self.banned.insert(peer);
                    // It may have been met twice.
                    self.end_all_of(peer);
                }
            }
            End::Lost(_) | End::Unreachable(_) => {
                let was_reached = matches!(end, End::Lost(_));
                self.candidates.retry(active.candidate, was_reached, now);
            }
            End::Busy => self.candidates.soon(active.candidate, now),
            End::Absent => {
                self.candidates.absent(active.candidate, now);
            }
            End::NotAllowed | End::Refused(_) | End::Disk(_) => {}
        }
        self.fill();
    }

    /// The sources of `peer` have nothing of what they said they had. They may have later, as when they
    /// were just ending a download.
    pub(super) fn give_up(&mut self, peer: PeerId, now: Instant) {
        for candidate in self.end_all_of(peer) {
            self.outcomes.take(peer.to_string(), &End::Absent);
            self.candidates.absent(candidate, now);
        }
        self.fill();
    }

    /// The peer is not to be asked any more, for a reason that people are told.
    pub(super) fn ban(&mut self, peer: PeerId, end: &End) {
        self.banned.insert(peer);
        self.outcomes.take(peer.to_string(), end);
        self.end_all_of(peer);
        self.fill();
    }

    /// The peer is not to be asked for some of the files any more, for a reason that people are told.
    pub(super) fn lost_files(&mut self, peer: PeerId, count: usize, why: &str) {
        self.outcomes.lost_files(peer.to_string(), count, why);
    }

    /// Asks `peer` for `items`, of a chunk that failed its proof, on a stream of its own. The answer is
    /// an event only if it is a lie.
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
                RecheckOutcome::Good => tracing::debug!(%peer, "the source sends good blocks now"),
                RecheckOutcome::Nothing(why) => {
                    tracing::debug!(%peer, why, "the source did not answer what it was asked again");
                }
                RecheckOutcome::Dishonest(why) => {
                    // The download may be over.
                    let _ = events.send((id, Event::Dishonest(peer, why))).await;
                }
            }
        };
        self.rechecks.spawn(ask.in_current_span());
    }

    /// Waits a moment for the answers to the questions under way.
    pub(super) async fn rechecked(&mut self) {
        let answered = async { while self.rechecks.join_next().await.is_some() {} };
        // Those that have not come by then change nothing for this download.
        let _ = timeout(RECHECK_PATIENCE, answered).await;
    }

    fn end_all_of(&mut self, peer: PeerId) -> Vec<Candidate> {
        let theirs = self
            .active
            .extract_if(|_, active| active.peer == Some(peer));
        let end = |(_, active): (_, Active)| {
            active.task.abort();
            active.candidate
        };
        theirs.map(end).collect()
    }

    /// Ends all sources, and asks the same peers anew.
    pub(super) fn restart(&mut self) {
        for (_, active) in self.active.drain() {
            active.task.abort();
            self.candidates.wait(active.candidate);
        }
        self.fill();
    }

    /// Ends all sources, as nothing is wanted of them for now: their streams are for others.
    pub(super) fn pause(&mut self) {
        self.is_paused = true;
        self.restart();
    }

    /// Asks them again, if they rest.
    pub(super) fn resume(&mut self) {
        if std::mem::take(&mut self.is_paused) {
            self.fill();
        }
    }

    /// Ends all sources.
    pub(super) fn abort_all(&mut self) {
        self.tasks.abort_all();
        self.active.clear();
    }

    /// What those who are used, were asked or were refused are doing.
    pub(super) fn states(&self) -> HashMap<PeerId, SourceState> {
        let banned = self.banned.latest().take(TOLD_BANNED);
        let mut states: HashMap<_, _> = banned.map(|peer| (peer, SourceState::Refused)).collect();
        for active in self.active.values() {
            if let Some(peer) = active.peer {
                let state = if active.has_content {
                    SourceState::Idle
                } else {
                    SourceState::Asked
                };
                let known = states.entry(peer).or_insert(state);
                if active.has_content {
                    *known = state;
                }
            }
        }
        states
    }

    /// How many sources have content.
    pub(super) fn with_content(&self) -> usize {
        self.active
            .values()
            .filter(|active| active.has_content)
            .count()
    }

    /// How many peers have sent good chunks.
    pub(super) fn useful(&self) -> usize {
        self.useful.len()
    }

    /// Who was asked, and what came of it, for people.
    pub(super) fn summary(&self) -> String {
        let with_content = self.with_content();
        self.outcomes
            .summary(self.active.len() - with_content, with_content)
    }
}

fn describe(candidate: &Candidate, peer: Option<PeerId>) -> String {
    match (candidate.addresses.first(), peer) {
        (Some(address), _) => Printable(address).to_string(),
        (None, Some(peer)) => peer.to_string(),
        (None, None) => "a peer".to_owned(),
    }
}

/// What came of those who were asked; the latest word on each.
#[derive(Default)]
struct Outcomes {
    /// Those who have nothing, at most [`MAX_PEERS`].
    absent: HashSet<String>,
    /// The others, with the reason, at most [`MAX_WAITING`].
    failed: HashMap<String, String>,
}

impl Outcomes {
    fn take(&mut self, who: String, end: &End) {
        let reason = match end {
            End::Absent => {
                if self.absent.len() < MAX_PEERS {
                    self.absent.insert(who);
                }
                return;
            }
            End::Busy => "serves as much as it can, and is asked again".to_owned(),
            End::NotAllowed => "is not among those allowed by --from".to_owned(),
            End::Unreachable(why) => format!("could not be reached ({why})"),
            End::Lost(why) => format!("was lost ({why})"),
            End::Dishonest(why) => {
                format!("is not asked any more, as it sent what is not true ({why})")
            }
            End::Refused(why) => format!("is not asked any more ({why})"),
            End::Disk(_) => return,
        };
        self.note(who, reason);
    }

    fn lost_files(&mut self, who: String, count: usize, why: &str) {
        let reason = match count {
            1 => format!("is not asked for 1 file any more ({why})"),
            n => format!("is not asked for {n} files any more (the last: {why})"),
        };
        self.note(who, reason);
    }

    fn note(&mut self, who: String, reason: String) {
        if self.failed.len() < MAX_WAITING {
            self.failed.insert(who, reason);
        }
    }

    /// `unanswered` have not said anything, `exhausted` have no more of it.
    fn summary(&self, unanswered: usize, exhausted: usize) -> String {
        let is_alone = self.failed.is_empty() && unanswered + exhausted == 0;
        let mut text = match self.absent.len() {
            0 if is_alone => "no peer was found to ask".to_owned(),
            0 => String::new(),
            1 => "1 peer was asked and does not have it".to_owned(),
            n => format!("{n} peers were asked and do not have it"),
        };
        let mut told: Vec<_> = self.failed.iter().collect();
        told.sort();
        for (who, reason) in told.iter().take(TOLD) {
            let separator = if text.is_empty() { "" } else { "; " };
            // Writing to a String does not fail.
            let _ = write!(text, "{separator}{who} {reason}");
        }
        if told.len() > TOLD {
            let _ = write!(text, "; and {} more", told.len() - TOLD);
        }
        for (count, what) in [
            (unanswered, "have not answered"),
            (exhausted, "have no more of it"),
        ] {
            if count > 0 {
                let separator = if text.is_empty() { "" } else { "; " };
                let _ = write!(text, "{separator}{count} {what}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_in_vain_says_who_was_asked_and_what_came_of_it() {
        let mut outcomes = Outcomes::default();
        assert_eq!(outcomes.summary(0, 0), "no peer was found to ask");
        outcomes.take("a".into(), &End::Absent);
        outcomes.take(
            "/ip4/10.0.0.1/tcp/1".into(),
            &End::Unreachable("refused".into()),
        );
        outcomes.take("b".into(), &End::Dishonest("wrong bytes".into()));
        assert_eq!(
            outcomes.summary(2, 1),
            "1 peer was asked and does not have it; /ip4/10.0.0.1/tcp/1 could not be reached \
             (refused); b is not asked any more, as it sent what is not true (wrong bytes); 2 have \
             not answered; 1 have no more of it"
        );
    }

    #[test]
    fn the_latest_word_on_a_source_that_lost_files_says_how_many_and_why() {
        let mut outcomes = Outcomes::default();
        outcomes.lost_files("a".into(), 1, "other bytes");
        assert_eq!(
            outcomes.summary(0, 1),
            "a is not asked for 1 file any more (other bytes); 1 have no more of it"
        );
        outcomes.lost_files("a".into(), 2, "other bytes");
        assert_eq!(
            outcomes.summary(0, 0),
            "a is not asked for 2 files any more (the last: other bytes)"
        );
    }
}
