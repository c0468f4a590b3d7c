use super::*;

const GLOBAL: &str = "/ip4/11.0.0.2/tcp/50000";

fn address(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn id(n: usize) -> ConnectionId {
    ConnectionId::new_unchecked(n)
}

/// A planner, and a peer that is connected from `remote`.
fn planner(remote: &str) -> (Planner, PeerId, Namer) {
    let (mut planner, peer) = (
        Planner::new(PeerId::random(), Outsiders::default()),
        PeerId::random(),
    );
    planner.connected(peer, id(1_000_000), &address(remote));
    let namer = planner.namer(&peer).unwrap();
    (planner, peer, namer)
}

#[test]
fn named_addresses_are_dialed_as_far_as_their_namer_may() {
    let (mut planner, _, namer) = planner(GLOBAL);
    let (target, now) = (PeerId::random(), Instant::now());
    let named = [
        "/ip4/127.0.0.1/tcp/4001",
        "/ip4/12.0.0.1/tcp/22",
        "/ip4/12.0.0.1/tcp/4001",
        "/dns/example.org/tcp/4001",
        "/ip4/12.0.0.1/udp/4001/quic-v1",
    ];
    planner.add_named(namer, target, named.map(address).into());
    let tried = planner.begin(id(1), Some(target), &[], now).unwrap();
    assert_eq!(tried, [named[2], named[4]].map(address));
}

#[test]
fn addresses_in_a_dial_are_judged_by_their_namer() {
    let (mut planner, _, namer) = planner(GLOBAL);
    let (target, now) = (Some(PeerId::random()), Instant::now());
    let loopback = [address("/ip4/127.0.0.1/tcp/4001")];
    planner.expect(id(1), NamedBy::Peer(namer));
    let refused = planner.begin(id(1), target, &loopback, now);
    assert_eq!(refused, Err(Refusal::Scope));
    planner.expect(id(2), NamedBy::User);
    assert!(planner.begin(id(2), target, &loopback, now).is_ok());
    assert!(planner.dials.contains_key(&id(2)) && !planner.dials.contains_key(&id(1)));
}

#[test]
fn one_namer_has_8_dials_at_a_time_and_gets_those_back_that_reach_their_peer() {
    let (mut planner, _, namer) = planner(GLOBAL);
    let now = Instant::now();
    let named: Vec<_> = (0..100)
        .map(|n| {
            (
                PeerId::random(),
                address(&format!("/ip4/12.0.{n}.1/tcp/4001")),
            )
        })
        .collect();
    let mut begun = Vec::new();
    for (n, (peer, at)) in named.iter().enumerate() {
        planner.add_named(namer, *peer, vec![at.clone()]);
        let tried = planner.begin(id(n), Some(*peer), &[], now).unwrap();
        if !tried.is_empty() {
            begun.push(n);
        }
    }
    assert_eq!(begun.len(), 8);
    for n in begun {
        planner.reached(id(n), named[n].0, &named[n].1);
    }
    for (n, (peer, at)) in named.iter().enumerate() {
        assert_eq!(
            planner.begin(id(n), Some(*peer), &[], now).unwrap().len(),
            1
        );
        planner.reached(id(n), *peer, at);
    }
    let charges: usize = planner.dials.values().map(|dial| dial.charges.len()).sum();
    assert_eq!(charges, 0);
}

#[test]
fn only_the_host_that_was_reached_is_given_back() {
    let (mut planner, _, namer) = planner(GLOBAL);
    let now = Instant::now();
    let mut tried = 0;
    for n in 0..20 {
        // One address is right, the others belong to other hosts.
        let (peer, at) = (PeerId::random(), address("/ip4/11.0.0.2/tcp/4001"));
        let others = (1..4).map(|i| address(&format!("/ip4/12.{n}.{i}.1/tcp/4001")));
        planner.add_named(namer, peer, others.chain([at.clone()]).collect());
        let all = planner.begin(id(n), Some(peer), &[], now).unwrap();
        tried += all.iter().filter(|address| **address != at).count();
        planner.reached(id(n), peer, &at);
    }
    assert!(tried <= 24, "{tried}");
}

#[test]
fn a_dial_that_was_not_made_costs_nothing() {
    let (mut planner, _, namer) = planner(GLOBAL);
    let (peer, now) = (PeerId::random(), Instant::now());
    planner.add_named(namer, peer, vec![address("/ip4/12.0.0.1/tcp/4001")]);
    for n in 0..100 {
        let tried = planner.begin(id(n), Some(peer), &[], now).unwrap();
        assert_eq!(tried.len(), 1);
        planner.failed(id(n), false);
    }
    let in_vain = (0..100).filter(|n| {
        let tried = planner.begin(id(*n), Some(peer), &[], now).unwrap();
        planner.failed(id(*n), true);
        !tried.is_empty()
    });
    assert_eq!(in_vain.count(), 24);
}

#[test]
fn a_peer_is_a_namer_by_its_nearest_connection_and_after_it_has_left() {
    let (mut planner, peer, far) = planner(GLOBAL);
    planner.connected(peer, id(2), &address("/ip4/192.168.1.2/tcp/1"));
    assert_eq!(planner.namer(&peer).unwrap().scope, AddressScope::Private);
    planner.disconnected(peer, id(2));
    assert_eq!(planner.namer(&peer), Some(far));
    planner.disconnected(peer, id(1_000_000));
    assert_eq!(planner.namer(&peer), Some(far));
    for n in 0..2 * MAX_DEPARTED {
        let other = PeerId::random();
        planner.connected(other, id(n), &address(GLOBAL));
        planner.disconnected(other, id(n));
    }
    assert_eq!(planner.departed.len(), MAX_DEPARTED);
    assert_eq!(planner.namer(&peer), None);
}

#[test]
fn a_table_supplies_what_is_not_known_from_elsewhere() {
    let (mut planner, peer, _) = planner(GLOBAL);
    let [known, new, bad] = [
        "/ip4/12.0.0.1/tcp/4001",
        "/ip4/12.0.0.2/tcp/4001",
        "/ip4/12.0.0.3/tcp/25",
    ]
    .map(address);
    planner.book.add(peer, known.clone(), NamedBy::Reached);
    let now = Instant::now();
    let tried = planner.begin(id(1), Some(peer), &[], now).unwrap();
    assert_eq!(tried, std::slice::from_ref(&known));
    let with_id = new.clone().with(Protocol::P2p(peer));
    let more = planner.extend(id(1), peer, vec![known, with_id, bad], now);
    assert_eq!(more, [new]);
    assert_eq!(planner.dials[&id(1)].charges.len(), 2);
}
