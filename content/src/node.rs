//! A node of the hash tree.

/// A hash in the tree.
pub type Node = [u8; 32];
