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
pub(super) const NEWS_INTERVAL: Duration = Duration::from_millis(250);

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// What is here, or who may know of it.
    Content,
    /// Who listens, or what was sent to whom.
    Swarm,
}

/// What is followed. A handle: clones share it.
#[derive(Clone, Default)]
pub(super) struct News(Arc<Inner>);

#[derive(Default)]
struct Inner {
    topics: Mutex<HashMap<Hash, Topic>>,
    /// Tells that something is followed.
    begun: Notify,
}

/// One content that is followed.
#[derive(Default)]
struct Topic {
    followers: usize,
    changes: watch::Sender<Changes>,
    is_touched: bool,
    progress: Option<Progress>,
}

/// How often something changed, and how far the content was here when that was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Changes {
    content: u64,
    swarm: u64,
    progress: Option<Progress>,
}

/// Follows one content, until it is dropped.
pub(super) struct Follower {
    news: News,
    hash: Hash,
    changes: watch::Receiver<Changes>,
    seen: Changes,
    is_first: bool,
}

impl News {
    /// Follows `hash` from now on.
    pub(super) fn follow(&self, hash: Hash) -> Follower {
        let mut topics = self.lock();
        let topic = topics.entry(hash).or_default();
        topic.followers += 1;
        topic.is_touched = true;
        let changes = topic.changes.subscribe();
        let seen = *changes.borrow();
        self.0.begun.notify_one();
        Follower {
            news: self.clone(),
            hash,
            changes,
            seen,
            is_first: true,
        }
    }

    /// Something changed among those who listen to `hash`.
    pub(super) fn touch(&self, hash: &Hash) {
        if let Some(topic) = self.lock().get_mut(hash) {
            topic.is_touched = true;
        }
    }

    /// Looks for news for as long as this is polled.
    pub(super) async fn watch(self, store: Store) {
        loop {
            while self.lock().is_empty() {
                self.0.begun.notified().await;
            }
            sleep(NEWS_INTERVAL).await;
            let (news, store) = (self.clone(), store.clone());
            let look = move || news.look(|hash| store.progress_of(hash));
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
            if let Some(topic) = self.lock().get_mut(&hash) {
                topic.look(progress);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Hash, Topic>> {
        self.0.topics.lock()
    }
}

impl Topic {
    fn look(&mut self, progress: Progress) {
        let before = self.progress.replace(progress);
        let content = before.is_some_and(|before| before != progress);
        let swarm = std::mem::take(&mut self.is_touched);
        if content || swarm {
            self.changes.send_modify(|changes| {
                changes.content += u64::from(content);
                changes.swarm += u64::from(swarm);
                changes.progress = Some(progress);
            });
        }
    }
}

impl Follower {
    /// Waits for news. The first comes by itself: something may have changed before it was followed. Nothing is
    /// lost when it is waited for no more.
    pub(super) async fn next(&mut self) -> Change {
        if self.is_first {
            sleep(NEWS_INTERVAL).await;
            self.is_first = false;
            return Change::Content;
        }
        // The sender lasts as long as its followers.
        let _ = self.changes.changed().await;
        let now = *self.changes.borrow_and_update();
        let before = std::mem::replace(&mut self.seen, now);
        match now.content == before.content {
            true => Change::Swarm,
            false => Change::Content,
        }
    }
}

impl Follower {
    /// How far the content was here at the last news; none if nobody has looked yet. A look that follows finds
    /// at least as much.
    pub(super) fn progress(&self) -> Option<Progress> {
        self.changes.borrow().progress
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut topics = self.news.lock();
        if let Some(topic) = topics.get_mut(&self.hash) {
            topic.followers -= 1;
            topic.is_touched = true;
            if topic.followers == 0 {
                topics.remove(&self.hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// A follower that has heard what comes by itself.
    async fn follow(news: &News, hash: Hash) -> Follower {
        let mut follower = news.follow(hash);
        assert_eq!(follower.next().await, Change::Content);
        follower
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_listen_are_woken_by_news_and_by_nothing_else() {
        let news = News::default();
        let [one, other] = [1, 2].map(|n| Hash::from_bytes([n; 32]));
        let mut of_one = follow(&news, one).await;
        let mut of_other = follow(&news, other).await;
        let first = Progress::default();
        news.look(|_| first);
        for follower in [&mut of_one, &mut of_other] {
            assert_eq!(follower.next().await, Change::Swarm, "they have come");
        }
        for _ in 0..100 {
            news.look(|_| first);
            assert!(of_one.next().now_or_never().is_none());
        }
        assert_eq!(of_one.progress(), Some(first));
        let next = Progress { blocks: 1, ..first };
        news.look(|hash| if *hash == one { next } else { first });
        assert_eq!(of_one.next().await, Change::Content);
        assert_eq!(of_one.progress(), Some(next));
        assert!(of_other.next().now_or_never().is_none());
        news.touch(&other);
        news.look(|hash| if *hash == one { next } else { first });
        assert_eq!(of_other.next().await, Change::Swarm);
        assert!(of_one.next().now_or_never().is_none());
        drop((of_one, of_other));
        assert!(news.lock().is_empty());
    }
}
