//! Wakes subscriptions when the content they follow has changed.
//!
//! Every quarter of a second one task checks all content that has a subscriber, and wakes the
//! subscriptions for which something changed; an idle subscription costs nothing. Owns no content:
//! the store says what changed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use pelago_content::Hash;
use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
    time::timeout,
};

use crate::store::{Progress, Store};

/// How often subscribers get updates.
pub(super) const UPDATE_INTERVAL: Duration = Duration::from_millis(250);

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The blocks that this node has, or who may know of them.
    Content,
    /// The subscribers, or which blocks were sent to them.
    Subscribers,
}

/// All content that is watched. A handle: clones share it.
#[derive(Clone, Default)]
pub(super) struct ContentChanges(Arc<Shared>);

#[derive(Default)]
struct Shared {
    watched: Mutex<HashMap<Hash, WatchedContent>>,
    /// Notified when a watcher starts.
    begun: Notify,
    /// Changes when the next check is due at once.
    hurries: watch::Sender<u64>,
}

/// Content with at least one watcher.
#[derive(Default)]
struct WatchedContent {
    watchers: usize,
    changes: watch::Sender<ChangeCounts>,
    is_touched: bool,
    progress: Option<Progress>,
}

/// How often something changed, and the progress of the content at that time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ChangeCounts {
    content: u64,
    subscribers: u64,
    progress: Option<Progress>,
}

/// Watches one content until it is dropped.
pub(super) struct ChangeWatcher {
    all: ContentChanges,
    hash: Hash,
    changes: watch::Receiver<ChangeCounts>,
    seen: ChangeCounts,
    hurries: watch::Receiver<u64>,
    is_first: bool,
}

impl ContentChanges {
    /// Starts to watch `hash`.
    pub(super) fn watch(&self, hash: Hash) -> ChangeWatcher {
        let mut watched = self.0.watched.lock();
        let content = watched.entry(hash).or_default();
        content.watchers += 1;
        content.is_touched = true;
        let changes = content.changes.subscribe();
        let seen = *changes.borrow();
        self.0.begun.notify_one();
        ChangeWatcher {
            all: self.clone(),
            hash,
            changes,
            seen,
            hurries: self.0.hurries.subscribe(),
            is_first: true,
        }
    }

    /// Checks for changes at once, and not only at the next interval.
    pub(super) fn hurry(&self) {
        self.0.hurries.send_modify(|hurries| *hurries += 1);
    }

    /// Notes that the subscribers of `hash`, or what was sent to them, changed.
    pub(super) fn touch(&self, hash: &Hash) {
        if let Some(content) = self.0.watched.lock().get_mut(hash) {
            content.is_touched = true;
        }
    }

    /// Checks for changes for as long as this is polled.
    pub(super) async fn run(self, store: Store) {
        let mut hurries = self.0.hurries.subscribe();
        loop {
            while self.0.watched.lock().is_empty() {
                self.0.begun.notified().await;
            }
            interval_or(&mut hurries).await;
            let (changes, store) = (self.clone(), store.clone());
            let look = move || changes.look(|hash| store.progress_of(hash));
            if spawn_blocking(look).await.is_err() {
                return;
            }
        }
    }

    /// Wakes the watchers of everything that has changed.
    fn look(&self, progress_of: impl Fn(&Hash) -> Progress) {
        let hashes: Vec<_> = self.0.watched.lock().keys().copied().collect();
        // The lock is free while the store is queried.
        for hash in hashes {
            let progress = progress_of(&hash);
            if let Some(content) = self.0.watched.lock().get_mut(&hash) {
                content.look(progress);
            }
        }
    }
}

impl WatchedContent {
    fn look(&mut self, progress: Progress) {
        let before = self.progress.replace(progress);
        let content = before.is_some_and(|before| before != progress);
        let subscribers = std::mem::take(&mut self.is_touched);
        if content || subscribers {
            self.changes.send_modify(|changes| {
                changes.content += u64::from(content);
                changes.subscribers += u64::from(subscribers);
                changes.progress = Some(progress);
            });
        }
    }
}

impl ChangeWatcher {
    /// Waits for a change. The first one is unconditional, as something may have changed before
    /// the watch began. Cancel safe: dropping the future loses no change.
    pub(super) async fn next(&mut self) -> Change {
        if self.is_first {
            interval_or(&mut self.hurries).await;
            self.is_first = false;
            return Change::Content;
        }
        // The sender lives as long as its watchers.
        let _ = self.changes.changed().await;
        let now = *self.changes.borrow_and_update();
        let before = std::mem::replace(&mut self.seen, now);
        match now.content == before.content {
            true => Change::Subscribers,
            false => Change::Content,
        }
    }
}

impl ChangeWatcher {
    /// The progress of the content at the last change; `None` before the first check. A look at
    /// the store afterwards finds at least as much.
    pub(super) fn progress(&self) -> Option<Progress> {
        self.changes.borrow().progress
    }
}

/// Waits for an interval, or until it is cut short.
async fn interval_or(hurries: &mut watch::Receiver<u64>) {
    // The sender lives as long as its watchers.
    let _ = timeout(UPDATE_INTERVAL, hurries.changed()).await;
}

impl Drop for ChangeWatcher {
    fn drop(&mut self) {
        let mut watched = self.all.0.watched.lock();
        if let Some(content) = watched.get_mut(&self.hash) {
            content.watchers -= 1;
            content.is_touched = true;
            if content.watchers == 0 {
                watched.remove(&self.hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// A watcher past its first, unconditional change.
    async fn watch(changes: &ContentChanges, hash: Hash) -> ChangeWatcher {
        let mut watcher = changes.watch(hash);
        assert_eq!(watcher.next().await, Change::Content);
        watcher
    }

    #[tokio::test(start_paused = true)]
    async fn watchers_wake_for_changes_and_nothing_else() {
        let changes = ContentChanges::default();
        let [one, other] = [1, 2].map(|n| Hash::from_bytes([n; 32]));
        let mut of_one = watch(&changes, one).await;
        let mut of_other = watch(&changes, other).await;
        let first = Progress::default();
        changes.look(|_| first);
        for watcher in [&mut of_one, &mut of_other] {
            assert_eq!(watcher.next().await, Change::Subscribers, "they have come");
        }
        for _ in 0..100 {
            changes.look(|_| first);
            assert!(of_one.next().now_or_never().is_none());
        }
        assert_eq!(of_one.progress(), Some(first));
        let next = Progress { blocks: 1, ..first };
        changes.look(|hash| if *hash == one { next } else { first });
        assert_eq!(of_one.next().await, Change::Content);
        assert_eq!(of_one.progress(), Some(next));
        assert!(of_other.next().now_or_never().is_none());
        changes.touch(&other);
        changes.look(|hash| if *hash == one { next } else { first });
        assert_eq!(of_other.next().await, Change::Subscribers);
        assert!(of_one.next().now_or_never().is_none());
        drop((of_one, of_other));
        assert!(changes.0.watched.lock().is_empty());
    }
}
