//! The descriptor of content that arrives in order, in pieces of any length.
//!
//! Owns a buffer of 256 KiB and the nodes on the right edge, nothing else. Only a total over the
//! limit can fail, with a [`DescriptorError`].

use crate::{BLOCK_SIZE, Builder, Descriptor, DescriptorError, Kind, Node, subtree_leaves};

/// Bytes hashed at a time: as many blocks as share a core.
const RUN: usize = 16 * BLOCK_SIZE as usize;

/// Hashes content on the caller's thread.
///
/// Long pieces are hashed in place; the remainder waits until it is complete as a run of 16
/// blocks.
#[derive(Clone, Debug)]
pub struct Hasher {
    kind: Kind,
    size: u64,
    tree: Builder,
    /// The incomplete run between two calls.
    waiting: Vec<u8>,
    leaves: Vec<Node>,
}

impl Hasher {
    /// Starts content of `kind`, so far empty.
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            size: 0,
            tree: Builder::new(0),
            waiting: Vec::new(),
            leaves: Vec::new(),
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut data: &[u8]) {
        self.size = self.size.saturating_add(data.len() as u64);
        if !self.waiting.is_empty() {
            let (now, later) = data.split_at(data.len().min(RUN - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            data = later;
            if self.waiting.len() == RUN {
                self.push_waiting();
            }
        }
        let (runs, rest) = data.as_chunks::<RUN>();
        for run in runs {
            self.push(run);
        }
        self.waiting.extend_from_slice(rest);
    }

    /// Ends the content.
    ///
    /// # Errors
    ///
    /// [`DescriptorError::Size`] if there were more than [`MAX_SIZE`](crate::MAX_SIZE) bytes.
    pub fn finish(mut self) -> Result<Descriptor, DescriptorError> {
        self.push_waiting();
        let too_large = DescriptorError::Size { found: self.size };
        let root = self
            .tree
            .finish(self.size, &mut |_, _, _| {})
            .map_err(|_| too_large)?;
        Descriptor::new(self.kind, self.size, root)
    }

    fn push_waiting(&mut self) {
        let mut run = std::mem::take(&mut self.waiting);
        self.push(&run);
        run.clear();
        self.waiting = run;
    }

    fn push(&mut self, run: &[u8]) {
        self.leaves.clear();
        subtree_leaves(run, &mut self.leaves);
        for leaf in &self.leaves {
            self.tree.push(*leaf, &mut |_, _, _| {});
        }
    }
}
