//! A second, plain implementation of the tree, which follows its definition, and content. The tests
//! compare the streaming code of the crate with it.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part of this"
)]

use std::sync::LazyLock;

use pelago_content::{BLOCK_SIZE, Chunk, Descriptor, Geometry, Kind, Node};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// A little over 3 MiB without repeated blocks. Content of the property tests is a slice of it.
static POOL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let words = 0..(4 << 20) / 32u64;
    words
        .flat_map(|word| Sha256::digest(word.to_be_bytes()))
        .collect()
});

/// Bytes of the largest content that property tests hash.
pub const MAX_LEN: u64 = 3 << 20;

/// `size` bytes, which differ for each `salt`.
pub fn content(size: u64, salt: u16) -> &'static [u8] {
    &POOL[usize::from(salt)..][..size as usize]
}

/// Sizes up to `max`, often at or next to a whole number of blocks, most often a power of two.
pub fn sizes(max: u64) -> impl Strategy<Value = u64> {
    let near = |blocks: u64, offset: u64| (blocks * BLOCK_SIZE).saturating_add(offset) - 1;
    prop_oneof![
        1 => 0..=max,
        2 => (1..=max / BLOCK_SIZE, 0..3u64).prop_map(move |(blocks, offset)| near(blocks, offset)),
        2 => (0..=(max / BLOCK_SIZE).ilog2(), 0..3u64)
            .prop_map(move |(height, offset)| near(1 << height, offset)),
        1 => 0..3 * BLOCK_SIZE,
    ]
    .prop_map(move |size| size.min(max))
}

/// A chunk of content of `size` bytes, chosen by any numbers.
pub fn any_chunk(size: u64, level: u8, pick: u64) -> Chunk {
    let geometry = Geometry::new(size);
    geometry
        .chunk(level, pick % geometry.chunks(level))
        .expect("below the count of chunks")
}

/// The complete tree with its padding: `levels[level][index]`.
pub struct ReferenceTree {
    pub size: u64,
    pub levels: Vec<Vec<Node>>,
}

impl ReferenceTree {
    pub fn new(data: &[u8]) -> Self {
        let mut leaves: Vec<Node> = data
            .chunks(BLOCK_SIZE as usize)
            .map(|block| Sha256::digest(block).into())
            .collect();
        leaves.resize(leaves.len().next_power_of_two(), [0; 32]);
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            levels.push(
                below
                    .chunks(2)
                    .map(|pair| Sha256::digest(pair.concat()).into())
                    .collect(),
            );
        }
        Self {
            size: data.len() as u64,
            levels,
        }
    }

    pub fn height(&self) -> u8 {
        (self.levels.len() - 1) as u8
    }

    pub fn root(&self) -> Node {
        self.levels[self.levels.len() - 1][0]
    }

    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(Kind::File, self.size, self.root()).expect("a true descriptor")
    }

    /// Whether there is content below the node.
    pub fn is_real(&self, level: u8, index: u64) -> bool {
        index << level < self.size.div_ceil(BLOCK_SIZE)
    }

    /// All nodes with content below them, from level `base` up, each level from left to right.
    pub fn nodes(&self, base: u8) -> Vec<(u8, u64, Node)> {
        let levels = (0..).zip(&self.levels).skip(usize::from(base));
        let all = levels.flat_map(|(level, nodes)| {
            (0..)
                .zip(nodes)
                .map(move |(index, node)| (level, index, *node))
        });
        all.filter(|(level, index, _)| self.is_real(*level, *index))
            .collect()
    }

    pub fn proof(&self, level: u8, index: u64) -> Vec<Node> {
        let mut proof = Vec::new();
        for above in level..self.height() {
            let sibling = (index >> (above - level)) ^ 1;
            if self.is_real(above, sibling) {
                proof.push(self.levels[usize::from(above)][sibling as usize]);
            }
        }
        proof
    }
}

/// The bytes of a chunk.
pub fn slice(data: &[u8], chunk: Chunk) -> &[u8] {
    let bytes = chunk.bytes(Geometry::new(data.len() as u64));
    &data[bytes.start as usize..bytes.end as usize]
}
