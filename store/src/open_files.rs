//! Open files, trees and manifests of served content, so that most requests need no look-up and no
//! open.
//!
//! Keeps a limited number of handles, those used last. When the shares of a hash change, its handle
//! is removed, even if another thread is just opening it.

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
    remote_disks::{self, RemoteDisk},
    trees::{StoredTree, Trees},
};

/// The highest number of open handles; each is a file and its tree. Processes can often open at
/// most 1,024 files, and connections need some.
const MAX_OPEN_FILES: usize = 64;

/// An open source of chunks.
pub(super) type SourceHandle = Arc<dyn ChunkSource + Send + Sync>;

/// The files that are open.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(Mutex<OpenList>);

/// How long a handle may be idle before it is closed. An open file keeps its disk from being
/// unmounted, and its space from being released once it is deleted. An active reader asks many
/// times a second.
const MAX_IDLE: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
struct OpenList {
    /// Ordered by last use, the latest at the end.
    open: Vec<OpenFile>,
    /// Incremented when handles are removed.
    generation: u64,
}

#[derive(Debug)]
struct OpenFile {
    hash: Hash,
    handle: SourceHandle,
    used: Instant,
}

impl OpenFiles {
    /// The handle for this hash, if one is open.
    pub(super) fn get(&self, hash: &Hash) -> Option<SourceHandle> {
        let mut state = self.0.lock();
        let at = state.open.iter().rposition(|open| open.hash == *hash)?;
        let mut open = state.open.remove(at);
        open.used = Instant::now();
        let handle = Arc::clone(&open.handle);
        state.open.push(open);
        Some(handle)
    }

    /// The current generation, to be read before looking up what a new handle will refer to.
    pub(super) fn generation(&self) -> u64 {
        self.0.lock().generation
    }

    /// Keeps a handle, unless handles were removed since `generation`.
    pub(super) fn keep(&self, generation: u64, hash: Hash, handle: SourceHandle) {
        let mut state = self.0.lock();
        if state.generation == generation {
            let same = |open: &mut OpenFile| open.hash == hash;
            let mut closed: Vec<_> = state.open.extract_if(.., same).collect();
            if state.open.len() >= MAX_OPEN_FILES {
                closed.push(state.open.remove(0));
            }
            let used = Instant::now();
            state.open.push(OpenFile { hash, handle, used });
            drop(state);
            close(closed);
        }
    }

    /// Removes the handles of these hashes.
    pub(super) fn forget(&self, hashes: &[Hash]) {
        let mut state = self.0.lock();
        state.generation += 1;
        let is_one = |open: &mut OpenFile| hashes.contains(&open.hash);
        let closed = state.open.extract_if(.., is_one).collect();
        drop(state);
        close(closed);
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
        let closed = state.open.drain(..idle).collect();
        drop(state);
        close(closed);
    }

    /// Removes all handles.
    pub(super) fn forget_all(&self) {
        let mut state = self.0.lock();
        state.generation += 1;
        let closed = std::mem::take(&mut state.open);
        drop(state);
        close(closed);
    }
}

/// Closes files, outside of the lock.
fn close(files: Vec<OpenFile>) {
    for OpenFile { handle, .. } in files {
        if handle.remote().is_some() {
            remote_disks::close(handle);
        }
    }
}

/// The location of a shared file, or of a file in a shared folder.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) descriptor: Descriptor,
    pub(super) path: PathBuf,
    /// The fingerprint from when it was hashed.
    pub(super) fingerprint: Fingerprint,
}

/// An open shared file, with its tree if it has one.
#[derive(Debug)]
pub(super) struct SharedFile {
    location: Location,
    file: File,
    tree: Option<StoredTree>,
    /// Its disk, if calls to that may hang.
    disk: Option<Arc<RemoteDisk>>,
}

impl SharedFile {
    /// Opens the file if it is unchanged.
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
            disk: None,
        })
    }

    /// This file, on its disk if calls to that may hang.
    pub(super) fn on(self, disk: Option<Arc<RemoteDisk>>) -> Self {
        Self { disk, ..self }
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

    /// Compares the fingerprints of the open file and of the file at its path, which may have been
    /// replaced.
    fn check(&self, _: Chunk) -> Result<Certainty, ReadError> {
        let now = |metadata: std::io::Result<std::fs::Metadata>| {
            let metadata = metadata.map_err(|source| unreadable(&self.location.path, source))?;
            Ok::<_, ReadError>(Fingerprint::new(&metadata))
        };
        let here = now(self.file.metadata())?;
        let there = now(std::fs::metadata(&self.location.path))?;
        // A file that replaced it has to be opened before it can be compared.
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

    fn remote(&self) -> Option<(&Path, &Arc<RemoteDisk>)> {
        let disk = self.disk.as_ref()?;
        Some((&self.location.path, disk))
    }
}

fn changed(path: &Path) -> ReadError {
    ReadError::Changed {
        path: path.to_owned(),
    }
}

pub(super) fn unreadable(path: &Path, source: std::io::Error) -> ReadError {
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
