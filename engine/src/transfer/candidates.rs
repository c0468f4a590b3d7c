//! Peers that may become sources of a download: those waiting to be asked, and those to be retried
//! later. Pure: the time is an argument.
//!
//! Holds one entry per peer, or per list of addresses if the peer is unknown. A candidate that is
//! dropped here may be discovered again.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};

use crate::network::{Candidate, FoundBy};

/// The maximum number of candidates that wait while as many sources as allowed are active. Further
/// candidates would hardly be tried.
pub(super) const MAX_WAITING: usize = 1024;

/// How often a source is retried that was lost before it said which blocks it has. A source that
/// had content, or that the user named, is retried for as long as the download runs: it may come
/// back.
const MAX_RETRIES: u32 = 5;

/// The pause before the first retry. Each further pause is twice as long, up to `LAST_RETRY`.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(8);

/// The pause before a source that refuses streams is asked again.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// Identifies a candidate, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum CandidateKey {
    Peer(PeerId),
    At(Vec<Multiaddr>),
}

impl CandidateKey {
    fn of(candidate: &Candidate) -> Self {
        match candidate.peer {
            Some(peer) => Self::Peer(peer),
            None => Self::At(candidate.addresses.clone()),
        }
    }
}

/// The candidates of one download.
#[derive(Default)]
pub(super) struct Candidates {
    waiting: VecDeque<Candidate>,
    later: Vec<(Instant, Candidate)>,
    tries: HashMap<CandidateKey, u32>,
    had_content: HashSet<CandidateKey>,
    /// Those that are asked again because they refused only for now.
    busy: HashSet<CandidateKey>,
}

impl Candidates {
    /// Adds a discovered candidate; false if there is no space for it. If the candidate is known
    /// already, only the new facts about it are added.
    pub(super) fn offer(&mut self, candidate: Candidate) -> bool {
        let who = CandidateKey::of(&candidate);
        let at = self
            .later
            .iter()
            .position(|(_, c)| CandidateKey::of(c) == who);
        if let Some(at) = at {
            merge(&mut self.later[at].1, candidate);
            return true;
        }
        let at = self.waiting.iter().position(|c| CandidateKey::of(c) == who);
        let known = at.and_then(|at| self.waiting.remove(at));
        if let Some(mut known) = known {
            let is_promoted =
                candidate.found_by == FoundBy::Given && known.found_by != FoundBy::Given;
            merge(&mut known, candidate);
            match at.filter(|_| !is_promoted) {
                Some(at) => self.waiting.insert(at, known),
                None => self.waiting.push_front(known),
            }
        } else if candidate.found_by == FoundBy::Given {
            self.waiting.push_front(candidate);
        } else if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(candidate);
        } else {
            return false;
        }
        true
    }

    /// Puts a candidate at the end of those that wait.
    pub(super) fn wait(&mut self, candidate: Candidate) {
        self.waiting.push_back(candidate);
    }

    /// The number of waiting candidates.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The next candidate to ask.
    pub(super) fn next(&mut self) -> Option<Candidate> {
        let next = self.waiting.pop_front()?;
        self.busy.remove(&CandidateKey::of(&next));
        Some(next)
    }

    /// Whether at least one has refused only for now.
    pub(super) fn are_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    /// Whether at least one candidate is due for a retry.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.later.iter().any(|(at, _)| *at <= now)
    }

    /// Moves at most `at_a_time` candidates that are due to the end of the waiting ones. Returns
    /// when the next one is due.
    pub(super) fn wake(&mut self, now: Instant, at_a_time: usize) -> Option<Instant> {
        let due = self
            .later
            .extract_if(.., |(at, _)| *at <= now)
            .take(at_a_time);
        self.waiting.extend(due.map(|(_, candidate)| candidate));
        self.later.iter().map(|(at, _)| *at).min()
    }

    /// The candidate has content, or some of it.
    pub(super) fn had_content(&mut self, candidate: &Candidate) {
        self.had_content.insert(CandidateKey::of(candidate));
    }

    /// The candidate sent something. If it is lost, it is retried soon.
    pub(super) fn was_useful(&mut self, candidate: &Candidate) {
        self.tries.remove(&CandidateKey::of(candidate));
    }

    /// The candidate failed or was not reached. It is retried after a pause that grows; false if it
    /// is dropped instead.
    pub(super) fn retry(&mut self, candidate: Candidate, was_reached: bool, now: Instant) -> bool {
        let who = CandidateKey::of(&candidate);
        let is_kept = candidate.found_by == FoundBy::Given || self.had_content.contains(&who);
        let tries = self.tries.get(&who).copied().unwrap_or(0);
        let is_hopeful = was_reached && tries < MAX_RETRIES;
        if !is_kept && !is_hopeful {
            self.tries.remove(&who);
            return false;
        }
        self.tries.insert(who, tries + 1);
        // After doubling sixteen times, the pause is far longer than the last one.
        let pause = FIRST_RETRY * 2_u32.pow(tries.min(16));
        self.later.push((now + pause.min(LAST_RETRY), candidate));
        true
    }

    /// The candidate has nothing now. If the user named it, or if it had something before, it may
    /// have something later and is retried; false if it is dropped instead.
    pub(super) fn absent(&mut self, candidate: Candidate, now: Instant) -> bool {
        self.retry(candidate, false, now)
    }

    /// The candidate serves as many streams as it can. It is asked again soon, as often as needed.
    pub(super) fn soon(&mut self, candidate: Candidate, now: Instant) {
        self.busy.insert(CandidateKey::of(&candidate));
        self.later.push((now + BUSY_RETRY, candidate));
    }

    /// The candidate makes way for another that may have more, and is retried last.
    pub(super) fn retry_last(&mut self, candidate: Candidate, now: Instant) {
        self.later.push((now + LAST_RETRY, candidate));
    }
}

/// Adds what `found` says to what is known of the same candidate. All addresses of a candidate come
/// from one origin: addresses from the user replace those from a peer, and of two peers the first
/// one counts.
pub(super) fn merge(known: &mut Candidate, found: Candidate) {
    if found.addresses.is_empty() {
        known.found_by = match found.found_by {
            FoundBy::Given => FoundBy::Given,
            _ => known.found_by,
        };
        return;
    }
    if known.named_by != found.named_by && !known.addresses.is_empty() {
        if found.found_by == FoundBy::Given {
            *known = found;
        }
        return;
    }
    known.named_by = found.named_by;
    for address in found.addresses {
        if !known.addresses.contains(&address) {
            known.addresses.push(address);
        }
    }
    if found.found_by == FoundBy::Given {
        known.found_by = FoundBy::Given;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(peer: PeerId, found_by: FoundBy) -> Candidate {
        let (peer, addresses) = (Some(peer), Vec::new());
        Candidate {
            peer,
            addresses,
            found_by,
            named_by: None,
        }
    }

    #[test]
    fn a_peer_has_one_entry_however_often_it_is_found() {
        let (mut candidates, now) = (Candidates::default(), Instant::now());
        let [first, second] = [PeerId::random(), PeerId::random()];
        for _ in 0..3 {
            assert!(candidates.offer(candidate(first, FoundBy::Dht)));
            assert!(candidates.offer(candidate(second, FoundBy::Dht)));
        }
        assert_eq!(candidates.waiting(), 2);
        // A peer that the user named comes first, even if it was discovered before.
        let mut given = candidate(second, FoundBy::Given);
        given.addresses.push("/ip4/10.0.0.1/tcp/1".parse().unwrap());
        assert!(candidates.offer(given.clone()));
        assert_eq!(candidates.next(), Some(given.clone()));
        assert!(candidates.retry(given, false, now));
        for _ in 0..3 {
            assert!(candidates.offer(candidate(second, FoundBy::Dht)));
        }
        assert_eq!((candidates.waiting(), candidates.later.len()), (1, 1));
    }

    #[test]
    fn all_addresses_of_a_candidate_have_one_origin() {
        let peer = PeerId::random();
        let [first, second] = [PeerId::random(), PeerId::random()];
        let at = |port: u16, found_by, named_by| Candidate {
            addresses: vec![format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()],
            named_by,
            ..candidate(peer, found_by)
        };
        let mut known = candidate(peer, FoundBy::Dht);
        merge(&mut known, at(1, FoundBy::Named, Some(first)));
        assert_eq!((known.addresses.len(), known.named_by), (1, Some(first)));
        let before = known.clone();
        merge(&mut known, at(2, FoundBy::Named, Some(second)));
        assert_eq!(known, before, "of two peers the first one counts");
        merge(&mut known, at(3, FoundBy::Given, None));
        assert_eq!(known, at(3, FoundBy::Given, None));
        merge(&mut known, at(4, FoundBy::Named, Some(first)));
        assert_eq!(known, at(3, FoundBy::Given, None), "a person named it");
    }

    #[test]
    fn offer_says_when_too_many_candidates_wait() {
        let mut candidates = Candidates::default();
        for _ in 0..MAX_WAITING {
            assert!(candidates.offer(candidate(PeerId::random(), FoundBy::Named)));
        }
        assert!(!candidates.offer(candidate(PeerId::random(), FoundBy::Named)));
        assert!(candidates.offer(candidate(PeerId::random(), FoundBy::Given)));
    }

    #[test]
    fn a_source_that_refuses_streams_is_asked_again_soon_however_often_it_does() {
        let (mut candidates, mut now) = (Candidates::default(), Instant::now());
        let source = candidate(PeerId::random(), FoundBy::Connected);
        for _ in 0..100 {
            candidates.soon(source.clone(), now);
            assert_eq!(candidates.wake(now, 1), Some(now + BUSY_RETRY));
            now += BUSY_RETRY;
            assert!(candidates.is_due(now));
            candidates.wake(now, 1);
            assert_eq!(candidates.next().as_ref(), Some(&source));
        }
    }

    #[test]
    fn a_candidate_that_had_content_is_retried_with_growing_pauses_until_it_sends_something() {
        let (mut candidates, mut now) = (Candidates::default(), Instant::now());
        let source = candidate(PeerId::random(), FoundBy::Dht);
        assert!(!candidates.absent(source.clone(), now), "it never had any");
        candidates.had_content(&source);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            assert!(candidates.absent(source.clone(), now));
            let at = candidates.wake(now, usize::MAX).unwrap();
            pauses.push((at - now).as_millis());
            now = at;
            assert_eq!(candidates.wake(now, 1), None);
            assert_eq!(candidates.next().as_ref(), Some(&source));
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 8000]);
        candidates.was_useful(&source);
        assert!(candidates.absent(source, now));
        assert_eq!(candidates.wake(now, 1), Some(now + FIRST_RETRY));
    }
}
