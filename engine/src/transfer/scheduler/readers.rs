//! The blocks that readers want now: they are requested before all others, in the order of reading.
//!
//! Each reader has a window, from its position to as far as it wants to read ahead. If content is
//! fetched for readers only, blocks outside all windows are not requested at all, and those in
//! flight are cancelled where a source owes nothing else.

use std::ops::Range;

use pelago_content::BlockRanges;

/// The minimum number of chunks in a reader's window.
const CHUNKS_IN_WINDOW: u64 = 8;

/// The windows of all readers.
#[derive(Default)]
pub(super) struct Readers {
    pub(super) windows: Vec<Range<u64>>,
    /// The blocks that are missing and outside all windows, if only blocks in windows are fetched.
    pub(super) unread: Option<BlockRanges>,
}

impl Readers {
    /// The most urgent block: of those that are in both `missing` and `has`, the one nearest to its
    /// reader.
    pub(super) fn next(&self, missing: &BlockRanges, has: &BlockRanges) -> Option<u64> {
        let first_of = |window: &Range<u64>| {
            let mut runs = missing.within(window.clone());
            let block = runs.find_map(|run| has.within(run).next())?.start;
            Some((block - window.start, block))
        };
        let first = self.windows.iter().filter_map(first_of).min();
        first.map(|(_, block)| block)
    }

    /// The highest level of chunk for readers. Each chunk is in memory as a whole until it is
    /// verified, so many readers, whose windows are short, get small chunks.
    pub(super) fn max_level(&self) -> u8 {
        if self.unread.is_none() {
            return u8::MAX;
        }
        let lengths = self.windows.iter().map(|window| window.end - window.start);
        let blocks = lengths.max().unwrap_or(0) / CHUNKS_IN_WINDOW;
        blocks.checked_ilog2().unwrap_or(0) as u8
    }

    /// These blocks have arrived. Some of them may be among the `unread` ones.
    pub(super) fn arrived(&mut self, blocks: Range<u64>) {
        if let Some(unread) = &mut self.unread {
            unread.remove(blocks);
        }
    }

    /// Whether any of these blocks is in a window.
    pub(super) fn want(&self, blocks: &Range<u64>) -> bool {
        let overlaps = |window: &Range<u64>| window.start < blocks.end && blocks.start < window.end;
        self.windows.iter().any(overlaps)
    }
}
