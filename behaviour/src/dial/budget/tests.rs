use libp2p::PeerId;

use super::*;
use crate::dial::Namer;

fn origin(address: &str) -> Origin {
    Origin::new(PeerId::random(), &address.parse().unwrap())
}

fn host(n: usize) -> Origin {
    origin(&format!("/ip4/11.{}.{}.1/tcp/1", n / 250, n % 250))
}

fn named_by(address: &str) -> NamedBy {
    NamedBy::Peer(Namer::new(PeerId::random(), &address.parse().unwrap()))
}

/// Dials everything that is allowed, until nothing is; returns how many dials in total, and at a
/// time.
fn dial_all(budget: &mut Budget, by: &NamedBy, hosts: usize, now: Instant) -> (usize, usize) {
    let (mut in_all, mut at_a_time) = (0, 0);
    loop {
        let begun: Vec<_> = (0..hosts)
            .filter_map(|n| budget.begin(by, host(n), now).ok())
            .collect();
        at_a_time = at_a_time.max(begun.len());
        in_all += begun.len();
        if begun.is_empty() {
            return (in_all, at_a_time);
        }
        begun.iter().for_each(|charge| budget.ended(charge, false));
    }
}

#[test]
fn on_behalf_of_one_namer_8_are_dialed_at_a_time_and_32_in_8_minutes() {
    let (mut budget, start) = (Budget::default(), Instant::now());
    let liar = named_by("/ip4/12.0.0.1/tcp/1");
    assert_eq!(dial_all(&mut budget, &liar, 1024, start), (24, 8));
    let refused = budget.begin(&liar, host(2000), start);
    assert_eq!(refused, Err(Refusal::Spent));
    let mut in_all = 24;
    for second in (0..480).step_by(10) {
        let now = start + Duration::from_secs(second);
        in_all += dial_all(&mut budget, &liar, 1024, now).0;
    }
    assert!(in_all <= 32, "{in_all}");
    // Another id on the same host is the same namer.
    let again = named_by("/ip4/12.0.0.1/tcp/9");
    let refused = budget.begin(&again, host(2000), start + Duration::from_secs(479));
    assert_eq!(refused, Err(Refusal::Spent));
}

#[test]
fn to_one_host_8_are_dialed_at_a_time_and_24_at_once_whoever_names_it() {
    let (mut budget, now) = (Budget::default(), Instant::now());
    let (mut in_all, mut at_a_time) = (0, 0);
    for namer in 0..100 {
        let by = named_by(&format!("/ip4/12.0.{namer}.1/tcp/1"));
        let (all, most) = dial_all(&mut budget, &by, 1, now);
        in_all += all;
        at_a_time = at_a_time.max(most);
    }
    assert_eq!((in_all, at_a_time), (24, 1));
    let mut begun = 0;
    for namer in 0..100 {
        let by = named_by(&format!("/ip4/12.1.{namer}.1/tcp/1"));
        begun += usize::from(budget.begin(&by, host(1), now).is_ok());
    }
    assert_eq!(begun, 8);
}

#[test]
fn neighbours_do_not_multiply_what_one_namer_may() {
    let (mut budget, now) = (Budget::default(), Instant::now());
    let in_all: usize = (0..200)
        .map(|n| named_by(&format!("/ip4/12.0.0.{n}/tcp/1")))
        .map(|by| dial_all(&mut budget, &by, 1024, now).0)
        .sum();
    assert_eq!(in_all, 96);
}

#[test]
fn dials_that_reach_their_host_are_not_limited_in_number() {
    let (mut budget, now) = (Budget::default(), Instant::now());
    let seed = named_by("/ip4/12.0.0.1/tcp/1");
    for n in 0..1000 {
        let charge = budget.begin(&seed, host(n), now).unwrap();
        budget.ended(&charge, true);
    }
    // While they run, one more is only postponed.
    let begun: Vec<_> = (0..8)
        .map(|n| budget.begin(&seed, host(n), now).unwrap())
        .collect();
    assert_eq!(budget.begin(&seed, host(9), now), Err(Refusal::Busy));
    budget.ended(&begun[0], false);
    assert!(budget.begin(&seed, host(9), now).is_ok());
}

#[test]
fn a_person_is_limited_to_a_rate_that_no_person_needs() {
    let (mut budget, start) = (Budget::default(), Instant::now());
    assert_eq!(dial_all(&mut budget, &NamedBy::User, 1, start).0, 64);
    let later = start + Duration::from_secs(10);
    assert_eq!(dial_all(&mut budget, &NamedBy::User, 1, later).0, 10);
    let other = NamedBy::LocalNetwork;
    assert_eq!(dial_all(&mut budget, &other, 1, start).0, 24, "its own");
}

#[test]
fn accounts_are_bounded() {
    let (mut budget, now) = (Budget::default(), Instant::now());
    for n in 0..MAX_ACCOUNTS + 1000 {
        let by = NamedBy::LocalNetwork;
        let charge = budget.begin(&by, host(n), now).unwrap();
        budget.ended(&charge, false);
    }
    assert!(budget.0.len() <= MAX_ACCOUNTS, "{}", budget.0.len());
}
