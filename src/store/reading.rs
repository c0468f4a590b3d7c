//! Chunks with their proofs, from shared files, kept manifests and downloads under way.
//!
//! Owns how a chunk is put together, whatever it is read from. Never gives a node that does not
//! lead to the root, nor a byte of a file that is not as it was when it was hashed; where the same
//! content lies in several places, the next one is tried. What is in the way leaves as a
//! [`ReadError`].

#[cfg(test)]
mod tests;

use std::{collections::HashMap, fmt, io, ops::Range, path::PathBuf, sync::Arc};

use pelago_content::{
    BlockRanges, Chunk, Descriptor, Hash, Node, OutOfRange, STORED_LEVEL, padding, proven_nodes,
    siblings, subtree, verify_leaves, verify_node,
};

use super::{
    DatabaseError, ManifestsError, Store, TreeError, open_files::SharedFile, partial::Held,
};

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

/// How far content is here: another value after each change of what is shared or verified of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// That of all shares.
    pub revision: u64,
    /// Blocks that a download has verified.
    pub blocks: u64,
    /// Runs that these are.
    pub runs: usize,
}

/// Where chunks can be read from.
pub(super) trait Source: fmt::Debug {
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
struct Request {
    level: u8,
    index: u64,
    with_data: bool,
    /// Whether content may be read and hashed for it.
    may_read: bool,
}

impl Store {
    /// Reads a chunk of content that is shared, by itself or in a folder, of a manifest that is
    /// kept, or of what a download under way has verified. Who may know of it is not asked here.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn read_chunk(
        &self,
        hash: &Hash,
        level: u8,
        index: u64,
        with_data: bool,
    ) -> Result<ChunkRead, ReadError> {
        let request = Request {
            level,
            index,
            with_data,
            may_read: true,
        };
        self.read_requested(hash, request)
    }

    /// Gives the node above a chunk with its proof. Only if `may_read`, content is read and hashed for it where
    /// its tree does not have the node.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn read_node(
        &self,
        hash: &Hash,
        level: u8,
        index: u64,
        may_read: bool,
    ) -> Result<ChunkRead, ReadError> {
        let request = Request {
            level,
            index,
            with_data: false,
            may_read,
        };
        self.read_requested(hash, request)
    }

    fn read_requested(&self, hash: &Hash, request: Request) -> Result<ChunkRead, ReadError> {
        if let Some(file) = self.inner.open_files.get(hash) {
            let result = read_from(&*file, request);
            match result {
                Err(error) if error.is_of_one_location() => self.inner.open_files.forget(&[*hash]),
                result => return result,
            }
        }
        let failure = match self.read_shared(hash, request)? {
            Ok(read) => return Ok(read),
            Err(failure) => failure,
        };
        let read = match self.partial(hash) {
            Some(partial) => read_from(&partial, request),
            None => self.read_in_folders(hash, request),
        };
        read.map_err(|error| match error {
            ReadError::Absent => failure,
            error => error,
        })
    }

    /// Reads a chunk of a file in a folder that is being downloaded.
    fn read_in_folders(&self, hash: &Hash, request: Request) -> Result<ChunkRead, ReadError> {
        let held = self.folders_with(hash);
        match held.iter().find_map(|folder| folder.held(hash)) {
            Some(Held::Whole(place)) => {
                let generation = self.inner.open_files.generation();
                let file = SharedFile::open(place, &self.inner.trees)?;
                let read = read_from(&file, request)?;
                self.inner
                    .open_files
                    .keep(generation, *hash, Arc::new(file));
                Ok(read)
            }
            Some(Held::Growing(partial)) => read_from(&partial, request),
            None => Err(ReadError::Absent),
        }
    }

    /// Whether the tree that a shared file of this content needs is stored, or it needs none: else the
    /// file is to be hashed again though it has not changed.
    pub fn has_tree(&self, descriptor: &Descriptor) -> bool {
        let needs_none = descriptor.geometry().height() <= STORED_LEVEL;
        needs_none || self.inner.trees.open(descriptor).is_ok()
    }

    /// What is here of this content: all blocks if it is shared, but for files that are not available;
    /// those verified if it is being downloaded. Those of a folder are the blocks of its sequence. None
    /// if it is not here.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub fn holding(&self, hash: &Hash) -> Result<Option<(Descriptor, BlockRanges)>, DatabaseError> {
        if let Some(offered) = self.offered(hash)? {
            return Ok(Some(offered));
        }
        if let Some(partial) = self.partial(hash) {
            return Ok(Some((partial.spec().descriptor, partial.verified())));
        }
        if let Some(folder) = self.partial_folder(hash) {
            return Ok(Some((folder.spec().descriptor, folder.verified())));
        }
        let folders = self.folders_with(hash);
        Ok(folders.iter().find_map(|folder| folder.holding(hash)))
    }

    /// How far content is here, as far as that tells whether it changed. Reads no row.
    pub fn progress_of(&self, hash: &Hash) -> Progress {
        let verified = || {
            if let Some(partial) = self.partial(hash) {
                return Some(partial.verified());
            }
            if let Some(folder) = self.partial_folder(hash) {
                return Some(folder.verified());
            }
            let folders = self.folders_with(hash);
            let (_, held) = folders.iter().find_map(|folder| folder.holding(hash))?;
            Some(held)
        };
        let verified = verified().unwrap_or_default();
        Progress {
            revision: self.shares_revision(),
            blocks: verified.len(),
            runs: verified.runs(),
        }
    }

    /// Tries each place where the content is shared, then the manifests. The inner error is that of
    /// the first one.
    fn read_shared(
        &self,
        hash: &Hash,
        request: Request,
    ) -> Result<Result<ChunkRead, ReadError>, DatabaseError> {
        let mut failure = None;
        let generation = self.inner.open_files.generation();
        for place in self.locations_of(hash)? {
            let result = SharedFile::open(place, &self.inner.trees).and_then(|file| {
                let read = read_from(&file, request)?;
                self.inner
                    .open_files
                    .keep(generation, *hash, Arc::new(file));
                Ok(read)
            });
            match result {
                Err(error) if error.is_of_one_location() => {
                    failure.get_or_insert(error);
                }
                result => return Ok(result),
            }
        }
        if let Some(failure) = failure {
            return Ok(Err(failure));
        }
        Ok(match self.inner.manifests.open(hash) {
            Ok(Some(manifest)) => {
                let read = read_from(&manifest, request);
                let manifest = Arc::new(manifest);
                self.inner.open_files.keep(generation, *hash, manifest);
                read
            }
            Ok(None) => Err(ReadError::Absent),
            Err(error) => Err(error.into()),
        })
    }
}

fn read_from(source: &dyn Source, request: Request) -> Result<ChunkRead, ReadError> {
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
fn read_whole(source: &dyn Source, chunk: Chunk, with_data: bool) -> Result<ChunkRead, ReadError> {
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
fn read_within(source: &dyn Source, chunk: Chunk, with_data: bool) -> Result<ChunkRead, ReadError> {
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
    source: &dyn Source,
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

fn proof_of(source: &dyn Source, chunk: Chunk) -> Result<Vec<Node>, ReadError> {
    siblings(source.descriptor().geometry(), chunk)
        .map(|(level, index)| source.node(level, index))
        .collect()
}

impl ReadError {
    /// Whether another place with the same content may do better.
    const fn is_of_one_location(&self) -> bool {
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
