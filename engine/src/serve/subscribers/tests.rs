use pelago_content::Descriptor;

use super::*;

/// The next update of a subscription to a file of 100 blocks, of which the node has `here`.
fn update(subscription: &mut Subscription, here: impl Into<BlockRanges>) -> Option<Availability> {
    let descriptor = Descriptor::new(Kind::File, 100 << 14, [1; 32]).unwrap();
    let here = subscription.set_blocks(here.into(), None);
    subscription.next_update(&Availability::none(descriptor), &here)
}

fn address(peer: PeerId) -> Multiaddr {
    format!("/ip4/10.0.0.1/tcp/1/p2p/{peer}").parse().unwrap()
}

#[test]
fn subscribers_get_new_blocks_and_each_others_addresses_once() {
    let (subscribers, hash) = (Subscribers::default(), Hash::from_bytes([1; 32]));
    let [a, b] = [PeerId::random(), PeerId::random()];
    let mut first = subscribers.subscribe(hash, None, a);
    assert!(
        update(&mut first, 0..0).is_some(),
        "that there is something to subscribe to"
    );
    assert_eq!(update(&mut first, 0..0), None);
    assert_eq!(update(&mut first, 0..9).unwrap().blocks, (0..9).into());
    let mut second = subscribers.subscribe(hash, None, b);
    assert_eq!(
        update(&mut first, 0..9),
        None,
        "where it is, is not known yet"
    );
    second.locate(address(b));
    assert_eq!(update(&mut first, 0..12).unwrap().peers, [address(b)]);
    assert_eq!(update(&mut first, 0..12), None);
    assert_eq!(update(&mut second, 0..12).unwrap().peers, [], "not itself");
    drop((first, second));
    assert!(subscribers.0.lock().by_content.is_empty());
}

#[test]
fn blocks_that_come_back_are_reported_again() {
    let subscribers = Subscribers::default();
    let mut subscription = subscribers.subscribe(Hash::from_bytes([1; 32]), None, PeerId::random());
    update(&mut subscription, 0..9).unwrap();
    assert_eq!(update(&mut subscription, 0..5), None);
    assert_eq!(
        update(&mut subscription, 0..9).unwrap().blocks,
        (5..9).into()
    );
}

#[test]
fn subscribers_that_left_are_not_named_and_returning_ones_are() {
    let (subscribers, hash) = (Subscribers::default(), Hash::from_bytes([1; 32]));
    let mut subscription = subscribers.subscribe(hash, None, PeerId::random());
    update(&mut subscription, 0..0);
    let peer = PeerId::random();
    for _ in 0..100 {
        let other = subscribers.subscribe(hash, None, peer);
        other.locate(address(peer));
        assert_eq!(
            update(&mut subscription, 0..0).unwrap().peers,
            [address(peer)]
        );
    }
    let gone = subscribers.subscribe(hash, None, peer);
    gone.locate(address(peer));
    drop(gone);
    assert_eq!(update(&mut subscription, 0..0), None);
    assert!(
        subscribers.0.lock().by_content[&(hash, None)]
            .located
            .is_empty()
    );
}

#[test]
fn more_subscribers_than_fit_one_update_are_named_in_the_next() {
    let (subscribers, hash) = (Subscribers::default(), Hash::from_bytes([1; 32]));
    let mut subscription = subscribers.subscribe(hash, None, PeerId::random());
    let others: Vec<_> = (0..MAX_PEERS + 1)
        .map(|_| {
            let peer = PeerId::random();
            let other = subscribers.subscribe(hash, None, peer);
            other.locate(address(peer));
            other
        })
        .collect();
    assert_eq!(
        update(&mut subscription, 0..0).unwrap().peers.len(),
        MAX_PEERS
    );
    assert_eq!(update(&mut subscription, 0..0).unwrap().peers.len(), 1);
    assert_eq!(update(&mut subscription, 0..0), None);
    drop(others);
}

#[test]
fn blocks_beyond_one_update_come_with_the_next() {
    let subscribers = Subscribers::default();
    let mut subscription = subscribers.subscribe(Hash::from_bytes([1; 32]), None, PeerId::random());
    let scattered: BlockRanges = (0..MAX_RUNS as u64 + 5).map(|n| 2 * n..2 * n + 1).collect();
    let first = update(&mut subscription, scattered.clone()).unwrap();
    assert_eq!(first.blocks.runs(), MAX_RUNS);
    let rest = update(&mut subscription, scattered.clone()).unwrap();
    assert_eq!(rest.blocks.runs(), 5);
    assert_eq!(update(&mut subscription, scattered), None);
}

#[test]
fn a_thousand_subscribers_share_one_copy_of_the_blocks() {
    let (subscribers, hash) = (Subscribers::default(), Hash::from_bytes([1; 32]));
    let subscribe = |_| {
        let mut subscription = subscribers.subscribe(hash, None, PeerId::random());
        for here in [0..10, 0..20] {
            update(&mut subscription, here);
        }
        subscription
    };
    let subscription: Vec<_> = (0..1000).map(subscribe).collect();
    let here: Vec<BlockRanges> = vec![(0..10).into(), (0..30).into()];
    for (n, mut one) in subscription.into_iter().enumerate() {
        update(&mut one, here[n % 2].clone());
        let reported = Arc::clone(&one.reported);
        assert_eq!(*reported, here[n % 2]);
        // The content holds one, and this test holds one.
        assert!(Arc::strong_count(&reported) <= 3);
    }
}

#[test]
fn suggestions_are_made_for_a_bounded_number_of_pieces() {
    let subscribers = Subscribers::default();
    let large = Descriptor::new(Kind::File, 1 << 40, [1; 32]).unwrap();
    let blocks = large.geometry().blocks();
    let subscribe = |n: u8| {
        let mut subscription =
            subscribers.subscribe(Hash::from_bytes([n; 32]), None, PeerId::random());
        let here = subscription.set_blocks((0..blocks).into(), None);
        subscription
            .next_update(&Availability::none(large), &here)
            .unwrap();
        subscription
    };
    let subscription: Vec<_> = (0..100).map(subscribe).collect();
    assert!((1 << 19..=MAX_PIECES).contains(&subscribers.0.lock().pieces));
    drop(subscription);
    assert_eq!(subscribers.0.lock().pieces, 0);
}

#[test]
fn blocks_found_by_another_are_used_if_it_looked_after_the_change() {
    let (subscribers, hash) = (Subscribers::default(), Hash::from_bytes([1; 32]));
    let [one, other] = [(); 2].map(|()| subscribers.subscribe(hash, None, PeerId::random()));
    let before = Progress::default();
    let now = Progress {
        blocks: 1,
        ..before
    };
    one.set_blocks((0..1).into(), None);
    assert_eq!(other.blocks_at(before), None);
    let shared = one.set_blocks((0..1).into(), Some(before));
    assert_eq!(other.blocks_at(before), Some(shared));
    assert_eq!(other.blocks_at(now), None);
}

#[test]
fn a_seed_suggests_something_else_to_each_of_several() {
    let (subscribers, hash) = (Subscribers::default(), Hash::from_bytes([1; 32]));
    let mut first = subscribers.subscribe(hash, None, PeerId::random());
    assert!(update(&mut first, 0..100).unwrap().suggested.is_empty());
    let mut second = subscribers.subscribe(hash, None, PeerId::random());
    let to_second = update(&mut second, 0..100).unwrap().suggested;
    let to_first = update(&mut first, 0..100).unwrap().suggested;
    assert!(!to_second.is_empty() && !to_first.is_empty());
    assert!(to_second.intersection(&to_first).is_empty());
}

#[test]
fn subscribers_in_a_group_and_outside_are_not_named_to_each_other() {
    let (subscribers, hash) = (Subscribers::default(), Hash::from_bytes([1; 32]));
    let groups = [
        None,
        Some(GroupId::from_bytes([1; 32])),
        Some(GroupId::from_bytes([2; 32])),
    ];
    let address = |port: u16| format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap();
    let mut listening = Vec::new();
    for port in [1000, 2000] {
        for group in groups {
            let subscription = subscribers.subscribe(hash, group, PeerId::random());
            subscription.locate(address(port + listening.len() as u16));
            listening.push(subscription);
        }
    }
    for (n, subscription) in listening.iter_mut().enumerate() {
        let other = (n + 3) % 6;
        let expected = address(if other < 3 { 1000 } else { 2000 } + other as u16);
        assert_eq!(update(subscription, 0..9).unwrap().peers, [expected], "{n}");
    }
    // Suggestions are apart, too: what was sent counts for the scope of each.
    subscribers.record_sent(&hash, listening[0].peer, 0..9);
    drop(listening);
    assert!(subscribers.0.lock().by_content.is_empty());
}
