//! The roster against candidates that are a line each, on a clock that is stepped.

use super::*;
use crate::network::FoundBy;

/// A peer that discovery found.
fn candidate(peer: PeerId) -> Candidate {
    Candidate {
        peer: Some(peer),
        addresses: Vec::new(),
        found_by: FoundBy::Dht,
        named_by: None,
    }
}

/// An address that the user named; which peer answers there is not known yet.
fn address(port: u16) -> Candidate {
    Candidate {
        peer: None,
        addresses: vec![format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()],
        found_by: FoundBy::Given,
        named_by: None,
    }
}

fn peers<const N: usize>() -> [PeerId; N] {
    std::array::from_fn(|_| PeerId::random())
}

fn start(id: SourceId, peer: PeerId) -> Effect {
    Effect::Start(id, Box::new(candidate(peer)))
}

#[test]
fn limits_hold_for_asked_and_used_sources() {
    let (mut roster, now) = (Roster::new(2, 1), Instant::now());
    let [a, b, c] = peers();
    for peer in [a, b, c] {
        assert!(roster.offer(candidate(peer)));
    }
    assert_eq!(roster.poll(now), [start(1, a)]);
    assert_eq!(roster.poll(now), [], "one is asked at a time");
    assert!(roster.has_content(1, a));
    assert_eq!(roster.poll(now), [start(2, b)]);
    assert!(roster.has_content(2, b));
    assert_eq!(roster.poll(now), [], "two are used at a time");
    assert_eq!((roster.with_content(), roster.crowded_out()), (2, 1));
    // One that was used and is lost makes space for the third.
    roster.ended(1, Some(a), &End::Lost("gone".into()), now);
    assert_eq!(roster.poll(now), [start(3, c)]);
}

#[test]
fn a_spare_source_takes_the_place_of_one_that_has_nothing_to_give() {
    let (mut roster, now) = (Roster::new(1, 2), Instant::now());
    let [used, spare] = peers();
    roster.offer(candidate(used));
    roster.offer(candidate(spare));
    assert_eq!(roster.poll(now), [start(1, used), start(2, spare)]);
    assert!(roster.has_content(1, used));
    assert!(!roster.has_content(2, spare), "one is used at a time");
    assert_eq!(roster.poll(now), [Effect::Stop(2)]);
    assert_eq!(roster.crowded_out(), 1);
    assert!(!roster.replace(used, now), "it may be about to have news");
    let later = now + MIN_USE;
    assert!(roster.replace(used, later));
    assert_eq!(roster.poll(later), [Effect::Stop(1), start(3, spare)]);
    assert!(!roster.is_used(used) && !roster.has_content(1, used));
    // The first one is asked again when its time has come.
    let due = roster.retry(later, usize::MAX).unwrap();
    roster.ended(3, Some(spare), &End::Refused("enough".into()), due);
    assert_eq!(roster.poll(due), []);
    roster.retry(due, usize::MAX);
    assert_eq!(roster.poll(due), [start(4, used)]);
}

#[test]
fn a_banned_peer_is_stopped_and_never_asked_again() {
    let (mut roster, now) = (Roster::new(4, 4), Instant::now());
    let [liar] = peers();
    roster.offer(candidate(liar));
    assert_eq!(roster.poll(now), [start(1, liar)]);
    assert!(roster.has_content(1, liar));
    roster.ban(liar, &End::Dishonest("wrong bytes".into()));
    assert_eq!(roster.poll(now), [Effect::Stop(1)]);
    assert!(roster.offer(candidate(liar)));
    assert_eq!(roster.poll(now), []);
    assert_eq!(roster.states()[&liar], SourceState::Refused);
    // It is found out at an address of which nothing was known.
    roster.offer(address(1));
    assert_eq!(roster.poll(now), [Effect::Start(2, Box::new(address(1)))]);
    assert!(!roster.has_content(2, liar));
    assert_eq!(roster.poll(now), [Effect::Stop(2)]);
}

#[test]
fn a_peer_that_is_reached_twice_is_used_once_and_banned_wholly() {
    let (mut roster, now) = (Roster::new(4, 4), Instant::now());
    let [peer] = peers();
    roster.offer(address(1));
    roster.offer(address(2));
    assert_eq!(roster.poll(now).len(), 2);
    assert!(roster.has_content(1, peer));
    assert_eq!(roster.source_of(peer), Some(1));
    assert!(!roster.has_content(2, peer));
    assert_eq!(roster.poll(now), [Effect::Stop(2)]);
    // The end of the source that is not used changes nothing.
    roster.ended(2, Some(peer), &End::Dishonest("wrong bytes".into()), now);
    assert!(roster.is_used(peer));
    roster.ended(1, Some(peer), &End::Dishonest("wrong bytes".into()), now);
    assert!(!roster.is_used(peer));
    assert_eq!(roster.states()[&peer], SourceState::Refused);
}

#[test]
fn paused_sources_are_asked_again_when_they_are_resumed() {
    let (mut roster, now) = (Roster::new(4, 4), Instant::now());
    let [peer, other] = peers();
    roster.offer(candidate(peer));
    assert_eq!(roster.poll(now), [start(1, peer)]);
    assert!(roster.has_content(1, peer));
    roster.pause();
    assert_eq!(roster.poll(now), [Effect::Stop(1)]);
    assert!(roster.offer(candidate(other)));
    assert_eq!(roster.poll(now), []);
    roster.resume();
    assert_eq!(roster.poll(now), [start(2, peer), start(3, other)]);
}

#[test]
fn a_source_that_was_lost_is_asked_again_after_a_pause() {
    let (mut roster, now) = (Roster::new(4, 4), Instant::now());
    let [peer] = peers();
    roster.offer(candidate(peer));
    assert_eq!(roster.poll(now), [start(1, peer)]);
    roster.ended(1, Some(peer), &End::Lost("reset".into()), now);
    assert_eq!(roster.poll(now), []);
    let due = roster.retry(now, usize::MAX).unwrap();
    assert!(due > now && roster.is_due(due) && !roster.is_due(now));
    roster.retry(due, usize::MAX);
    assert_eq!(roster.poll(due), [start(2, peer)]);
    // One that has nothing, and never had, is dropped.
    roster.ended(2, Some(peer), &End::Absent, due);
    assert_eq!(roster.retry(due, usize::MAX), None);
}
