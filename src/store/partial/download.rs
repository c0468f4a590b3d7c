//! A download: chunks are verified, written and recorded, and can be served from then on.
//!
//! Owns what is known to be verified. Data is written before the nodes that prove it are recorded,
//! and those before it counts as verified; so whatever fails, nothing counts that is not there.
//! Failures leave as a [`PartialError`] at the start and as a [`WriteError`] later.

use std::{
    fmt, io,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use pelago_content::{
    BLOCK_SIZE, BlockRanges, Chunk, Descriptor, Geometry, Hash, Node, ProofError, proven_nodes,
    verify_leaves,
};

use super::{
    PartialSpec, SelectionError,
    opened::{Handles, Opened},
    part::{self, PART_SUFFIX},
    record::{Active, Partials, Record},
    resume,
    spec::{Key, MAX_SPEC_LEN},
};
use crate::store::{DatabaseError, ReadError, Scopes, Store, files, mutex::lock, reading::Source};

/// A download under way, the only one of its hash and of its target.
///
/// Dropping it pauses the download; its record stays.
pub struct Partial {
    spec: PartialSpec,
    pub(super) handles: Mutex<Handles>,
    pub(super) verified: Mutex<BlockRanges>,
    /// Held by those who write, so that whoever ends the download waits for them.
    pub(super) writing: RwLock<()>,
    pub(super) reservation: Reservation,
}

/// Keeps others from the same download until it is dropped.
pub(super) struct Reservation {
    pub(super) store: Store,
    pub(super) key: Key,
}

impl Reservation {
    /// Reserves what `spec` says, unless somebody else has.
    pub(super) fn new(store: &Store, spec: &PartialSpec) -> Result<Self, PartialError> {
        let key = spec.key();
        if store.inner.partials.reserve(key) {
            let store = store.clone();
            Ok(Self { store, key })
        } else {
            let target = spec.target.clone();
            Err(PartialError::InUse { target })
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.store.inner.partials.release(&self.key);
    }
}

impl Partial {
    /// Begins a download, or goes on with it: every block that an earlier run recorded is proven
    /// again first, on all cores. `progress` is given the bytes looked at so far, from several
    /// threads. A record of the same hash for another target is taken over with its data.
    ///
    /// # Errors
    ///
    /// See [`PartialError`].
    pub fn create_or_resume(
        store: &Store,
        spec: PartialSpec,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Arc<Self>, PartialError> {
        let page = checked_page(&spec)?;
        let reservation = Reservation::new(store, &spec)?;
        let opened = Arc::new(Self::open(store, &spec, &page)?);
        let (key, is_part) = (reservation.key, spec.part_of.is_some());
        let partial = Arc::new(Self {
            spec,
            handles: Mutex::new(Handles::Open(Arc::clone(&opened))),
            verified: Mutex::default(),
            writing: RwLock::default(),
            reservation,
        });
        resume::prove_recorded(&partial, &opened, progress);
        drop(opened);
        let partials = &store.inner.partials;
        partials.publish(key, Active::File(Arc::downgrade(&partial)));
        if is_part {
            partials.open_parts().add(&partial);
        }
        Ok(partial)
    }

    /// Opens both files. What was recorded for another target comes along if it can.
    fn open(store: &Store, spec: &PartialSpec, page: &[u8]) -> Result<Opened, PartialError> {
        let partials = &store.inner.partials;
        let earlier = partials.earlier(spec);
        let is_ours = spec.overwrite || earlier.is_same();
        let part = part::open(&spec.target, earlier.elsewhere(), is_ours)?;
        let record = partials
            .open(spec, page)
            .map_err(|source| PartialError::Io {
                path: record_path(partials, spec),
                source,
            })?;
        Ok(Opened { part, record })
    }

    /// What is downloaded, and where to.
    pub const fn spec(&self) -> &PartialSpec {
        &self.spec
    }

    /// Who may know of it.
    pub const fn scopes(&self) -> &Scopes {
        &self.spec.scopes
    }

    /// The blocks that are verified and written.
    pub fn verified(&self) -> BlockRanges {
        lock(&self.verified).clone()
    }

    /// Bytes of the content that are not yet verified.
    pub fn missing(&self) -> u64 {
        let geometry = self.geometry();
        let verified = lock(&self.verified);
        let missing = (geometry.blocks() - verified.len()) * BLOCK_SIZE;
        // The last block may be short.
        match geometry.blocks().checked_sub(1) {
            Some(last) if !verified.contains(last) => {
                missing - (geometry.blocks() * BLOCK_SIZE - geometry.size())
            }
            _ => missing,
        }
    }

    /// Verifies a chunk and writes it. May be called from many threads at once; a chunk that is
    /// there already is not written again.
    ///
    /// # Errors
    ///
    /// [`WriteError::Proof`] if it does not verify: nothing was changed. [`WriteError::Disk`] if
    /// it cannot be written: it counts as missing, and nothing that was verified is lost.
    pub fn write(
        self: &Arc<Self>,
        chunk: Chunk,
        data: &[u8],
        proof: &[Node],
    ) -> Result<(), WriteError> {
        let mut leaves = Vec::new();
        verify_leaves(&self.spec.descriptor, chunk, data, proof, &mut leaves)?;
        let _writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
        let geometry = self.geometry();
        if lock(&self.verified).contains_range(chunk.blocks(geometry)) {
            return Ok(());
        }
        let start = chunk.bytes(geometry).start;
        let at_part = |source| self.disk_error(part::path_of(&self.spec.target), source);
        let opened = self.opened().map_err(at_part)?;
        files::write_all_at(&opened.part, data, start).map_err(at_part)?;
        let recorded = self.record_proven(&opened.record, chunk, &leaves, proof);
        recorded.map_err(|source| {
            let partials = &self.reservation.store.inner.partials;
            self.disk_error(record_path(partials, &self.spec), source)
        })
    }

    /// Records what a verified chunk, whose data is written, teaches; it counts from then on.
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
        lock(&self.verified).insert(chunk.blocks(geometry));
        Ok(())
    }

    /// The level from which on the chunk's proof and path are recorded. A verified block below an
    /// ancestor has recorded both children of that ancestor, and all that its own proof and path
    /// share with the chunk's further up.
    fn unrecorded_below(&self, chunk: Chunk) -> u8 {
        let geometry = self.geometry();
        let verified = lock(&self.verified);
        let block = chunk.index() << chunk.level();
        let mut levels = chunk.level() + 1..=geometry.height();
        let shared = levels.find(|level| {
            geometry
                .chunk_of_block(*level, block)
                .is_ok_and(|ancestor| verified.overlaps(ancestor.blocks(geometry)))
        });
        shared.map_or(u8::MAX, |level| level - 1)
    }

    pub(super) const fn geometry(&self) -> Geometry {
        self.spec.descriptor.geometry()
    }

    fn disk_error(&self, path: PathBuf, source: io::Error) -> WriteError {
        WriteError::Disk {
            path,
            missing: self.missing(),
            source,
        }
    }
}

/// The page of a record that says what `spec` does.
pub(super) fn checked_page(spec: &PartialSpec) -> Result<Vec<u8>, PartialError> {
    let page = spec.to_page().filter(|_| spec.target.is_absolute());
    page.ok_or_else(|| PartialError::Target {
        target: spec.target.clone(),
    })
}

/// The record of a download, which may lie on another disk than its data.
pub(super) fn record_path(partials: &Partials, spec: &PartialSpec) -> PathBuf {
    let path = partials.path(&spec.key());
    path.unwrap_or_else(|| part::path_of(&spec.target))
}

impl fmt::Debug for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partial")
            .field("hash", &self.reservation.key.hash)
            .field("target", &self.spec.target)
            .field("missing", &self.missing())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// The download of this file by itself, under way in this process.
    pub fn partial(&self, hash: &Hash) -> Option<Arc<Partial>> {
        self.inner.partials.active(hash)
    }

    /// All downloads recorded, under way or not. Records that cannot be read are passed over, with
    /// a warning.
    ///
    /// # Errors
    ///
    /// What the system said of the folder.
    pub fn partials(&self) -> io::Result<Vec<PartialSpec>> {
        self.inner.partials.list()
    }
}

impl Source for Arc<Partial> {
    fn descriptor(&self) -> &Descriptor {
        &self.spec.descriptor
    }

    fn tree_level(&self) -> Option<u8> {
        (self.spec.descriptor.size() > 0).then_some(0)
    }

    fn node(&self, level: u8, index: u64) -> Result<Node, ReadError> {
        let opened = self.opened().map_err(|_| ReadError::Absent)?;
        let node = opened.record.node(level, index);
        node.ok().flatten().ok_or(ReadError::Absent)
    }

    fn read(&self, bytes: Range<u64>) -> Result<Vec<u8>, ReadError> {
        let len = (bytes.end - bytes.start) as usize;
        let opened = self.opened();
        let read = opened.and_then(|opened| files::read_vec_at(&opened.part, bytes.start, len));
        read.map_err(|source| ReadError::Unreadable {
            path: part::path_of(&self.spec.target),
            source,
        })
    }

    fn check(&self, chunk: Chunk) -> Result<(), ReadError> {
        if lock(&self.verified).contains_range(chunk.blocks(self.geometry())) {
            Ok(())
        } else {
            Err(ReadError::Absent)
        }
    }

    fn data_unproven(&self) -> ReadError {
        ReadError::Absent
    }

    fn nodes_unproven(&self) -> ReadError {
        ReadError::Absent
    }
}

/// Why a download cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PartialError {
    /// Another download has the same hash, or writes to the same target.
    #[error(
        "the content of {} is being downloaded already, or another download writes there: wait \
         for it, or stop it", target.display()
    )]
    InUse {
        /// The target.
        target: PathBuf,
    },
    /// The target is relative, no valid UTF-8, or too long together with the name.
    #[error(
        "{} cannot be a target: it has to be absolute, valid UTF-8 and, with the name, under \
         {MAX_SPEC_LEN} bytes", target.display()
    )]
    Target {
        /// The target.
        target: PathBuf,
    },
    /// A file cannot be created, opened or locked.
    #[error("{} cannot be written: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else is where a file of the folder is to lie.
    #[error(
        "{} exists already and is other content: move it away, choose another place with -o, or \
         replace what differs with --overwrite", path.display()
    )]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Two entries of the folder would write to one place while they are downloaded.
    #[error("the folder is refused: {path:?} is called as {PART_SUFFIX} of another entry is")]
    Collision {
        /// The entry, from the top of the folder.
        path: String,
    },
    /// Nothing in the folder is chosen.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// It cannot be told what is here already.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Why a chunk was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The peer lied, or the line is bad: nothing was changed.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The chunk is good but cannot be written.
    #[error("writing {}: {}", path.display(), what_is_missing(source, *missing))]
    Disk {
        /// The file.
        path: PathBuf,
        /// Bytes of the content that are not yet verified.
        missing: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the folder cannot be opened.
    #[error(transparent)]
    Partial(#[from] Box<PartialError>),
}

/// Says what a failed write means for the download.
pub(super) fn what_is_missing(source: &io::Error, missing: u64) -> String {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    if matches!(source.kind(), StorageFull | QuotaExceeded) {
        format!(
            "the disk is full and {missing} bytes are still missing: make room, then download \
             again; what is verified is kept"
        )
    } else {
        format!("{source}; {missing} bytes are still missing, what is verified is kept")
    }
}
