//! The one feed of what changed in what is shared.
//!
//! Owns the hashes of content whose shares, scopes or states changed, or of which a download got
//! its first block or ended, until a follower has applied them. Every commit notes its hashes here,
//! so no caller has to remember to announce anything. A hash in the feed says that something may be
//! different; what holds now is in the store. There is one follower.

use std::{collections::HashSet, mem, pin::pin};

use parking_lot::Mutex;
use pelago_content::Hash;
use tokio::sync::Notify;

/// Changed hashes that are kept apart, at most: 512 KiB. With more of them, the follower compares
/// everything once, which reads each row of the database once and costs less than so many look-ups.
const MAX_HASHES: usize = 16_384;

/// What may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareChanges {
    /// Content with these hashes, in no order.
    Of(Vec<Hash>),
    /// Anything: all of it has to be compared.
    Everything,
}

/// The changes of one store.
#[derive(Debug, Default)]
pub struct ShareFeed {
    pending: Mutex<Pending>,
    noted: Notify,
    applied: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    hashes: HashSet<Hash>,
    everything: bool,
    /// How often changes were noted.
    noted: u64,
    /// Up to which of these they are applied.
    applied: u64,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.hashes.is_empty() && !self.everything
    }

    fn become_everything(&mut self) {
        self.everything = true;
        self.hashes = HashSet::new();
    }
}

impl ShareFeed {
    /// Content with these hashes may be shared now, or not be shared any more.
    pub(super) fn note(&self, hashes: impl IntoIterator<Item = Hash>) {
        let mut hashes = hashes.into_iter().peekable();
        if hashes.peek().is_none() {
            return;
        }
        let mut pending = self.pending.lock();
        pending.noted += 1;
        if !pending.everything {
            pending.hashes.extend(hashes);
        }
        if pending.hashes.len() > MAX_HASHES {
            pending.become_everything();
        }
        drop(pending);
        self.noted.notify_one();
    }

    /// Anything may have changed: the follower compares all of it.
    pub fn note_everything(&self) {
        let mut pending = self.pending.lock();
        pending.noted += 1;
        pending.become_everything();
        drop(pending);
        self.noted.notify_one();
    }

    /// Waits for changes and takes all there are.
    pub async fn next(&self) -> TakenChanges<'_> {
        loop {
            if let Some(taken) = self.take() {
                return taken;
            }
            self.noted.notified().await;
        }
    }

    /// Waits until the changes noted before this call are applied.
    pub async fn caught_up(&self) {
        let noted = self.pending.lock().noted;
        loop {
            let mut applied = pin!(self.applied.notified());
            // Registered before the look, so that nothing is missed in between.
            applied.as_mut().enable();
            if self.pending.lock().applied >= noted {
                return;
            }
            applied.await;
        }
    }

    fn take(&self) -> Option<TakenChanges<'_>> {
        let mut pending = self.pending.lock();
        if pending.is_empty() {
            return None;
        }
        let hashes = mem::take(&mut pending.hashes);
        let changes = match mem::take(&mut pending.everything) {
            true => ShareChanges::Everything,
            false => ShareChanges::Of(hashes.into_iter().collect()),
        };
        Some(TakenChanges {
            feed: self,
            changes,
            up_to: pending.noted,
            is_applied: false,
        })
    }
}

/// Changes that the follower has taken. If it fails to apply them, it compares everything the next
/// time.
#[derive(Debug)]
pub struct TakenChanges<'f> {
    feed: &'f ShareFeed,
    changes: ShareChanges,
    up_to: u64,
    is_applied: bool,
}

impl TakenChanges<'_> {
    /// What may have changed.
    #[must_use]
    pub fn changes(&self) -> &ShareChanges {
        &self.changes
    }

    /// The follower has applied them.
    pub fn applied(mut self) {
        self.is_applied = true;
    }
}

impl Drop for TakenChanges<'_> {
    fn drop(&mut self) {
        if self.is_applied {
            self.feed.pending.lock().applied = self.up_to;
            self.feed.applied.notify_waiters();
        } else {
            self.feed.note_everything();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn hash(number: usize) -> Hash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Hash::from_bytes(bytes)
    }

    fn next(feed: &ShareFeed) -> Option<TakenChanges<'_>> {
        feed.next().now_or_never()
    }

    #[test]
    fn each_change_is_taken_once() {
        let feed = ShareFeed::default();
        assert!(next(&feed).is_none());
        feed.note([]);
        assert!(next(&feed).is_none(), "nothing changed");
        feed.note([hash(1), hash(2)]);
        feed.note([hash(2)]);
        let taken = next(&feed).unwrap();
        let ShareChanges::Of(mut hashes) = taken.changes().clone() else {
            panic!("{taken:?}");
        };
        hashes.sort_unstable();
        assert_eq!(hashes, [hash(1), hash(2)]);
        taken.applied();
        assert!(next(&feed).is_none());
    }

    #[test]
    fn too_many_changes_become_a_comparison_of_everything() {
        let feed = ShareFeed::default();
        feed.note((0..=MAX_HASHES).map(hash));
        feed.note([hash(1)]);
        let taken = next(&feed).unwrap();
        assert_eq!(*taken.changes(), ShareChanges::Everything);
        taken.applied();
        feed.note([hash(1)]);
        let taken = next(&feed).unwrap();
        assert_eq!(*taken.changes(), ShareChanges::Of(vec![hash(1)]));
    }

    #[test]
    fn changes_that_were_not_applied_are_not_lost() {
        let feed = ShareFeed::default();
        feed.note([hash(1)]);
        drop(next(&feed));
        let taken = next(&feed).unwrap();
        assert_eq!(*taken.changes(), ShareChanges::Everything);
    }

    #[test]
    fn waiting_for_a_change_ends_when_it_is_applied() {
        let feed = ShareFeed::default();
        assert!(feed.caught_up().now_or_never().is_some());
        feed.note([hash(1)]);
        let mut caught_up = Box::pin(feed.caught_up());
        assert!((&mut caught_up).now_or_never().is_none());
        let taken = next(&feed).unwrap();
        feed.note([hash(2)]);
        assert!((&mut caught_up).now_or_never().is_none());
        taken.applied();
        assert!(
            caught_up.now_or_never().is_some(),
            "later changes do not count"
        );
        assert!(feed.caught_up().now_or_never().is_none());
    }
}
