//! What the system reports of changes in a folder.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use notify::{
    EventKind,
    event::{AccessKind, AccessMode},
};
use tokio::sync::{Notify, mpsc};

use crate::node::settling::MAX_FILES;

/// Paths in which something changed and that are not looked at yet, at most: with more, all are.
pub(super) const MAX_CHANGED: usize = MAX_FILES;

/// Paths in which something changed. Bounded: what finds no room counts as missed.
pub(super) struct Changes {
    /// None while nothing reports changes.
    paths: Option<mpsc::Receiver<PathBuf>>,
    pub(super) missed: Arc<Missed>,
}

/// What the system reports.
#[derive(Debug)]
pub(super) enum Report {
    /// Something changed here.
    Changed(PathBuf),
    /// Something changed for which there was no room.
    Missed,
    /// There are no reports any more.
    Ended,
}

/// That something changed that is not among the paths.
#[derive(Default)]
pub(super) struct Missed {
    any: AtomicBool,
    told: Notify,
}

/// Takes what a watcher reports.
pub(super) type Handler = Box<dyn FnMut(notify::Result<notify::Event>) + Send>;

impl Changes {
    /// Changes that nothing reports.
    pub(super) fn none() -> Self {
        Self {
            paths: None,
            missed: Arc::default(),
        }
    }

    /// The handler for a watcher, and what it passes on.
    pub(super) fn reported() -> (Handler, Self) {
        let (sender, paths) = mpsc::channel(MAX_CHANGED);
        let missed = Arc::new(Missed::default());
        let told = Arc::clone(&missed);
        let handler = Box::new(move |event| pass_on(event, &sender, &told));
        let paths = Some(paths);
        (handler, Self { paths, missed })
    }

    /// The next report.
    pub(super) async fn next(&mut self) -> Report {
        let Some(paths) = &mut self.paths else {
            return std::future::pending().await;
        };
        tokio::select! {
            path = paths.recv() => path.map_or(Report::Ended, Report::Changed),
            () = self.missed.told.notified() => Report::Missed,
        }
    }
}

/// Passes on what an event reports as changed.
fn pass_on(event: notify::Result<notify::Event>, sender: &mpsc::Sender<PathBuf>, missed: &Missed) {
    let event = match event {
        Ok(event) if !event.need_rescan() => event,
        _ => return missed.tell(),
    };
    let is_of_readers = match event.kind {
        EventKind::Access(AccessKind::Close(mode)) => mode != AccessMode::Write,
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
    pub(super) fn tell(&self) {
        self.any.store(true, Ordering::Relaxed);
        self.told.notify_one();
    }

    /// Whether anything was missed since the last call.
    pub(super) fn take(&self) -> bool {
        self.any.swap(false, Ordering::Relaxed)
    }
}
