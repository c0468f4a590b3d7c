//! Proofs that a chunk belongs to content: their nodes, and their verification.
//!
//! A proof consists of the siblings on the path from the chunk's node to the root, bottom-up,
//! without those wholly past the end of the content: these are constants, which the verifier
//! supplies. Its length follows from size, level and index, so a proof has exactly one form.
//!
//! Never reads or keeps content. A failed verification results in a [`ProofError`]; nothing is
//! returned before everything is verified.

use crate::{
    Chunk, Descriptor, Geometry, Node, OutOfRange, padding, parent, subtree, subtree_leaves,
    tree::{ascend, fold},
};

/// The positions (level, index) of the nodes in a chunk's proof, in order.
pub fn siblings(geometry: Geometry, chunk: Chunk) -> impl Iterator<Item = (u8, u64)> {
    path(geometry, chunk)
        .map(|(level, index)| (level, index ^ 1))
        .filter(move |(level, index)| *index < geometry.nodes_at(*level))
}

/// How many nodes a chunk's proof has; at most the height of the tree.
pub fn proof_len(geometry: Geometry, chunk: Chunk) -> usize {
    siblings(geometry, chunk).count()
}

/// Verifies that `data` is exactly the bytes of `chunk`.
///
/// # Errors
///
/// See [`ProofError`]. It does not tell whether the data or the proof is wrong.
pub fn verify(
    descriptor: &Descriptor,
    chunk: Chunk,
    data: &[u8],
    proof: &[Node],
) -> Result<(), ProofError> {
    check_data(descriptor, chunk, data)?;
    verify_node(descriptor, chunk, subtree(data, chunk.level()), proof)
}

/// Verifies like [`verify`], and appends the leaves of `data` on success.
///
/// # Errors
///
/// Those of [`verify`]; `leaves` is then unchanged.
pub fn verify_leaves(
    descriptor: &Descriptor,
    chunk: Chunk,
    data: &[u8],
    proof: &[Node],
    leaves: &mut Vec<Node>,
) -> Result<(), ProofError> {
    check_data(descriptor, chunk, data)?;
    let start = leaves.len();
    subtree_leaves(data, leaves);
    let node = fold(&mut leaves[start..].to_vec(), chunk.level());
    verify_node(descriptor, chunk, node, proof).inspect_err(|_| leaves.truncate(start))
}

/// Verifies that `node` is the node above `chunk`, without its data.
///
/// # Errors
///
/// See [`ProofError`]; never [`ProofError::Data`].
pub fn verify_node(
    descriptor: &Descriptor,
    chunk: Chunk,
    node: Node,
    proof: &[Node],
) -> Result<(), ProofError> {
    let geometry = descriptor.geometry();
    check_chunk(geometry, chunk)?;
    let expected = proof_len(geometry, chunk);
    if proof.len() != expected {
        return Err(ProofError::Length {
            expected,
            found: proof.len(),
        });
    }
    let mut root = node;
    climb(geometry, chunk, node, proof, |_, _, node| root = node);
    if root == descriptor.root() {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Passes (level, index, node) to the sink for every node that a verified chunk proves: the
/// leaves, the nodes between them and the chunk's node, the proof, and the path up to the root.
///
/// `leaves` and `proof` are those with which [`verify_leaves`] succeeded. Each node is passed
/// once, padding never; with a [`Layout`](crate::Layout) this fills a partial tree.
pub fn proven_nodes(
    geometry: Geometry,
    chunk: Chunk,
    leaves: &[Node],
    proof: &[Node],
    mut sink: impl FnMut(u8, u64, Node),
) {
    let mut nodes = leaves.to_vec();
    let first = chunk.blocks(geometry).start;
    for level in 0..=chunk.level() {
        for (index, node) in (first >> level..).zip(&nodes) {
            sink(level, index, *node);
        }
        if level < chunk.level() {
            let parents = ascend(&mut nodes, level);
            nodes.truncate(parents);
        }
    }
    for ((level, index), node) in siblings(geometry, chunk).zip(proof) {
        sink(level, index, *node);
    }
    if let [node] = nodes[..] {
        climb(geometry, chunk, node, proof, sink);
    }
}

/// The positions on the path from the chunk's node to the root, without the root.
fn path(geometry: Geometry, chunk: Chunk) -> impl Iterator<Item = (u8, u64)> {
    (chunk.level()..geometry.height())
        .map(move |level| (level, chunk.index() >> (level - chunk.level())))
}

/// Passes each node above the chunk's own to the sink, from its parent up to the root, computed
/// from the proof.
fn climb(
    geometry: Geometry,
    chunk: Chunk,
    mut node: Node,
    proof: &[Node],
    mut sink: impl FnMut(u8, u64, Node),
) {
    let mut proof = proof.iter();
    for (level, index) in path(geometry, chunk) {
        let sibling = if (index ^ 1) < geometry.nodes_at(level) {
            proof.next()
        } else {
            None
        };
        let sibling = sibling.copied().unwrap_or_else(|| padding(level));
        node = if index % 2 == 0 {
            parent(&node, &sibling)
        } else {
            parent(&sibling, &node)
        };
        sink(level + 1, index / 2, node);
    }
}

/// Rejects a chunk of content of another size, unless this content has it, too.
fn check_chunk(geometry: Geometry, chunk: Chunk) -> Result<(), ProofError> {
    if geometry.chunk(chunk.level(), chunk.index())? == chunk {
        return Ok(());
    }
    let chunks = geometry.chunks(chunk.level());
    Err(OutOfRange {
        level: chunk.level(),
        index: chunk.index(),
        chunks,
    }
    .into())
}

fn check_data(descriptor: &Descriptor, chunk: Chunk, data: &[u8]) -> Result<(), ProofError> {
    check_chunk(descriptor.geometry(), chunk)?;
    let bytes = chunk.bytes(descriptor.geometry());
    let (expected, found) = (bytes.end - bytes.start, data.len() as u64);
    if found == expected {
        Ok(())
    } else {
        Err(ProofError::Data { expected, found })
    }
}

/// Why a chunk is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The content has no such chunk.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// The data is longer or shorter than the chunk.
    #[error("the chunk has {expected} bytes, but {found} were given")]
    Data {
        /// The chunk's length, in bytes.
        expected: u64,
        /// The data's length, in bytes.
        found: u64,
    },
    /// The proof has more or fewer nodes than this chunk's.
    #[error("the chunk's proof has {expected} nodes, but {found} were given")]
    Length {
        /// How many nodes the proof must have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// Data and proof lead to a different root.
    #[error("data and proof do not lead to the content's root: one of them is wrong")]
    Root,
}
