//! Shared files that wait to be hashed again, and which of them is next. All decisions take the
//! time as an argument.
//!
//! Files that cannot be served before they are hashed come first: those without a usable tree
//! immediately, changed ones once they have settled. Files in doubt are served meanwhile, each
//! chunk proven before it is sent, and hashing them takes at most a fifth of the time.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::sleep_until};

use crate::store::ReadError;

/// Queued files, at most: about 3 MB. The next scan finds further ones again.
const MAX_WAITING: usize = 16_384;

/// How long after a change a file is hashed again: a program may still be writing to it.
const SETTLE: Duration = Duration::from_secs(1);

/// How many times hashing a file is tried.
const MAX_TRIES: u32 = 5;

/// After hashing a file, the queue pauses files in doubt for this many times the duration of the
/// hashing.
const PAUSE_FACTOR: u32 = 4;

/// A file that changes after each hashing is hashed again after this many times the duration of
/// the last one, so it costs at most a twentieth of the time.
const COST_FACTOR: u32 = 20;

/// Files whose last hashing is remembered, at most.
const MAX_HASHED: usize = 1024;

/// Why a file has to be hashed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RehashReason {
    /// Its stored tree is unusable: the file cannot be served before the tree is rebuilt.
    NoTree,
    /// It was written to: it cannot be served under the hash of its share.
    Changed,
    /// Its content may differ from what was hashed. It is served, each chunk proven first.
    Doubted,
}

/// A file in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedFile {
    /// The file.
    pub path: PathBuf,
    /// Why it is queued.
    pub reason: RehashReason,
    due: Instant,
    tries: u32,
}

/// The queued files, each once, however often it is enqueued. A handle: clones share them.
#[derive(Clone, Debug, Default)]
pub struct RehashQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    noted: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// By path, each with its number in the order of arrival.
    waiting: HashMap<PathBuf, (u64, QueuedFile)>,
    /// How many files were ever added.
    added: u64,
    /// No file in doubt is hashed before this time.
    paused_until: Option<Instant>,
    /// The earliest time to hash a file again that was hashed and has changed.
    not_before: HashMap<PathBuf, Instant>,
}

impl RehashQueue {
    /// Queues the file at `path`.
    pub fn enqueue(&self, path: PathBuf, reason: RehashReason) {
        let now = Instant::now();
        let due = match reason {
            RehashReason::Changed => now + SETTLE,
            RehashReason::NoTree | RehashReason::Doubted => now,
        };
        self.add(QueuedFile {
            path,
            reason,
            due,
            tries: 0,
        });
    }

    /// Queues the file at `path`, which is served, but whose content may differ from what was
    /// hashed.
    pub fn enqueue_doubted(&self, path: PathBuf) {
        self.enqueue(path, RehashReason::Doubted);
    }

    /// Queues the file if `error`, from reading it, calls for hashing.
    pub fn enqueue_for_error(&self, error: &ReadError) {
        match error {
            ReadError::Changed { path } => self.enqueue(path.clone(), RehashReason::Changed),
            ReadError::Tree { path, .. } => self.enqueue(path.clone(), RehashReason::NoTree),
            _ => {}
        }
    }

    /// Queues a file again that could not be hashed. False if it was tried often enough.
    pub fn retry(&self, file: QueuedFile) -> bool {
        let tries = file.tries + 1;
        if tries >= MAX_TRIES {
            return false;
        }
        let due = Instant::now() + SETTLE;
        self.add(QueuedFile { due, tries, ..file });
        true
    }

    /// Records that hashing the file at `path` has just ended, and how long it took.
    pub fn hashed(&self, path: PathBuf, took: Duration) {
        self.0.queue.lock().hashed(path, took, Instant::now());
    }

    /// Waits for the next file to hash, and removes it: it may then be queued again. For one task
    /// at a time.
    pub async fn next(&self) -> QueuedFile {
        loop {
            let next = self.0.queue.lock().next(Instant::now());
            match next {
                Next::File(file) => return file,
                Next::At(at) => tokio::select! {
                    () = self.0.noted.notified() => {}
                    () = sleep_until(at.into()) => {}
                },
                Next::Never => self.0.noted.notified().await,
            }
        }
    }

    fn add(&self, file: QueuedFile) {
        self.0.queue.lock().add(file);
        self.0.noted.notify_one();
    }
}

/// What to hash next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    File(QueuedFile),
    /// Nothing is due before then.
    At(Instant),
    /// The queue is empty.
    Never,
}

impl Queue {
    fn hashed(&mut self, path: PathBuf, took: Duration, now: Instant) {
        self.paused_until = now.checked_add(took * PAUSE_FACTOR);
        self.not_before.retain(|_, until| *until > now);
        if self.not_before.len() < MAX_HASHED {
            self.not_before.insert(path, now + took * COST_FACTOR);
        }
    }

    /// Adds a file, unless it is queued for as good a reason, or the queue is full.
    fn add(&mut self, mut file: QueuedFile) {
        if file.reason == RehashReason::Changed
            && let Some(until) = self.not_before.get(&file.path)
        {
            file.due = file.due.max(*until);
        }
        if let Some((_, known)) = self.waiting.get_mut(&file.path) {
            if file.reason < known.reason {
                *known = file;
            }
            return;
        }
        if self.waiting.len() >= MAX_WAITING && !self.evict_for(file.reason) {
            return;
        }
        self.added += 1;
        self.waiting.insert(file.path.clone(), (self.added, file));
    }

    /// Makes space for a file that is not served by removing one that is; false if there is none.
    fn evict_for(&mut self, reason: RehashReason) -> bool {
        if reason == RehashReason::Doubted {
            return false;
        }
        let spare = self
            .waiting
            .values()
            .filter(|(_, other)| other.reason > reason);
        let last = spare.max_by_key(|(added, _)| *added);
        let Some(path) = last.map(|(_, other)| other.path.clone()) else {
            return false;
        };
        self.waiting.remove(&path).is_some()
    }

    fn next(&mut self, now: Instant) -> Next {
        let due_of = |file: &QueuedFile| match file.reason {
            RehashReason::Doubted => self
                .paused_until
                .map_or(file.due, |rest| rest.max(file.due)),
            RehashReason::NoTree | RehashReason::Changed => file.due,
        };
        let due = self
            .waiting
            .values()
            .filter(|(_, file)| due_of(file) <= now);
        let first = due.min_by_key(|(added, file)| (file.reason, *added));
        let first = first.map(|(_, file)| file.path.clone());
        if let Some((_, file)) = first.and_then(|path| self.waiting.remove(&path)) {
            return Next::File(file);
        }
        let soonest = self.waiting.values().map(|(_, file)| due_of(file)).min();
        soonest.map_or(Next::Never, Next::At)
    }
}

#[cfg(test)]
mod tests;
