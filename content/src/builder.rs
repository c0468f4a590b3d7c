//! The tree of whole content from the nodes of one level, in constant memory.
//!
//! Owns the order in which nodes become known, and closes the right edge with padding. Never
//! hashes content: runs may be hashed on many threads and pushed here in order. If the number of
//! nodes does not fit the size, the result is a [`BuildError`].

use crate::{Geometry, Node, padding, parent};

/// Builds a tree upwards from its nodes at a base level, pushed from left to right.
///
/// The nodes to push are those above the chunks of the base level, whose level [`Geometry::chunk`]
/// clips: content lower than the base level is pushed as its root, not padded up to the base.
///
/// The sink gets level, index and node, for each node of the base level and above that has content
/// below it: exactly once, children before parents, and each level from left to right. For content
/// lower than the base level it gets nothing, as a stored tree has nothing to keep.
#[derive(Clone, Debug)]
pub struct Builder {
    base_level: u8,
    pushed: u64,
    /// Complete nodes that wait for a right sibling, one for each bit set in `pushed`, highest
    /// first. At most 64.
    waiting: Vec<Node>,
}

impl Builder {
    /// Starts a tree whose nodes will be pushed at `base_level`.
    pub const fn new(base_level: u8) -> Self {
        Self {
            base_level,
            pushed: 0,
            waiting: Vec::new(),
        }
    }

    /// How many nodes have been pushed.
    pub const fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Takes the next node of the base level, and emits all nodes that are now known.
    pub fn push(&mut self, node: Node, sink: &mut impl FnMut(u8, u64, Node)) {
        // The second node shows that the first one is at the base level, and not a lower root.
        if let (1, [first]) = (self.pushed, &self.waiting[..]) {
            sink(self.base_level, 0, *first);
        }
        let (mut level, mut index, mut node) = (self.base_level, self.pushed, node);
        if index > 0 {
            sink(level, index, node);
        }
        while index % 2 == 1
            && let Some(left) = self.waiting.pop()
        {
            node = parent(&left, &node);
            level = level.saturating_add(1);
            index /= 2;
            sink(level, index, node);
        }
        self.waiting.push(node);
        self.pushed += 1;
    }

    /// Ends content of `size` bytes: emits the nodes on the right edge, and returns the root.
    ///
    /// Empty content has the root of 32 zero bytes and needs no node; that node, of its only
    /// chunk, may be pushed as well.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if content of this size has a different number of nodes than were pushed.
    pub fn finish(
        mut self,
        size: u64,
        sink: &mut impl FnMut(u8, u64, Node),
    ) -> Result<Node, BuildError> {
        let geometry = Geometry::new(size);
        let expected = geometry.chunks(self.base_level);
        if size == 0 && self.pushed == 0 {
            return Ok(padding(0));
        }
        if self.pushed != expected {
            return Err(BuildError {
                size,
                expected,
                found: self.pushed,
            });
        }
        if let (1, [only]) = (self.pushed, &self.waiting[..]) {
            if self.base_level == geometry.height() && size > 0 {
                sink(self.base_level, 0, *only);
            }
            return Ok(*only);
        }
        Ok(self.close(geometry.height(), sink))
    }

    /// Climbs the right edge from the base level, pairing waiting nodes with padding.
    fn close(&mut self, height: u8, sink: &mut impl FnMut(u8, u64, Node)) -> Node {
        let mut edge = None;
        for level in self.base_level..height {
            let complete = self.pushed >> (level - self.base_level);
            let left = if complete % 2 == 1 {
                self.waiting.pop()
            } else {
                None
            };
            edge = match (left, edge) {
                (Some(left), Some(edge)) => Some(parent(&left, &edge)),
                (Some(node), None) | (None, Some(node)) => Some(parent(&node, &padding(level))),
                (None, None) => None,
            };
            if let Some(node) = edge {
                sink(level + 1, complete / 2, node);
            }
        }
        // A count that is a power of two has no edge: its root was completed by the last push.
        edge.or_else(|| self.waiting.pop())
            .unwrap_or_else(|| padding(height))
    }
}

/// The number of pushed nodes is not that of content of this size: it changed while being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("content of {size} bytes has {expected} chunks, but {found} were hashed")]
pub struct BuildError {
    /// The size given, in bytes.
    pub size: u64,
    /// How many nodes of the base level content of that size has.
    pub expected: u64,
    /// How many were pushed.
    pub found: u64,
}
