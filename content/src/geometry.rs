//! The shape of a tree, which follows from the size alone: blocks, height, nodes, chunks.
//!
//! Owns all arithmetic on sizes, levels and indices, so that it is checked in one place; levels
//! and indices from hostile peers overflow nothing. Never looks at a byte of content. A chunk that
//! the content does not have results in [`OutOfRange`].

use std::ops::Range;

/// Bytes in a block, the unit of proof. BEP 52 fixes it: a different value gives different trees.
pub const BLOCK_SIZE: u64 = 16 * 1024;

/// Bytes in the largest content: 1 PiB, so that a tree has at most 36 levels above its leaves.
pub const MAX_SIZE: u64 = 1 << 50;

/// The lowest level that is stored for shared files: one node for 256 KiB, 1/8192 of the content.
/// Finer levels cost one read of 256 KiB to recompute, and would be 16 times as much to store.
pub const STORED_LEVEL: u8 = 4;

/// The shape of the tree over content of one size.
///
/// Defined for every `u64`; only sizes up to [`MAX_SIZE`] get a [`Descriptor`](crate::Descriptor).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    size: u64,
}

impl Geometry {
    /// The shape for `size` bytes.
    pub const fn new(size: u64) -> Self {
        Self { size }
    }

    /// How many bytes the content has.
    pub const fn size(self) -> u64 {
        self.size
    }

    /// How many blocks the content has; the last one may be short. Zero if the content is empty.
    pub const fn blocks(self) -> u64 {
        self.size.div_ceil(BLOCK_SIZE)
    }

    /// The level of the root: ceil(log2(blocks)), and 0 for no or one block.
    pub const fn height(self) -> u8 {
        match self.blocks() {
            0 | 1 => 0,
            // At most 50, as there are at most 2^50 blocks in 2^64 bytes.
            blocks => (u64::BITS - (blocks - 1).leading_zeros()) as u8,
        }
    }

    /// How many nodes of `level` have content below them. Zero above the height, and for empty
    /// content; the rest of the level is padding.
    pub const fn nodes_at(self, level: u8) -> u64 {
        if level > self.height() {
            0
        } else {
            self.blocks().div_ceil(1 << level)
        }
    }

    /// How many chunks of `level` (clipped to the height) there are. At least one: empty content
    /// has one empty chunk, which can be requested.
    pub const fn chunks(self, level: u8) -> u64 {
        let height = self.height();
        let nodes = self.nodes_at(if level < height { level } else { height });
        if nodes == 0 { 1 } else { nodes }
    }

    /// The chunk at `index` of `level`, with the level clipped to the height.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] if the content ends before it.
    pub const fn chunk(self, level: u8, index: u64) -> Result<Chunk, OutOfRange> {
        let height = self.height();
        let level = if level < height { level } else { height };
        let chunks = self.chunks(level);
        if index < chunks {
            Ok(Chunk { level, index })
        } else {
            Err(OutOfRange {
                level,
                index,
                chunks,
            })
        }
    }

    /// The chunk of `level` (clipped to the height) that holds `block`.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`] if the content has no such block.
    pub const fn chunk_of_block(self, level: u8, block: u64) -> Result<Chunk, OutOfRange> {
        match self.chunk(0, block) {
            Ok(_) => {
                let height = self.height();
                self.chunk(level, block >> if level < height { level } else { height })
            }
            Err(error) => Err(error),
        }
    }
}

/// An aligned run of `2^level` blocks, cut off where the content ends; also the node above it.
///
/// Only [`Geometry::chunk`] creates one, so it is part of content of some size, and none of its
/// arithmetic can overflow. With the geometry of *shorter* content, its ranges are empty or cut
/// off; verification checks it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chunk {
    level: u8,
    index: u64,
}

impl Chunk {
    /// The level of the node above the run; at most the height of the tree.
    pub const fn level(self) -> u8 {
        self.level
    }

    /// The index of the run among those of its level.
    pub const fn index(self) -> u64 {
        self.index
    }

    /// The blocks of the run that exist.
    pub fn blocks(self, geometry: Geometry) -> Range<u64> {
        let start = self.index << self.level;
        let end = (self.index + 1) << self.level;
        start.min(geometry.blocks())..end.min(geometry.blocks())
    }

    /// The bytes of the run: from its first block to the end of its last block, or of the content.
    pub fn bytes(self, geometry: Geometry) -> Range<u64> {
        let blocks = self.blocks(geometry);
        let end_of = |block: u64| block.saturating_mul(BLOCK_SIZE).min(geometry.size());
        end_of(blocks.start)..end_of(blocks.end)
    }
}

/// A level and index beyond the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chunk {index} of level {level} is out of range: the content has {chunks} of them")]
pub struct OutOfRange {
    /// The level, clipped to the height of the tree.
    pub level: u8,
    /// The index asked for.
    pub index: u64,
    /// How many chunks of that level there are.
    pub chunks: u64,
}
