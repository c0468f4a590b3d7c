//! Which blocks the readers of one download want next, and when data arrived.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Instant};

use parking_lot::Mutex;
use pelago_content::Hash;
use tokio::sync::{Notify, watch};

/// The readers of one download. A handle: clones share it.
#[derive(Clone)]
pub(in crate::transfer) struct ReadWindows(Arc<SharedWindows>);

struct SharedWindows {
    set: Mutex<WindowSet>,
    changed: Notify,
    /// How often something arrived.
    arrived: watch::Sender<u64>,
}

struct WindowSet {
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
        let set = WindowSet {
            next: 0,
            windows: BTreeMap::new(),
            version: 0,
            idle_since: Instant::now(),
        };
        Self(Arc::new(SharedWindows {
            set: Mutex::new(set),
            changed: Notify::new(),
            arrived: watch::Sender::new(0),
        }))
    }
}

impl ReadWindows {
    /// Adds a reader, whose window is empty.
    pub(super) fn reader(&self) -> ReaderWindow {
        let mut set = self.0.set.lock();
        let number = set.next;
        set.next += 1;
        set.windows.insert(number, None);
        drop(set);
        let windows = self.clone();
        ReaderWindow { windows, number }
    }

    /// The windows, if they changed since version `seen`, which becomes the current one.
    pub(in crate::transfer) fn windows(&self, seen: &mut Option<u64>) -> Option<Vec<Window>> {
        let set = self.0.set.lock();
        if *seen == Some(set.version) {
            return None;
        }
        *seen = Some(set.version);
        Some(set.windows.values().flatten().cloned().collect())
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
        let set = self.0.set.lock();
        set.windows.is_empty().then_some(set.idle_since)
    }

    fn change(&self, number: u64, window: Option<Option<Window>>) {
        let mut set = self.0.set.lock();
        let before = match window {
            Some(window) => set.windows.insert(number, window),
            None => set.windows.remove(&number),
        };
        if before.as_ref() == set.windows.get(&number) {
            return;
        }
        set.version += 1;
        if set.windows.is_empty() {
            set.idle_since = Instant::now();
        }
        drop(set);
        self.0.changed.notify_one();
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
