//! The hash tree of BitTorrent v2 (BEP 52), and nodes computed from content.
//!
//! A leaf is the SHA-256 of one block, the last one short and not padded. Leaves missing up to the
//! next power of two *of the block count* are 32 zero bytes; a parent is the SHA-256 of its two
//! children, with no prefix. So a file of 3 blocks has its root at level 2, independent of the
//! levels that are stored or requested. Leaves and parents share one domain: only a
//! [`Descriptor`](crate::Descriptor) binds the length, and a bare root never names content.
//!
//! Never allocates beyond what the caller passes in. The only failure is a mistake of the caller,
//! a run longer than its level, which panics.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::{BLOCK_SIZE, Node, lanes::digest_each};

/// Bytes in a block, for comparison with lengths of slices.
const BLOCK: usize = BLOCK_SIZE as usize;

/// Blocks hashed at a time, with their leaves on the stack.
const RUN_BLOCKS: usize = 1 << RUN_LEVEL;
const RUN_LEVEL: u8 = 4;

/// Subtrees of every level without a single block: 8 KiB, computed once, total over `u8`.
static PADDING: LazyLock<[Node; 256]> = LazyLock::new(|| {
    let mut nodes = [[0; 32]; 256];
    for level in 1..nodes.len() {
        nodes[level] = parent(&nodes[level - 1], &nodes[level - 1]);
    }
    nodes
});

/// The node above `left` and `right`.
pub fn parent(left: &Node, right: &Node) -> Node {
    Sha256::new_with_prefix(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The node of `level` with no content below it: 32 zero bytes at level 0.
pub fn padding(level: u8) -> Node {
    PADDING[usize::from(level)]
}

/// The node of one block, which has 1 to [`BLOCK_SIZE`] bytes.
pub fn leaf(block: &[u8]) -> Node {
    Sha256::digest(block).into()
}

/// The node of `level` above `data`, an aligned run of up to `2^level` blocks of which only the
/// last one of the content may be short. Missing blocks count as padding, all of them if `data` is
/// empty.
///
/// This is a root only if `level` is the height of the tree: take the level from a
/// [`Chunk`](crate::Chunk), which clips it.
///
/// # Panics
///
/// If `data` is longer than `2^level` blocks.
pub fn subtree(data: &[u8], level: u8) -> Node {
    let blocks = data.len().div_ceil(BLOCK);
    assert!(
        fits(blocks, level),
        "{blocks} blocks do not fit below one node of level {level}"
    );
    if data.is_empty() {
        return padding(level);
    }
    if level <= RUN_LEVEL {
        let mut leaves = [[0; 32]; RUN_BLOCKS];
        hash_leaves(data, &mut leaves[..blocks]);
        return fold(&mut leaves[..blocks], level);
    }
    let below = level - 1;
    let (left, right) = if fits(blocks, below) {
        (data, &[][..])
    } else {
        data.split_at(BLOCK << below)
    };
    parent(&subtree(left, below), &subtree(right, below))
}

/// Appends the leaves of `data`, a run of blocks of which only the last may be short.
pub fn subtree_leaves(data: &[u8], leaves: &mut Vec<Node>) {
    let start = leaves.len();
    leaves.resize(start + data.len().div_ceil(BLOCK), [0; 32]);
    hash_leaves(data, &mut leaves[start..]);
}

/// The node of `level` above `nodes`, at most `2^level` leaves; the rest is padding. Overwrites
/// the leaves.
pub(crate) fn fold(nodes: &mut [Node], level: u8) -> Node {
    let mut count = nodes.len();
    for below in 0..level {
        count = ascend(&mut nodes[..count], below);
    }
    nodes.first().copied().unwrap_or_else(|| padding(level))
}

/// Overwrites the first of `nodes`, which are neighbours at `level`, with their parents; returns
/// how many there are. Pairs an odd last node with padding.
pub(crate) fn ascend(nodes: &mut [Node], level: u8) -> usize {
    let whole = nodes.len() / 2;
    for start in (0..whole).step_by(RUN_BLOCKS) {
        let end = whole.min(start + RUN_BLOCKS);
        let parents = &mut [[0; 32]; RUN_BLOCKS][..end - start];
        let (pairs, _) = nodes[2 * start..2 * end].as_flattened().as_chunks::<64>();
        digest_each(pairs, parents);
        nodes[start..end].copy_from_slice(parents);
    }
    if let ([.., last], 1) = (&nodes[..], nodes.len() % 2) {
        nodes[whole] = parent(last, &padding(level));
    }
    nodes.len().div_ceil(2)
}

/// Writes the leaf of each block of `data` to the slot with the same index.
fn hash_leaves(data: &[u8], leaves: &mut [Node]) {
    let (blocks, rest) = data.as_chunks::<BLOCK>();
    let (whole, short) = leaves.split_at_mut(blocks.len());
    digest_each(blocks, whole);
    if let [last] = short {
        *last = leaf(rest);
    }
}

/// Whether `count` nodes fit below one that is `levels` higher.
fn fits(count: usize, levels: u8) -> bool {
    u32::from(levels) >= usize::BITS || count <= 1 << levels
}
