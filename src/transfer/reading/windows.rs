//! Which blocks the readers of one download want next, and when data arrived.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Instant};

use parking_lot::{Mutex, MutexGuard};
use pelago_content::Hash;
use tokio::sync::{Notify, watch};

/// The readers of one download. A handle: clones share it.
#[derive(Clone)]
pub(in crate::transfer) struct ReadWindows(Arc<Shared>);

struct Shared {
    readers: Mutex<Readers>,
    changed: Notify,
    /// How often something arrived.
    arrived: watch::Sender<u64>,
}

struct Readers {
    next: u64,
    windows: BTreeMap<u64, Option<Window>>,
    /// How often the windows changed.
    version: u64,
    /// When the last reader left.
    idle_since: Instant,
}

/// The blocks of a file that a reader wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::transfer) struct Window {
    pub(in crate::transfer) file: Hash,
    pub(in crate::transfer) blocks: Range<u64>,
}

/// The window of one reader, until it is dropped.
pub(super) struct ReaderWindow {
    windows: ReadWindows,
    number: u64,
}

impl Default for ReadWindows {
    fn default() -> Self {
        let readers = Readers {
            next: 0,
            windows: BTreeMap::new(),
            version: 0,
            idle_since: Instant::now(),
        };
        Self(Arc::new(Shared {
            readers: Mutex::new(readers),
            changed: Notify::new(),
            arrived: watch::Sender::new(0),
        }))
    }
}

impl ReadWindows {
    /// Adds a reader, whose window is empty.
    pub(super) fn reader(&self) -> ReaderWindow {
        let mut readers = self.lock();
        let number = readers.next;
        readers.next += 1;
        readers.windows.insert(number, None);
        drop(readers);
        let windows = self.clone();
        ReaderWindow { windows, number }
    }

    /// The windows, if they changed since version `seen`, which becomes the current one.
    pub(in crate::transfer) fn windows(&self, seen: &mut Option<u64>) -> Option<Vec<Window>> {
        let readers = self.lock();
        if *seen == Some(readers.version) {
            return None;
        }
        *seen = Some(readers.version);
        Some(readers.windows.values().flatten().cloned().collect())
    }

    /// Waits until the windows change.
    pub(in crate::transfer) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Something arrived and can be read.
    pub(in crate::transfer) fn arrived(&self) {
        self.0.arrived.send_modify(|times| *times += 1);
    }

    /// A receiver that is notified of arrivals.
    pub(super) fn arrivals(&self) -> watch::Receiver<u64> {
        self.0.arrived.subscribe()
    }

    /// Since when there have been no readers; `None` if there are some.
    pub(in crate::transfer) fn idle_since(&self) -> Option<Instant> {
        let readers = self.lock();
        readers.windows.is_empty().then_some(readers.idle_since)
    }

    fn change(&self, number: u64, window: Option<Option<Window>>) {
        let mut readers = self.lock();
        let before = match window {
            Some(window) => readers.windows.insert(number, window),
            None => readers.windows.remove(&number),
        };
        if before.as_ref() == readers.windows.get(&number) {
            return;
        }
        readers.version += 1;
        if readers.windows.is_empty() {
            readers.idle_since = Instant::now();
        }
        drop(readers);
        self.0.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Readers> {
        self.0.readers.lock()
    }
}

impl ReaderWindow {
    /// Moves the window to these blocks of a file.
    pub(super) fn want(&self, file: Hash, blocks: Range<u64>) {
        let window = Window { file, blocks };
        self.windows.change(self.number, Some(Some(window)));
    }
}

impl Drop for ReaderWindow {
    fn drop(&mut self) {
        self.windows.change(self.number, None);
    }
}
