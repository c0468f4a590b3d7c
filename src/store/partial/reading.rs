//! Bytes of a download that are verified, for whoever reads it while it grows.

use std::{ops::Range, sync::Arc};

use pelago_content::BLOCK_SIZE;

use super::Partial;
use crate::store::{ReadError, reading::Source};

impl Partial {
    /// The run of verified blocks that `block` is in, if it is verified.
    pub fn run_of(&self, block: u64) -> Option<Range<u64>> {
        self.verified.lock().run_of(block)
    }

    /// How many blocks are verified.
    pub fn verified_blocks(&self) -> u64 {
        self.verified.lock().len()
    }

    /// Reads the first of `blocks`, as many as are verified. Blocks.
    ///
    /// # Errors
    ///
    /// [`ReadError::Absent`] if the very first is not; [`ReadError::Unreadable`].
    pub fn read_run(self: &Arc<Self>, blocks: Range<u64>) -> Result<Vec<u8>, ReadError> {
        let run = self.run_of(blocks.start).ok_or(ReadError::Absent)?;
        let end = run.end.min(blocks.end) * BLOCK_SIZE;
        self.read(blocks.start * BLOCK_SIZE..end.min(self.spec().descriptor.size()))
    }
}
