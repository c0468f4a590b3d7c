//! Hashes all files of a folder, on all cores.
//!
//! The threads end before the function returns. Small files are hashed first, each by one thread
//! and many at a time; then large ones, each by all cores. A file with a known fingerprint is not
//! opened.

use std::{
    cmp::Reverse,
    collections::HashMap,
    fs::{self, Metadata},
    num::NonZero,
    ops::ControlFlow,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use pelago_content::{Descriptor, EntryKind};

use super::{DirectoryTree, FolderError, unsupported::UnsupportedReason};
use crate::{
    Comparison, Fingerprint, HashError, Hashed, Member, MemberState, Store, hash_file,
    received::Received,
};

/// Files above this size in bytes are hashed by all cores. For smaller ones, one core finishes
/// before others wake up.
const LARGE: u64 = 4 << 20;

/// The highest number of threads; beyond that the disk is the limit.
const MAX_THREADS: usize = 64;

/// How often a file is read again that changes while it is read.
const MAX_ATTEMPTS: u32 = 3;

/// The time between two reports of progress.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);

/// Known files by their paths below the folder, with their fingerprints from when they were hashed.
pub(super) type KnownFiles = HashMap<String, (Descriptor, Fingerprint)>;

/// A hashed file.
#[derive(Clone, Copy)]
pub(super) struct Examined {
    pub(super) descriptor: Descriptor,
    fingerprint: Fingerprint,
    executable: bool,
}

impl Examined {
    pub(super) const fn entry(&self) -> EntryKind {
        EntryKind::File {
            descriptor: self.descriptor,
            executable: self.executable,
        }
    }

    pub(super) const fn member(&self, path: String) -> Member {
        Member {
            path,
            descriptor: self.descriptor,
            state: MemberState::File(self.fingerprint),
        }
    }
}

/// What is known about files before they are hashed.
pub(super) struct PriorShare<'a> {
    pub(super) known: &'a KnownFiles,
    /// How the folder was received.
    pub(super) received: Option<&'a Received>,
}

/// Hashes all files of the tree, and returns them in its order; `None` for files that no longer
/// exist, and for those that cannot be carried, which are recorded in the tree. Stores the trees of
/// the files in `store`.
pub(super) fn examine(
    root: &Path,
    tree: &mut DirectoryTree,
    prior: &PriorShare<'_>,
    store: Option<&Store>,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Vec<Option<Examined>>, FolderError> {
    let (results, unsupported) = examine_all(root, tree, prior, store, progress)?;
    for (at, why) in unsupported {
        let path = root.join(tree.file_path(at));
        tree.left_out.add_unsupported(path, why);
    }
    Ok(results)
}

/// Files in the order of the tree, and the numbers of those that cannot be carried.
type AllExamined = (Vec<Option<Examined>>, Vec<(usize, UnsupportedReason)>);

fn examine_all(
    root: &Path,
    tree: &DirectoryTree,
    prior: &PriorShare<'_>,
    store: Option<&Store>,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<AllExamined, FolderError> {
    let work = Work {
        root,
        tree,
        prior,
        store,
        next: AtomicUsize::new(0),
        hashed: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
        failed: Mutex::default(),
        unsupported: Mutex::default(),
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = threads.min(MAX_THREADS).min(tree.files.len());
    let mut results: Vec<Option<Examined>> = vec![None; tree.files.len()];
    let mut large = Vec::new();
    let (waiting, running) = (thread::current(), AtomicUsize::new(threads));
    let hash = || {
        let done = work.hash_small();
        running.fetch_sub(1, Ordering::Release);
        waiting.unpark();
        done
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(hash)).collect();
        let is_alive = || workers.iter().any(|worker| !worker.is_finished());
        while running.load(Ordering::Acquire) > 0 && is_alive() {
            work.report(progress, 0);
            thread::park_timeout(REPORT_INTERVAL);
        }
        for worker in workers {
            // The scope propagates a panic of a worker.
            let (done, left) = worker.join().unwrap_or_default();
            done.into_iter()
                .for_each(|(at, file)| results[at] = Some(file));
            large.extend(left);
        }
    });
    // The largest come first, so that progress is visible early.
    large.sort_unstable_by_key(|(at, size)| (Reverse(*size), *at));
    for (at, _) in large {
        if work.is_stopped() {
            break;
        }
        results[at] = work.hash_large(at, progress);
    }
    work.finish(progress, results)
}

/// Hashed files by number, and files left for all cores, with their sizes.
type Done = (Vec<(usize, Examined)>, Vec<(usize, u64)>);

struct Work<'w> {
    root: &'w Path,
    tree: &'w DirectoryTree,
    prior: &'w PriorShare<'w>,
    store: Option<&'w Store>,
    next: AtomicUsize,
    /// How many bytes are done.
    hashed: AtomicU64,
    stopped: AtomicBool,
    /// The first file that failed, in the order of the tree.
    failed: Mutex<Option<(usize, HashError)>>,
    /// Files that cannot be carried.
    unsupported: Mutex<Vec<(usize, UnsupportedReason)>>,
}

impl Work<'_> {
    /// What each thread does.
    fn hash_small(&self) -> Done {
        let (mut done, mut large) = (Vec::new(), Vec::new());
        let go_on = |_| self.flow();
        while !self.is_stopped() {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            if at >= self.tree.files.len() {
                break;
            }
            match self.examine(at, Some(LARGE), &go_on) {
                Ok(HashOutcome::Hashed(file)) => {
                    self.hashed
                        .fetch_add(file.descriptor.size(), Ordering::Relaxed);
                    done.push((at, file));
                }
                Ok(HashOutcome::TooLarge(size)) => large.push((at, size)),
                Err(error) => self.fail(at, error),
            }
        }
        (done, large)
    }

    fn hash_large(&self, at: usize, progress: &dyn Fn(u64) -> ControlFlow<()>) -> Option<Examined> {
        let report = |bytes| {
            self.report(progress, bytes);
            self.flow()
        };
        match self.examine(at, None, &report) {
            Ok(HashOutcome::Hashed(file)) => {
                self.hashed
                    .fetch_add(file.descriptor.size(), Ordering::Relaxed);
                return Some(file);
            }
            Ok(HashOutcome::TooLarge(_)) => {}
            Err(error) => self.fail(at, error),
        }
        None
    }

    fn examine(
        &self,
        at: usize,
        limit: Option<u64>,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<HashOutcome, HashError> {
        let inner = self.tree.file_path(at);
        let path = self.root.join(&inner);
        let metadata = fs::symlink_metadata(&path).map_err(|error| HashError::io(&path, error))?;
        if !metadata.is_file() {
            return Err(HashError::Changed { path });
        }
        let executable = self
            .prior
            .received
            .and_then(|received| received.is_executable(&inner));
        let executable = executable.unwrap_or_else(|| is_executable(&metadata));
        let now = Fingerprint::new(&metadata);
        // A file in doubt is proven when it is sent, and hashed again later. A file that a program
        // had open when it was hashed is hashed now.
        if let Some((descriptor, fingerprint)) = self.prior.known.get(&inner)
            && fingerprint.compare(&now) != Comparison::Changed
            && !fingerprint.is_in_doubt()
        {
            return Ok(HashOutcome::Hashed(Examined {
                descriptor: *descriptor,
                fingerprint: *fingerprint,
                executable,
            }));
        }
        if limit.is_some_and(|limit| metadata.len() > limit) {
            return Ok(HashOutcome::TooLarge(metadata.len()));
        }
        let hashed = self.hash(&path, progress)?;
        Ok(HashOutcome::Hashed(Examined {
            descriptor: hashed.descriptor,
            fingerprint: hashed.fingerprint,
            executable,
        }))
    }

    /// Hashes a file, and retries if it changes meanwhile.
    fn hash(
        &self,
        path: &Path,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<Hashed, HashError> {
        let mut attempt = 1;
        loop {
            let hashed = match self.store {
                Some(store) => store.hash_file(path, progress),
                None => hash_file(path, progress),
            };
            match hashed {
                Err(HashError::Changed { .. }) if attempt < MAX_ATTEMPTS => attempt += 1,
                hashed => return hashed,
            }
        }
    }

    fn report(&self, progress: &dyn Fn(u64) -> ControlFlow<()>, more: u64) {
        if progress(self.hashed.load(Ordering::Relaxed) + more).is_break() {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }

    fn fail(&self, at: usize, error: HashError) {
        let why = match error {
            // The file was removed a moment ago, so it does not belong to the folder any more.
            HashError::Missing { .. } => return,
            HashError::Unreadable { source, .. } => Ok(UnsupportedReason::Unreadable(source)),
            HashError::Changed { .. } | HashError::NotAFile { .. } => {
                Ok(UnsupportedReason::Changing)
            }
            error => Err(error),
        };
        match why {
            Ok(why) => self.unsupported.lock().push((at, why)),
            Err(error) => self.stop(at, error),
        }
    }

    fn stop(&self, at: usize, error: HashError) {
        let mut failed = self.failed.lock();
        if failed.as_ref().is_none_or(|(first, _)| at < *first) {
            *failed = Some((at, error));
        }
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn flow(&self) -> ControlFlow<()> {
        if self.is_stopped() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn finish(
        self,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
        results: Vec<Option<Examined>>,
    ) -> Result<AllExamined, FolderError> {
        self.report(progress, 0);
        let stopped = FolderError::Stopped {
            path: self.root.to_owned(),
        };
        let is_stopped = self.is_stopped();
        match self.failed.into_inner() {
            Some((_, HashError::Stopped { .. })) => Err(stopped),
            Some((_, error)) => Err(error.into()),
            None if is_stopped => Err(stopped),
            None => {
                let mut unsupported = self.unsupported.into_inner();
                unsupported.sort_unstable_by_key(|(at, _)| *at);
                Ok((results, unsupported))
            }
        }
    }
}

enum HashOutcome {
    Hashed(Examined),
    /// Its size.
    TooLarge(u64),
}

/// Whether the file is executable by its owner; false where a system has no such permission.
fn is_executable(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o100 != 0;
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}
