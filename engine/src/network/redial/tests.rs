use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn node(text: &str) -> PeerAddress {
    text.parse().unwrap()
}

fn refused() -> ConnectError {
    ConnectError::Failed("refused".into())
}

fn redial(bootstrap: &[PeerAddress], known: &[PeerAddress], now: Instant) -> Redial {
    Redial::new(PeerId::random(), bootstrap, known, 7, now)
}

/// Advances to the next dial; returns its time and its connection.
fn step(redial: &mut Redial) -> (Instant, ConnectionId) {
    let at = redial.next().expect("something is due");
    let dials = redial.dials(at, |_| false);
    assert_eq!(dials.len(), 1);
    (at, dials[0].0.connection_id())
}

#[test]
fn a_node_that_comes_late_is_dialed_with_growing_random_pauses_until_it_is_reached() {
    let start = Instant::now();
    let mut redial = redial(&[node("10.0.0.1:80")], &[], start);
    let (mut at, mut dial) = step(&mut redial);
    assert_eq!(at, start, "the first at once");
    let mut pauses = Vec::new();
    for try_number in 0..10 {
        let news = redial.failed(dial, &refused(), at);
        assert_eq!(news.is_some(), try_number == 0, "it is reported once");
        let before = at;
        (at, dial) = step(&mut redial);
        pauses.push(at - before);
    }
    let unreached = UnreachedNode {
        node: node("10.0.0.1:80"),
        why: "refused".to_owned(),
    };
    assert_eq!(redial.unreached(), [unreached]);
    let limits = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60].map(|seconds| SECOND * seconds);
    for (pause, limit) in pauses.iter().zip(limits) {
        assert!(*pause <= limit && *pause >= limit * 3 / 4, "{pauses:?}");
    }
    assert_ne!(pauses[8], pauses[9], "pauses are random");
    redial.reached(dial, PeerId::random());
    assert_eq!(redial.next(), None, "it was reached once");
    assert_eq!(redial.unreached(), []);
}

#[test]
fn reached_nodes_are_dialed_again_after_a_change_of_address_or_when_alone() {
    let now = Instant::now();
    let peer = PeerId::random();
    let known = node(&format!("/ip4/10.0.0.2/tcp/4001/p2p/{peer}"));
    let mut redial = redial(&[], &[known], now);
    let (_, dial) = step(&mut redial);
    redial.reached(dial, peer);
    redial.address_changed(now);
    assert!(redial.next().unwrap() <= now + SPREAD);
    // A connected node is not dialed.
    assert!(
        redial
            .dials(now + SPREAD, |other| *other == peer)
            .is_empty()
    );
    assert_eq!(redial.next(), None);

    let mut at = now;
    for _ in 0..8 {
        redial.alone(at);
        let (due, dial) = step(&mut redial);
        assert!(due > at && due <= at + LAST_PAUSE);
        at = due;
        redial.failed(dial, &refused(), at);
        redial.alone(at);
    }
    assert!(
        redial.next().unwrap() > at + LAST_PAUSE / 2,
        "the pauses have grown"
    );
    redial.address_changed(at);
    assert!(
        redial.next().unwrap() <= at + SPREAD,
        "the pauses begin anew"
    );
}

#[test]
fn the_addresses_of_a_known_peer_are_dialed_together() {
    let now = Instant::now();
    let [one, other] = [PeerId::random(), PeerId::random()];
    let known = [
        node(&format!("/ip4/10.0.0.2/tcp/4001/p2p/{one}")),
        node(&format!("/ip4/10.0.0.3/tcp/4001/p2p/{one}")),
        node(&format!("/ip4/10.0.0.4/tcp/4001/p2p/{other}")),
        // An address that may not be dialed does not affect the others.
        node(&format!("/ip4/10.0.0.2/tcp/22/p2p/{one}")),
        node(&format!("/dns/example.org/tcp/4001/p2p/{one}")),
    ];
    let mut redial = redial(&[], &known, now);
    assert_eq!(redial.dials(now, |_| false).len(), 2);
    assert_eq!(redial.targets[0].addresses.len(), 2);
}

#[test]
fn what_a_command_named_is_dialed_for_as_long_as_the_command_waits() {
    let start = Instant::now();
    let mut redial = redial(&[], &[], start);
    let nodes = [node("10.0.0.1:80")];
    redial.ask(&nodes, start + 20 * SECOND, start);
    let (mut at, mut dial) = step(&mut redial);
    let mut dials = 1;
    assert_eq!(redial.failed(dial, &refused(), at).unwrap().node, nodes[0]);
    while let Some(next) = redial.next() {
        at = next;
        let due = redial.dials(at, |_| false);
        let Some((options, _)) = due.first() else {
            break;
        };
        dial = options.connection_id();
        dials += 1;
        assert_eq!(redial.failed(dial, &refused(), at), None);
    }
    assert!((5..=7).contains(&dials), "after 1, 2, 4, 8 s: {dials}");
    assert!(redial.targets.is_empty(), "nothing is left of it");

    // A second command extends the time of the first, and is reported again.
    redial.ask(&nodes, at + SECOND, at);
    redial.ask(&nodes, at + 40 * SECOND, at);
    assert_eq!(redial.targets.len(), 1);
    let (_, dial) = step(&mut redial);
    assert!(redial.failed(dial, &refused(), at + 20 * SECOND).is_some());
    assert!(redial.next().is_some());
}

#[test]
fn a_lost_peer_is_dialed_a_few_times_and_one_that_is_connected_over_a_lost_address_anew() {
    let mut at = Instant::now();
    let mut redial = redial(&[], &[], at);
    let peer = PeerId::random();
    redial.lost(peer, at);
    let mut dials = 0;
    while redial.next().is_some() {
        let (due, dial) = step(&mut redial);
        at = due;
        dials += 1;
        assert_eq!(
            redial.failed(dial, &refused(), at),
            None,
            "no command waits for it"
        );
    }
    assert_eq!(dials, LOST_TRIES);

    redial.moved([peer], at);
    let dials = redial.dials(at + SPREAD, |_| true);
    assert_eq!(dials.len(), 1, "though it is connected");
    let another = ConnectionId::new_unchecked(usize::MAX);
    redial.reached(another, peer);
    assert_eq!(redial.targets.len(), 1, "another connection proves nothing");
    redial.reached(dials[0].0.connection_id(), peer);
    assert!(redial.targets.is_empty());
}

#[test]
fn dials_and_targets_are_bounded() {
    let now = Instant::now();
    let known: Vec<_> = (0..100)
        .map(|_| node(&format!("/ip4/10.0.0.2/tcp/4001/p2p/{}", PeerId::random())))
        .collect();
    let mut redial = redial(&[], &known, now);
    assert_eq!(redial.dials(now, |_| false).len(), MAX_DIALS);
    assert!(redial.dials(now, |_| false).is_empty());
    assert_eq!(redial.next(), None, "until one ends");
    redial.moved((0..1000).map(|_| PeerId::random()), now);
    assert_eq!(redial.targets.len(), known.len() + MAX_PASSING);
}

#[test]
fn a_dial_that_was_not_made_is_tried_soon_and_one_that_led_here_is_over() {
    let now = Instant::now();
    let mut redial = redial(&[node("10.0.0.1:80")], &[], now);
    let (_, dial) = step(&mut redial);
    redial.not_dialed(dial, now);
    let (at, dial) = step(&mut redial);
    assert!(at > now && at <= now + FIRST_PAUSE);
    redial.led_here(dial);
    assert_eq!(redial.next(), None);
}

#[test]
fn an_address_with_the_id_of_this_node_is_dialed_without_the_id() {
    let (local, now) = (PeerId::random(), Instant::now());
    let ours = node(&format!("/ip4/10.0.0.1/tcp/1/p2p/{local}"));
    let mut redial = Redial::new(local, &[ours], &[], 7, now);
    let dials = redial.dials(now, |_| false);
    assert_eq!(dials[0].0.get_peer_id(), None);
}
