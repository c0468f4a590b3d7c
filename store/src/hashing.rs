//! Hashes files into descriptors, on all cores and in constant memory.
//!
//! The threads end before the function returns; each has one buffer. A file that changes while it
//! is read is never accepted. Errors are [`HashError`]s.
//!
//! Each thread reads batches of the file at a fixed stride and hashes them to nodes of the stored
//! level. The caller's thread takes the batches in order, builds the tree above them and writes it
//! as it grows. A small file is read at once, without a thread or a tree.

#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io,
    num::NonZero,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pelago_content::{
    BLOCK_SIZE, BuildError, Builder, Descriptor, Geometry, Kind, MAX_SIZE, Node, STORED_LEVEL,
    subtree,
};

use super::{
    Fingerprint, TreeError,
    escape::shown,
    files::{self, OpenFileError},
    trees::{TreeWriter, Trees},
    writers::Writers,
};

/// Bytes below one node of the stored level: 256 KiB. A thread also reads this much at a time,
/// because it stays in the cache of the core between being read and being hashed.
pub(super) const GROUP_SIZE: u64 = BLOCK_SIZE << STORED_LEVEL;

/// Groups in one batch: 4 MiB, so that threads wake each other at most a thousand times a second.
const BATCH_GROUPS: u64 = 16;

/// How many batches a thread may be ahead of the others.
const BATCHES_AHEAD: usize = 4;

/// The highest number of threads, which limits the buffers to 16 MiB. Beyond that, the disk or the
/// memory is the limit.
const MAX_THREADS: u64 = 64;

/// How long a file must be unchanged before it is hashed. File systems take times from a clock that
/// may stand still for 10 ms, so a second change within one tick would leave no mark.
const SETTLE: Duration = Duration::from_millis(20);

/// The same where times are kept in whole seconds, or in steps of two seconds (FAT). This is too
/// long to wait for, so a file that is hashed sooner stays in doubt.
const COARSE_SETTLE: Duration = Duration::from_secs(3);

/// How far the time of a change may be ahead of our clock.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(10);

/// A file that was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// Kind, size and root.
    pub descriptor: Descriptor,
    /// The metadata of the file at that time.
    pub fingerprint: Fingerprint,
}

/// Hashes a file without storing its tree. `progress` receives the number of bytes hashed so far,
/// and may stop the operation.
///
/// # Errors
///
/// See [`HashError`].
pub fn hash_file(
    path: &Path,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Hashed, HashError> {
    hash(path, None, progress)
}

/// Hashes a file, and stores its tree in `trees`.
pub(super) fn hash(
    path: &Path,
    trees: Option<&Trees>,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Hashed, HashError> {
    let (file, fingerprint) = open_settled(path)?;
    let size = fingerprint.size();
    if size > MAX_SIZE {
        let path = path.to_owned();
        return Err(HashError::TooLarge { path, size });
    }
    let (root, tree) = if size <= GROUP_SIZE {
        let root = hash_small(&file, size).map_err(|stop| stop.at(path))?;
        (root, None)
    } else {
        let mut tree = trees.map(|trees| trees.begin(size)).transpose()?;
        let root = hash_large(&file, size, tree.as_mut(), progress);
        (root.map_err(|stop| stop.at(path))?, tree)
    };
    let now = file.metadata().map_err(|error| Stop::Io(error).at(path))?;
    if Fingerprint::new(&now) != fingerprint {
        return Err(Stop::Changed.at(path));
    }
    let descriptor = Descriptor::new(Kind::File, size, root).map_err(|_| Stop::Changed.at(path))?;
    // A program that has mapped the file can change it without a mark.
    let fingerprint = match Writers::of(&file) {
        Writers::Present => fingerprint.doubted(),
        Writers::Absent | Writers::Unknown => fingerprint,
    };
    if let Some(tree) = tree {
        tree.commit(descriptor.hash())?;
    }
    Ok(Hashed {
        descriptor,
        fingerprint: if is_told_apart(&fingerprint) {
            fingerprint
        } else {
            fingerprint.doubted()
        },
    })
}

/// Whether a later change is certain to leave a mark. Where times are kept in whole seconds, a
/// change within the same second leaves none.
fn is_told_apart(fingerprint: &Fingerprint) -> bool {
    !fingerprint.is_coarse() || age(fingerprint) >= COARSE_SETTLE
}

/// How long ago the file last changed.
pub(super) fn age(fingerprint: &Fingerprint) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    age_at(fingerprint.last_change(), now.unwrap_or_default())
}

/// The time between a change at `changed`, in nanoseconds since 1970, and `now`. A time too far in
/// the future was written by a wrong clock. The next change replaces it, so such a file counts as
/// old.
fn age_at(changed: i64, now: Duration) -> Duration {
    let changed = Duration::from_nanos(changed.try_into().unwrap_or(0));
    if changed > now + CLOCK_TOLERANCE {
        return Duration::MAX;
    }
    now.saturating_sub(changed)
}

/// Whether an open file holds this content. Reads all of it if the length is right, and then stores
/// its tree in `trees` if the content matches. Returns false if it is stopped.
pub(super) fn has_content(
    file: &File,
    descriptor: &Descriptor,
    trees: Option<&Trees>,
    is_stopped: &dyn Fn() -> bool,
) -> io::Result<bool> {
    let size = descriptor.size();
    if file.metadata()?.len() != size {
        return Ok(false);
    }
    let mut tree = None;
    let root = if size <= GROUP_SIZE {
        hash_small(file, size)
    } else {
        let begun = trees.map(|trees| trees.begin(size)).transpose();
        tree = begun.map_err(io::Error::other)?;
        let progress = |_| match is_stopped() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        hash_large(file, size, tree.as_mut(), &progress)
    };
    let root = match root {
        Ok(root) => root,
        Err(Stop::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        Err(_) => return Ok(false),
    };
    let is_it = Descriptor::new(Kind::File, size, root).is_ok_and(|found| found == *descriptor);
    if let Some(tree) = tree.filter(|_| is_it) {
        tree.commit(descriptor.hash()).map_err(io::Error::other)?;
    }
    Ok(is_it)
}

/// How much longer a file that last changed `age` ago must stay unchanged.
const fn pause(age: Duration) -> Duration {
    SETTLE.saturating_sub(age)
}

/// Opens the file, and waits until every later change is certain to leave a mark.
fn open_settled(path: &Path) -> Result<(File, Fingerprint), HashError> {
    let (file, metadata) = files::open_regular(path).map_err(|error| match error {
        OpenFileError::NotAFile(found) => HashError::NotAFile {
            path: path.to_owned(),
            found,
        },
        OpenFileError::Io(error) => Stop::Io(error).at(path),
    })?;
    let fingerprint = Fingerprint::new(&metadata);
    let pause = pause(age(&fingerprint));
    if pause.is_zero() {
        return Ok((file, fingerprint));
    }
    thread::sleep(pause);
    let metadata = file.metadata().map_err(|error| Stop::Io(error).at(path))?;
    Ok((file, Fingerprint::new(&metadata)))
}

fn hash_small(file: &File, size: u64) -> Result<Node, Stop> {
    let data = files::read_vec_at(file, 0, size as usize)?;
    Ok(subtree(&data, Geometry::new(size).height()))
}

fn hash_large(
    file: &File,
    size: u64,
    mut tree: Option<&mut TreeWriter<'_>>,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Node, Stop> {
    let mut builder = Builder::new(STORED_LEVEL);
    let mut sink = |level, index, node| {
        if let Some(tree) = &mut tree {
            tree.put(level, index, node);
        }
    };
    let batches = size.div_ceil(GROUP_SIZE * BATCH_GROUPS);
    let threads = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    let threads = threads.min(batches).min(MAX_THREADS);
    thread::scope(|scope| {
        let receivers: Vec<_> = (0..threads)
            .map(|first| {
                let (sender, receiver) = sync_channel(BATCHES_AHEAD);
                let batches = (first..batches).step_by(threads as usize);
                scope.spawn(move || hash_batches(file, size, batches, &sender));
                receiver
            })
            .collect();
        for batch in 0..batches {
            for node in receive(&receivers[(batch % threads) as usize])? {
                builder.push(node, &mut sink);
            }
            let hashed = (GROUP_SIZE * builder.pushed()).min(size);
            if progress(hashed).is_break() {
                return Err(Stop::Asked);
            }
        }
        Ok(builder.finish(size, &mut sink)?)
    })
}

/// The next batch of a thread.
fn receive(receiver: &Receiver<io::Result<Vec<Node>>>) -> Result<Vec<Node>, Stop> {
    // A thread that ends without its last batch has panicked; its scope propagates the panic.
    Ok(receiver.recv().map_err(|_| Stop::Changed)??)
}

/// Hashes the batches of one thread, until all are done or the receiver is dropped.
fn hash_batches(
    file: &File,
    size: u64,
    batches: impl Iterator<Item = u64>,
    sender: &SyncSender<io::Result<Vec<Node>>>,
) {
    let mut buffer = vec![0; GROUP_SIZE as usize];
    for batch in batches {
        let nodes = hash_batch(file, size, batch, &mut buffer);
        let failed = nodes.is_err();
        if sender.send(nodes).is_err() || failed {
            return;
        }
    }
}

fn hash_batch(file: &File, size: u64, batch: u64, buffer: &mut [u8]) -> io::Result<Vec<Node>> {
    let groups = batch * BATCH_GROUPS..size.div_ceil(GROUP_SIZE).min((batch + 1) * BATCH_GROUPS);
    groups
        .map(|group| {
            let start = group * GROUP_SIZE;
            let group = &mut buffer[..GROUP_SIZE.min(size - start) as usize];
            files::read_exact_at(file, group, start)?;
            Ok(subtree(group, STORED_LEVEL))
        })
        .collect()
}

/// Why hashing stopped; the path is added later.
enum Stop {
    Io(io::Error),
    Changed,
    Asked,
}

impl Stop {
    fn at(self, path: &Path) -> HashError {
        let path = path.to_owned();
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                HashError::Changed { path }
            }
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                HashError::Missing { path }
            }
            Self::Io(source) => HashError::Unreadable { path, source },
            Self::Changed => HashError::Changed { path },
            Self::Asked => HashError::Stopped { path },
        }
    }
}

impl HashError {
    /// The meaning of `error` for the file at `path`.
    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        Stop::Io(error).at(path)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<BuildError> for Stop {
    fn from(_: BuildError) -> Self {
        Self::Changed
    }
}

/// Why a file was not hashed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// There is no such file.
    #[error("{} does not exist", shown(path))]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A folder, fifo, socket or device.
    #[error("{} is {found}: only regular files have a hash", shown(path))]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// Its type.
        found: &'static str,
    },
    /// The file changed while it was read.
    #[error(
        "{} changed while it was hashed: try again when nothing writes to it",
        shown(path)
    )]
    Changed {
        /// The path.
        path: PathBuf,
    },
    /// The file cannot be opened or read.
    #[error("{} cannot be read: {source}", shown(path))]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// More than 1 PiB.
    #[error("{} has {size} bytes, more than content may have", shown(path))]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// Its size, in bytes.
        size: u64,
    },
    /// Its tree cannot be stored.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The caller stopped the operation.
    #[error("hashing {} was stopped", shown(path))]
    Stopped {
        /// The path.
        path: PathBuf,
    },
}
