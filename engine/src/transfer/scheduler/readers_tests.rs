//! Readers of content that is being fetched, on a clock that is stepped.

#![allow(
    clippy::single_range_in_vec_init,
    reason = "one window is a list of them, too"
)]

use super::*;

const MIB: u64 = 1 << 20;

/// Blocks in a mebibyte.
const BLOCKS: u64 = 64;

/// The window of one reader.
fn window(blocks: Range<u64>) -> Vec<Range<u64>> {
    std::iter::once(blocks).collect()
}

fn scheduler(mebibytes: u64) -> Scheduler {
    let sequence = Arc::new(Sequence::new([mebibytes * MIB]));
    let all = (0..sequence.blocks()).into();
    Scheduler::new(sequence, all, 16 * MIB, 1)
}

fn peer_with_all(scheduler: &mut Scheduler) -> PeerId {
    let peer = PeerId::random();
    let all = (0..scheduler.sequence.blocks()).into();
    scheduler.has(peer, &all, &BlockRanges::new());
    peer
}

fn requests(scheduler: &mut Scheduler, now: Instant) -> Vec<(PeerId, Part)> {
    let actions = scheduler.poll(now);
    let request = |action: Action| match action {
        Action::Request(peer, part) => Some((peer, part)),
        _ => None,
    };
    actions.into_iter().filter_map(request).collect()
}

/// The requested blocks, in their order.
fn asked(scheduler: &mut Scheduler, now: Instant) -> Vec<Range<u64>> {
    let requests = requests(scheduler, now);
    let blocks = |(_, part): (PeerId, Part)| scheduler.sequence.blocks_of(part);
    requests.into_iter().map(blocks).collect()
}

/// Lets every requested chunk arrive a millisecond later, until there are no more requests.
fn run(scheduler: &mut Scheduler, now: &mut Instant) -> BlockRanges {
    let mut arrived = BlockRanges::new();
    loop {
        let new = requests(scheduler, *now);
        if new.is_empty() {
            return arrived;
        }
        *now += Duration::from_millis(1);
        for (peer, part) in new {
            arrived.insert(scheduler.sequence.blocks_of(part));
            scheduler.arrived(peer, part, *now);
        }
    }
}

#[test]
fn blocks_for_readers_come_before_rare_pieces() {
    let (mut scheduler, now) = (scheduler(64), Instant::now());
    // All pieces but one are there twice.
    let most = [0..100 * 16, 101 * 16..64 * BLOCKS].into_iter().collect();
    scheduler.has(PeerId::random(), &most, &BlockRanges::new());
    let seed = peer_with_all(&mut scheduler);
    scheduler.read(window(32 * BLOCKS..34 * BLOCKS));
    let of_seed: Vec<_> = requests(&mut scheduler, now)
        .into_iter()
        .filter(|(peer, _)| *peer == seed)
        .map(|(_, part)| scheduler.sequence.blocks_of(part))
        .collect();
    assert!(
        (32 * BLOCKS..34 * BLOCKS).contains(&of_seed[0].start),
        "{of_seed:?}"
    );
    // Both sources had the window: the rare piece is next as soon as the whole window is in flight.
    let rare = of_seed.iter().position(|blocks| blocks.start == 100 * 16);
    let read = |blocks: &Range<u64>| (32 * BLOCKS..34 * BLOCKS).contains(&blocks.start);
    let last_read = of_seed.iter().rposition(read);
    assert!(rare.is_none() || rare > last_read, "{of_seed:?}");
}

#[test]
fn readers_get_blocks_in_order_and_take_turns() {
    let (mut scheduler, now) = (scheduler(64), Instant::now());
    peer_with_all(&mut scheduler);
    let (one, other) = (10 * BLOCKS, 50 * BLOCKS);
    scheduler.read(vec![one..one + 4 * BLOCKS, other..other + 4 * BLOCKS]);
    let asked = asked(&mut scheduler, now);
    let starts: Vec<_> = asked.iter().map(|blocks| blocks.start).collect();
    // A chunk is 256 KiB before the pace is known.
    assert_eq!(starts, [one, other, one + 16, other + 16]);
}

#[test]
fn urgency_ends_with_the_reader() {
    let (mut scheduler, mut now) = (scheduler(64), Instant::now());
    peer_with_all(&mut scheduler);
    scheduler.read(window(60 * BLOCKS..64 * BLOCKS));
    assert_eq!(asked(&mut scheduler, now)[0].start, 60 * BLOCKS);
    scheduler.read(Vec::new());
    assert!(
        scheduler
            .readers
            .next(&scheduler.missing, &(0..4096).into())
            .is_none()
    );
    // A download still fetches everything.
    let lost: Vec<_> = scheduler.order.clone();
    scheduler.left(lost[0]);
    peer_with_all(&mut scheduler);
    run(&mut scheduler, &mut now);
    assert!(scheduler.is_done());
}

#[test]
fn for_readers_only_what_is_read_is_fetched() {
    let (scheduler, mut now) = (scheduler(64), Instant::now());
    let mut scheduler = scheduler.for_readers();
    peer_with_all(&mut scheduler);
    assert!(requests(&mut scheduler, now).is_empty() && scheduler.is_done());
    // A reader reads several windows, from arbitrary positions.
    for start in [0, 7, 30 * BLOCKS + 5, 31 * BLOCKS] {
        let window = start..start + 3 * BLOCKS;
        scheduler.read(vec![window.clone()]);
        let known = scheduler.readers.unread.clone().unwrap();
        let arrived = run(&mut scheduler, &mut now);
        let outside = |run: &Range<u64>| run.start < window.start || run.end > window.end;
        assert!(
            !arrived.iter().any(|run| outside(&run)),
            "{arrived:?} for {window:?}"
        );
        assert!(scheduler.is_done() && !known.overlaps(window));
    }
    // Blocks that were read before are not fetched again.
    scheduler.read(window(0..2 * BLOCKS));
    assert!(requests(&mut scheduler, now).is_empty());
    let left = scheduler.readers.unread.as_ref().unwrap().len();
    assert_eq!(left, 64 * BLOCKS - (3 * BLOCKS + 7) - (3 * BLOCKS + 59));
}

#[test]
fn when_a_reader_leaves_or_seeks_its_sources_stop_sending() {
    let (scheduler, now) = (scheduler(64), Instant::now());
    let mut scheduler = scheduler.for_readers();
    let peer = peer_with_all(&mut scheduler);
    scheduler.read(window(0..8 * BLOCKS));
    let first = requests(&mut scheduler, now);
    assert!(!first.is_empty());
    // The reader seeks: it does not wait for what is in flight.
    scheduler.read(window(40 * BLOCKS..48 * BLOCKS));
    let actions = scheduler.poll(now);
    assert_eq!(actions[0], Action::Cancel(peer));
    let Some(Action::Request(_, part)) = actions.get(1) else {
        panic!("{actions:?}");
    };
    assert_eq!(scheduler.sequence.blocks_of(*part).start, 40 * BLOCKS);
    // A chunk that arrives after all is not fetched again.
    scheduler.arrived(peer, first[0].1, now);
    scheduler.read(Vec::new());
    assert_eq!(scheduler.poll(now), [Action::Cancel(peer)]);
    assert!(scheduler.is_done() && scheduler.missing.is_empty());
    let unread = scheduler.readers.unread.as_ref().unwrap();
    assert_eq!(unread.len(), 64 * BLOCKS - 16);
}

#[test]
fn blocks_owed_to_a_reader_that_left_are_not_requested_again() {
    let (scheduler, now) = (scheduler(64), Instant::now());
    let mut scheduler = scheduler.for_readers();
    let lost = peer_with_all(&mut scheduler);
    // Of two readers one leaves, and the source still owes something to the other.
    scheduler.read(vec![0..BLOCKS, 40 * BLOCKS..41 * BLOCKS]);
    assert!(!requests(&mut scheduler, now).is_empty());
    scheduler.read(window(40 * BLOCKS..41 * BLOCKS));
    assert!(!scheduler.poll(now).contains(&Action::Cancel(lost)));
    peer_with_all(&mut scheduler);
    scheduler.left(lost);
    let asked = asked(&mut scheduler, now);
    assert!(!asked.is_empty());
    assert!(
        asked.iter().all(|blocks| blocks.start >= 40 * BLOCKS),
        "{asked:?}"
    );
}

#[test]
fn readers_with_short_windows_get_small_chunks() {
    let largest = |window_blocks: u64| {
        let (scheduler, mut now) = (scheduler(64), Instant::now());
        let mut scheduler = scheduler.for_readers();
        peer_with_all(&mut scheduler);
        let mut largest = 0;
        // The chunks grow as the source turns out to be fast.
        for start in (0..32 * BLOCKS).step_by(window_blocks as usize) {
            scheduler.read(window(start..start + window_blocks));
            loop {
                let new = requests(&mut scheduler, now);
                if new.is_empty() {
                    break;
                }
                now += Duration::from_millis(1);
                for (peer, part) in new {
                    let blocks = scheduler.sequence.blocks_of(part);
                    largest = largest.max(blocks.end - blocks.start);
                    scheduler.arrived(peer, part, now);
                }
            }
        }
        largest
    };
    assert_eq!(largest(32 * BLOCKS), BLOCKS, "a reader alone: 1 MiB");
    assert_eq!(largest(2 * BLOCKS), BLOCKS / 4);
    assert_eq!(largest(BLOCKS / 2), 4);
}
