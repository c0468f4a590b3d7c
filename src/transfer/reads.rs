//! Who reads what of content while it is fetched, and when more of it has come.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Instant};

use parking_lot::{Mutex, MutexGuard};
use pelago_content::Hash;
use tokio::sync::{Notify, watch};

/// The readers of one download. A handle: clones share them.
#[derive(Clone)]
pub(super) struct Reads(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    changed: Notify,
    /// How often something has come.
    arrived: watch::Sender<u64>,
}

struct State {
    next: u64,
    windows: BTreeMap<u64, Option<Window>>,
    /// How often that changed.
    version: u64,
    /// When the last reader went.
    idle_since: Instant,
}

/// Blocks of a file that a reader wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) file: Hash,
    pub(super) blocks: Range<u64>,
}

/// One reader, until it is dropped.
pub(super) struct ReadsAt {
    reads: Reads,
    number: u64,
}

impl Default for Reads {
    fn default() -> Self {
        let state = State {
            next: 0,
            windows: BTreeMap::new(),
            version: 0,
            idle_since: Instant::now(),
        };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            changed: Notify::new(),
            arrived: watch::Sender::new(0),
        }))
    }
}

impl Reads {
    /// Another reader, which wants nothing yet.
    pub(super) fn reader(&self) -> ReadsAt {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.windows.insert(number, None);
        drop(state);
        let reads = self.clone();
        ReadsAt { reads, number }
    }

    /// What is wanted, if that is another than at the version `seen`, which becomes the one now.
    pub(super) fn windows(&self, seen: &mut Option<u64>) -> Option<Vec<Window>> {
        let state = self.lock();
        if *seen == Some(state.version) {
            return None;
        }
        *seen = Some(state.version);
        Some(state.windows.values().flatten().cloned().collect())
    }

    /// Waits until something else is wanted than before.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Something has come and can be read.
    pub(super) fn arrived(&self) {
        self.0.arrived.send_modify(|times| *times += 1);
    }

    /// Tells when something has come.
    pub(super) fn arrivals(&self) -> watch::Receiver<u64> {
        self.0.arrived.subscribe()
    }

    /// Since when nobody reads; none if somebody does.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        state.windows.is_empty().then_some(state.idle_since)
    }

    fn change(&self, number: u64, window: Option<Option<Window>>) {
        let mut state = self.lock();
        let before = match window {
            Some(window) => state.windows.insert(number, window),
            None => state.windows.remove(&number),
        };
        if before.as_ref() == state.windows.get(&number) {
            return;
        }
        state.version += 1;
        if state.windows.is_empty() {
            state.idle_since = Instant::now();
        }
        drop(state);
        self.0.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }
}

impl ReadsAt {
    /// It wants these blocks of a file next, and no others.
    pub(super) fn want(&self, file: Hash, blocks: Range<u64>) {
        let window = Window { file, blocks };
        self.reads.change(self.number, Some(Some(window)));
    }
}

impl Drop for ReadsAt {
    fn drop(&mut self) {
        self.reads.change(self.number, None);
    }
}
