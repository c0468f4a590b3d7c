//! What somebody reads right now: it is asked for before all else, in the order it is read.
//!
//! Each reader has a window, from where it is to as far as it wants to be ahead. Of content that is
//! fetched for readers only, what is in no window is not asked for at all, and what is in flight of it is
//! cancelled where a source owes nothing else.

use std::ops::Range;

use pelago_content::BlockRanges;

use super::{Scheduler, source::Source};

/// Chunks in a reader's window, at least.
const CHUNKS_IN_WINDOW: u64 = 8;

/// The windows of those who read.
#[derive(Default)]
pub(super) struct Readers {
    windows: Vec<Range<u64>>,
    /// What is missing and nobody reads, if only what is read is to be fetched.
    pub(super) unread: Option<BlockRanges>,
}

impl Readers {
    /// The block that is needed first: that which is nearest to its reader, of what is missing and
    /// `has` has.
    pub(super) fn next(&self, missing: &BlockRanges, has: &BlockRanges) -> Option<u64> {
        let first_of = |window: &Range<u64>| {
            let mut runs = missing.within(window.clone());
            let block = runs.find_map(|run| has.within(run).next())?.start;
            Some((block - window.start, block))
        };
        let first = self.windows.iter().filter_map(first_of).min();
        first.map(|(_, block)| block)
    }

    /// The highest level of chunk that readers are served by: each chunk is in memory as a whole until it is
    /// proven, so that many readers, whose windows are short, get small ones.
    pub(super) fn max_level(&self) -> u8 {
        if self.unread.is_none() {
            return u8::MAX;
        }
        let lengths = self.windows.iter().map(|window| window.end - window.start);
        let blocks = lengths.max().unwrap_or(0) / CHUNKS_IN_WINDOW;
        blocks.checked_ilog2().unwrap_or(0) as u8
    }

    /// These blocks have come, and may have been put aside.
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
    /// From now on only what is read is fetched.
    pub(in crate::transfer) fn for_readers(mut self) -> Self {
        self.readers.unread = Some(BlockRanges::new());
        self.sift();
        self
    }

    /// These are the windows of those who read from now on.
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
        // Sources that had nothing of what was missing may have some of this.
        self.given_back += u64::from(!added.is_empty());
        self.cancel_unread();
        self.sift();
    }

    /// Sources that owe nothing that is read any more shall not send it.
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

    /// Puts aside what is missing and nobody reads.
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
