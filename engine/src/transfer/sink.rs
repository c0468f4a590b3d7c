//! The destination of verified chunks: a file, the files of a folder, or its manifests.

use std::{ops::Range, sync::Arc};

use pelago_behaviour::chunk::Item;
use pelago_content::{BlockRanges, Hash, Node, Part, Sequence};

use super::manifests::Round;
use crate::store::{Partial, PartialFolder, WriteError};

/// The destination of what a download fetches. A handle: clones share it.
#[derive(Clone)]
pub(super) enum Sink {
    /// One file.
    File(Arc<Partial>),
    /// The files of a folder.
    Folder(Arc<PartialFolder>),
    /// Manifests of a folder, in memory.
    Manifests(Arc<Round>),
}

impl Sink {
    /// The files that make up the content.
    pub(super) fn sequence(&self) -> Arc<Sequence> {
        match self {
            Self::File(partial) => Arc::new(Sequence::new([partial.spec().descriptor.size()])),
            Self::Folder(folder) => Arc::clone(folder.sequence()),
            Self::Manifests(round) => Arc::clone(round.sequence()),
        }
    }

    /// The blocks that are wanted.
    pub(super) fn wanted(&self) -> BlockRanges {
        match self {
            Self::Folder(folder) => folder.wanted(),
            Self::File(_) | Self::Manifests(_) => (0..self.sequence().blocks()).into(),
        }
    }

    /// The blocks that must be fetched.
    pub(super) fn missing(&self) -> BlockRanges {
        match self {
            Self::Folder(folder) => folder.missing(),
            Self::File(_) | Self::Manifests(_) => self.wanted().difference(&self.verified()),
        }
    }

    /// The blocks that are verified and written.
    pub(super) fn verified(&self) -> BlockRanges {
        match self {
            Self::File(partial) => partial.verified(),
            Self::Folder(folder) => folder.verified(),
            Self::Manifests(round) => round.verified(),
        }
    }

    /// The number of bytes that were copied from shares of this node.
    pub(super) fn copied_bytes(&self) -> u64 {
        match self {
            Self::File(partial) => partial.copied_bytes(),
            Self::Folder(folder) => folder.copied_bytes(),
            Self::Manifests(_) => 0,
        }
    }

    /// From now on everyone may learn that this node has the content.
    pub(super) fn list(&self) {
        match self {
            Self::File(partial) => partial.list(),
            Self::Folder(folder) => folder.list(),
            // They are not served before the files are being fetched.
            Self::Manifests(_) => {}
        }
    }

    /// Verifies a chunk and writes it. Blocks the thread.
    pub(super) fn write(&self, part: Part, data: &[u8], proof: &[Node]) -> Result<(), WriteError> {
        match self {
            Self::File(partial) => partial.write(part.chunk, data, proof),
            Self::Folder(folder) => folder.write(part.file, part.chunk, data, proof),
            Self::Manifests(round) => round.write(part, data, proof),
        }
    }

    /// The item to request from a peer for this part.
    pub(super) fn item(&self, part: Part) -> Item {
        Item {
            hash: self.hash_of(part.file),
            level: part.chunk.level(),
            index: part.chunk.index(),
            data: true,
        }
    }

    /// The blocks of the file with this hash, if there is one.
    pub(super) fn blocks_of(&self, hash: &Hash) -> Option<Range<u64>> {
        match self {
            Self::File(partial) => (partial.spec().descriptor.hash() == *hash)
                .then(|| 0..partial.spec().descriptor.geometry().blocks()),
            Self::Folder(folder) => folder.blocks_of(hash),
            Self::Manifests(round) => round.blocks_of(hash),
        }
    }

    fn hash_of(&self, file: usize) -> Hash {
        match self {
            Self::File(partial) => partial.spec().descriptor.hash(),
            // Only files of the sequence are requested.
            Self::Folder(folder) => folder
                .descriptor_of(file)
                .map_or_else(|| folder.spec().descriptor.hash(), |file| file.hash()),
            Self::Manifests(round) => round.hash_of(file),
        }
    }
}
