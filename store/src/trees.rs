//! The stored trees of shared files: from level 4 (256 KiB) up, one file for each hash.
//!
//! Owns `trees/` as side files. A tree is durable before the share that needs it is recorded.
//! Readers prove each node against the descriptor, and a lost or damaged tree is rebuilt from the
//! file. Errors are [`TreeError`]s.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use pelago_content::{Descriptor, Hash, Layout, Node, STORED_LEVEL};

use super::{
    data_layout::TREES_FOLDER,
    files,
    side_files::{InMemory, SideFiles, StoredByHash, Unfinished},
};

/// How many bytes of one level are collected before they are written. A tree has at most 33 stored
/// levels.
const LEVEL_BUFFER: usize = 8 * 1024;

/// The size of a node in bytes.
const NODE_LEN: usize = 32;

/// All stored trees of one store.
pub(super) enum Trees {
    Folder(SideFiles),
    Memory(InMemory),
}

impl Trees {
    /// Opens the trees in a data folder, and removes unfinished files of an earlier run.
    pub(super) fn in_folder(folder: &Path) -> io::Result<Self> {
        SideFiles::in_folder(folder.join(TREES_FOLDER)).map(Self::Folder)
    }

    /// Trees in memory.
    pub(super) fn in_memory() -> Self {
        Self::Memory(InMemory::default())
    }

    /// Begins the tree of content whose hash is not known yet.
    pub(super) fn begin(&self, size: u64) -> Result<TreeWriter<'_>, TreeError> {
        let layout = Layout::new(size, STORED_LEVEL);
        let output = match self {
            Self::Folder(files) => match files.begin() {
                Ok(unfinished) => Output::File(unfinished),
                Err(source) => {
                    let path = files.folder().to_owned();
                    return Err(TreeError::Io { path, source });
                }
            },
            Self::Memory(_) => Output::Memory(Vec::new()),
        };
        Ok(TreeWriter {
            trees: self,
            layout,
            output,
            levels: Vec::new(),
            failed: None,
        })
    }

    /// Opens the tree of this content.
    pub(super) fn open(&self, descriptor: &Descriptor) -> Result<StoredTree, TreeError> {
        let (hash, layout) = (
            descriptor.hash(),
            Layout::new(descriptor.size(), STORED_LEVEL),
        );
        let nodes = match self {
            Self::Folder(files) => Nodes::File(open_file(files.path(&hash), hash)?),
            Self::Memory(trees) => {
                let tree = trees.get(&hash);
                Nodes::Memory(tree.ok_or(TreeError::Missing { hash })?)
            }
        };
        let tree = StoredTree {
            hash,
            layout,
            nodes,
        };
        tree.check_len()?;
        Ok(tree)
    }
}

impl StoredByHash for Trees {
    fn kept(&self) -> Result<&SideFiles, &InMemory> {
        match self {
            Self::Folder(files) => Ok(files),
            Self::Memory(memory) => Err(memory),
        }
    }
}

fn open_file(path: PathBuf, hash: Hash) -> Result<File, TreeError> {
    File::open(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => TreeError::Missing { hash },
        _ => TreeError::Io { path, source },
    })
}

/// A tree being written, each level from left to right. [`TreeWriter::commit`] puts it in place.
pub(super) struct TreeWriter<'t> {
    trees: &'t Trees,
    layout: Layout,
    output: Output,
    /// The next nodes to be written of each level, from the stored level up.
    levels: Vec<LevelBuffer>,
    failed: Option<io::Error>,
}

enum Output {
    File(Unfinished),
    Memory(Vec<u8>),
}

#[derive(Default)]
struct LevelBuffer {
    offset: u64,
    bytes: Vec<u8>,
}

impl TreeWriter<'_> {
    /// Takes the next node of `level`. An error is reported by [`TreeWriter::commit`].
    pub(super) fn put(&mut self, level: u8, index: u64, node: Node) {
        let Some(offset) = self.layout.offset(level, index) else {
            return;
        };
        let at = usize::from(level - STORED_LEVEL);
        if self.levels.len() <= at {
            self.levels.resize_with(at + 1, LevelBuffer::default);
        }
        let buffer = &mut self.levels[at];
        if buffer.bytes.is_empty() {
            buffer.offset = offset;
        }
        buffer.bytes.extend_from_slice(&node);
        if buffer.bytes.len() >= LEVEL_BUFFER {
            let written = self.output.write(buffer);
            self.failed = self.failed.take().or(written.err());
        }
    }

    /// Puts the tree in place under `hash`. It is pinned until a row with that hash is written.
    pub(super) fn commit(mut self, hash: Hash) -> Result<(), TreeError> {
        let mut result = self.failed.take().map_or(Ok(()), Err);
        for buffer in &mut self.levels {
            result = result.and_then(|()| self.output.write(buffer));
        }
        match (&mut self.output, self.trees) {
            (Output::File(unfinished), Trees::Folder(files)) => result
                .and_then(|()| files.commit(unfinished, &hash))
                .map_err(|source| TreeError::Io {
                    path: unfinished.path.clone(),
                    source,
                }),
            (Output::Memory(bytes), Trees::Memory(trees)) => {
                trees.insert(&hash, std::mem::take(bytes).into());
                Ok(())
            }
            // `Trees::begin` creates the matching output.
            _ => Ok(()),
        }
    }
}

impl Output {
    fn write(&mut self, buffer: &mut LevelBuffer) -> io::Result<()> {
        let (bytes, offset) = (&buffer.bytes[..], buffer.offset);
        match self {
            Self::File(unfinished) => files::write_all_at(&unfinished.file, bytes, offset)?,
            Self::Memory(memory) => {
                let start = usize::try_from(offset).map_err(io::Error::other)?;
                let end = start + bytes.len();
                memory.resize(memory.len().max(end), 0);
                memory[start..end].copy_from_slice(bytes);
            }
        }
        buffer.bytes.clear();
        Ok(())
    }
}

/// A stored tree. Its nodes are unverified.
#[derive(Debug)]
pub(super) struct StoredTree {
    hash: Hash,
    layout: Layout,
    nodes: Nodes,
}

#[derive(Debug)]
enum Nodes {
    File(File),
    Memory(Arc<[u8]>),
}

impl StoredTree {
    /// The node at this position.
    pub(super) fn node(&self, level: u8, index: u64) -> Result<Node, TreeError> {
        let damaged = TreeError::Damaged { hash: self.hash };
        let Some(offset) = self.layout.offset(level, index) else {
            return Err(damaged);
        };
        let mut node = [0; NODE_LEN];
        match &self.nodes {
            Nodes::File(file) => {
                files::read_exact_at(file, &mut node, offset).map_err(|_| damaged)?;
            }
            Nodes::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let found = bytes.get(start..).and_then(|rest| rest.first_chunk());
                node = *found.ok_or(damaged)?;
            }
        }
        Ok(node)
    }

    fn check_len(&self) -> Result<(), TreeError> {
        let hash = self.hash;
        let len = match &self.nodes {
            Nodes::File(file) => file.metadata().map_or(0, |metadata| metadata.len()),
            Nodes::Memory(bytes) => bytes.len() as u64,
        };
        if len == self.layout.len() {
            Ok(())
        } else {
            Err(TreeError::Damaged { hash })
        }
    }
}

/// Why a stored tree is unusable. Hashing the file again creates a new one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// There is no tree.
    #[error("the tree of {hash} is missing: hash the file again")]
    Missing {
        /// The hash.
        hash: Hash,
    },
    /// It is too short, too long, or its nodes do not lead to the root.
    #[error("the tree of {hash} is damaged: hash the file again")]
    Damaged {
        /// The hash.
        hash: Hash,
    },
    /// It cannot be written or opened.
    #[error("the tree {} cannot be written or read: {source}", crate::shown(path))]
    Io {
        /// Its file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}
