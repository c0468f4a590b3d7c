//! Shared folders are watched: what changes in one is looked at when nobody has written to it for a
//! moment.
//!
//! The system says what changed; how much that is, is bounded: with too much of it, or where the system
//! cannot say, the whole folder is looked at again.

use std::{
    collections::HashMap,
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::AccessKind};
use pelago_content::Hash;
use tokio::{
    sync::{Notify, mpsc},
    task::{JoinSet, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};

use super::{
    background::FOUND_QUEUED,
    folders::{Scanned, Told, look},
    handle::Inner,
};

/// How long nobody may have written to a file before it is hashed.
const SETTLE: Duration = Duration::from_secs(1);

/// Paths in which something changed and that are not looked at yet, at most: with more, all are.
const MAX_CHANGED: usize = 10_000;

/// How often it is seen whether a folder that was gone is back.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// How often a folder is looked at where the system does not say what changes.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// Watches all folders that this node shares, as long as it runs.
pub(super) async fn watch_all(inner: Arc<Inner>) {
    let mut folders = Vec::new();
    for folder in inner.settings.share_folders.clone() {
        // Watched before it is looked at, so that no change falls in between.
        let changes = Changes::watch(&folder).await;
        let watched = Watched {
            inner: Arc::clone(&inner),
            folder,
            changes,
            changed: HashMap::new(),
            is_gone: false,
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
    /// When each path last changed.
    changed: HashMap<PathBuf, Instant>,
    /// Whether the folder was not there when it was last looked at.
    is_gone: bool,
}

impl Watched {
    async fn run(mut self) {
        let mut check = interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked = Instant::now();
        loop {
            let due = self.changed.values().min().map(|last| *last + SETTLE);
            let due_at = due.unwrap_or_else(|| Instant::now() + CHECK_INTERVAL);
            tokio::select! {
                Some(path) = self.changes.paths.recv() => self.note(path),
                () = self.changes.missed.told.notified() => {}
                () = sleep_until(due_at), if due.is_some() => self.look_at_due().await,
                _ = check.tick() => {
                    let is_unwatched = self.changes.watcher.is_none();
                    let is_back = self.is_gone && self.folder.is_dir();
                    if is_back || is_unwatched && looked.elapsed() >= POLL_INTERVAL {
                        looked = Instant::now();
                        self.watch_again().await;
                    }
                }
            }
            if self.changes.missed.take() {
                self.look_at_all().await;
            }
        }
    }

    /// The folder itself may be another than it was.
    async fn watch_again(&mut self) {
        self.is_gone = !self.folder.is_dir();
        if !self.is_gone {
            self.changes = Changes::watch(&self.folder).await;
        }
        self.look_at_all().await;
    }

    fn note(&mut self, path: PathBuf) {
        if self.changed.len() < MAX_CHANGED || self.changed.contains_key(&path) {
            self.changed.insert(path, Instant::now());
        } else {
            self.changes.missed.tell();
        }
    }

    /// Looks at what nobody has written to for a moment.
    async fn look_at_due(&mut self) {
        let now = Instant::now();
        let due = self.changed.extract_if(|_, last| *last + SETTLE <= now);
        let due: Vec<_> = due.map(|(path, _)| path).collect();
        if due.contains(&self.folder) {
            self.watch_again().await;
        } else {
            self.look_at(due).await;
        }
    }

    async fn look_at_all(&mut self) {
        self.changed.clear();
        let Some(mut scanned) = self.look_at(vec![self.folder.clone()]).await else {
            return;
        };
        // What was written a moment ago mostly is whole a moment later.
        if !scanned.changing.is_empty() {
            sleep(SETTLE).await;
            let again = self.look_at(std::mem::take(&mut scanned.changing)).await;
            let again = again.unwrap_or_default();
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

    /// Brings what is shared in line with what is at `paths`, and has the network told.
    async fn look_at(&mut self, paths: Vec<PathBuf>) -> Option<Scanned> {
        let (sender, mut news) = mpsc::channel(FOUND_QUEUED);
        let (store, folder) = (self.inner.store.clone(), self.folder.clone());
        let looking = spawn_blocking(move || look(&store, &folder, &paths, &Sender(sender)));
        while let Some(found) = news.recv().await {
            self.inner.tell(found).await;
        }
        match looking.await.ok()? {
            Ok(scanned) => {
                let again = scanned.changing.iter().cloned();
                again.for_each(|path| self.note(path));
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

struct Sender(mpsc::Sender<Found>);

impl Sender {
    fn send(&self, found: Found) -> ControlFlow<()> {
        match self.0.blocking_send(found) {
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
