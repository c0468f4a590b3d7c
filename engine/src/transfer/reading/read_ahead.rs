//! How far ahead of readers content is fetched: one budget for all of them, shared evenly.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use pelago_content::BLOCK_SIZE;

use crate::store::PIECE_BLOCKS;

/// The minimum number of pieces in a reader's share of the budget, while it is large enough.
const PIECES_IN_SHARE: u64 = 16;

/// The number of blocks in the smallest piece: 64 KiB are sent at once.
const LEAST_PIECE_BLOCKS: u64 = 4;

/// The budget of all readers. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct ReadAhead(Arc<SharedBudget>);

#[derive(Debug)]
struct SharedBudget {
    blocks: u64,
    readers: AtomicU64,
}

/// The share of one reader whose content is fetched, until it is dropped.
#[derive(Debug)]
pub(super) struct ReadAheadShare(ReadAhead);

impl ReadAhead {
    /// A budget of `bytes` for all readers together.
    pub(super) fn new(bytes: u64) -> Self {
        Self(Arc::new(SharedBudget {
            blocks: bytes / BLOCK_SIZE,
            readers: AtomicU64::new(0),
        }))
    }

    /// Adds a reader whose content is fetched.
    pub(super) fn enter(&self) -> ReadAheadShare {
        self.0.readers.fetch_add(1, Ordering::Relaxed);
        ReadAheadShare(self.clone())
    }
}

impl ReadAheadShare {
    /// The number of blocks in a piece for this reader: each piece is in memory until it is sent.
    pub(super) fn piece_blocks(&self) -> u64 {
        let share = self.0.0.blocks / self.readers();
        (share / PIECES_IN_SHARE).clamp(LEAST_PIECE_BLOCKS, PIECE_BLOCKS)
    }

    fn readers(&self) -> u64 {
        self.0.0.readers.load(Ordering::Relaxed).max(1)
    }

    /// How many blocks ahead of this reader may be fetched now, of `wanted`. At least a piece, as
    /// no read is smaller.
    pub(super) fn blocks(&self, wanted: u64) -> u64 {
        wanted
            .min(self.0.0.blocks / self.readers())
            .max(PIECE_BLOCKS)
    }
}

impl Drop for ReadAheadShare {
    fn drop(&mut self) {
        self.0.0.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = (1 << 20) / BLOCK_SIZE;

    #[test]
    fn all_readers_together_stay_within_the_budget() {
        let budget = ReadAhead::new(64 << 20);
        let wanted = 32 * MIB;
        let first = budget.enter();
        assert_eq!(first.blocks(wanted), 32 * MIB, "one has what it wants");
        let others: Vec<_> = (1..20).map(|_| budget.enter()).collect();
        let shares = others.iter().chain([&first]);
        let in_all: u64 = shares.map(|share| share.blocks(wanted)).sum();
        assert!(in_all <= 64 * MIB, "{in_all} blocks for 20 readers");
        assert_eq!(first.blocks(wanted), 64 * MIB / 20);
        assert!(
            20 * first.piece_blocks() <= 4 * MIB,
            "pieces are small then"
        );
        drop(others);
        assert_eq!(first.blocks(wanted), 32 * MIB, "the others have gone");
        assert_eq!(first.piece_blocks(), PIECE_BLOCKS);
    }

    #[test]
    fn a_reader_always_has_a_piece() {
        let budget = ReadAhead::new(1 << 20);
        let readers: Vec<_> = (0..64).map(|_| budget.enter()).collect();
        assert!(
            readers
                .iter()
                .all(|reader| reader.blocks(32 * MIB) == PIECE_BLOCKS)
        );
    }
}
