//! Chunks with their proofs, from shared files, kept manifests and downloads under way.
//!
//! Owns how a chunk is put together, whatever it is read from. Never gives a node that does not
//! lead to the root, nor a byte of a file that is not as it was when it was hashed; where the same
//! content lies in several places, the next one is tried. What is in the way leaves as a
//! [`ReadError`].

use std::{collections::HashMap, fmt, io, ops::Range, path::PathBuf};

use pelago_content::{
    Chunk, Descriptor, Node, OutOfRange, STORED_LEVEL, padding, proven_nodes, siblings, subtree,
    verify_leaves, verify_node,
};

use super::{DatabaseError, TreeError, manifests::ManifestsError};

/// The highest level of a chunk that is read with its data: 4 MiB, all that a response may hold.
pub const MAX_CHUNK_LEVEL: u8 = 8;

/// A chunk, with all a peer needs to verify it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRead {
    /// What the content is.
    pub descriptor: Descriptor,
    /// Which chunk: the level asked for, clipped to the height.
    pub chunk: Chunk,
    /// The node above the chunk: its subtree hash.
    pub node: Node,
    /// The siblings up to the root.
    pub proof: Vec<Node>,
    /// Its bytes; empty if they were not asked for.
    pub data: Vec<u8>,
    /// Bytes of content that were read for it: more than its own, if nodes had to be computed.
    pub bytes_read: usize,
    /// Whether the file that it is from may hold other content than what was hashed: it is to be hashed
    /// again. This chunk was proven.
    pub in_doubt: bool,
}

/// Where chunks can be read from.
pub(super) trait ChunkSource: fmt::Debug {
    /// What the content is.
    fn descriptor(&self) -> &Descriptor;

    /// The lowest level of the tree that is kept; none if there is none.
    fn tree_level(&self) -> Option<u8>;

    /// A node of the tree, which is a claim.
    fn node(&self, level: u8, index: u64) -> Result<Node, ReadError>;

    /// Bytes of the content, which may have changed.
    fn read(&self, bytes: Range<u64>) -> Result<Vec<u8>, ReadError>;

    /// Whether the chunk is there, unchanged, as far as can be told.
    fn check(&self, chunk: Chunk) -> Result<Certainty, ReadError>;

    /// What it means that data does not lead to a node that does lead to the root.
    fn data_unproven(&self) -> ReadError;

    /// What it means that nodes do not lead to the root.
    fn nodes_unproven(&self) -> ReadError;
}

/// Whether content can be taken to be what it was when it was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    Certain,
    /// It may be other content: each chunk is proven before it is given.
    InDoubt,
}

/// Which chunk, as asked for.
#[derive(Clone, Copy)]
pub(super) struct ChunkRequest {
    pub(super) level: u8,
    pub(super) index: u64,
    pub(super) with_data: bool,
    /// Whether content may be read and hashed for it.
    pub(super) may_read: bool,
}

/// Reads a chunk with its proof.
pub(super) fn read_from(
    source: &dyn ChunkSource,
    request: ChunkRequest,
) -> Result<ChunkRead, ReadError> {
    let descriptor = *source.descriptor();
    let chunk = descriptor
        .geometry()
        .chunk(request.level, request.index)
        .map_err(|source| ReadError::OutOfRange { descriptor, source })?;
    if request.with_data && chunk.level() > MAX_CHUNK_LEVEL {
        let level = chunk.level();
        return Err(ReadError::TooLarge { descriptor, level });
    }
    let before = source.check(chunk)?;
    let is_whole = source
        .tree_level()
        .is_some_and(|level| level <= chunk.level());
    if !is_whole && !request.may_read {
        return Err(ReadError::Costly);
    }
    let mut read = if is_whole {
        read_whole(source, chunk, request.with_data)
    } else {
        read_within(source, chunk, request.with_data)
    }?;
    let after = source.check(chunk)?;
    if before == Certainty::InDoubt || after == Certainty::InDoubt {
        read.in_doubt = true;
        if is_whole && request.with_data && subtree(&read.data, chunk.level()) != read.node {
            return Err(source.data_unproven());
        }
    }
    Ok(read)
}

/// Reads a chunk whose node is in the tree. That the data is below that node is what the file's
/// being unchanged tells, where that is sure: hashing it would cost ten times as much as reading it.
fn read_whole(
    source: &dyn ChunkSource,
    chunk: Chunk,
    with_data: bool,
) -> Result<ChunkRead, ReadError> {
    let descriptor = *source.descriptor();
    let node = source.node(chunk.level(), chunk.index())?;
    let proof = proof_of(source, chunk)?;
    verify_node(&descriptor, chunk, node, &proof).map_err(|_| source.nodes_unproven())?;
    let data = if with_data {
        source.read(chunk.bytes(descriptor.geometry()))?
    } else {
        Vec::new()
    };
    Ok(ChunkRead {
        descriptor,
        chunk,
        node,
        proof,
        bytes_read: data.len(),
        in_doubt: false,
        data,
    })
}

/// Reads a chunk below the tree: the nodes missing are computed from the whole run below one node
/// of the stored level.
fn read_within(
    source: &dyn ChunkSource,
    chunk: Chunk,
    with_data: bool,
) -> Result<ChunkRead, ReadError> {
    let descriptor = *source.descriptor();
    let geometry = descriptor.geometry();
    let block = chunk.index() << chunk.level();
    let group = geometry
        .chunk_of_block(STORED_LEVEL, block)
        .map_err(|source| ReadError::OutOfRange { descriptor, source })?;
    let bytes = group.bytes(geometry);
    let group_data = source.read(bytes.clone())?;
    let bytes_read = group_data.len();
    let nodes = nodes_within(source, group, &group_data)?;
    let node = |position: (u8, u64)| nodes.get(&position).copied();
    let wanted = chunk.bytes(geometry);
    let data = if !with_data {
        Vec::new()
    } else if wanted == bytes {
        group_data
    } else {
        let within = |at: u64| (at - bytes.start) as usize;
        group_data[within(wanted.start)..within(wanted.end)].to_vec()
    };
    Ok(ChunkRead {
        descriptor,
        chunk,
        // Only of empty content nothing is known, and it is padding.
        node: node((chunk.level(), chunk.index())).unwrap_or(padding(0)),
        proof: siblings(geometry, chunk).filter_map(node).collect(),
        data,
        bytes_read,
        in_doubt: false,
    })
}

/// Proves the data of a group, and gives all nodes that this teaches.
fn nodes_within(
    source: &dyn ChunkSource,
    group: Chunk,
    data: &[u8],
) -> Result<HashMap<(u8, u64), Node>, ReadError> {
    let descriptor = source.descriptor();
    let proof = proof_of(source, group)?;
    let mut leaves = Vec::new();
    if verify_leaves(descriptor, group, data, &proof, &mut leaves).is_err() {
        // Either the data or the tree is at fault. Without a tree it is the data.
        if source.tree_level().is_some() {
            let node = source.node(group.level(), group.index())?;
            verify_node(descriptor, group, node, &proof).map_err(|_| source.nodes_unproven())?;
        }
        return Err(source.data_unproven());
    }
    let mut nodes = HashMap::new();
    proven_nodes(
        descriptor.geometry(),
        group,
        &leaves,
        &proof,
        |level, index, node| {
            nodes.insert((level, index), node);
        },
    );
    Ok(nodes)
}

fn proof_of(source: &dyn ChunkSource, chunk: Chunk) -> Result<Vec<Node>, ReadError> {
    siblings(source.descriptor().geometry(), chunk)
        .map(|(level, index)| source.node(level, index))
        .collect()
}

impl ReadError {
    /// Whether another place with the same content may do better.
    pub(super) const fn is_of_one_location(&self) -> bool {
        matches!(
            self,
            Self::Absent
                | Self::Changed { .. }
                | Self::Unreadable { .. }
                | Self::Tree { .. }
                | Self::Manifest(_)
        )
    }
}

/// Why a chunk cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The content is not here, or not this part of it.
    #[error("not here")]
    Absent,
    /// The node is in no tree, and no content was to be read for it.
    #[error("the node would have to be computed from the content")]
    Costly,
    /// The content has no such chunk, or it is too large to be read at once.
    #[error("{source}")]
    OutOfRange {
        /// What the content is.
        descriptor: Descriptor,
        /// Which chunks there are.
        source: OutOfRange,
    },
    /// The level is above [`MAX_CHUNK_LEVEL`].
    #[error("a chunk of level {level} is too large; at most {MAX_CHUNK_LEVEL}")]
    TooLarge {
        /// What the content is.
        descriptor: Descriptor,
        /// The level asked for, clipped to the height.
        level: u8,
    },
    /// The file is not as it was when it was hashed: hash it again.
    #[error("{} changed since it was hashed", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened or read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The tree of the file is of no use: hash it again.
    #[error("{}: {source}", path.display())]
    Tree {
        /// The file.
        path: PathBuf,
        /// What is wrong with the tree.
        source: TreeError,
    },
    /// It is a manifest that cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestsError),
    /// It cannot be told what is shared.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
