//! Content, and the answers of an honest node to requests for it.

use futures::executor::block_on;
use pelago::{Descriptor, Hash, Kind};
use pelago_behaviour::chunk::{self, Answer, Item};
use pelago_content::{Geometry, Hasher, Node, leaf, padding, siblings, subtree};

/// Bytes of three chunks of the first level that a node requests. The last one is short, and its
/// neighbour is past the end.
pub(crate) const THREE_CHUNKS: u64 = 40 * 16_384 + 100;

/// Bytes, and the tree with which they are proven.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptor: Descriptor,
}

impl Content {
    /// Bytes without repetitions near a block; other seeds give other content.
    pub(crate) fn new(size: u64, seed: u64) -> Self {
        let mut state = seed.wrapping_mul(2) | 1;
        let mut bytes = Vec::with_capacity(size as usize + 8);
        while (bytes.len() as u64) < size {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.truncate(size as usize);
        Self::of(bytes)
    }

    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self::of_kind(Kind::File, bytes)
    }

    pub(crate) fn of_kind(kind: Kind, bytes: Vec<u8>) -> Self {
        let mut hasher = Hasher::new(kind);
        hasher.update(&bytes);
        let descriptor = hasher.finish().unwrap();
        Self { bytes, descriptor }
    }

    pub(crate) fn hash(&self) -> Hash {
        self.descriptor.hash()
    }

    /// A node of the tree.
    pub(crate) fn node(&self, level: u8, index: u64) -> Node {
        let geometry = self.geometry();
        match geometry.chunk(level, index) {
            Ok(chunk) => {
                let bytes = chunk.bytes(geometry);
                subtree(&self.bytes[bytes.start as usize..bytes.end as usize], level)
            }
            Err(_) => padding(level),
        }
    }

    /// The right answer to `item`, and the data that follows it.
    pub(crate) fn answer(&self, item: &Item) -> (Answer, Vec<u8>) {
        let geometry = self.geometry();
        let Ok(chunk) = geometry.chunk(item.level, item.index) else {
            return (Answer::OutOfRange, Vec::new());
        };
        let bytes = chunk.bytes(geometry);
        let data = self.bytes[bytes.start as usize..bytes.end as usize].to_vec();
        let nodes = siblings(geometry, chunk).map(|(level, index)| self.node(level, index));
        let answer = Answer::Data {
            descriptor: self.descriptor,
            proof: nodes.collect(),
            length: data.len() as u32,
        };
        (answer, data)
    }

    /// The bytes of the right answer to `item`.
    pub(crate) fn truth(&self, item: &Item) -> Vec<u8> {
        let (answer, data) = self.answer(item);
        encoded(&answer, &data)
    }

    /// How many bytes the requested chunk has.
    pub(crate) fn bytes_of(&self, item: &Item) -> u64 {
        self.answer(item).1.len() as u64
    }

    fn geometry(&self) -> Geometry {
        self.descriptor.geometry()
    }
}

/// An answer as it is sent.
pub(crate) fn encoded(answer: &Answer, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    block_on(chunk::write_answer(&mut bytes, answer, data)).unwrap();
    bytes
}

/// The two leaves of 32 KiB of content as a file of 64 bytes, which has the same root.
pub(crate) fn two_leaves(original: &Content) -> Content {
    let (first, second) = original.bytes.split_at(16_384);
    Content::of([leaf(first), leaf(second)].concat())
}
