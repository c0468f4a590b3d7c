//! The sources of one download: who is being asked, who waits, who is tried again, who lied.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt::Write as _,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use super::source::{self, Context, End, MAX_ORDERS, Order, SourceId};
use crate::network::{Candidate, Found};

/// Candidates that wait while as many sources as allowed are active. More would hardly be tried.
const MAX_WAITING: usize = 1024;

/// How often a source that was lost before it said what it has is tried again. One that had content, or
/// that somebody named, is for as long as the download runs: it may come back.
const MAX_RETRIES: u32 = 5;

/// The pause before the first retry; each further one is twice as long, up to the last.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(8);

/// Outcomes told in a message, of each sort.
const TOLD: usize = 3;

struct Active {
    candidate: Candidate,
    peer: Option<PeerId>,
    orders: mpsc::Sender<Order>,
    task: AbortHandle,
    has_content: bool,
}

/// The sources of one download.
pub(super) struct Sources {
    context: Context,
    max_active: usize,
    max_asked: usize,
    next_id: SourceId,
    active: HashMap<SourceId, Active>,
    tasks: JoinSet<()>,
    waiting: VecDeque<Candidate>,
    later: Vec<(Instant, Candidate)>,
    retries: HashMap<Candidate, u32>,
    had_content: HashSet<Candidate>,
    banned: HashSet<PeerId>,
    useful: HashSet<PeerId>,
    outcomes: Outcomes,
}

impl Sources {
    pub(super) fn new(context: Context, max_active: usize, max_asked: usize) -> Self {
        Self {
            context,
            max_active: max_active.max(1),
            max_asked: max_asked.max(1),
            next_id: 0,
            active: HashMap::new(),
            tasks: JoinSet::new(),
            waiting: VecDeque::new(),
            later: Vec::new(),
            retries: HashMap::new(),
            had_content: HashSet::new(),
            banned: HashSet::new(),
            useful: HashSet::new(),
            outcomes: Outcomes::default(),
        }
    }

    /// Takes a candidate: it becomes a source now, or when there is room.
    pub(super) fn offer(&mut self, candidate: Candidate) {
        let is_known = candidate.peer.is_some_and(|peer| {
            self.banned.contains(&peer) || self.active.values().any(|a| a.peer == Some(peer))
        });
        if is_known {
            return;
        }
        if candidate.found == Found::Given {
            self.waiting.push_front(candidate);
        } else if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(candidate);
        }
        self.fill();
    }

    /// Tries again those whose time has come; returns when to call this next.
    pub(super) fn retry(&mut self, now: Instant) -> Option<Instant> {
        let due = self.later.extract_if(.., |(at, _)| *at <= now);
        self.waiting.extend(due.map(|(_, candidate)| candidate));
        self.fill();
        while self.tasks.try_join_next().is_some() {}
        self.later.iter().map(|(at, _)| *at).min()
    }

    fn fill(&mut self) {
        loop {
            let with_content = self.with_content();
            let is_full = with_content >= self.max_active
                || self.active.len() - with_content >= self.max_asked;
            if is_full {
                return;
            }
            let Some(candidate) = self.waiting.pop_front() else {
                return;
            };
            self.next_id += 1;
            let id = self.next_id;
            let (orders, receiver) = mpsc::channel(MAX_ORDERS);
            let run = source::run(self.context.clone(), id, candidate.clone(), receiver);
            let task = self.tasks.spawn(run);
            let peer = candidate.peer;
            let active = Active {
                candidate,
                peer,
                orders,
                task,
                has_content: false,
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
            let spare = self.active.remove(&id);
            self.waiting.extend(spare.map(|active| active.candidate));
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
        self.retries.remove(&active.candidate);
        self.had_content.insert(active.candidate.clone());
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
            End::Lied(_) => {
                if let Some(peer) = peer {
                    self.banned.insert(peer);
                    // It may have been met twice.
                    self.end_all_of(peer);
                }
            }
            End::Lost(_) | End::Unreachable(_) => {
                let was_reached = matches!(end, End::Lost(_));
                self.retry_later(active.candidate, was_reached, now);
            }
            End::Absent if active.has_content => {
                self.later.push((now + LAST_RETRY, active.candidate));
            }
            _ => {}
        }
        self.fill();
    }

    fn retry_later(&mut self, candidate: Candidate, was_reached: bool, now: Instant) {
        let is_kept = candidate.found == Found::Given || self.had_content.contains(&candidate);
        let tries = self.retries.get(&candidate).copied().unwrap_or(0);
        if is_kept || was_reached && tries < MAX_RETRIES {
            self.retries.insert(candidate.clone(), tries + 1);
            // Doubled sixteen times it is past the last one by far.
            let pause = FIRST_RETRY * 2_u32.pow(tries.min(16));
            self.later.push((now + pause.min(LAST_RETRY), candidate));
        }
    }

    /// The sources of `peer` have nothing of what they said they had. They may have later, as when they
    /// were just ending a download.
    pub(super) fn give_up(&mut self, peer: PeerId, now: Instant) {
        let theirs = self
            .active
            .extract_if(|_, active| active.peer == Some(peer));
        for (_, active) in theirs {
            active.task.abort();
            let who = describe(&active.candidate, Some(peer));
            self.outcomes.take(who, &End::Absent);
            self.later.push((now + LAST_RETRY, active.candidate));
        }
        self.fill();
    }

    /// The peer is not to be asked any more, for a reason that people are told.
    pub(super) fn refuse(&mut self, peer: PeerId, why: String) {
        self.banned.insert(peer);
        self.outcomes.take(peer.to_string(), &End::Refused(why));
        self.end_all_of(peer);
        self.fill();
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

    /// Ends all sources.
    pub(super) fn abort_all(&mut self) {
        self.tasks.abort_all();
        self.active.clear();
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
        (Some(address), _) => address.to_string(),
        (None, Some(peer)) => peer.to_string(),
        (None, None) => "a peer".to_owned(),
    }
}

/// What came of those who were asked; the latest word on each.
#[derive(Default)]
struct Outcomes {
    absent: HashSet<String>,
    /// The others, with the reason, at most [`MAX_WAITING`].
    failed: HashMap<String, String>,
}

impl Outcomes {
    fn take(&mut self, who: String, end: &End) {
        let reason = match end {
            End::Absent => {
                self.absent.insert(who);
                return;
            }
            End::NotAllowed => "is not among those allowed by --from".to_owned(),
            End::Unreachable(why) => format!("could not be reached ({why})"),
            End::Lost(why) => format!("was lost ({why})"),
            End::Lied(why) => format!("is not asked any more, as it sent what is not true ({why})"),
            End::Refused(why) => format!("is not asked any more ({why})"),
            End::Disk(_) => return,
        };
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
        outcomes.take("b".into(), &End::Lied("wrong bytes".into()));
        assert_eq!(
            outcomes.summary(2, 1),
            "1 peer was asked and does not have it; /ip4/10.0.0.1/tcp/1 could not be reached \
             (refused); b is not asked any more, as it sent what is not true (wrong bytes); 2 have \
             not answered; 1 have no more of it"
        );
    }
}
