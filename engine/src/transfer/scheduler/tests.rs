//! The scheduler against sources of a few lines each, on a clock that is stepped.

use std::collections::{BTreeSet, VecDeque};

use pelago_content::{BLOCK_SIZE, MAX_SIZE, STORED_LEVEL};
use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

fn blocks(runs: &[Range<u64>]) -> BlockRanges {
    let mut set = BlockRanges::default();
    runs.iter().for_each(|run| set.insert(run.clone()));
    set
}

fn all(sequence: &Sequence) -> BlockRanges {
    (0..sequence.blocks()).into()
}

fn sequence(size: u64) -> Arc<Sequence> {
    Arc::new(Sequence::new([size]))
}

fn scheduler(size: u64) -> Scheduler {
    let sequence = sequence(size);
    Scheduler::new(Arc::clone(&sequence), all(&sequence), 16 * MIB, 1)
}

impl Scheduler {
    fn has_only(&mut self, peer: PeerId, blocks: &BlockRanges) {
        self.has(peer, blocks, &BlockRanges::default());
    }

    fn has_all(&mut self, peer: PeerId) {
        let all = all(&self.sequence);
        self.has_only(peer, &all);
    }
}

fn requests(actions: &[Action]) -> Vec<(PeerId, Part)> {
    let request = |action: &Action| match action {
        Action::Request(peer, part) => Some((*peer, *part)),
        Action::Drop(_) | Action::Cancel(_) => None,
    };
    actions.iter().filter_map(request).collect()
}

/// Lets every requested chunk arrive after `latency`, until there are no more requests.
fn run(scheduler: &mut Scheduler, mut now: Instant, latency: Duration) -> Vec<(PeerId, Part)> {
    let mut asked = Vec::new();
    loop {
        let new = requests(&scheduler.poll(now));
        if new.is_empty() {
            return asked;
        }
        now += latency;
        new.iter()
            .for_each(|(peer, part)| scheduler.arrived(*peer, *part, now));
        asked.extend(new);
    }
}

#[test]
fn every_block_is_asked_for_exactly_once() {
    let peers = [PeerId::random(), PeerId::random()];
    let mut scheduler = scheduler(50 * MIB + 5);
    let sequence = sequence(50 * MIB + 5);
    peers.iter().for_each(|peer| scheduler.has_all(*peer));
    let asked = run(&mut scheduler, Instant::now(), Duration::from_millis(20));
    let mut seen = BlockRanges::default();
    for (_, part) in &asked {
        let blocks = sequence.blocks_of(*part);
        assert!(
            !seen.overlaps(blocks.clone()),
            "{part:?} was asked for before"
        );
        seen.insert(blocks);
    }
    assert_eq!(seen.len(), sequence.blocks());
    assert!(scheduler.is_done());
    let was_asked = |peer: &PeerId| asked.iter().any(|(asked, _)| asked == peer);
    assert!(peers.iter().all(was_asked));
}

#[test]
fn what_a_lost_source_was_asked_for_goes_to_another() {
    let [lost, other] = [PeerId::random(), PeerId::random()];
    let (mut scheduler, now) = (scheduler(MIB), Instant::now());
    scheduler.has_all(lost);
    assert!(!requests(&scheduler.poll(now)).is_empty());
    scheduler.has_all(other);
    let nothing = requests(&scheduler.poll(now));
    assert!(nothing.is_empty(), "all is in flight");
    scheduler.left(lost);
    let again = run(&mut scheduler, now, Duration::from_millis(1));
    assert!(again.iter().all(|(peer, _)| *peer == other));
    assert!(scheduler.is_done());
}

#[test]
fn only_what_a_source_has_is_asked_of_it() {
    let (peer, mut scheduler) = (PeerId::random(), scheduler(10 * MIB));
    let sequence = sequence(10 * MIB);
    let has = blocks(&[3..7, 100..301]);
    scheduler.has_only(peer, &has);
    let asked = run(&mut scheduler, Instant::now(), Duration::from_millis(1));
    let mut seen = BlockRanges::default();
    asked
        .iter()
        .for_each(|(_, part)| seen.insert(sequence.blocks_of(*part)));
    assert_eq!(seen, has);
    assert!(!scheduler.is_done());
}

#[test]
fn a_busy_source_is_asked_again_after_its_pause() {
    let (peer, mut scheduler) = (PeerId::random(), scheduler(MIB));
    let now = Instant::now();
    scheduler.has_all(peer);
    for (_, part) in requests(&scheduler.poll(now)) {
        scheduler.failed(peer, part, Failure::Busy(Duration::from_secs(1)), now);
    }
    assert!(scheduler.poll(now).is_empty());
    let later = scheduler.next_wake(now).unwrap();
    assert_eq!(later, now + Duration::from_secs(1));
    run(&mut scheduler, later, Duration::from_millis(1));
    assert!(scheduler.is_done());
}

#[test]
fn a_source_that_is_busy_without_end_leaves_the_chunks_to_others() {
    let [busy, other] = [PeerId::random(), PeerId::random()];
    let (mut scheduler, now) = (scheduler(MIB), Instant::now());
    scheduler.has_all(busy);
    scheduler.has_all(other);
    for (peer, part) in requests(&scheduler.poll(now)) {
        match peer == busy {
            true => scheduler.failed(peer, part, Failure::Busy(Duration::ZERO), now),
            false => scheduler.arrived(peer, part, now),
        }
    }
    let asked = run(&mut scheduler, now, Duration::from_millis(1));
    assert!(!asked.is_empty() && asked.iter().all(|(peer, _)| *peer == other));
    assert!(scheduler.is_done());
}

#[test]
fn a_source_is_dropped_when_the_last_of_its_claims_has_failed() {
    let (peer, mut scheduler) = (PeerId::random(), scheduler(10));
    let now = Instant::now();
    scheduler.has_all(peer);
    assert!(scheduler.can_continue());
    for (_, part) in requests(&scheduler.poll(now)) {
        scheduler.failed(peer, part, Failure::Absent, now);
    }
    assert!(!scheduler.can_continue());
    assert_eq!(scheduler.poll(now), [Action::Drop(peer)]);
}

#[test]
fn a_source_that_never_has_what_it_claims_is_dropped() {
    let (peer, mut scheduler) = (PeerId::random(), scheduler(20 * MIB));
    let now = Instant::now();
    scheduler.has_all(peer);
    for _ in 0..MAX_FAILURES {
        for (_, part) in requests(&scheduler.poll(now)) {
            scheduler.failed(peer, part, Failure::Absent, now);
        }
    }
    assert!(scheduler.sources.is_empty());
}

#[test]
fn a_claimed_pebibyte_costs_little() {
    let sequence = Arc::new(Sequence::new([MAX_SIZE]));
    let mut scheduler = Scheduler::new(Arc::clone(&sequence), all(&sequence), 16 * MIB, 1);
    scheduler.has_all(PeerId::random());
    assert_eq!(scheduler.poll(Instant::now()).len(), 4);
    assert!(scheduler.missing.runs() <= 5);
}

#[test]
fn an_empty_file_needs_no_request() {
    let mut scheduler = scheduler(0);
    scheduler.has_only(PeerId::random(), &BlockRanges::default());
    assert!(scheduler.poll(Instant::now()).is_empty());
    assert!(scheduler.is_done());
}

#[test]
fn chunks_never_reach_across_files() {
    let sizes = [5, 40_000, 0, 3 * MIB, 16_384, 1];
    let sequence = Arc::new(Sequence::new(sizes));
    let mut scheduler = Scheduler::new(Arc::clone(&sequence), all(&sequence), 16 * MIB, 1);
    scheduler.has_all(PeerId::random());
    let asked = run(&mut scheduler, Instant::now(), Duration::from_millis(1));
    let files: BTreeSet<_> = asked.iter().map(|(_, part)| part.file).collect();
    assert_eq!(files, BTreeSet::from([0, 1, 3, 4, 5]));
    assert!(scheduler.is_done());
}

#[test]
fn the_rarest_piece_comes_first() {
    let (mut scheduler, now) = (scheduler(64 * MIB), Instant::now());
    let pieces = 64 * MIB / (256 << 10);
    let [seed, common] = [PeerId::random(), PeerId::random()];
    // Everything but pieces 100 and 200, twice.
    let most = blocks(&[0..1600, 1616..3200, 3216..pieces * 16]);
    scheduler.has_only(common, &most);
    scheduler.has_only(PeerId::random(), &most);
    scheduler.has_all(seed);
    let actions = scheduler.poll(now);
    let of_seed: BTreeSet<_> = requests(&actions)
        .into_iter()
        .filter(|(peer, _)| *peer == seed)
        .map(|(_, part)| part.chunk.index() >> (STORED_LEVEL - part.chunk.level()))
        .take(2)
        .collect();
    assert_eq!(of_seed, BTreeSet::from([100, 200]));
}

#[test]
fn a_source_is_asked_for_what_it_suggests_first() {
    let (mut scheduler, now) = (scheduler(64 * MIB), Instant::now());
    let seed = PeerId::random();
    let everything = all(&scheduler.sequence);
    scheduler.has(seed, &everything, &blocks(&[320..336, 640..656]));
    let asked = requests(&scheduler.poll(now));
    let first: Vec<_> = asked.iter().take(2).map(|(_, p)| p.chunk.index()).collect();
    assert_eq!(first, [20, 40]);
}

#[test]
fn a_silent_source_does_not_hold_up_the_end() {
    let [silent, quick] = [PeerId::random(), PeerId::random()];
    let (mut scheduler, start) = (scheduler(16 * MIB), Instant::now());
    scheduler.has_all(silent);
    scheduler.has_all(quick);
    let (mut now, mut owed) = (start, 0);
    while !scheduler.is_done() {
        assert!(
            now < start + Duration::from_secs(5),
            "{owed} owed by the silent one"
        );
        let actions = scheduler.poll(now);
        now += Duration::from_millis(10);
        for (peer, part) in requests(&actions) {
            match peer == quick {
                true => scheduler.arrived(quick, part, now),
                false => owed += 1,
            }
        }
    }
    assert!(owed > 0);
    assert_eq!(scheduler.poll(now), [Action::Cancel(silent)]);
}

#[test]
fn the_second_copy_of_a_chunk_is_cancelled_and_no_third_is_asked_for() {
    let peers: [PeerId; 3] = std::array::from_fn(|_| PeerId::random());
    let (mut scheduler, start) = (scheduler(256 << 10), Instant::now());
    scheduler.has_all(peers[0]);
    assert_eq!(requests(&scheduler.poll(start)).len(), 1);
    scheduler.has_all(peers[1]);
    scheduler.has_all(peers[2]);
    let later = start + Duration::from_secs(3);
    let again = requests(&scheduler.poll(later));
    assert_eq!(again.len(), 1, "{again:?}");
    let (second, part) = again[0];
    scheduler.arrived(second, part, later);
    assert!(scheduler.is_done());
    assert_eq!(scheduler.poll(later), [Action::Cancel(peers[0])]);
}

/// How a source of the property test reacts to a request.
#[derive(Clone, Copy, Debug)]
enum Whim {
    Send,
    Busy,
    Absent,
    Leave,
    Wait,
}

fn whim() -> impl Strategy<Value = Whim> {
    prop_oneof![
        8 => Just(Whim::Send),
        1 => Just(Whim::Busy),
        1 => Just(Whim::Absent),
        1 => Just(Whim::Leave),
        2 => Just(Whim::Wait),
    ]
}

proptest! {
    /// However the sources behave, one that is honest in the end sends the rest. No chunk is in
    /// flight twice at one source, and the blocks that are in flight, missing and verified together
    /// are always all blocks.
    #[test]
    fn every_chunk_ends(
        sizes in prop::collection::vec(0..2 * MIB, 1..6),
        whims in prop::collection::vec(whim(), 0..200),
        seed in any::<u64>(),
    ) {
        let sequence = Arc::new(Sequence::new(sizes));
        let mut scheduler = Scheduler::new(Arc::clone(&sequence), all(&sequence), MIB, seed);
        let mut peers: VecDeque<_> = (0..4).map(|_| PeerId::random()).collect();
        peers.iter().for_each(|peer| scheduler.has_all(*peer));
        let (mut now, mut whims) = (Instant::now(), whims.into_iter());
        let mut verified = BlockRanges::default();
        let mut open: BTreeSet<(PeerId, Part)> = BTreeSet::new();
        for _ in 0..10_000 {
            if scheduler.is_done() {
                break;
            }
            now += Duration::from_millis(37);
            for action in scheduler.poll(now) {
                match action {
                    Action::Request(peer, part) => {
                        prop_assert!(open.insert((peer, part)), "in flight twice at one peer");
                    }
                    Action::Cancel(peer) | Action::Drop(peer) => open.retain(|(p, _)| *p != peer),
                }
            }
            let Some((peer, part)) = open.pop_first() else {
                let peer = PeerId::random();
                peers.push_back(peer);
                scheduler.has_all(peer);
                continue;
            };
            match whims.next().unwrap_or(Whim::Send) {
                Whim::Send => {
                    verified.insert(sequence.blocks_of(part));
                    scheduler.arrived(peer, part, now);
                }
                Whim::Busy => scheduler.failed(peer, part, Failure::Busy(Duration::ZERO), now),
                Whim::Absent => scheduler.failed(peer, part, Failure::Absent, now),
                Whim::Leave => {
                    scheduler.left(peer);
                    open.retain(|(other, _)| *other != peer);
                }
                Whim::Wait => {
                    open.insert((peer, part));
                }
            }
            let mut known = verified.union(&scheduler.missing);
            scheduler.in_flight.keys().for_each(|part| known.insert(sequence.blocks_of(*part)));
            prop_assert_eq!(known.len(), sequence.blocks());
        }
        prop_assert!(scheduler.is_done());
        prop_assert_eq!(verified.len(), sequence.blocks());
    }
}

#[test]
fn little_is_in_flight_where_little_may_come() {
    let limits = |all, one| Rates {
        download: Rate::limit(all).unwrap(),
        download_per_peer: Rate::limit(one).unwrap(),
        ..Rates::default()
    };
    for (limits, peers, at_most) in [
        (limits(50_000, 0), 1, 120_000),
        (limits(50_000, 0), 20, 20 * BLOCK_SIZE),
        (limits(1_000_000, 0), 20, 2_600_000),
        (limits(1_000_000, 20_000), 20, 20 * 50_000),
        (limits(0, 1_000), 1, 2 * BLOCK_SIZE),
    ] {
        let (mut scheduler, mut now) = (scheduler(50 * MIB), Instant::now());
        scheduler.limit(limits);
        (0..peers).for_each(|_| scheduler.has_all(PeerId::random()));
        let mut queue = requests(&scheduler.poll(now));
        // All chunks arrive quickly, as if the limit had tokens left. They will not continue to
        // arrive so fast.
        for _ in 0..200 {
            let in_flight = scheduler.sources.values().map(Source::bytes_in_flight);
            let in_flight = in_flight.sum::<u64>();
            assert!(
                in_flight <= at_most,
                "{in_flight} of {at_most} for {limits:?}"
            );
            let (peer, part) = queue.remove(0);
            now += Duration::from_millis(1);
            scheduler.arrived(peer, part, now);
            queue.extend(requests(&scheduler.poll(now)));
        }
        assert!(queue.len() >= peers, "each is asked for something");
    }
}

#[test]
fn a_window_of_one_block_is_enough() {
    let sequence = sequence(MIB);
    let mut scheduler = Scheduler::new(Arc::clone(&sequence), all(&sequence), BLOCK_SIZE, 1);
    scheduler.has_all(PeerId::random());
    let asked = run(&mut scheduler, Instant::now(), Duration::from_millis(1));
    assert_eq!(asked.len(), 64);
    assert!(scheduler.is_done());
}

#[test]
fn many_small_updates_cost_what_they_bring() {
    let (mut scheduler, peer) = (scheduler(4096 * MIB), PeerId::random());
    let (runs, began) = (100_000, Instant::now());
    for block in 0..runs {
        scheduler.has_only(peer, &BlockRanges::from(2 * block..2 * block + 1));
    }
    assert_eq!(scheduler.sources[&peer].holding.blocks.runs() as u64, runs);
    // This takes seconds where an update costs what it brings, and minutes where it costs as much
    // as all before it.
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_a_source_has_of_other_content_counts_for_nothing() {
    let (mut scheduler, peer) = (scheduler(MIB), PeerId::random());
    scheduler.has(
        peer,
        &BlockRanges::from(64..1000),
        &BlockRanges::from(64..1000),
    );
    assert!(!scheduler.can_continue());
    assert_eq!(requests(&scheduler.poll(Instant::now())), []);
    scheduler.has_only(peer, &BlockRanges::from(0..2));
    run(&mut scheduler, Instant::now(), Duration::from_millis(1));
    assert_eq!(scheduler.missing, BlockRanges::from(2..64));
}

#[test]
fn suggestions_that_were_followed_are_forgotten_and_there_are_never_many() {
    let (mut scheduler, seed) = (scheduler(64 * MIB), PeerId::random());
    let everything = all(&scheduler.sequence);
    scheduler.has(seed, &everything, &blocks(&[320..336, 640..656]));
    for start in 0..2000 {
        scheduler.has(
            seed,
            &everything,
            &BlockRanges::from(start * 2..start * 2 + 1),
        );
        let more = 100_000 + start * 2;
        scheduler.has(seed, &everything, &BlockRanges::from(more..more + 1));
    }
    assert!(
        scheduler.sources[&seed].holding.suggested.runs()
            <= crate::transfer::holding::MAX_SUGGESTED
    );
    run(&mut scheduler, Instant::now(), Duration::from_millis(1));
    assert!(scheduler.sources[&seed].holding.suggested.is_empty());
}

#[test]
fn pieces_are_counted_once_however_they_come() {
    let (mut scheduler, peer) = (scheduler(64 * MIB), PeerId::random());
    let counts = |scheduler: &Scheduler| scheduler.rarity.counts()[..3].to_vec();
    scheduler.has_only(peer, &blocks(&[0..3, 5..20]));
    assert_eq!(counts(&scheduler), [0, 0, 0]);
    scheduler.has_only(peer, &BlockRanges::from(2..33));
    assert_eq!(counts(&scheduler), [1, 1, 0]);
    scheduler.has_only(peer, &BlockRanges::from(0..48));
    assert_eq!(counts(&scheduler), [1, 1, 1]);
    scheduler.has_all(peer);
    assert_eq!(counts(&scheduler), [0, 0, 0]);
}

#[test]
fn all_sources_count_as_busy_until_one_sends_something() {
    let [busy, other] = [PeerId::random(), PeerId::random()];
    let (mut scheduler, mut now) = (scheduler(20 * MIB), Instant::now());
    assert!(!scheduler.is_only_busy(), "there are none");
    scheduler.has_all(busy);
    for (peer, part) in requests(&scheduler.poll(now)) {
        scheduler.failed(peer, part, Failure::Busy(Duration::ZERO), now);
    }
    assert!(scheduler.is_only_busy() && scheduler.can_continue());
    now += MIN_BUSY;
    let again = requests(&scheduler.poll(now));
    assert!(scheduler.is_only_busy(), "asked again, it has not answered");
    scheduler.has_all(other);
    assert!(!scheduler.is_only_busy());
    scheduler.left(other);
    scheduler.arrived(busy, again[0].1, now);
    assert!(!scheduler.is_only_busy());
}

#[test]
fn a_source_that_is_asked_again_has_exactly_what_it_says() {
    let peer = PeerId::random();
    let (mut scheduler, now) = (scheduler(MIB), Instant::now());
    scheduler.has_all(peer);
    let half = BlockRanges::from(0..32);
    scheduler.holds_only(peer, &half);
    scheduler.has_only(peer, &half);
    let asked = run(&mut scheduler, now, Duration::from_millis(20));
    let end = |part: &Part| scheduler.sequence.blocks_of(*part).end;
    assert_eq!(asked.iter().map(|(_, part)| end(part)).max(), Some(32));
    assert!(!scheduler.is_done());
    // It has the rest again.
    scheduler.has_all(peer);
    run(&mut scheduler, now, Duration::from_millis(20));
    assert!(scheduler.is_done());
}
