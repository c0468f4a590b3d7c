//! Sources that send wrong data of one file of several.

use std::collections::HashSet;

use pelago_content::{BLOCK_SIZE, BlockRanges, Sequence};

use super::*;

/// Three files of 64 blocks each.
const FILES: u64 = 3;
const FILE: u64 = 64;

fn sequence() -> Arc<Sequence> {
    Arc::new(Sequence::new([FILE * BLOCK_SIZE; FILES as usize]))
}

fn scheduler() -> Scheduler {
    let all = BlockRanges::from(0..FILES * FILE);
    Scheduler::new(sequence(), all, 16 << 20, 1)
}

fn has(scheduler: &mut Scheduler, peer: PeerId, blocks: Range<u64>) {
    scheduler.has(peer, &blocks.into(), &BlockRanges::new());
}

/// Lets every requested chunk arrive, except those of `file` from `wrong`, which fail their proof.
/// Returns the files that each peer was asked for after the first failure.
fn run(scheduler: &mut Scheduler, wrong: PeerId, file: usize) -> HashSet<(PeerId, usize)> {
    let (mut asked, mut now, mut has_failed) = (HashSet::new(), Instant::now(), false);
    loop {
        let requests: Vec<_> = scheduler
            .poll(now)
            .into_iter()
            .filter_map(|action| match action {
                Action::Request(peer, part) => Some((peer, part)),
                Action::Cancel(_) | Action::Drop(_) => None,
            })
            .collect();
        if requests.is_empty() {
            return asked;
        }
        now += Duration::from_millis(10);
        if has_failed {
            asked.extend(requests.iter().map(|(peer, part)| (*peer, part.file)));
        }
        for (peer, part) in requests {
            if peer == wrong && part.file == file {
                scheduler.unproven(peer, part);
                has_failed = true;
            } else {
                scheduler.arrived(peer, part, now);
            }
        }
    }
}

#[test]
fn a_source_that_lost_a_file_sends_the_others_and_another_source_sends_that_one() {
    let [wrong, other] = [PeerId::random(), PeerId::random()];
    for blocks in [0..FILES * FILE, 0..FILES * FILE - 1] {
        let mut scheduler = scheduler();
        has(&mut scheduler, wrong, blocks);
        let asked = run(&mut scheduler, wrong, 1);
        assert!(!asked.contains(&(wrong, 1)), "{asked:?}");
        assert!(!scheduler.is_done() && !scheduler.can_continue());
        assert!(!scheduler.may_still_use(&wrong) || scheduler.missing.len() > FILE);
        has(&mut scheduler, other, 0..FILES * FILE);
        let asked = run(&mut scheduler, wrong, 1);
        assert!(asked.iter().all(|(peer, _)| *peer == other), "{asked:?}");
        assert!(scheduler.is_done());
    }
}

#[test]
fn what_is_in_flight_of_a_lost_file_goes_to_another_source_at_once() {
    let [wrong, other] = [PeerId::random(), PeerId::random()];
    let (mut scheduler, now) = (scheduler(), Instant::now());
    has(&mut scheduler, wrong, 0..FILE);
    let owed = scheduler.poll(now);
    assert!(owed.len() > 1, "{owed:?}");
    let Action::Request(_, first) = owed[0] else {
        panic!("{owed:?}");
    };
    scheduler.unproven(wrong, first);
    // All that the source owes is part of the lost file, so it is cancelled.
    assert_eq!(scheduler.poll(now), [Action::Cancel(wrong)]);
    assert_eq!(scheduler.missing.len(), FILES * FILE);
    // A good chunk that arrives after all counts.
    let Action::Request(_, second) = owed[1] else {
        panic!("{owed:?}");
    };
    scheduler.arrived(wrong, second, now);
    let good = scheduler.sequence.blocks_of(second);
    has(&mut scheduler, other, 0..FILE);
    let again = scheduler.poll(now);
    assert!(!again.is_empty());
    for action in again {
        let Action::Request(peer, part) = action else {
            panic!("{action:?}");
        };
        let blocks = scheduler.sequence.blocks_of(part);
        assert_eq!(peer, other);
        assert!(blocks.end <= good.start || blocks.start >= good.end);
    }
}

#[test]
fn a_lost_file_stays_lost_when_the_source_says_that_it_has_it_and_when_it_comes_back() {
    let wrong = PeerId::random();
    let (mut scheduler, now) = (scheduler(), Instant::now());
    has(&mut scheduler, wrong, 0..FILES * FILE);
    let part = scheduler.sequence.part(0, FILE).unwrap();
    scheduler.unproven(wrong, part);
    has(&mut scheduler, wrong, FILE..2 * FILE);
    assert!(
        !scheduler.sources[&wrong]
            .holding
            .blocks
            .overlaps(FILE..2 * FILE)
    );
    scheduler.left(wrong);
    assert!(scheduler.rarity.counts().iter().all(|count| *count == 0));
    has(&mut scheduler, wrong, 0..FILES * FILE);
    let has = &scheduler.sources[&wrong].holding.blocks;
    assert_eq!(
        has.iter().collect::<Vec<_>>(),
        [0..FILE, 2 * FILE..3 * FILE]
    );
    assert!(scheduler.may_still_use(&wrong));
    let _ = run(&mut scheduler, wrong, 1);
    assert!(!scheduler.may_still_use(&wrong), "all else has come");
    assert!(scheduler.may_still_use(&PeerId::random()));
    assert!(scheduler.poll(now).is_empty());
}

#[test]
fn the_counts_of_pieces_follow_what_sources_lose() {
    let [wrong, other] = [PeerId::random(), PeerId::random()];
    let mut scheduler = scheduler();
    has(&mut scheduler, wrong, 0..FILES * FILE);
    has(&mut scheduler, other, 0..2 * FILE);
    let part = scheduler.sequence.part(0, FILE).unwrap();
    scheduler.unproven(wrong, part);
    scheduler.unproven(other, part);
    // A piece is 16 blocks. `wrong` no longer has everything, so it is counted.
    let expected = [[2; 4], [0; 4], [1; 4]].concat();
    assert_eq!(scheduler.rarity.counts(), expected);
    scheduler.left(wrong);
    scheduler.left(other);
    assert_eq!(scheduler.rarity.counts(), [0; 12]);
}
