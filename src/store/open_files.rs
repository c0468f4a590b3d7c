//! Open files, trees and manifests of what is being served, so that a request costs no look-up and no open.
//!
//! Owns a bounded number of them, the ones used last. Never outlives what it stands for: whoever
//! changes the shares of a hash tells it to forget that hash, also while others are opening it.

use std::{
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use pelago_content::{Chunk, Descriptor, Hash, Node, STORED_LEVEL};

use super::{
    Comparison, Fingerprint, ReadError, TreeError,
    chunk_source::{Certainty, ChunkSource},
    files::{self, OpenFileError},
    hashing::GROUP_SIZE,
    trees::{StoredTree, Trees},
};

/// Open handles at most; each is a file and its tree. Processes may often open no more than 1,024
/// files, and connections need some.
const MAX_OPEN_FILES: usize = 64;

/// Something open to be read from.
pub(super) type SourceHandle = Arc<dyn ChunkSource + Send + Sync>;

/// The files that are open.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(Mutex<OpenList>);

/// How long a handle may be idle until it is closed: an open file keeps its disk from being unmounted,
/// and its space from coming back once it is deleted. A reader asks many times a second.
const MAX_IDLE: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
struct OpenList {
    /// Those used last come last.
    open: Vec<OpenFile>,
    /// How often anything was forgotten.
    generation: u64,
}

#[derive(Debug)]
struct OpenFile {
    hash: Hash,
    handle: SourceHandle,
    used: Instant,
}

impl OpenFiles {
    /// The handle for this hash, if it is open.
    pub(super) fn get(&self, hash: &Hash) -> Option<SourceHandle> {
        let mut state = self.0.lock();
        let at = state.open.iter().rposition(|open| open.hash == *hash)?;
        let mut open = state.open.remove(at);
        open.used = Instant::now();
        let handle = Arc::clone(&open.handle);
        state.open.push(open);
        Some(handle)
    }

    /// To be asked for before looking up what a handle will stand for.
    pub(super) fn generation(&self) -> u64 {
        self.0.lock().generation
    }

    /// Keeps a handle, unless anything was forgotten since `generation`.
    pub(super) fn keep(&self, generation: u64, hash: Hash, handle: SourceHandle) {
        let mut state = self.0.lock();
        if state.generation == generation {
            state.open.retain(|open| open.hash != hash);
            if state.open.len() >= MAX_OPEN_FILES {
                state.open.remove(0);
            }
            let used = Instant::now();
            state.open.push(OpenFile { hash, handle, used });
        }
    }

    /// Forgets the handles of these hashes.
    pub(super) fn forget(&self, hashes: &[Hash]) {
        let mut state = self.0.lock();
        state.generation += 1;
        state.open.retain(|open| !hashes.contains(&open.hash));
    }

    /// Whether any handle is open.
    pub(super) fn is_any_open(&self) -> bool {
        !self.0.lock().open.is_empty()
    }

    /// Closes the handles that have been idle for [`MAX_IDLE`].
    pub(super) fn close_idle(&self, now: Instant) {
        let mut state = self.0.lock();
        let is_idle = |open: &OpenFile| now.saturating_duration_since(open.used) >= MAX_IDLE;
        let idle = state.open.partition_point(is_idle);
        let closed: Vec<_> = state.open.drain(..idle).collect();
        // Closing may block, for example on a network file system.
        drop(state);
        drop(closed);
    }

    /// Forgets all handles.
    pub(super) fn forget_all(&self) {
        let mut state = self.0.lock();
        state.generation += 1;
        state.open.clear();
    }
}

/// Where a file lies that is shared, by itself or below a folder.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) descriptor: Descriptor,
    pub(super) path: PathBuf,
    /// The file as it was when it was hashed.
    pub(super) fingerprint: Fingerprint,
}

/// A shared file that is open, with its tree if it has one.
#[derive(Debug)]
pub(super) struct SharedFile {
    location: Location,
    file: File,
    tree: Option<StoredTree>,
}

impl SharedFile {
    /// Opens what is shared, if it is still that.
    pub(super) fn open(location: Location, trees: &Trees) -> Result<Self, ReadError> {
        let path = &location.path;
        let (file, metadata) = files::open_regular(path).map_err(|error| match error {
            OpenFileError::NotAFile(_) => changed(path),
            OpenFileError::Io(source) => unreadable(path, source),
        })?;
        if location.fingerprint.compare_metadata(&metadata) == Comparison::Changed {
            return Err(changed(path));
        }
        let tree = (location.descriptor.size() > GROUP_SIZE)
            .then(|| trees.open(&location.descriptor))
            .transpose()
            .map_err(|source| bad_tree(path, source))?;
        Ok(Self {
            location,
            file,
            tree,
        })
    }
}

impl ChunkSource for SharedFile {
    fn descriptor(&self) -> &Descriptor {
        &self.location.descriptor
    }

    fn tree_level(&self) -> Option<u8> {
        self.tree.as_ref().map(|_| STORED_LEVEL)
    }

    fn node(&self, level: u8, index: u64) -> Result<Node, ReadError> {
        let hash = || self.location.descriptor.hash();
        let node = match &self.tree {
            Some(tree) => tree.node(level, index),
            None => Err(TreeError::Missing { hash: hash() }),
        };
        node.map_err(|source| bad_tree(&self.location.path, source))
    }

    fn read(&self, bytes: Range<u64>) -> Result<Vec<u8>, ReadError> {
        let len = (bytes.end - bytes.start) as usize;
        files::read_vec_at(&self.file, bytes.start, len).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => changed(&self.location.path),
            _ => unreadable(&self.location.path, source),
        })
    }

    /// Compares both the open file and what is at its path: another may have been put there.
    fn check(&self, _: Chunk) -> Result<Certainty, ReadError> {
        let now = |metadata: std::io::Result<std::fs::Metadata>| {
            let metadata = metadata.map_err(|source| unreadable(&self.location.path, source))?;
            Ok::<_, ReadError>(Fingerprint::new(&metadata))
        };
        let here = now(self.file.metadata())?;
        let there = now(std::fs::metadata(&self.location.path))?;
        // Another file in its place is opened before it is judged.
        if !here.has_inode_of(&there) {
            return Err(changed(&self.location.path));
        }
        let before = &self.location.fingerprint;
        match (before.compare(&here), before.compare(&there)) {
            (Comparison::Changed, _) | (_, Comparison::Changed) => {
                Err(changed(&self.location.path))
            }
            (Comparison::Unchanged, Comparison::Unchanged) => Ok(Certainty::Certain),
            _ => Ok(Certainty::InDoubt),
        }
    }

    fn data_unproven(&self) -> ReadError {
        changed(&self.location.path)
    }

    fn nodes_unproven(&self) -> ReadError {
        let hash = self.location.descriptor.hash();
        bad_tree(&self.location.path, TreeError::Damaged { hash })
    }
}

fn changed(path: &Path) -> ReadError {
    ReadError::Changed {
        path: path.to_owned(),
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> ReadError {
    ReadError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

fn bad_tree(path: &Path, source: TreeError) -> ReadError {
    ReadError::Tree {
        path: path.to_owned(),
        source,
    }
}
