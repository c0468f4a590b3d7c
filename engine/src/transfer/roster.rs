//! Decides which peers are the sources of a download: which are asked, used, spare or banned. Pure:
//! events and the time go in, effects come out.
//!
//! A candidate that is asked becomes a source when it says that it has content. At most `max_asked`
//! are asked at a time and at most `max_active` are used; the others wait in [`Candidates`].

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use pelago_content::Printable;

use super::{
    block_sources::SourceState,
    candidates::{Candidates, merge},
    outcomes::Outcomes,
    recent_peers::RecentPeers,
    source::{End, SourceId},
};
use crate::network::Candidate;

/// How long a source is used at least before it makes way for another: it may be about to have
/// news.
const MIN_USE: Duration = Duration::from_secs(1);

/// The maximum number of banned peers that are shown.
const MAX_SHOWN_BANNED: usize = 64;

/// What the caller must do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Run the candidate as a source with this id.
    Start(SourceId, Box<Candidate>),
    /// End the source.
    Stop(SourceId),
}

/// A peer that is asked or used.
struct Member {
    candidate: Candidate,
    /// The peer, once it is known.
    peer: Option<PeerId>,
    has_content: bool,
    /// When it was asked.
    since: Instant,
}

/// The sources of one download, and the peers that may become sources.
pub(super) struct Roster {
    max_active: usize,
    max_asked: usize,
    next_id: SourceId,
    active: HashMap<SourceId, Member>,
    /// Sources that left `active` and have not been stopped yet.
    stopped: Vec<SourceId>,
    candidates: Candidates,
    banned: RecentPeers,
    useful: RecentPeers,
    outcomes: Outcomes,
    /// Whether no source is wanted for now.
    is_paused: bool,
}

impl Roster {
    /// Uses at most `max_active` sources, and asks at most `max_asked` further peers at a time.
    pub(super) fn new(max_active: usize, max_asked: usize) -> Self {
        Self {
            max_active: max_active.max(1),
            max_asked: max_asked.max(1),
            next_id: 0,
            active: HashMap::new(),
            stopped: Vec::new(),
            candidates: Candidates::default(),
            banned: RecentPeers::default(),
            useful: RecentPeers::default(),
            outcomes: Outcomes::default(),
            is_paused: false,
        }
    }

    /// Returns what to do now.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<Effect> {
        let mut effects: Vec<_> = self.stopped.drain(..).map(Effect::Stop).collect();
        while let Some(candidate) = self.next_candidate() {
            self.next_id += 1;
            effects.push(Effect::Start(self.next_id, Box::new(candidate.clone())));
            let member = Member {
                peer: candidate.peer,
                candidate,
                has_content: false,
                since: now,
            };
            self.active.insert(self.next_id, member);
        }
        effects
    }

    /// The next candidate to ask, if one more may be asked.
    fn next_candidate(&mut self) -> Option<Candidate> {
        let with_content = self.with_content();
        let is_full =
            with_content >= self.max_active || self.active.len() - with_content >= self.max_asked;
        if self.is_paused || is_full {
            return None;
        }
        self.candidates.next()
    }

    /// Adds a discovered candidate. False if too many wait already: it is not remembered.
    pub(super) fn offer(&mut self, candidate: Candidate) -> bool {
        if let Some(peer) = candidate.peer {
            if self.banned.contains(&peer) {
                return true;
            }
            let mut active = self.active.values_mut();
            if let Some(known) = active.find(|member| member.peer == Some(peer)) {
                merge(&mut known.candidate, candidate);
                return true;
            }
        }
        self.candidates.offer(candidate)
    }

    /// Whether at least one candidate is due for a retry.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.candidates.is_due(now)
    }

    /// Retries at most `at_a_time` candidates that are due. Returns when the next one is due.
    pub(super) fn retry(&mut self, now: Instant, at_a_time: usize) -> Option<Instant> {
        self.candidates.wake(now, at_a_time)
    }

    /// How many waiting candidates could be asked if that many sources made way for them.
    pub(super) fn crowded_out(&self) -> usize {
        let with_content = self.with_content();
        let asked = self.active.len() - with_content;
        if with_content < self.max_active {
            return 0;
        }
        let free = self.max_asked.saturating_sub(asked);
        self.candidates.waiting().min(free)
    }

    /// A source that has nothing to give makes way for a waiting candidate. False if it was not
    /// used for long enough yet.
    pub(super) fn replace(&mut self, peer: PeerId, now: Instant) -> bool {
        let used = self.active.values().find(|member| member.serves(peer));
        if used.is_none_or(|member| now.duration_since(member.since) < MIN_USE) {
            return false;
        }
        for candidate in self.stop_all_of(peer) {
            self.candidates.retry_last(candidate, now);
        }
        true
    }

    /// The source says that it has content. False if it is not used: it is another source's peer, a
    /// banned peer, one more than may be used, or stopped already.
    pub(super) fn has_content(&mut self, id: SourceId, peer: PeerId) -> bool {
        let mut others = self.active.iter().filter(|(other, _)| **other != id);
        let is_double = others.any(|(_, member)| member.serves(peer));
        let is_full = self.with_content() >= self.max_active;
        let Some(member) = self.active.get_mut(&id) else {
            return false;
        };
        let is_spare = is_full && !member.has_content;
        // Which peer a candidate without an id is shows only now.
        if is_spare || is_double || self.banned.contains(&peer) {
            let stopped = self.stop(id);
            if let Some(member) = stopped.filter(|_| is_spare) {
                self.candidates.wait(member.candidate);
            }
            return false;
        }
        member.peer = Some(peer);
        member.has_content = true;
        self.candidates.had_content(&member.candidate);
        true
    }

    /// The source of `peer` that has content.
    pub(super) fn source_of(&self, peer: PeerId) -> Option<SourceId> {
        let mut used = self.active.iter();
        used.find_map(|(id, member)| member.serves(peer).then_some(*id))
    }

    /// Whether the peer is used as a source that has content.
    pub(super) fn is_used(&self, peer: PeerId) -> bool {
        self.source_of(peer).is_some()
    }

    /// A chunk of this peer was good.
    pub(super) fn was_useful(&mut self, peer: PeerId) {
        self.useful.insert(peer);
        for member in self.active.values().filter(|m| m.peer == Some(peer)) {
            self.candidates.was_useful(&member.candidate);
        }
    }

    /// The source has ended. It is retried later, dropped, or banned.
    pub(super) fn ended(&mut self, id: SourceId, peer: Option<PeerId>, end: &End, now: Instant) {
        let Some(Member { candidate, .. }) = self.active.remove(&id) else {
            return;
        };
        let who = match (end, peer) {
            // A peer counts once, whichever addresses it was reached at.
            (End::Absent, Some(peer)) => peer.to_string(),
            _ => describe(&candidate, peer),
        };
        tracing::debug!(source = %who, ?end, "source ended");
        self.outcomes.record(who, end);
        match end {
            End::Dishonest(_) => {
                if let Some(peer) = peer {
                    self.banned.insert(peer);
                    // The same peer may have been reached twice.
                    self.stop_all_of(peer);
                }
            }
            End::Lost(_) => _ = self.candidates.retry(candidate, true, now),
            End::Unreachable(_) => _ = self.candidates.retry(candidate, false, now),
            End::Busy => self.candidates.soon(candidate, now),
            End::Absent => _ = self.candidates.absent(candidate, now),
            End::NotAllowed | End::NotAMember | End::Refused(_) | End::Disk(_) => {}
        }
    }

    /// The sources of `peer` have nothing of what they claimed. They may have it later, as when
    /// they are just finishing a download.
    pub(super) fn give_up(&mut self, peer: PeerId, now: Instant) {
        for candidate in self.stop_all_of(peer) {
            self.outcomes.record(peer.to_string(), &End::Absent);
            self.candidates.absent(candidate, now);
        }
    }

    /// Bans the peer. The summary gives the reason.
    pub(super) fn ban(&mut self, peer: PeerId, end: &End) {
        self.banned.insert(peer);
        self.outcomes.record(peer.to_string(), end);
        self.stop_all_of(peer);
    }

    /// The peer lost `count` files in all. The summary gives the reason for the last one.
    pub(super) fn lost_files(&mut self, peer: PeerId, count: usize, why: &str) {
        self.outcomes.lost_files(peer.to_string(), count, why);
    }

    /// Stops all sources, and asks the same peers again.
    pub(super) fn restart(&mut self) {
        for (id, member) in self.active.drain() {
            self.stopped.push(id);
            self.candidates.wait(member.candidate);
        }
    }

    /// Stops all sources until [`Roster::resume`]: their streams are free for other downloads.
    pub(super) fn pause(&mut self) {
        self.is_paused = true;
        self.restart();
    }

    /// Asks sources again, if they were paused.
    pub(super) fn resume(&mut self) {
        self.is_paused = false;
    }

    /// Forgets all sources, once the caller has ended them.
    pub(super) fn clear(&mut self) {
        self.active.clear();
    }

    /// The states of the peers that are asked, used or banned.
    pub(super) fn states(&self) -> HashMap<PeerId, SourceState> {
        let banned = self.banned.latest().take(MAX_SHOWN_BANNED);
        let mut states: HashMap<_, _> = banned.map(|peer| (peer, SourceState::Refused)).collect();
        for member in self.active.values() {
            if let Some(peer) = member.peer {
                let state = if member.has_content {
                    SourceState::Idle
                } else {
                    SourceState::Asked
                };
                let known = states.entry(peer).or_insert(state);
                if member.has_content {
                    *known = state;
                }
            }
        }
        states
    }

    /// Whether a peer is being asked, or is about to be.
    pub(super) fn is_asking(&self) -> bool {
        self.active.len() > self.with_content() || self.candidates.waiting() > 0
    }

    /// Whether all candidates were asked in vain: none has content, and only retries are left.
    pub(super) fn is_exhausted(&self) -> bool {
        self.with_content() == 0 && !self.is_asking() && !self.candidates.are_busy()
    }

    /// The number of sources that have content.
    pub(super) fn with_content(&self) -> usize {
        let active = self.active.values();
        active.filter(|member| member.has_content).count()
    }

    /// The number of peers that sent good chunks.
    pub(super) fn useful(&self) -> usize {
        self.useful.len()
    }

    /// These peers, the newest first.
    pub(super) fn useful_peers(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.useful.latest()
    }

    /// Which peers were asked, with the outcomes, for a message.
    pub(super) fn summary(&self) -> String {
        let with_content = self.with_content();
        self.outcomes
            .summary(self.active.len() - with_content, with_content)
    }

    fn stop(&mut self, id: SourceId) -> Option<Member> {
        let stopped = self.active.remove(&id);
        self.stopped.extend(stopped.is_some().then_some(id));
        stopped
    }

    /// Stops all sources of a peer, and returns their candidates.
    fn stop_all_of(&mut self, peer: PeerId) -> Vec<Candidate> {
        let theirs = self
            .active
            .extract_if(|_, member| member.peer == Some(peer));
        let (ids, candidates): (Vec<_>, _) =
            theirs.map(|(id, member)| (id, member.candidate)).unzip();
        self.stopped.extend(ids);
        candidates
    }
}

impl Member {
    /// Whether it is used as a source for what `peer` has.
    fn serves(&self, peer: PeerId) -> bool {
        self.has_content && self.peer == Some(peer)
    }
}

/// The address or id of a candidate, for a message.
pub(super) fn describe(candidate: &Candidate, peer: Option<PeerId>) -> String {
    match (candidate.addresses.first(), peer) {
        (Some(address), _) => Printable(address).to_string(),
        (None, Some(peer)) => peer.to_string(),
        (None, None) => "a peer".to_owned(),
    }
}
