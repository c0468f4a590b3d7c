//! The blocks that readers want now: they are requested before all others, in the order of reading.
//!
//! Each reader has a window, from its position to as far as it wants to read ahead. If content is
//! fetched for readers only, blocks outside all windows are not requested at all, and those in
//! flight are cancelled where a source owes nothing else.

use std::ops::Range;

use pelago_content::BlockRanges;

use super::{Scheduler, source::Source};

/// The minimum number of chunks in a reader's window.
const CHUNKS_IN_WINDOW: u64 = 8;

/// The windows of all readers.
#[derive(Default)]
pub(super) struct Readers {
    windows: Vec<Range<u64>>,
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
    fn want(&self, blocks: &Range<u64>) -> bool {
        let overlaps = |window: &Range<u64>| window.start < blocks.end && blocks.start < window.end;
        self.windows.iter().any(overlaps)
    }
}

impl Scheduler {
    /// From now on only blocks in windows are fetched.
    pub(in crate::transfer) fn for_readers(mut self) -> Self {
        self.readers.unread = Some(BlockRanges::new());
        self.sift();
        self
    }

    /// Replaces the windows of all readers.
    pub(in crate::transfer) fn read(&mut self, windows: Vec<Range<u64>>) {
        self.readers.windows = windows;
        let Some(unread) = &mut self.readers.unread else {
            return;
        };
        let mut added = Vec::new();
        for window in &self.readers.windows {
            added.extend(unread.within(window.clone()));
            unread.remove(window.clone());
        }
        for run in &added {
            self.missing.insert(run.clone());
            self.rarity.update(run, &self.missing);
        }
        // Sources that had no missing blocks may have some of these.
        self.given_back += u64::from(!added.is_empty());
        self.cancel_unread();
        self.sift();
    }

    /// Cancels sources that owe nothing in any window.
    fn cancel_unread(&mut self) {
        let (readers, sequence) = (&self.readers, &self.sequence);
        let is_read = |source: &Source| {
            let mut owed = source.last_owed();
            owed.any(|part| readers.want(&sequence.blocks_of(part)))
        };
        let is_in_vain = |source: &Source| !source.is_idle() && !is_read(source);
        let mut given_back = Vec::new();
        for (peer, source) in &mut self.sources {
            if is_in_vain(source) {
                given_back.extend(source.stop());
                self.cancelled.push(*peer);
            }
        }
        self.give_back(given_back);
    }

    /// Moves the missing blocks that are outside all windows to `unread`.
    pub(super) fn sift(&mut self) {
        let Some(unread) = &mut self.readers.unread else {
            return;
        };
        let mut read = BlockRanges::new();
        for window in &self.readers.windows {
            read.extend(self.missing.within(window.clone()));
        }
        let aside = self.missing.difference(&read);
        for run in aside.iter() {
            unread.insert(run.clone());
            self.missing.remove(run.clone());
            self.rarity.update(&run, &self.missing);
        }
    }
}
