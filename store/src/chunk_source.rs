//! Chunks with their proofs, read from any source of content: a shared file, a manifest or a
//! download.
//!
//! Every node that this module returns leads to the root, and every byte comes from a file that is
//! unchanged since it was hashed. Errors are [`ReadError`]s.

use std::{
    collections::HashMap,
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use pelago_content::{
    Chunk, Descriptor, Node, OutOfRange, STORED_LEVEL, padding, proven_nodes, siblings, subtree,
    verify_leaves, verify_node,
};

use super::{DatabaseError, TreeError, manifests::ManifestsError, remote_disks::RemoteDisk};

/// The highest level of a chunk that is read with its data: 4 MiB, the limit of a response.
pub const MAX_CHUNK_LEVEL: u8 = 8;

/// A chunk with everything that a peer needs to verify it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRead {
    /// The descriptor of the content.
    pub descriptor: Descriptor,
    /// The chunk; its level is the requested one, clipped to the height of the tree.
    pub chunk: Chunk,
    /// The node above the chunk: its subtree hash.
    pub node: Node,
    /// The siblings up to the root.
    pub proof: Vec<Node>,
    /// Its bytes; empty if they were not requested.
    pub data: Vec<u8>,
    /// How many bytes of content were read for it: more than its own if nodes had to be computed.
    pub bytes_read: usize,
    /// Whether the file may no longer hold the content that was hashed, and has to be hashed again.
    /// The chunk itself was proven.
    pub in_doubt: bool,
}

/// Something from which chunks can be read.
pub(super) trait ChunkSource: fmt::Debug {
    /// The descriptor of the content.
    fn descriptor(&self) -> &Descriptor;

    /// The lowest level of the tree that is stored; `None` if no tree is stored.
    fn tree_level(&self) -> Option<u8>;

    /// A node of the tree. It is unverified.
    fn node(&self, level: u8, index: u64) -> Result<Node, ReadError>;

    /// Bytes of the content. They may have changed.
    fn read(&self, bytes: Range<u64>) -> Result<Vec<u8>, ReadError>;

    /// Checks that the chunk is present and unchanged, as far as the source can determine.
    fn check(&self, chunk: Chunk) -> Result<Certainty, ReadError>;

    /// The error for data that does not match a verified node.
    fn data_unproven(&self) -> ReadError;

    /// The error for nodes that do not lead to the root.
    fn nodes_unproven(&self) -> ReadError;

    /// Its path and disk, if calls to that disk may hang.
    fn remote(&self) -> Option<(&Path, &Arc<RemoteDisk>)> {
        None
    }
}

/// How certain a source is that its content is the content that was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    Certain,
    /// The content may differ: each chunk is proven before it is returned.
    InDoubt,
}

/// A chunk as it was requested.
#[derive(Clone, Copy)]
pub(super) struct ChunkRequest {
    pub(super) level: u8,
    pub(super) index: u64,
    pub(super) with_data: bool,
    /// Whether content may be read and hashed to compute nodes.
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

/// Reads a chunk whose node is in the stored tree. Where the file is certainly unchanged, its data
/// is not hashed: that would cost ten times as much as reading it.
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

/// Reads a chunk below the stored tree. The missing nodes are computed from all data below one node
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
        // Only empty content has no nodes; its only chunk is padding.
        node: node((chunk.level(), chunk.index())).unwrap_or(padding(0)),
        proof: siblings(geometry, chunk).filter_map(node).collect(),
        data,
        bytes_read,
        in_doubt: false,
    })
}

/// Proves the data of a group, and returns all nodes that follow from it.
fn nodes_within(
    source: &dyn ChunkSource,
    group: Chunk,
    data: &[u8],
) -> Result<HashMap<(u8, u64), Node>, ReadError> {
    let descriptor = source.descriptor();
    let proof = proof_of(source, group)?;
    let mut leaves = Vec::new();
    if verify_leaves(descriptor, group, data, &proof, &mut leaves).is_err() {
        // Either the data or the tree is wrong. Without a tree it is the data.
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
    /// Whether the same content at another location may still be readable.
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
#[non_exhaustive]
pub enum ReadError {
    /// The content, or this part of it, is not stored here.
    #[error("the content is not stored here")]
    Absent,
    /// The node is not in a stored tree, and the caller does not allow it to be computed.
    #[error("the node would have to be computed from the content")]
    Costly,
    /// The content has no such chunk.
    #[error("{source}")]
    OutOfRange {
        /// The descriptor of the content.
        descriptor: Descriptor,
        /// Which chunks exist.
        source: OutOfRange,
    },
    /// The level is above [`MAX_CHUNK_LEVEL`].
    #[error("a chunk of level {level} is too large: the highest level is {MAX_CHUNK_LEVEL}")]
    TooLarge {
        /// The descriptor of the content.
        descriptor: Descriptor,
        /// The requested level, clipped to the height of the tree.
        level: u8,
    },
    /// The file has changed since it was hashed, and has to be hashed again.
    #[error("{} has changed since it was hashed", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened or read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The stored tree of the file is unusable; the file has to be hashed again.
    #[error("{}: {source}", path.display())]
    Tree {
        /// The file.
        path: PathBuf,
        /// The problem with the tree.
        source: TreeError,
    },
    /// The manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestsError),
    /// The database cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
