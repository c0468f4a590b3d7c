//! The position of each node in a flat file of nodes.
//!
//! Levels follow each other from the base level up to the root, each from left to right, without
//! padding nodes, gaps or a header. Owns positions only; the store writes the file, and knows
//! which nodes it holds so far. A node without a position is `None`.

use std::ops::Range;

use crate::Geometry;

/// Bytes of a node in the file.
const NODE_LEN: u64 = 32;

/// The positions of a tree's nodes from a base level up.
///
/// Base level 0 is the partial tree of a download, [`STORED_LEVEL`](crate::STORED_LEVEL) that of a
/// shared file. Content lower than the base level has no nodes in its file: [`Layout::len`] is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    geometry: Geometry,
    base_level: u8,
}

impl Layout {
    /// The layout for content of `size` bytes, from `base_level` up.
    pub const fn new(size: u64, base_level: u8) -> Self {
        Self {
            geometry: Geometry::new(size),
            base_level,
        }
    }

    /// The lowest level that the file holds.
    pub const fn base_level(self) -> u8 {
        self.base_level
    }

    /// The byte at which the 32 bytes of the node begin. `None` if the node is below the base
    /// level, above the root or past the content.
    pub fn offset(self, level: u8, index: u64) -> Option<u64> {
        if level < self.base_level || index >= self.geometry.nodes_at(level) {
            return None;
        }
        Some(self.start_of(level) + index * NODE_LEN)
    }

    /// The bytes that hold all nodes of `level`; empty if the file holds none of it.
    pub fn level_range(self, level: u8) -> Range<u64> {
        self.start_of(level)..self.start_of(level.saturating_add(1))
    }

    /// How many bytes the file has. At most about 4 KiB for 1 MiB of content from level 0, and
    /// 1/16 of that from level 4.
    pub fn len(self) -> u64 {
        self.level_range(self.geometry.height()).end
    }

    /// Whether the file holds no nodes.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The end of all levels below `level`.
    fn start_of(self, level: u8) -> u64 {
        let levels = self.base_level..level.min(self.geometry.height() + 1);
        levels
            .map(|level| self.geometry.nodes_at(level) * NODE_LEN)
            .sum()
    }
}
