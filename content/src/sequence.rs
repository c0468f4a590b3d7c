//! Files one after another, with the blocks of all of them under one numbering.
//!
//! Owns the arithmetic between a block of the sequence and a block of one of its files. A single
//! file is a sequence of one, so code that schedules, serves or announces blocks does not depend
//! on the number of files. Never knows names or hashes. An empty file has no blocks.

use std::ops::Range;

use crate::{Chunk, Geometry};

/// Files one after another. Takes a few words for each file, of any size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    files: Vec<Placed>,
    blocks: u64,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    first: u64,
    /// Bytes of all files before it.
    bytes: u64,
    geometry: Geometry,
}

/// A chunk of one of the files of a [`Sequence`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Part {
    /// The index of the file.
    pub file: usize,
    /// The chunk of that file.
    pub chunk: Chunk,
}

impl Sequence {
    /// The files of these sizes, in bytes. Sizes are claims: their sum saturates, which no real
    /// content reaches.
    pub fn new(sizes: impl IntoIterator<Item = u64>) -> Self {
        let mut sequence = Self::default();
        for size in sizes {
            let geometry = Geometry::new(size);
            sequence.files.push(Placed {
                first: sequence.blocks,
                bytes: sequence.bytes,
                geometry,
            });
            sequence.blocks = sequence.blocks.saturating_add(geometry.blocks());
            sequence.bytes = sequence.bytes.saturating_add(size);
        }
        sequence
    }

    /// How many blocks all files have together.
    pub const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// How many bytes all files have together.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// The shape of a file; that of an empty one if there is no such file.
    pub fn geometry(&self, file: usize) -> Geometry {
        self.files
            .get(file)
            .map_or(Geometry::new(0), |placed| placed.geometry)
    }

    /// The blocks of a file, in the numbering of the sequence.
    pub fn blocks_of_file(&self, file: usize) -> Range<u64> {
        self.files.get(file).map_or(0..0, |placed| {
            placed.first..placed.first + placed.geometry.blocks()
        })
    }

    /// The blocks of a part, in the numbering of the sequence.
    pub fn blocks_of(&self, part: Part) -> Range<u64> {
        let Some(placed) = self.files.get(part.file) else {
            return 0..0;
        };
        let blocks = part.chunk.blocks(placed.geometry);
        placed.first + blocks.start..placed.first + blocks.end
    }

    /// How many bytes a part has.
    pub fn bytes_of(&self, part: Part) -> u64 {
        let bytes = part.chunk.bytes(self.geometry(part.file));
        bytes.end - bytes.start
    }

    /// How many bytes the blocks in `range` have; blocks past the end have none.
    pub fn bytes_in(&self, range: Range<u64>) -> u64 {
        let end = self.bytes_before(range.end);
        end.saturating_sub(self.bytes_before(range.start))
    }

    fn bytes_before(&self, block: u64) -> u64 {
        let Some(file) = self.file_of(block) else {
            return self.bytes;
        };
        let placed = self.files[file];
        // The block after the end of a file belongs to the next file: no block before it is short.
        placed.bytes + (block - placed.first) * crate::BLOCK_SIZE
    }

    /// The index of the file with this block; `None` past the end.
    pub fn file_of(&self, block: u64) -> Option<usize> {
        // Of files that begin at the same block, all but the last are empty.
        let after = self.files.partition_point(|placed| placed.first <= block);
        (block < self.blocks).then(|| after - 1)
    }

    /// The chunk of `level` (clipped to the file's height) with this block; `None` past the end.
    pub fn part(&self, level: u8, block: u64) -> Option<Part> {
        let file = self.file_of(block)?;
        let placed = self.files[file];
        let chunk = placed.geometry.chunk_of_block(level, block - placed.first);
        Some(Part {
            file,
            chunk: chunk.ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::BLOCK_SIZE;

    #[test]
    fn empty_files_take_no_block() {
        let sequence = Sequence::new([0, 5, 0, 0, 3 * BLOCK_SIZE, 0]);
        assert_eq!((sequence.blocks(), sequence.files()), (4, 6));
        assert_eq!(sequence.file_of(0), Some(1));
        assert_eq!(sequence.file_of(1), Some(4));
        assert_eq!(sequence.file_of(4), None);
        assert_eq!(sequence.blocks_of_file(5), 4..4);
        assert_eq!(Sequence::new([]).part(0, 0), None);
    }

    proptest! {
        #[test]
        fn every_block_is_in_the_part_that_holds_it(
            sizes in prop::collection::vec(0..40 * BLOCK_SIZE, 0..20),
            level in 0_u8..8,
        ) {
            let sequence = Sequence::new(sizes.iter().copied());
            prop_assert_eq!(sequence.bytes(), sizes.iter().sum::<u64>());
            prop_assert_eq!(sequence.bytes_in(0..u64::MAX), sequence.bytes());
            let mut bytes = 0;
            let mut block = 0;
            while let Some(part) = sequence.part(level, block) {
                let blocks = sequence.blocks_of(part);
                prop_assert!(blocks.contains(&block));
                prop_assert_eq!(sequence.file_of(blocks.end - 1), Some(part.file));
                prop_assert_eq!(sequence.bytes_in(blocks.clone()), sequence.bytes_of(part));
                bytes += sequence.bytes_of(part);
                block = blocks.end;
            }
            prop_assert_eq!(block, sequence.blocks());
            prop_assert_eq!(bytes, sequence.bytes());
        }
    }
}
