//! Watches the shared folders: looks at what changed in one once it has settled.
//!
//! The system says what changed; how much that is, is bounded: with too much of it, or where the system
//! cannot say, the whole folder is looked at again. When a file has settled, `settle` decides.

use std::{
    collections::HashMap,
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::AccessKind};
use pelago_content::Hash;
use tokio::{
    sync::{Notify, mpsc},
    task::{JoinSet, spawn_blocking},
    time::{MissedTickBehavior, interval, sleep, sleep_until},
};

use super::{
    background::FOUND_QUEUED,
    folders::{Due, Scanned, Told, look},
    handle::Inner,
    settle::{MAX_FILES, QUIET, Settling},
    writing::Writing,
};

/// Paths in which something changed and that are not looked at yet, at most: with more, all are.
const MAX_CHANGED: usize = MAX_FILES;

/// How long a file may change without a pause until the node looks whether it is being written.
const EARLY: Duration = Duration::from_secs(2);

/// How often it is seen whether a folder that was gone is back.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// How often a folder is looked at where the system does not say what changes.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// Watches all folders that this node shares, as long as it runs.
pub(super) async fn watch_all(inner: Arc<Inner>) {
    let mut folders = Vec::new();
    for folder in inner.settings.share_folders.clone() {
        // Watched before it is looked at, so that no change falls in between.
        let is_gone = !inner.store.presence(&folder).is_there();
        let changes = Changes::watch(&folder).await;
        let watched = Watched {
            inner: Arc::clone(&inner),
            folder,
            changes,
            changed: HashMap::new(),
            settling: Settling::default(),
            again: None,
            is_gone,
        };
        folders.push(watched);
    }
    let mut tasks = JoinSet::new();
    for mut watched in folders {
        watched.look_at_all().await;
        tasks.spawn(watched.run());
    }
    while tasks.join_next().await.is_some() {}
}

/// What the system says changes in a folder.
struct Changes {
    paths: mpsc::Receiver<PathBuf>,
    missed: Arc<Missed>,
    /// None where the folder cannot be watched.
    watcher: Option<RecommendedWatcher>,
}

/// That something was said for which there was no room.
#[derive(Default)]
struct Missed {
    any: AtomicBool,
    told: Notify,
}

impl Changes {
    async fn watch(folder: &Path) -> Self {
        let (sender, paths) = mpsc::channel(MAX_CHANGED);
        let missed = Arc::new(Missed::default());
        let (told, watched) = (Arc::clone(&missed), folder.to_owned());
        let start = move || {
            // What a link leads to is not in the folder.
            let config = notify::Config::default().with_follow_symlinks(false);
            let take = move |event| take(event, &sender, &told);
            let mut watcher = RecommendedWatcher::new(take, config)?;
            watcher.watch(&watched, RecursiveMode::Recursive)?;
            Ok::<_, notify::Error>(watcher)
        };
        let watcher = spawn_blocking(start)
            .await
            .map_err(|error| notify::Error::io(io::Error::other(error)));
        let watcher = watcher.flatten().inspect_err(|error| {
            tracing::warn!(
                folder = %folder.display(), %error,
                "the folder cannot be watched: it is looked at once a minute"
            );
        });
        Self {
            paths,
            missed,
            watcher: watcher.ok(),
        }
    }
}

/// Passes on what an event says has changed.
fn take(event: notify::Result<notify::Event>, sender: &mpsc::Sender<PathBuf>, missed: &Missed) {
    let event = match event {
        Ok(event) if !event.need_rescan() => event,
        _ => return missed.tell(),
    };
    let is_of_readers = match event.kind {
        EventKind::Access(AccessKind::Close(mode)) => mode != notify::event::AccessMode::Write,
        EventKind::Access(_) => true,
        _ => false,
    };
    if is_of_readers {
        return;
    }
    for path in event.paths {
        if sender.try_send(path).is_err() {
            missed.tell();
        }
    }
}

impl Missed {
    fn tell(&self) {
        self.any.store(true, Ordering::Relaxed);
        self.told.notify_one();
    }

    fn take(&self) -> bool {
        self.any.swap(false, Ordering::Relaxed)
    }
}

/// A folder that is watched.
struct Watched {
    inner: Arc<Inner>,
    folder: PathBuf,
    changes: Changes,
    /// When to look at each path in which something changed.
    changed: HashMap<PathBuf, Change>,
    settling: Settling,
    /// When to look at all, as there was no room for a file that waits.
    again: Option<Instant>,
    /// Whether the folder was not there when it was last looked at.
    is_gone: bool,
}

/// When to look at a path in which something changed: at the earlier of these.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// When nothing will have changed for a moment.
    settled: Instant,
    /// Whatever changes until then.
    latest: Instant,
}

impl Change {
    fn due(&self) -> Instant {
        self.settled.min(self.latest)
    }
}

impl Watched {
    async fn run(mut self) {
        let mut check = interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked = Instant::now();
        loop {
            let due = self.changed.values().map(Change::due).min();
            let due_at = due.unwrap_or_else(|| Instant::now() + CHECK_INTERVAL);
            tokio::select! {
                Some(path) = self.changes.paths.recv() => self.note(path),
                () = self.changes.missed.told.notified() => {}
                () = sleep_until(due_at.into()), if due.is_some() => self.look_at_due().await,
                _ = check.tick() => {
                    let is_unwatched = self.changes.watcher.is_none();
                    let is_back = self.is_gone && self.is_there();
                    if is_back || is_unwatched && looked.elapsed() >= POLL_INTERVAL {
                        looked = Instant::now();
                        self.watch_again().await;
                    } else if self.again.is_some_and(|again| again <= Instant::now()) {
                        self.look_at_all().await;
                    }
                }
            }
            if self.changes.missed.take() {
                self.look_at_all().await;
            }
        }
    }

    fn is_there(&self) -> bool {
        self.inner.store.presence(&self.folder).is_there()
    }

    /// The folder itself may be another than it was.
    async fn watch_again(&mut self) {
        self.is_gone = !self.is_there();
        if !self.is_gone {
            self.changes = Changes::watch(&self.folder).await;
        }
        self.look_at_all().await;
    }

    /// Takes note of a change that the system tells of.
    fn note(&mut self, path: PathBuf) {
        let now = Instant::now();
        let settled = now + QUIET;
        if let Some(change) = self.changed.get_mut(&path) {
            change.settled = settled;
        } else if self.changed.len() < MAX_CHANGED {
            let latest = now + EARLY;
            self.changed.insert(path, Change { settled, latest });
        } else {
            self.changes.missed.tell();
        }
    }

    /// Takes note of when to look again at a file that waits.
    fn wait(&mut self, path: PathBuf, again: Instant) {
        if self.changed.len() < MAX_CHANGED || self.changed.contains_key(&path) {
            let (settled, latest) = (again, again);
            self.changed.insert(path, Change { settled, latest });
        } else {
            self.again.get_or_insert(Instant::now() + POLL_INTERVAL);
        }
    }

    /// Looks at what has settled, and at files that have not for a while.
    async fn look_at_due(&mut self) {
        let due = self.take_due();
        let is_whole = |due: &Due| due.path == self.folder && !due.is_early;
        if due.iter().any(is_whole) {
            self.watch_again().await;
        } else {
            self.look_at(due).await;
        }
    }

    fn take_due(&mut self) -> Vec<Due> {
        let now = Instant::now();
        let mut due = Vec::new();
        for (path, change) in &mut self.changed {
            if change.due() <= now {
                let is_early = change.settled > now;
                let path = path.clone();
                due.push(Due { path, is_early });
                // It is looked at again when it has settled.
                change.latest = now + POLL_INTERVAL;
            }
        }
        self.changed.retain(|_, change| change.settled > now);
        due
    }

    async fn look_at_all(&mut self) {
        let begun = Instant::now();
        self.changed.clear();
        self.again = None;
        let all = Due {
            path: self.folder.clone(),
            is_early: false,
        };
        let Some(mut scanned) = self.look_at(vec![all]).await else {
            return;
        };
        self.settling.forget_unseen(begun);
        self.inner
            .writing
            .set(&self.folder, self.settling.waiting());
        // Most files that were written a moment ago are whole a moment later.
        if !scanned.changing.is_empty() {
            sleep(QUIET).await;
            let due = self.take_due();
            let again = self.look_at(due).await.unwrap_or_default();
            scanned.shared += again.shared;
            scanned.left_out += again.left_out;
            scanned.gone += again.gone;
        }
        let folder = self.folder.display();
        if self.is_gone {
            let gone = scanned.gone;
            tracing::warn!(%folder, gone, "the folder is gone: it is shared again when it is back");
        } else {
            let Scanned {
                shared,
                left_out,
                gone,
                ..
            } = scanned;
            tracing::info!(%folder, files = shared, left_out, gone, "folder shared");
        }
    }

    /// Brings what is shared in line with what is at the paths that are `due`, and has the network told.
    async fn look_at(&mut self, due: Vec<Due>) -> Option<Scanned> {
        let (found, mut news) = mpsc::channel(FOUND_QUEUED);
        let store = self.inner.store.clone();
        let sender = Sender {
            found,
            writing: self.inner.writing.clone(),
            folder: self.folder.clone(),
        };
        let mut settling = std::mem::take(&mut self.settling);
        let looking = spawn_blocking(move || {
            let scanned = look(&store, &sender.folder, &due, &mut settling, &sender);
            (scanned, settling)
        });
        while let Some(found) = news.recv().await {
            self.inner.tell(found).await;
        }
        let (scanned, settling) = looking.await.ok()?;
        self.settling = settling;
        match scanned {
            Ok(scanned) => {
                for (path, again) in scanned.changing.iter().cloned() {
                    self.wait(path, again);
                }
                Some(scanned)
            }
            Err(error) => {
                tracing::error!(folder = %self.folder.display(), %error, "folder not shared");
                None
            }
        }
    }
}

/// What was found while a folder was looked at.
enum Found {
    Shared(Vec<Hash>),
    Gone(Vec<Hash>),
}

struct Sender {
    found: mpsc::Sender<Found>,
    writing: Writing,
    folder: PathBuf,
}

impl Sender {
    fn send(&self, found: Found) -> ControlFlow<()> {
        match self.found.blocking_send(found) {
            Ok(()) => ControlFlow::Continue(()),
            // The node is shutting down.
            Err(_) => ControlFlow::Break(()),
        }
    }
}

impl Told for Sender {
    fn shared(&self, hashes: Vec<Hash>) -> ControlFlow<()> {
        self.send(Found::Shared(hashes))
    }

    fn gone(&self, hashes: Vec<Hash>) -> ControlFlow<()> {
        self.send(Found::Gone(hashes))
    }

    fn waiting(&self, files: &Settling) {
        self.writing.set(&self.folder, files.waiting());
    }
}

impl Inner {
    async fn tell(&self, found: Found) {
        match found {
            Found::Shared(hashes) => {
                for hash in hashes {
                    self.publisher.provide(hash).await;
                }
            }
            Found::Gone(hashes) => {
                for hash in hashes {
                    self.publisher.withdraw(hash).await;
                }
            }
        }
    }
}
