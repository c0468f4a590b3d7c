//! Where verified chunks go: a file being downloaded.

use std::sync::Arc;

use pelago_behaviour::chunk::Item;
use pelago_content::{BlockRanges, Hash, Node, Part};

use crate::store::{Partial, WriteError};

/// What a download writes to. A handle: clones are the same.
#[derive(Clone)]
pub(super) enum Sink {
    /// One file.
    File(Arc<Partial>),
}

impl Sink {
    /// Verifies a chunk and writes it. Blocks.
    pub(super) fn write(&self, part: Part, data: &[u8], proof: &[Node]) -> Result<(), WriteError> {
        match self {
            Self::File(partial) => partial.write(part.chunk, data, proof),
        }
    }

    /// The blocks that are verified and written, in the numbering of the sequence.
    pub(super) fn verified(&self) -> BlockRanges {
        match self {
            Self::File(partial) => partial.verified(),
        }
    }

    /// What to ask a peer for to get this part.
    pub(super) fn item(&self, part: Part) -> Item {
        Item {
            hash: self.hash_of(part.file),
            level: part.chunk.level(),
            index: part.chunk.index(),
            data: true,
        }
    }

    fn hash_of(&self, _file: usize) -> Hash {
        match self {
            Self::File(partial) => partial.spec().descriptor.hash(),
        }
    }
}
