//! The download of a file: chunks are verified, written and recorded, and can be served from then
//! on.
//!
//! Owns which blocks are verified. Data is written before the nodes that prove it are recorded, and
//! a block counts as verified only after that. So after any failure, everything that counts is
//! there. Failures leave as a [`WriteError`].

use std::{
    fmt, io,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use pelago_content::{
    BLOCK_SIZE, BlockRanges, Chunk, Geometry, Hash, Node, proven_nodes, verify_leaves,
};

use super::{
    PartialSpec, WriteError, holes, open_parts::DownloadFiles, record::Record, workspace::Workspace,
};
use crate::Scopes;

/// A file that is being downloaded. No other download has its hash or its target.
///
/// Dropping it pauses the download. Its record stays.
pub struct Partial {
    spec: PartialSpec,
    /// Replaces the scopes of `spec` once a source lists the content.
    listed: OnceLock<Scopes>,
    pub(super) files: Arc<DownloadFiles>,
    pub(super) verified: Mutex<BlockRanges>,
    /// Held for reading by writers of chunks, so that the end of the download waits for them.
    pub(super) writing: RwLock<()>,
    /// Held while data is written: the file system lets one thread at a time write to a file, and
    /// the others would keep their cores busy until it is their turn (docs/PERFORMANCE.md).
    turn: Mutex<()>,
    /// Whether the names of part file and record are durable.
    pub(super) has_durable_names: AtomicBool,
    /// Whether anything was written since the last sync.
    pub(super) is_dirty: AtomicBool,
    /// Bytes that this run copied from shares.
    pub(super) copied: AtomicU64,
    pub(super) workspace: Arc<Workspace>,
}

impl Partial {
    pub(super) fn new(
        spec: PartialSpec,
        files: Arc<DownloadFiles>,
        workspace: Arc<Workspace>,
    ) -> Self {
        Self {
            spec,
            listed: OnceLock::new(),
            files,
            verified: Mutex::default(),
            writing: RwLock::default(),
            turn: Mutex::default(),
            has_durable_names: AtomicBool::new(false),
            is_dirty: AtomicBool::new(false),
            copied: AtomicU64::new(0),
            workspace,
        }
    }

    /// The content, target and options of the download.
    pub const fn spec(&self) -> &PartialSpec {
        &self.spec
    }

    /// The peers that may learn of it.
    pub fn scopes(&self) -> &Scopes {
        self.listed.get().unwrap_or(&self.spec.scopes)
    }

    /// Lets everyone learn of it from now on, in this run.
    pub fn list(&self) {
        self.listed.get_or_init(|| self.spec.scopes.listed());
        self.files.reservation.feed();
    }

    /// The blocks that are verified and written.
    pub fn verified(&self) -> BlockRanges {
        self.verified.lock().clone()
    }

    /// Bytes of the content that are not yet verified.
    pub fn missing(&self) -> u64 {
        let geometry = self.geometry();
        let verified = self.verified.lock();
        let missing = (geometry.blocks() - verified.len()) * BLOCK_SIZE;
        // The last block may be short.
        match geometry.blocks().checked_sub(1) {
            Some(last) if !verified.contains(last) => {
                missing - (geometry.blocks() * BLOCK_SIZE - geometry.size())
            }
            _ => missing,
        }
    }

    /// Verifies a chunk and writes it, unless it is verified already. Many threads may call this at
    /// the same time.
    ///
    /// # Errors
    ///
    /// [`WriteError::Proof`] if it does not verify: nothing changes. [`WriteError::Disk`] if it
    /// cannot be written: the chunk is still missing, and no verified block is lost.
    pub fn write(&self, chunk: Chunk, data: &[u8], proof: &[Node]) -> Result<(), WriteError> {
        let mut leaves = Vec::new();
        verify_leaves(&self.spec.descriptor, chunk, data, proof, &mut leaves)?;
        let _writing = self.writing.read();
        let geometry = self.geometry();
        if self.verified.lock().contains_range(chunk.blocks(geometry)) {
            return Ok(());
        }
        let start = chunk.bytes(geometry).start;
        let at_part = |source| self.disk_error(self.files.path(), source);
        let opened = self.files.opened().map_err(at_part)?;
        self.workspace
            .check_space(&self.spec, &opened.part, holes::written_len(data))
            .map_err(at_part)?;
        opened.guard.before_write(&opened.part).map_err(at_part)?;
        let turn = self.turn.lock();
        holes::write(&opened.part, data, start).map_err(at_part)?;
        drop(turn);
        self.is_dirty.store(true, Ordering::Release);
        let recorded = self.record_proven(&opened.record, chunk, &leaves, proof);
        recorded.map_err(|source| self.disk_error(self.record_path(), source))
    }

    /// Records the nodes that a verified chunk proves. Its data is written already. The chunk
    /// counts as verified from then on.
    pub(super) fn record_proven(
        &self,
        record: &Record,
        chunk: Chunk,
        leaves: &[Node],
        proof: &[Node],
    ) -> io::Result<()> {
        let geometry = self.geometry();
        let unrecorded = self.unrecorded_below(chunk);
        let mut nodes = Vec::new();
        proven_nodes(geometry, chunk, leaves, proof, |level, index, node| {
            if level < unrecorded {
                nodes.push((level, index, node));
            }
        });
        record.write(nodes)?;
        self.verified.lock().insert(chunk.blocks(geometry));
        self.files.reservation.note_verified();
        Ok(())
    }

    /// The level from which on the chunk's proof and path are recorded already. A verified block
    /// below an ancestor has recorded both children of that ancestor, and everything above that its
    /// own proof and path share with those of the chunk.
    fn unrecorded_below(&self, chunk: Chunk) -> u8 {
        let geometry = self.geometry();
        let verified = self.verified.lock();
        let block = chunk.index() << chunk.level();
        let mut levels = chunk.level() + 1..=geometry.height();
        let shared = levels.find(|level| {
            geometry
                .chunk_of_block(*level, block)
                .is_ok_and(|ancestor| verified.overlaps(ancestor.blocks(geometry)))
        });
        shared.map_or(u8::MAX, |level| level - 1)
    }

    pub(super) fn hash(&self) -> Hash {
        self.files.reservation.key.hash
    }

    /// The path of the record, for messages.
    pub(super) fn record_path(&self) -> PathBuf {
        self.workspace.records.path_of(&self.spec)
    }

    pub(super) const fn geometry(&self) -> Geometry {
        self.spec.descriptor.geometry()
    }

    pub(super) fn disk_error(&self, path: PathBuf, source: io::Error) -> WriteError {
        WriteError::Disk {
            path,
            missing: self.missing(),
            source,
        }
    }
}

impl fmt::Debug for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partial")
            .field("hash", &self.hash())
            .field("target", &self.spec.target)
            .field("missing", &self.missing())
            .finish_non_exhaustive()
    }
}
