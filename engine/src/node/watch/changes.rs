//! The changes in a folder that the system reports.

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

/// The most changed paths that wait for a scan. When there are more, the whole folder is scanned.
pub(super) const MAX_CHANGED: usize = MAX_FILES;

/// The changed paths of a folder. Bounded: further changes count as missed.
pub(super) struct Changes {
    /// `None` while nothing reports changes.
    paths: Option<mpsc::Receiver<PathBuf>>,
    pub(super) missed: Arc<Missed>,
}

/// One report of the system.
#[derive(Debug)]
pub(super) enum Report {
    /// This path changed.
    Changed(PathBuf),
    /// Changes were missed.
    Missed,
    /// No further reports will come.
    Ended,
}

/// Whether changes were missed, and a signal when some are.
#[derive(Default)]
pub(super) struct Missed {
    any: AtomicBool,
    signal: Notify,
}

/// Receives the events of a watcher.
pub(super) type Handler = Box<dyn FnMut(notify::Result<notify::Event>) + Send>;

impl Changes {
    /// No changes: nothing reports any.
    pub(super) fn none() -> Self {
        Self {
            paths: None,
            missed: Arc::default(),
        }
    }

    /// The handler for a watcher, and the changes that it passes on.
    pub(super) fn reported() -> (Handler, Self) {
        let (sender, paths) = mpsc::channel(MAX_CHANGED);
        let missed = Arc::new(Missed::default());
        let sink = Arc::clone(&missed);
        let handler = Box::new(move |event| pass_on(event, &sender, &sink));
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
            () = self.missed.signal.notified() => Report::Missed,
        }
    }
}

/// Passes on the changed paths of an event.
fn pass_on(event: notify::Result<notify::Event>, sender: &mpsc::Sender<PathBuf>, missed: &Missed) {
    let event = match event {
        Ok(event) if !event.need_rescan() => event,
        _ => return missed.set(),
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
            missed.set();
        }
    }
}

impl Missed {
    pub(super) fn set(&self) {
        self.any.store(true, Ordering::Relaxed);
        self.signal.notify_one();
    }

    /// Whether changes were missed since the last call.
    pub(super) fn take(&self) -> bool {
        self.any.swap(false, Ordering::Relaxed)
    }
}
