//! All files of a folder to descriptors, on all cores.
//!
//! Owns the threads it starts, which end before it returns. Small files are hashed each by one
//! thread, many at a time; large ones after them, each by all cores. A file whose fingerprint is
//! known is not opened.

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

use super::{DirectoryTree, FolderError, unsupported::Why};
use crate::store::{
    Comparison, Fingerprint, HashError, Hashed, Member, MemberState, Store, hash_file,
    received::Received,
};

/// Files above this many bytes are hashed by all cores: below, one core is done sooner than others
/// are woken.
const LARGE: u64 = 4 << 20;

/// Threads at most: by then the disk is the limit.
const MAX_THREADS: usize = 64;

/// How often a file is read anew that changes while it is read, at most.
const MAX_ATTEMPTS: u32 = 3;

/// Between two reports of how far hashing is.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);

/// Files by their paths from the folder, as they were when they were hashed.
pub(super) type KnownFiles = HashMap<String, (Descriptor, Fingerprint)>;

/// A file, hashed.
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

/// What to know of files before they are hashed.
pub(super) struct Before<'a> {
    pub(super) known: &'a KnownFiles,
    /// How the folder was received.
    pub(super) received: Option<&'a Received>,
}

/// Hashes all files of the tree, and gives them in its order: none for those that are gone, and those that
/// cannot be carried, which are put down in the tree. Their trees are kept in `store`.
pub(super) fn examine(
    root: &Path,
    tree: &mut DirectoryTree,
    before: &Before<'_>,
    store: Option<&Store>,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<Vec<Option<Examined>>, FolderError> {
    let (results, unsupported) = examine_all(root, tree, before, store, progress)?;
    for (at, why) in unsupported {
        let path = root.join(tree.file_path(at));
        tree.left_out.add_unsupported(path, why);
    }
    Ok(results)
}

/// Files in the order of the tree, and those that cannot be carried, by their numbers.
type AllExamined = (Vec<Option<Examined>>, Vec<(usize, Why)>);

fn examine_all(
    root: &Path,
    tree: &DirectoryTree,
    before: &Before<'_>,
    store: Option<&Store>,
    progress: &dyn Fn(u64) -> ControlFlow<()>,
) -> Result<AllExamined, FolderError> {
    let work = Work {
        root,
        tree,
        before,
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
            // A panic of a worker is passed on by the scope.
            let (done, left) = worker.join().unwrap_or_default();
            done.into_iter()
                .for_each(|(at, file)| results[at] = Some(file));
            large.extend(left);
        }
    });
    // The largest first, as whoever waits sees the most of it.
    large.sort_unstable_by_key(|(at, size)| (Reverse(*size), *at));
    for (at, _) in large {
        if work.is_stopped() {
            break;
        }
        results[at] = work.hash_large(at, progress);
    }
    work.finish(progress, results)
}

/// Files hashed, by their numbers, and files left for all cores, with their sizes.
type Done = (Vec<(usize, Examined)>, Vec<(usize, u64)>);

struct Work<'w> {
    root: &'w Path,
    tree: &'w DirectoryTree,
    before: &'w Before<'w>,
    store: Option<&'w Store>,
    next: AtomicUsize,
    /// Bytes done.
    hashed: AtomicU64,
    stopped: AtomicBool,
    /// The first file that failed, in the order of the tree.
    failed: Mutex<Option<(usize, HashError)>>,
    /// Files that cannot be carried.
    unsupported: Mutex<Vec<(usize, Why)>>,
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
                Ok(Looked::Hashed(file)) => {
                    self.hashed
                        .fetch_add(file.descriptor.size(), Ordering::Relaxed);
                    done.push((at, file));
                }
                Ok(Looked::TooLarge(size)) => large.push((at, size)),
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
            Ok(Looked::Hashed(file)) => {
                self.hashed
                    .fetch_add(file.descriptor.size(), Ordering::Relaxed);
                return Some(file);
            }
            Ok(Looked::TooLarge(_)) => {}
            Err(error) => self.fail(at, error),
        }
        None
    }

    fn examine(
        &self,
        at: usize,
        limit: Option<u64>,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<Looked, HashError> {
        let inner = self.tree.file_path(at);
        let path = self.root.join(&inner);
        let metadata = fs::symlink_metadata(&path).map_err(|error| HashError::io(&path, error))?;
        if !metadata.is_file() {
            return Err(HashError::Changed { path });
        }
        let executable = self
            .before
            .received
            .and_then(|received| received.is_executable(&inner));
        let executable = executable.unwrap_or_else(|| is_executable(&metadata));
        let now = Fingerprint::new(&metadata);
        // One whose metadata changed is proven when it is sent, and hashed again by and by. One that a
        // program had open when it was hashed is hashed now.
        if let Some((descriptor, fingerprint)) = self.before.known.get(&inner)
            && fingerprint.compare(&now) != Comparison::Changed
            && !fingerprint.is_in_doubt()
        {
            return Ok(Looked::Hashed(Examined {
                descriptor: *descriptor,
                fingerprint: *fingerprint,
                executable,
            }));
        }
        if limit.is_some_and(|limit| metadata.len() > limit) {
            return Ok(Looked::TooLarge(metadata.len()));
        }
        let hashed = self.hash(&path, progress)?;
        Ok(Looked::Hashed(Examined {
            descriptor: hashed.descriptor,
            fingerprint: hashed.fingerprint,
            executable,
        }))
    }

    /// Hashes a file; one that changes meanwhile is tried again.
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
            // It was there a moment ago: it is no part of the folder any more.
            HashError::Missing { .. } => return,
            HashError::Unreadable { source, .. } => Ok(Why::Unreadable(source)),
            HashError::Changed { .. } | HashError::NotAFile { .. } => Ok(Why::Changing),
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

enum Looked {
    Hashed(Examined),
    /// Its size.
    TooLarge(u64),
}

/// Whether its owner may run the file; never where a system has no such right.
fn is_executable(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o100 != 0;
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}
