//! When those who listen to what is here of some content are to be told something.
//!
//! One look at all content that anybody listens to, every quarter of a second, wakes those for whom something
//! changed: a listener costs nothing while there is no news. Owns no content; the store says what changed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use pelago_content::Hash;
use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
    time::sleep,
};

use crate::store::{Progress, Store};

/// How often those who listen are told what is new.
pub(super) const UPDATE_INTERVAL: Duration = Duration::from_millis(250);

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// What is here, or who may know of it.
    Content,
    /// Who listens, or what was sent to whom.
    Subscribers,
}

/// What is watched. A handle: clones share it.
#[derive(Clone, Default)]
pub(super) struct ContentChanges(Arc<Shared>);

#[derive(Default)]
struct Shared {
    watched: Mutex<HashMap<Hash, WatchedContent>>,
    /// Tells that something is watched.
    begun: Notify,
}

/// One content that is watched.
#[derive(Default)]
struct WatchedContent {
    watchers: usize,
    changes: watch::Sender<ChangeCounts>,
    is_touched: bool,
    progress: Option<Progress>,
}

/// How often something changed, and how far the content was here when that was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ChangeCounts {
    content: u64,
    subscribers: u64,
    progress: Option<Progress>,
}

/// Follows one content, until it is dropped.
pub(super) struct ChangeWatcher {
    all: ContentChanges,
    hash: Hash,
    changes: watch::Receiver<ChangeCounts>,
    seen: ChangeCounts,
    is_first: bool,
}

impl ContentChanges {
    /// Follows `hash` from now on.
    pub(super) fn watch(&self, hash: Hash) -> ChangeWatcher {
        let mut watched = self.lock();
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
            is_first: true,
        }
    }

    /// Something changed among those who listen to `hash`.
    pub(super) fn touch(&self, hash: &Hash) {
        if let Some(content) = self.lock().get_mut(hash) {
            content.is_touched = true;
        }
    }

    /// Looks for news for as long as this is polled.
    pub(super) async fn run(self, store: Store) {
        loop {
            while self.lock().is_empty() {
                self.0.begun.notified().await;
            }
            sleep(UPDATE_INTERVAL).await;
            let (changes, store) = (self.clone(), store.clone());
            let look = move || changes.look(|hash| store.progress_of(hash));
            if spawn_blocking(look).await.is_err() {
                return;
            }
        }
    }

    /// Wakes those for whom something changed.
    fn look(&self, progress_of: impl Fn(&Hash) -> Progress) {
        let hashes: Vec<_> = self.lock().keys().copied().collect();
        // Nobody waits for the lock while the store is asked.
        for hash in hashes {
            let progress = progress_of(&hash);
            if let Some(content) = self.lock().get_mut(&hash) {
                content.look(progress);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Hash, WatchedContent>> {
        self.0.watched.lock()
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
    /// Waits for news. The first comes by itself: something may have changed before it was watched. Nothing is
    /// lost when it is waited for no more.
    pub(super) async fn next(&mut self) -> Change {
        if self.is_first {
            sleep(UPDATE_INTERVAL).await;
            self.is_first = false;
            return Change::Content;
        }
        // The sender lasts as long as its watchers.
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
    /// How far the content was here at the last news; none if nobody has looked yet. A look that follows finds
    /// at least as much.
    pub(super) fn progress(&self) -> Option<Progress> {
        self.changes.borrow().progress
    }
}

impl Drop for ChangeWatcher {
    fn drop(&mut self) {
        let mut watched = self.all.lock();
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

    /// A watcher that has heard what comes by itself.
    async fn watch(changes: &ContentChanges, hash: Hash) -> ChangeWatcher {
        let mut watcher = changes.watch(hash);
        assert_eq!(watcher.next().await, Change::Content);
        watcher
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_listen_are_woken_by_news_and_by_nothing_else() {
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
        assert!(changes.lock().is_empty());
    }
}
