//! The rarity of pieces: how many sources have each piece, and which pieces are still wanted.
//!
//! A piece is a run of 256 KiB to 16 MiB of the sequence, depending on its size: rarity is about
//! what a swarm lacks, not about single blocks. There are at most [`MAX_PIECES`] pieces, so content
//! of any claimed size costs a bounded amount of memory. Wanted pieces are in buckets by their
//! count, so that the rarest is found without a look at the others.

use std::ops::Range;

use pelago_content::BlockRanges;
use rand::{Rng, RngExt};

/// The minimum number of pieces of content of ordinary size: enough for a swarm of dozens to have
/// pieces to trade soon after its start.
const PIECES: u64 = 1024;

/// The maximum number of pieces: each takes 10 bytes of memory.
const MAX_PIECES: u64 = 1 << 16;

/// The lowest level of a piece: 256 KiB.
const MIN_LEVEL: u32 = 4;

/// The highest level of a piece, unless there would be more than [`MAX_PIECES`]: 16 MiB.
const MAX_LEVEL: u32 = 10;

/// The place of a piece that is in no bucket.
const NOWHERE: u32 = u32::MAX;

/// The counts of all pieces.
pub(super) struct Rarity {
    level: u32,
    blocks: u64,
    /// The number of sources that have each whole piece, except those that have everything: they do
    /// not change the order.
    counts: Vec<u16>,
    /// The wanted pieces of each count.
    buckets: Vec<Vec<u32>>,
    /// The index of each wanted piece in its bucket.
    places: Vec<u32>,
}

impl Rarity {
    /// The pieces of content with this many blocks. None is wanted yet.
    pub(super) fn new(blocks: u64) -> Self {
        let level = level(blocks);
        let pieces = (blocks.div_ceil(1 << level)) as usize;
        Self {
            level,
            blocks,
            counts: vec![0; pieces],
            buckets: vec![Vec::new()],
            places: vec![NOWHERE; pieces],
        }
    }

    /// The blocks of a piece.
    pub(super) fn blocks(&self, piece: u32) -> Range<u64> {
        let start = u64::from(piece) << self.level;
        start..(start + (1 << self.level)).min(self.blocks)
    }

    /// Whether a piece begins at `block`.
    pub(super) fn begins_at(&self, block: u64) -> bool {
        block.is_multiple_of(1 << self.level)
    }

    /// The pieces that `blocks` touch.
    pub(super) fn touched(&self, blocks: &Range<u64>) -> Range<u32> {
        let end = blocks.end.min(self.blocks).div_ceil(1 << self.level);
        ((blocks.start >> self.level) as u32)..end as u32
    }

    /// Some of the pieces in `blocks` may have become wanted or unwanted, according to `missing`.
    pub(super) fn update(&mut self, blocks: &Range<u64>, missing: &BlockRanges) {
        for piece in self.touched(blocks) {
            let is_wanted = missing.overlaps(self.blocks(piece));
            match (is_wanted, self.places[piece as usize] == NOWHERE) {
                (true, true) => self.enter(piece),
                (false, false) => self.leave(piece),
                _ => {}
            }
        }
    }

    /// A source that had `has` also has `added`, none of which it had before.
    pub(super) fn gained(&mut self, has: &mut BlockRanges, added: &[Range<u64>]) {
        for run in added {
            has.insert(run.clone());
            for piece in self.touched(run) {
                if has.contains_range(self.blocks(piece)) {
                    self.recount(piece, 1);
                }
            }
        }
    }

    /// A source that had `has` is gone.
    pub(super) fn lost(&mut self, has: &BlockRanges) {
        self.recount_whole(has, -1);
    }

    /// A source that had everything, and so was not counted, has only `has`.
    pub(super) fn has_only(&mut self, has: &BlockRanges) {
        self.recount_whole(has, 1);
    }

    /// A source that had `has` does not have `blocks` of it after all.
    pub(super) fn lost_some(&mut self, has: &BlockRanges, blocks: &Range<u64>) {
        for piece in self.touched(blocks) {
            if has.contains_range(self.blocks(piece)) {
                self.recount(piece, -1);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> &[u16] {
        &self.counts
    }

    /// The rarest wanted piece that `suits`; a random one among equally rare pieces.
    pub(super) fn pick(
        &self,
        random: &mut impl Rng,
        mut suits: impl FnMut(Range<u64>) -> bool,
    ) -> Option<u32> {
        let buckets = self.buckets.iter().filter(|bucket| !bucket.is_empty());
        for bucket in buckets {
            let start = random.random_range(0..bucket.len());
            let (behind, ahead) = bucket.split_at(start);
            let mut pieces = ahead.iter().chain(behind).copied();
            if let Some(piece) = pieces.find(|piece| suits(self.blocks(*piece))) {
                return Some(piece);
            }
        }
        None
    }

    /// Changes the count of each piece that is wholly in `has`.
    fn recount_whole(&mut self, has: &BlockRanges, change: i16) {
        let mut next = 0;
        for run in has.iter() {
            let touched = self.touched(&run);
            for piece in touched.start.max(next)..touched.end {
                if has.contains_range(self.blocks(piece)) {
                    self.recount(piece, change);
                }
            }
            next = touched.end;
        }
    }

    fn recount(&mut self, piece: u32, change: i16) {
        let is_wanted = self.places[piece as usize] != NOWHERE;
        if is_wanted {
            self.leave(piece);
        }
        let count = &mut self.counts[piece as usize];
        *count = count.saturating_add_signed(change);
        if is_wanted {
            self.enter(piece);
        }
    }

    fn enter(&mut self, piece: u32) {
        let count = usize::from(self.counts[piece as usize]);
        if self.buckets.len() <= count {
            self.buckets.resize_with(count + 1, Vec::new);
        }
        let bucket = &mut self.buckets[count];
        self.places[piece as usize] = bucket.len() as u32;
        bucket.push(piece);
    }

    fn leave(&mut self, piece: u32) {
        let place = std::mem::replace(&mut self.places[piece as usize], NOWHERE) as usize;
        let bucket = &mut self.buckets[usize::from(self.counts[piece as usize])];
        bucket.swap_remove(place);
        if let Some(moved) = bucket.get(place) {
            self.places[*moved as usize] = place as u32;
        }
    }
}

/// The level of the pieces of content with this many blocks.
fn level(blocks: u64) -> u32 {
    let wanted = (blocks / PIECES).checked_ilog2().unwrap_or(0);
    let level = wanted.clamp(MIN_LEVEL, MAX_LEVEL);
    let needed = blocks.div_ceil(MAX_PIECES).next_power_of_two().ilog2();
    level.max(needed)
}
