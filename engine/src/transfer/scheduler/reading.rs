//! How the scheduler follows the windows of readers.

use std::ops::Range;

use pelago_content::BlockRanges;

use super::{Scheduler, source::Source};

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
