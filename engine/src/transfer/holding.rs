//! What the sources of a download say they have, within one memory budget for all of them.
//!
//! The memory for a source's blocks grows with the number of runs that they form, and what a source
//! says is only a claim. If the budget is exceeded, the source with the most runs is remembered at
//! a coarser level: only chunks of that level which it has as a whole count. Each source is
//! remembered once: by the scheduler, or here while a folder's manifests are fetched.

use std::{collections::HashMap, ops::Range};

use libp2p::PeerId;
use pelago_content::BlockRanges;

/// The maximum number of runs of blocks that are remembered of all sources of a download together:
/// some 8 MiB. 64 honest sources of 100 GB, each with half of the pieces, have some 200,000.
pub(super) const MAX_RUNS: usize = 1 << 18;

/// The maximum number of runs that a source suggests and that were not used yet: as many as one
/// update may have.
pub(super) const MAX_SUGGESTED: usize = 2048;

/// A source that is remembered more coarsely keeps at most one in this many of its runs.
const COARSER: usize = 4;

/// No chunk is of a higher level: content has at most 2^36 blocks.
const MAX_LEVEL: u8 = 36;

/// The blocks that a source has, by what it said so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Holding {
    pub(super) blocks: BlockRanges,
    /// The blocks that the source would rather be asked for.
    pub(super) suggested: BlockRanges,
    /// Only chunks of this level that the source has as a whole count.
    level: u8,
}

impl Holding {
    /// The number of runs, which is what the holding costs.
    pub(super) fn runs(&self) -> usize {
        self.blocks.runs() + self.suggested.runs()
    }

    /// The blocks that count of `blocks`, which the source says it has, in content with `end`
    /// blocks.
    pub(super) fn counted(&self, blocks: &BlockRanges, end: u64) -> BlockRanges {
        let whole = |run| whole_chunks(run, self.level, end);
        blocks.within(0..end).filter_map(whole).collect()
    }

    /// Takes out the blocks and the suggestions. The level stays.
    pub(super) fn take(&mut self) -> (BlockRanges, BlockRanges) {
        let blocks = std::mem::take(&mut self.blocks);
        (blocks, std::mem::take(&mut self.suggested))
    }

    /// Whether every block that the source names counts.
    pub(super) const fn is_exact(&self) -> bool {
        self.level == 0
    }

    /// Adds suggestions of the source. They are hints, so those that exceed the maximum are
    /// ignored.
    pub(super) fn suggest(&mut self, suggested: &BlockRanges, end: u64) {
        let free = MAX_SUGGESTED.saturating_sub(self.suggested.runs());
        self.suggested.extend(suggested.within(0..end).take(free));
    }

    /// Raises the level until only a fraction of the runs is left. Returns the runs that are still
    /// in `blocks` and no longer count.
    pub(super) fn coarsen(&mut self, end: u64) -> Vec<Range<u64>> {
        self.suggested = BlockRanges::new();
        let enough = self.blocks.runs() / COARSER;
        let left = |level| {
            let whole = |run| whole_chunks(run, level, end);
            self.blocks.iter().filter_map(whole).count()
        };
        let level = (self.level + 1..MAX_LEVEL).find(|level| left(*level) <= enough);
        self.level = level.unwrap_or(MAX_LEVEL);
        let mut lost = Vec::new();
        for run in self.blocks.iter() {
            match whole_chunks(run.clone(), self.level, end) {
                Some(whole) => lost.extend([run.start..whole.start, whole.end..run.end]),
                None => lost.push(run),
            }
        }
        lost.retain(|run| !run.is_empty());
        lost
    }
}

/// The chunks of `level` that are wholly in `run`, in content with `end` blocks.
fn whole_chunks(run: Range<u64>, level: u8, end: u64) -> Option<Range<u64>> {
    let size = 1 << level;
    let first = run.start.checked_next_multiple_of(size)?;
    let last = if run.end == end {
        end
    } else {
        run.end - run.end % size
    };
    (first < last).then_some(first..last)
}

/// The source to remember more coarsely, if all sources together exceed the maximum number of runs.
pub(super) fn over_budget(sources: impl Iterator<Item = (PeerId, usize)>) -> Option<PeerId> {
    let (mut all, mut largest) = (0, None);
    for (peer, runs) in sources {
        all += runs;
        largest = largest.max(Some((runs, peer)));
    }
    let (_, peer) = largest.filter(|_| all > MAX_RUNS)?;
    Some(peer)
}

/// The holdings of all sources, until it is known what the content is made of.
#[derive(Debug, Default)]
pub(super) struct Holdings(HashMap<PeerId, Holding>);

impl Holdings {
    /// A source has these blocks, in addition to those it had before.
    pub(super) fn add(&mut self, peer: PeerId, blocks: &BlockRanges, suggested: &BlockRanges) {
        let holding = self.0.entry(peer).or_default();
        let counted = holding.counted(blocks, u64::MAX);
        holding.blocks.extend(counted.iter());
        holding.suggest(suggested, u64::MAX);
        while let Some(peer) = over_budget(self.0.iter().map(|(peer, h)| (*peer, h.runs()))) {
            let Some(holding) = self.0.get_mut(&peer) else {
                return;
            };
            for lost in holding.coarsen(u64::MAX) {
                holding.blocks.remove(lost);
            }
        }
    }

    /// The earlier claims of the source no longer count.
    pub(super) fn begin_anew(&mut self, peer: &PeerId) {
        if let Some(holding) = self.0.get_mut(peer) {
            holding.take();
        }
    }

    pub(super) fn remove(&mut self, peer: &PeerId) {
        self.0.remove(peer);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The peers that have a holding.
    pub(super) fn peers(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.0.keys().copied()
    }

    /// Takes all holdings out.
    pub(super) fn take(&mut self) -> HashMap<PeerId, Holding> {
        std::mem::take(&mut self.0)
    }
}

impl From<HashMap<PeerId, Holding>> for Holdings {
    fn from(from: HashMap<PeerId, Holding>) -> Self {
        Self(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every other of 2 × `count` blocks, from block 2 × `from` on.
    fn scattered(from: u64, count: u64) -> BlockRanges {
        (from..from + count).map(|n| 2 * n..2 * n + 1).collect()
    }

    #[test]
    fn whole_chunks_count_and_the_last_one_is_whole_where_the_content_ends() {
        assert_eq!(whole_chunks(3..9, 0, 100), Some(3..9));
        assert_eq!(whole_chunks(3..9, 2, 100), Some(4..8));
        assert_eq!(whole_chunks(3..9, 3, 100), None);
        assert_eq!(whole_chunks(3..9, 2, 9), Some(4..9));
        assert_eq!(whole_chunks(8..9, 3, 9), Some(8..9));
        assert_eq!(whole_chunks(9..10, 3, 10), None);
    }

    #[test]
    fn a_source_with_scattered_blocks_is_remembered_coarsely_and_others_are_not() {
        let [liar, honest] = [PeerId::random(), PeerId::random()];
        let mut holdings = Holdings::default();
        let none = BlockRanges::new();
        holdings.add(honest, &scattered(0, 1000), &none);
        for update in 0..2 * MAX_RUNS as u64 / 2048 {
            holdings.add(liar, &scattered(2048 * update, 2048), &none);
            let runs: usize = holdings.0.values().map(Holding::runs).sum();
            assert!(runs <= MAX_RUNS, "{runs}");
        }
        assert_eq!(holdings.0[&honest].blocks.runs(), 1000);
        assert!(holdings.0[&honest].is_exact());
        // Whole chunks still count.
        holdings.add(liar, &(0..1 << 20).into(), &none);
        assert_eq!(holdings.0[&liar].blocks, (0..1 << 20).into());
    }

    #[test]
    fn many_sources_with_scattered_blocks_share_one_budget() {
        let peers: Vec<_> = (0..64).map(|_| PeerId::random()).collect();
        let mut holdings = Holdings::default();
        for update in 0..16 {
            for peer in &peers {
                let some = scattered(2048 * update, 2048);
                holdings.add(*peer, &some, &some);
            }
        }
        let runs: usize = holdings.0.values().map(Holding::runs).sum();
        assert!(runs <= MAX_RUNS, "{runs}");
        let suggested = |holding: &Holding| holding.suggested.runs() <= MAX_SUGGESTED;
        assert!(holdings.0.values().all(suggested));
    }
}
