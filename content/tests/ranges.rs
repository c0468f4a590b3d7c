//! Compares block ranges with a plain set of numbers.

use std::{collections::BTreeSet, ops::Range};

use pelago_content::{BlockRanges, RangesError};
use proptest::prelude::*;

/// How many numbers the model has: few enough that runs touch.
const WIDTH: u64 = 64;

#[derive(Clone, Debug)]
enum Step {
    Insert(Range<u64>),
    Remove(Range<u64>),
}

fn range() -> impl Strategy<Value = Range<u64>> {
    (0..=WIDTH, 0..=WIDTH / 4).prop_map(|(start, length)| start..(start + length).min(WIDTH))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => range().prop_map(Step::Insert),
        2 => range().prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 0..40)
}

/// Applies the same steps to both. With an offset, they reach the largest numbers.
fn play(steps: &[Step], offset: u64) -> (BlockRanges, BTreeSet<u64>) {
    let (mut ranges, mut model) = (BlockRanges::new(), BTreeSet::new());
    for step in steps {
        match step {
            Step::Insert(range) => {
                ranges.insert(range.start + offset..range.end + offset);
                model.extend(range.start + offset..range.end + offset);
            }
            Step::Remove(range) => {
                ranges.remove(range.start + offset..range.end + offset);
                model.retain(|block| !range.contains(&(block - offset)));
            }
        }
    }
    (ranges, model)
}

proptest! {
    #[test]
    fn gaps_are_what_the_set_does_not_contain(steps in steps(), range in range()) {
        let (ranges, model) = play(&steps, 0);
        let gaps: Vec<_> = ranges.gaps(range.clone()).collect();
        prop_assert!(gaps.iter().all(|gap| gap.start < gap.end));
        prop_assert!(gaps.windows(2).all(|pair| pair[0].end < pair[1].start));
        let expected: Vec<_> = range.filter(|block| !model.contains(block)).collect();
        prop_assert_eq!(gaps.into_iter().flatten().collect::<Vec<_>>(), expected);
    }
}

fn blocks(ranges: &BlockRanges) -> BTreeSet<u64> {
    ranges.iter().flatten().collect()
}

/// Asserts that runs are sorted, not empty and do not touch, and that the count is right.
fn check_form(ranges: &BlockRanges) -> Result<(), TestCaseError> {
    let runs: Vec<Range<u64>> = ranges.iter().collect();
    prop_assert!(runs.iter().all(|run| run.start < run.end));
    prop_assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start));
    prop_assert_eq!(
        ranges.len(),
        runs.iter().map(|run| run.end - run.start).sum::<u64>()
    );
    prop_assert_eq!(ranges.runs(), runs.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn ranges_equal_the_set(steps in steps(), far in any::<bool>(), probe in range()) {
        let offset = if far { u64::MAX - WIDTH } else { 0 };
        let (ranges, model) = play(&steps, offset);
        let probe = probe.start + offset..probe.end + offset;
        check_form(&ranges)?;
        prop_assert_eq!(blocks(&ranges), model.clone());
        prop_assert_eq!(ranges.is_empty(), model.is_empty());
        prop_assert_eq!(ranges.first(), model.first().copied());
        prop_assert_eq!(ranges.last(), model.last().copied());
        prop_assert_eq!(ranges.contains(probe.start), model.contains(&probe.start));
        prop_assert_eq!(ranges.contains_range(probe.clone()), probe.clone().all(|b| model.contains(&b)));
        prop_assert_eq!(ranges.overlaps(probe.clone()), probe.clone().any(|b| model.contains(&b)));
        let within: Vec<u64> = ranges.within(probe.clone()).flatten().collect();
        let expected: Vec<u64> = probe.clone().filter(|b| model.contains(b)).collect();
        prop_assert_eq!(within, expected);
    }

    #[test]
    fn two_sets_combine(left in steps(), right in steps()) {
        let ((left, left_model), (right, right_model)) = (play(&left, 0), play(&right, 0));
        for (combined, model) in [
            (left.union(&right), &left_model | &right_model),
            (left.intersection(&right), &left_model & &right_model),
            (left.difference(&right), &left_model - &right_model),
        ] {
            check_form(&combined)?;
            prop_assert_eq!(blocks(&combined), model);
        }
    }

    #[test]
    fn pairs_round_trip(steps in steps()) {
        let (ranges, _) = play(&steps, 0);
        prop_assert_eq!(BlockRanges::from_pairs(ranges.pairs()), Ok(ranges.clone()));
    }

    #[test]
    fn any_pairs_are_a_set_in_its_one_form_or_refused(
        pairs in prop::collection::vec((0..20u64, 0..20u64), 0..6),
        wild in prop::collection::vec(any::<(u64, u64)>(), 0..6),
    ) {
        for pairs in [pairs, wild] {
            let canonical = pairs.iter().all(|(start, end)| start < end)
                && pairs.windows(2).all(|pair| pair[0].1 < pair[1].0);
            let ranges = BlockRanges::from_pairs(pairs.iter().copied());
            prop_assert_eq!(ranges.is_ok(), canonical);
            if let Ok(ranges) = ranges {
                prop_assert_eq!(ranges.pairs().collect::<Vec<_>>(), pairs);
                check_form(&ranges)?;
            }
        }
    }

    #[test]
    fn reversed_ranges_are_empty(steps in steps(), end in 0..WIDTH, by in 1..WIDTH) {
        let start = end + by;
        let (mut ranges, model) = play(&steps, 0);
        ranges.insert(start..end);
        ranges.remove(start..end);
        prop_assert_eq!(blocks(&ranges), model);
        prop_assert!(ranges.contains_range(start..end));
        prop_assert!(!ranges.overlaps(start..end));
    }
}

#[test]
fn the_largest_content_is_one_run() {
    let mut ranges = BlockRanges::from(0..1 << 36);
    ranges.remove(1 << 20..1 << 21);
    assert_eq!(ranges.len(), (1 << 36) - (1 << 20));
    assert_eq!(format!("{ranges:?}"), "{0..1048576, 2097152..68719476736}");
    ranges.insert(0..u64::MAX);
    assert_eq!(
        (ranges.runs(), ranges.len(), ranges.last()),
        (1, u64::MAX, Some(u64::MAX - 1))
    );
}

#[test]
fn errors_name_the_run() {
    let error = BlockRanges::from_pairs([(0, 4), (4, 8)]).unwrap_err();
    assert_eq!(
        error,
        RangesError::Order {
            position: 1,
            start: 4,
            previous: 4
        }
    );
    assert_eq!(
        error.to_string(),
        "run 1 begins at block 4; expected one past block 4"
    );
    let error = BlockRanges::from_pairs([(3, 3)]).unwrap_err();
    assert_eq!(
        error,
        RangesError::Empty {
            position: 0,
            start: 3,
            end: 3
        }
    );
}
