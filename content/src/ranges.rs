//! A set of block numbers, kept as runs.
//!
//! Owns set arithmetic. A run of any length costs one entry, so complete content of the largest
//! size costs as little as one block. Never knows how many blocks there are: the caller checks
//! bounds. Invalid pairs result in a [`RangesError`].

use std::{collections::BTreeMap, fmt, ops::Range};

/// A set of blocks, as sorted half-open runs that neither overlap nor touch.
///
/// Changes cost O(log runs + runs touched); [`BlockRanges::len`] costs nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BlockRanges {
    /// From each run's start to its end.
    runs: BTreeMap<u64, u64>,
    /// Blocks in all runs.
    len: u64,
}

impl BlockRanges {
    /// The empty set.
    pub const fn new() -> Self {
        Self {
            runs: BTreeMap::new(),
            len: 0,
        }
    }

    /// How many blocks are in the set.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether no block is in the set.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many runs the set has: what it costs in memory and on the wire.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// The runs, from left to right.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<u64>> + '_ {
        self.runs.iter().map(|(start, end)| *start..*end)
    }

    /// The first block in the set.
    pub fn first(&self) -> Option<u64> {
        self.runs.first_key_value().map(|(start, _)| *start)
    }

    /// The last block in the set.
    pub fn last(&self) -> Option<u64> {
        self.runs.last_key_value().map(|(_, end)| *end - 1)
    }

    /// Whether `block` is in the set.
    pub fn contains(&self, block: u64) -> bool {
        self.run_at(block).is_some_and(|run| run.contains(&block))
    }

    /// Whether every block of `range` is in the set; true for an empty range.
    pub fn contains_range(&self, range: Range<u64>) -> bool {
        range.is_empty()
            || self
                .run_at(range.start)
                .is_some_and(|run| range.end <= run.end)
    }

    /// The run that contains `block`; `None` if it is not in the set.
    pub fn run_of(&self, block: u64) -> Option<Range<u64>> {
        self.run_at(block).filter(|run| run.contains(&block))
    }

    /// Whether any block of `range` is in the set.
    pub fn overlaps(&self, range: Range<u64>) -> bool {
        self.within(range).next().is_some()
    }

    /// The parts of the runs within `range`, from left to right.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let before = self
            .run_at(range.start)
            .filter(|run| run.start < range.start);
        let first = range.start.min(range.end);
        let inside = self
            .runs
            .range(first..range.end)
            .map(|(start, end)| *start..*end);
        before
            .into_iter()
            .chain(inside)
            .map(move |run| run.start.max(range.start)..run.end.min(range.end))
            .filter(|run| !run.is_empty())
    }

    /// The parts of `range` that are not in the set, from left to right.
    pub fn gaps(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let Range { start, end } = range;
        let runs = self.within(start..end).chain(std::iter::once(end..end));
        let mut at = start;
        let gaps = runs.map(move |run| std::mem::replace(&mut at, run.end)..run.start);
        gaps.filter(|gap| gap.start < gap.end)
    }

    /// Adds the blocks of `range`.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let Range { mut start, mut end } = range;
        // From right to left, take in every run that overlaps or touches.
        while let Some((&run_start, &run_end)) = self.runs.range(..=end).next_back()
            && run_end >= start
        {
            start = start.min(run_start);
            end = end.max(run_end);
            self.take(run_start, run_end);
        }
        self.put(start, end);
    }

    /// Removes the blocks of `range`.
    pub fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        while let Some((&run_start, &run_end)) = self.runs.range(..range.end).next_back()
            && run_end > range.start
        {
            self.take(run_start, run_end);
            self.put(range.end, run_end);
            self.put(run_start, range.start);
            if run_start < range.start {
                break;
            }
        }
    }

    /// The blocks in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let (mut larger, smaller) = if self.runs() < other.runs() {
            (other.clone(), self)
        } else {
            (self.clone(), other)
        };
        larger.extend(smaller.iter());
        larger
    }

    /// The blocks in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (larger, smaller) = if self.runs() < other.runs() {
            (other, self)
        } else {
            (self, other)
        };
        smaller.iter().flat_map(|run| larger.within(run)).collect()
    }

    /// The blocks in this set but not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        other.iter().for_each(|run| rest.remove(run));
        rest
    }

    /// The runs as (first, end) pairs, end exclusive, from left to right: the form to encode.
    pub fn pairs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.runs.iter().map(|(start, end)| (*start, *end))
    }

    /// Creates a set from pairs as [`BlockRanges::pairs`] returns them. Each set has exactly one
    /// form. The caller bounds the number of pairs.
    ///
    /// # Errors
    ///
    /// [`RangesError`] if a run is empty, or begins before or at the end of the one before it.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (u64, u64)>) -> Result<Self, RangesError> {
        let mut ranges = Self::new();
        let mut previous = None;
        for (position, (start, end)) in pairs.into_iter().enumerate() {
            if start >= end {
                return Err(RangesError::Empty {
                    position,
                    start,
                    end,
                });
            }
            if let Some(previous) = previous.filter(|previous| start <= *previous) {
                return Err(RangesError::Order {
                    position,
                    start,
                    previous,
                });
            }
            ranges.put(start, end);
            previous = Some(end);
        }
        Ok(ranges)
    }

    /// The last run that starts at or before `block`.
    fn run_at(&self, block: u64) -> Option<Range<u64>> {
        self.runs
            .range(..=block)
            .next_back()
            .map(|(start, end)| *start..*end)
    }

    fn take(&mut self, start: u64, end: u64) {
        self.runs.remove(&start);
        self.len -= end - start;
    }

    /// Adds a run that neither overlaps nor touches another one; an empty run adds nothing.
    fn put(&mut self, start: u64, end: u64) {
        if start < end {
            self.runs.insert(start, end);
            self.len += end - start;
        }
    }
}

impl fmt::Debug for BlockRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl From<Range<u64>> for BlockRanges {
    fn from(range: Range<u64>) -> Self {
        Self::from_iter([range])
    }
}

impl FromIterator<Range<u64>> for BlockRanges {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(runs: I) -> Self {
        let mut ranges = Self::new();
        ranges.extend(runs);
        ranges
    }
}

impl Extend<Range<u64>> for BlockRanges {
    fn extend<I: IntoIterator<Item = Range<u64>>>(&mut self, runs: I) {
        runs.into_iter().for_each(|run| self.insert(run));
    }
}

/// Why pairs are not a valid set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangesError {
    /// A run without blocks.
    #[error("run {position} from block {start} to {end} is empty")]
    Empty {
        /// Which run, counted from 0.
        position: usize,
        /// Its first block.
        start: u64,
        /// The end given, exclusive.
        end: u64,
    },
    /// A run that does not follow the one before it with a gap between them.
    #[error("run {position} begins at block {start}; expected one past block {previous}")]
    Order {
        /// Which run, counted from 0.
        position: usize,
        /// Its first block.
        start: u64,
        /// The end of the run before it, exclusive.
        previous: u64,
    },
}
