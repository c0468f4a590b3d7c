//! The downloads that are reserved: each runs at most once in a process.
//!
//! Owns the keys of reserved downloads, and which of their proofs are interrupted. Reports to the feed
//! when a download has its first verified blocks, and when it ends.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use pelago_content::Hash;

use super::{PartialError, PartialSpec, spec::Key};
use crate::ShareFeed;

/// All reservations of one store.
#[derive(Default)]
pub(super) struct Reservations {
    reserved: Mutex<HashSet<Key>>,
    /// Notified when a reservation ends.
    released: Condvar,
    /// Downloads that were stopped while they proved what an earlier run recorded.
    interrupted: Mutex<HashSet<Key>>,
    share_feed: Arc<ShareFeed>,
}

impl Reservations {
    pub(super) const fn share_feed(&self) -> &Arc<ShareFeed> {
        &self.share_feed
    }

    /// Reserves the download of `spec`.
    ///
    /// # Errors
    ///
    /// [`PartialError::InUse`] if it is reserved already.
    pub(super) fn reserve(
        self: &Arc<Self>,
        spec: &PartialSpec,
    ) -> Result<Reservation, PartialError> {
        let key = spec.key();
        if self.reserved.lock().insert(key) {
            let reservations = Arc::clone(self);
            Ok(Reservation {
                reservations,
                key,
                has_verified: AtomicBool::new(false),
            })
        } else {
            let target = spec.target.clone();
            Err(PartialError::InUse { target })
        }
    }

    /// The hashes of all downloads that were requested by themselves.
    pub(super) fn standalone(&self) -> Vec<Hash> {
        let reserved = self.reserved.lock();
        let standalone = reserved.iter().filter(|key| key.is_standalone());
        standalone.map(|key| key.hash).collect()
    }

    /// Interrupts the proofs of the download of `hash` and of the files that it fetches as its
    /// parts.
    pub(super) fn interrupt(&self, hash: &Hash) {
        let reserved = self.reserved.lock();
        let keys = reserved.iter().filter(|key| key.belongs_to(hash));
        self.interrupted.lock().extend(keys);
    }

    /// Waits until this download is not reserved. Returns false if it still is after `patience`.
    pub(super) fn is_free_within(&self, key: &Key, patience: Duration) -> bool {
        let mut reserved = self.reserved.lock();
        let is_taken = |reserved: &mut HashSet<_>| reserved.contains(key);
        self.released
            .wait_while_for(&mut reserved, is_taken, patience);
        !reserved.contains(key)
    }
}

/// Prevents a second run of the same download until it is dropped.
pub(super) struct Reservation {
    reservations: Arc<Reservations>,
    pub(super) key: Key,
    has_verified: AtomicBool,
}

impl Reservation {
    /// Whether the download was stopped, so that its proofs are of no use in this run.
    pub(super) fn is_interrupted(&self) -> bool {
        self.reservations.interrupted.lock().contains(&self.key)
    }

    /// Notes that some blocks are verified, so that others can fetch them.
    pub(super) fn note_verified(&self) {
        if !self.has_verified.swap(true, Ordering::Relaxed) {
            self.feed();
        }
    }

    /// Reports that the download may be offered now, or not any more.
    pub(super) fn feed(&self) {
        if self.key.is_standalone() {
            self.reservations.share_feed.note([self.key.hash]);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.reservations.reserved.lock().remove(&self.key);
        self.reservations.interrupted.lock().remove(&self.key);
        self.reservations.released.notify_all();
        self.feed();
    }
}
