//! Chunks with their proofs, read from what is shared.

use super::{DatabaseError, Store, TreeError};
use pelago_content::{BlockRanges, Chunk, Descriptor, Hash, Node, OutOfRange};
use std::{io, path::PathBuf};

/// The highest level of a chunk that is read with its data: 4 MiB.
pub const MAX_CHUNK_LEVEL: u8 = 8;

/// A chunk, with all a peer needs to verify it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRead {
    /// What the content is.
    pub descriptor: Descriptor,
    /// Which chunk: the level asked for, clipped to the height.
    pub chunk: Chunk,
    /// The node above the chunk: its subtree hash.
    pub node: Node,
    /// The siblings up to the root.
    pub proof: Vec<Node>,
    /// Its bytes; empty if they were not asked for.
    pub data: Vec<u8>,
}

impl Store {
    /// Reads a chunk of content that is shared, or verified by a download under way.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn read_chunk(
        &self,
        hash: &Hash,
        level: u8,
        index: u64,
        with_data: bool,
    ) -> Result<ChunkRead, ReadError> {
        let _ = (hash, level, index, with_data);
        todo!()
    }

    /// What is here of this content: all blocks if it is shared, those verified if it is being
    /// downloaded. None if it is not here.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn holding(&self, hash: &Hash) -> Result<Option<(Descriptor, BlockRanges)>, DatabaseError> {
        let _ = hash;
        todo!()
    }
}

/// Why a chunk cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The content is not here, or not this part of it.
    #[error("not here")]
    Absent,
    /// The content has no such chunk, or it is too large to be read at once.
    #[error("{source}")]
    OutOfRange {
        /// What the content is.
        descriptor: Descriptor,
        /// Which chunks there are.
        source: OutOfRange,
    },
    /// The level is above [`MAX_CHUNK_LEVEL`].
    #[error("a chunk of level {level} is too large; at most {MAX_CHUNK_LEVEL}")]
    TooLarge {
        /// What the content is.
        descriptor: Descriptor,
        /// The level asked for, clipped to the height.
        level: u8,
    },
    /// The file is not as it was when it was hashed: hash it again.
    #[error("{} changed since it was hashed", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened or read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The tree of the file is of no use: hash it again.
    #[error("{}: {source}", path.display())]
    Tree {
        /// The file.
        path: PathBuf,
        /// What is wrong with the tree.
        source: TreeError,
    },
    /// It cannot be told what is shared.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
