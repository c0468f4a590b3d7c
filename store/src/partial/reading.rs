//! The verified bytes of a file that is downloaded, for those who read it meanwhile.

use std::{ops::Range, path::PathBuf, sync::Arc};

use pelago_content::{BLOCK_SIZE, Chunk, Descriptor, Node};

use super::Partial;
use crate::{
    ReadError,
    chunk_source::{Certainty, ChunkSource},
    files,
};

impl Partial {
    /// The run of verified blocks around `block`. None if that block is not verified.
    pub fn run_of(&self, block: u64) -> Option<Range<u64>> {
        self.verified.lock().run_of(block)
    }

    /// The path of its unfinished file.
    pub(crate) fn part_path(&self) -> PathBuf {
        self.files.path()
    }

    /// How many blocks are verified.
    pub fn verified_blocks(&self) -> u64 {
        self.verified.lock().len()
    }

    /// Reads the first of `blocks`, up to the first one that is not verified. Blocks.
    ///
    /// # Errors
    ///
    /// [`ReadError::Absent`] if the first one is not verified; [`ReadError::Unreadable`].
    pub fn read_run(self: &Arc<Self>, blocks: Range<u64>) -> Result<Vec<u8>, ReadError> {
        let run = self.run_of(blocks.start).ok_or(ReadError::Absent)?;
        let end = run.end.min(blocks.end) * BLOCK_SIZE;
        self.read(blocks.start * BLOCK_SIZE..end.min(self.spec().descriptor.size()))
    }
}

impl ChunkSource for Arc<Partial> {
    fn descriptor(&self) -> &Descriptor {
        &self.spec().descriptor
    }

    fn tree_level(&self) -> Option<u8> {
        (self.spec().descriptor.size() > 0).then_some(0)
    }

    fn node(&self, level: u8, index: u64) -> Result<Node, ReadError> {
        let opened = self.files.opened().map_err(|_| ReadError::Absent)?;
        let node = opened.record.node(level, index);
        node.ok().flatten().ok_or(ReadError::Absent)
    }

    fn read(&self, bytes: Range<u64>) -> Result<Vec<u8>, ReadError> {
        let len = (bytes.end - bytes.start) as usize;
        let opened = self.files.opened();
        let read = opened.and_then(|opened| files::read_vec_at(&opened.part, bytes.start, len));
        read.map_err(|source| ReadError::Unreadable {
            path: self.files.path(),
            source,
        })
    }

    fn check(&self, chunk: Chunk) -> Result<Certainty, ReadError> {
        if !self
            .verified
            .lock()
            .contains_range(chunk.blocks(self.geometry()))
        {
            return Err(ReadError::Absent);
        }
        let opened = self.files.opened().map_err(|_| ReadError::Absent)?;
        Ok(if self.files.is_suspect(&opened) {
            Certainty::InDoubt
        } else {
            Certainty::Certain
        })
    }

    fn data_unproven(&self) -> ReadError {
        ReadError::Absent
    }

    fn nodes_unproven(&self) -> ReadError {
        ReadError::Absent
    }
}
