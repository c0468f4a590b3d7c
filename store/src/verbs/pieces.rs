//! Reading files piece by piece, whether they are shared or being downloaded.
//!
//! The pieces are for readers on this machine, so they carry no proof. Only verified bytes are
//! returned, and only of files that are unchanged since they were hashed.

use std::{ops::Range, sync::Arc};

use pelago_content::{BLOCK_SIZE, Descriptor, Hash};

use crate::{Partial, PartialFolder, ReadError, Store, partial::Held};

/// The level of a piece: 512 KiB. A reader holds several of them.
const PIECE_LEVEL: u8 = 5;

/// The highest number of blocks in a piece.
pub const PIECE_BLOCKS: u64 = 1 << PIECE_LEVEL;

impl Store {
    /// Whether the file with this hash is being downloaded, by itself or in a folder, and lacks
    /// this block. Costs no system call.
    pub fn is_growing_without(&self, hash: &Hash, block: u64) -> bool {
        let growing = self.growing(hash);
        let lacks = |partial: &Arc<Partial>| partial.run_of(block).is_none();
        !growing.is_empty() && growing.iter().all(lacks)
    }

    /// Reads the first of `blocks` of a file: as many as are stored here, and at most one piece.
    /// `None` if the first block is missing. Blocks.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]. A file that has changed is not stored here any more.
    pub fn read_piece(
        &self,
        file: &Descriptor,
        blocks: Range<u64>,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let (hash, start) = (file.hash(), blocks.start);
        let end = blocks.end.min(start + PIECE_BLOCKS);
        for partial in self.growing(&hash) {
            if partial.run_of(start).is_some() {
                return partial.read_run(start..end).map(Some);
            }
        }
        let descriptor = *file;
        let piece = file.geometry().chunk_of_block(PIECE_LEVEL, start);
        let piece = piece.map_err(|source| ReadError::OutOfRange { descriptor, source })?;
        let mut data = match self.read_chunk(&hash, piece.level(), piece.index(), true) {
            Ok(read) => read.data,
            Err(ReadError::Absent) => return Ok(None),
            Err(error) => return Err(error),
        };
        let from = start * BLOCK_SIZE - piece.bytes(file.geometry()).start;
        data.drain(..(from as usize).min(data.len()));
        data.truncate(((end - start) * BLOCK_SIZE) as usize);
        Ok(Some(data))
    }

    /// The folder downloads that still need the file with this hash.
    pub fn folders_fetching(&self, hash: &Hash) -> Vec<Hash> {
        let mut folders = self.folders_with(hash);
        folders.retain(|folder| {
            let blocks = folder.blocks_of(hash);
            blocks.is_some_and(|blocks| folder.wanted().overlaps(blocks))
        });
        let hash_of = |folder: &Arc<PartialFolder>| folder.spec().descriptor.hash();
        folders.iter().map(hash_of).collect()
    }

    fn growing(&self, hash: &Hash) -> Vec<Arc<Partial>> {
        let alone = self.partial(hash);
        let folders = self.folders_with(hash);
        let in_folder = folders.iter().filter_map(|folder| match folder.held(hash) {
            Some(Held::Growing(partial)) => Some(partial),
            _ => None,
        });
        alone.into_iter().chain(in_folder).collect()
    }
}
