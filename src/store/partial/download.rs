//! A download: chunks are verified, written and recorded, and can be served from then on.
//!
//! Owns what is known to be verified. Data is written before the nodes that prove it are recorded,
//! and those before it counts as verified; so whatever fails, nothing counts that is not there.
//! Failures leave as a [`PartialError`] at the start and as a [`WriteError`] later.

use std::{
    collections::HashSet,
    fmt,
    fs::File,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use pelago_content::{
    BLOCK_SIZE, BlockRanges, Chunk, Descriptor, Geometry, Hash, Node, ProofError, proven_nodes,
    verify_leaves,
};

use super::{
    Differences, PartialSpec, SelectionError, holes,
    open_parts::{OpenPart, PartState},
    part_file::{self, PartFile},
    record::{Active, EarlierRun, Partials, Record, Recorded},
    resume::{self, Proving},
    spec::{Key, MAX_SPEC_LEN},
    tampering::Guard,
};
use crate::store::{
    DatabaseError, ReadError, Scope, Scopes, Share, Store,
    dir::Dir,
    escape::shown,
    files,
    reading::{Source, Sureness},
    write_failure,
};

/// A download under way, the only one of its hash and of its target.
///
/// Dropping it pauses the download; its record stays.
pub struct Partial {
    spec: PartialSpec,
    /// Those of everyone, once a source was found to list it.
    listed: OnceLock<Scopes>,
    pub(super) part_file: PartFile,
    pub(super) handles: Mutex<PartState>,
    pub(super) verified: Mutex<BlockRanges>,
    /// Held by those who write, so that whoever ends the download waits for them.
    pub(super) writing: RwLock<()>,
    /// Whether somebody else may have written to the file before it was opened the last time.
    pub(super) was_suspect: AtomicBool,
    /// Whether the names of file and record are durable.
    pub(super) has_durable_names: AtomicBool,
    /// Whether anything was written since all was made durable.
    pub(super) is_dirty: AtomicBool,
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

impl Reservation {
    /// Whether nobody waits for what is being proven any more.
    pub(super) fn is_interrupted(&self) -> bool {
        self.store.inner.partials.is_interrupted(&self.key)
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
        check_target(&spec)?;
        let reservation = Reservation::new(store, &spec)?;
        let known = known(store, &spec)?;
        let opened = part_file::open(&store.inner.partials, &spec, &known)?;
        Self::begin(reservation, spec, &known, opened, progress)
    }

    /// The same of a file in a folder, which grows at `inner` in `dir`; `clear_path` sees to it that
    /// nothing else is there, if it is begun.
    pub(super) fn create_in(
        store: &Store,
        spec: PartialSpec,
        dir: Arc<Dir>,
        inner: String,
        clear_path: &dyn Fn() -> io::Result<()>,
    ) -> Result<Arc<Self>, PartialError> {
        check_target(&spec)?;
        let reservation = Reservation::new(store, &spec)?;
        let known = known(store, &spec)?;
        let partials = &store.inner.partials;
        let opened = part_file::open_in(partials, &spec, &known, dir, inner, clear_path)?;
        Self::begin(reservation, spec, &known, opened, &|_| ())
    }

    fn begin(
        reservation: Reservation,
        spec: PartialSpec,
        known: &EarlierRun,
        (part_file, part): (PartFile, File),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Arc<Self>, PartialError> {
        let store = reservation.store.clone();
        let partials = &store.inner.partials;
        let sync_failed = partials.has_failed_sync(&reservation.key, known);
        let recorded = Recorded {
            spec: spec.clone(),
            part: Some(part_file.recorded()),
            sync_failed,
        };
        let record = partials.open(&recorded);
        let record = record.map_err(|source| PartialError::Io {
            path: record_path(partials, &spec),
            source,
        })?;
        let guard = Guard::new(partials.watches(), &part, spec.descriptor.size());
        let guard = guard.map_err(|source| PartialError::Io {
            path: part_file.path(),
            source,
        })?;
        let opened = Arc::new(OpenPart {
            part,
            record,
            guard,
        });
        let (key, is_part) = (reservation.key, spec.part_of.is_some());
        let partial = Arc::new(Self {
            spec,
            listed: OnceLock::new(),
            part_file,
            handles: Mutex::new(PartState::Open(Arc::clone(&opened))),
            verified: Mutex::default(),
            writing: RwLock::default(),
            was_suspect: AtomicBool::new(false),
            has_durable_names: AtomicBool::new(false),
            is_dirty: AtomicBool::new(false),
            reservation,
        });
        let proving = if sync_failed {
            Proving::WriteAgain
        } else {
            Proving::Only
        };
        resume::prove_recorded(&partial, &opened, proving, progress);
        drop(opened);
        partials.publish(key, Active::File(Arc::downgrade(&partial)));
        if is_part {
            partials.open_parts().add(&partial);
        }
        Ok(partial)
    }

    /// What is downloaded, and where to.
    pub const fn spec(&self) -> &PartialSpec {
        &self.spec
    }

    /// Who may know of it.
    pub fn scopes(&self) -> &Scopes {
        self.listed.get().unwrap_or(&self.spec.scopes)
    }

    /// Everyone may know of it from now on, in this run.
    pub fn list(&self) {
        self.listed.get_or_init(|| Scope::Everyone.into());
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
        let _writing = self.writing.read();
        let geometry = self.geometry();
        if self.verified.lock().contains_range(chunk.blocks(geometry)) {
            return Ok(());
        }
        let start = chunk.bytes(geometry).start;
        let at_part = |source| self.disk_error(self.part_file.path(), source);
        let opened = self.opened().map_err(at_part)?;
        let store = &self.reservation.store;
        store
            .check_room(&self.spec, &opened.part, holes::written_len(data))
            .map_err(at_part)?;
        opened.guard.before_write(&opened.part).map_err(at_part)?;
        holes::write(&opened.part, data, start).map_err(at_part)?;
        self.is_dirty.store(true, Ordering::Release);
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
        self.verified.lock().insert(chunk.blocks(geometry));
        Ok(())
    }

    /// The level from which on the chunk's proof and path are recorded. A verified block below an
    /// ancestor has recorded both children of that ancestor, and all that its own proof and path
    /// share with the chunk's further up.
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

    /// Whether somebody else may have written to the file.
    pub(super) fn is_suspect(&self, opened: &OpenPart) -> bool {
        self.was_suspect.load(Ordering::Acquire) || opened.guard.is_suspect(&opened.part)
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

/// Refuses a target that a record could not hold.
pub(super) fn check_target(spec: &PartialSpec) -> Result<(), PartialError> {
    let recorded = Recorded {
        spec: spec.clone(),
        part: None,
        sync_failed: false,
    };
    if spec.target.is_absolute() && recorded.to_page().is_some() {
        Ok(())
    } else {
        let target = spec.target.clone();
        Err(PartialError::Target { target })
    }
}

/// What is known of an earlier run of what `spec` says.
pub(super) fn known(store: &Store, spec: &PartialSpec) -> Result<EarlierRun, PartialError> {
    let partials = &store.inner.partials;
    let known = partials.known(&spec.key());
    known.map_err(|source| PartialError::Io {
        path: record_path(partials, spec),
        source,
    })
}

/// The record of a download, which may lie on another disk than its data.
pub(super) fn record_path(partials: &Partials, spec: &PartialSpec) -> PathBuf {
    let path = partials.path(&spec.key());
    path.unwrap_or_else(|| spec.target.clone())
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

    /// Whether this content is being downloaded in this process, by itself or in a folder.
    pub fn is_downloading(&self, hash: &Hash) -> bool {
        self.partial(hash).is_some() || !self.folders_with(hash).is_empty()
    }

    /// All downloads recorded, under way or not. Records that cannot be read are passed over, with
    /// a warning.
    ///
    /// # Errors
    ///
    /// What the system said of the folder.
    pub fn partials(&self) -> io::Result<Vec<PartialSpec>> {
        let recorded = self.inner.partials.list()?;
        Ok(recorded.into_iter().map(|recorded| recorded.spec).collect())
    }

    /// Whether this content is shared from `path`, or a download is to put it there.
    pub fn is_known_at(&self, hash: &Hash, path: &Path) -> bool {
        let is_shared = |share: Option<Share>| share.is_some_and(|share| share.hash == *hash);
        let partials = &self.inner.partials;
        let is_recorded = || match partials.known(&Key::of(*hash)) {
            Ok(EarlierRun::Recorded(recorded)) => recorded.spec.target == path,
            _ => false,
        };
        self.share_at(path).is_ok_and(is_shared) || is_recorded()
    }

    /// Removes what damaged records leave of downloads that are not `listed`; one with content is set
    /// aside instead.
    ///
    /// # Errors
    ///
    /// What the system said of the folder of records.
    pub fn clear_damaged_records(&self, listed: &HashSet<Hash>) -> io::Result<()> {
        self.inner.partials.clear_damaged(listed)
    }

    /// Where all downloads recorded grow: files and, of folders, directories.
    ///
    /// # Errors
    ///
    /// What the system said of the folder of records.
    pub fn growing_paths(&self) -> io::Result<HashSet<PathBuf>> {
        let recorded = self.inner.partials.list()?;
        Ok(recorded.iter().map(Recorded::part_path).collect())
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
            path: self.part_file.path(),
            source,
        })
    }

    fn check(&self, chunk: Chunk) -> Result<Sureness, ReadError> {
        if !self
            .verified
            .lock()
            .contains_range(chunk.blocks(self.geometry()))
        {
            return Err(ReadError::Absent);
        }
        let opened = self.opened().map_err(|_| ReadError::Absent)?;
        Ok(if self.is_suspect(&opened) {
            Sureness::InDoubt
        } else {
            Sureness::Sure
        })
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
         for it, or stop it",
        shown(target)
    )]
    InUse {
        /// The target.
        target: PathBuf,
    },
    /// The target is relative, no valid UTF-8, or too long together with the name.
    #[error(
        "{} cannot be a target: it has to be absolute, valid UTF-8 and, with the name, under \
         {MAX_SPEC_LEN} bytes",
        shown(target)
    )]
    Target {
        /// The target.
        target: PathBuf,
    },
    /// A file cannot be created, opened or locked.
    #[error(
        "{} cannot be written: {}: {}",
        shown(path),
        write_failure::cause(source),
        write_failure::remedy(source)
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else is where a file of the folder is to lie.
    #[error(
        "{} exists already and is other content: move it away, choose another place with -o, or \
         replace what differs with --overwrite",
        shown(path)
    )]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// The disk has not as many inodes free as the folder takes.
    #[error(
        "{} cannot be written: the folder has {needed} entries, and its disk has inodes for {free} more: remove \
         files there, or choose a place on another disk with -o",
        shown(target)
    )]
    Inodes {
        /// The target.
        target: PathBuf,
        /// How many entries there are.
        needed: u64,
        /// How many files and folders can still be made.
        free: u64,
    },
    /// The file system of the target cannot hold the folder as it is, and nothing else was to do.
    #[error(
        "{} cannot hold the folder as it is: {}",
        shown(target),
        first_of(differences)
    )]
    Names {
        /// The target.
        target: PathBuf,
        /// What it cannot hold.
        differences: Differences,
    },
    /// More would be different at the target than is kept.
    #[error(
        "{} cannot hold so much of the folder that what differs is over 64 MiB of names: choose a place \
         on another file system with -o, or create links with --links all",
        shown(target)
    )]
    TooDifferent {
        /// The target.
        target: PathBuf,
    },
    /// Nothing in the folder is chosen.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// It cannot be told what is here already.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Differences that an error names, at most.
const MAX_NAMED: usize = 20;

/// The first differences, each on a line of its own, and how many others there are.
fn first_of(differences: &Differences) -> String {
    let mut text = differences.to_string();
    for difference in differences.listed.iter().take(MAX_NAMED) {
        text += &format!("\n  {difference}");
    }
    let all = differences.renamed + differences.links_left_out;
    if all > MAX_NAMED as u64 {
        text += &format!("\n  and {} more", all - MAX_NAMED as u64);
    }
    text
}

/// Why a chunk was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The peer lied, or the line is bad: nothing was changed.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The chunk is good but cannot be written.
    #[error("writing {}: {}", shown(path), write_failure::for_download(source, *missing))]
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

impl WriteError {
    /// What the system said, if that is the reason.
    fn disk(&self) -> Option<&io::Error> {
        match self {
            Self::Disk { source, .. } => Some(source),
            Self::Partial(error) => match &**error {
                PartialError::Io { source, .. } => Some(source),
                _ => None,
            },
            Self::Proof(_) => None,
        }
    }

    /// What a person can do about it before the same is tried again, in a clause.
    pub fn remedy(&self) -> Option<&'static str> {
        self.disk().map(write_failure::remedy)
    }

    /// Whether the disk has no room.
    pub fn is_full(&self) -> bool {
        self.disk()
            .is_some_and(|source| source.kind() == io::ErrorKind::StorageFull)
    }
}
