//! What is to be done with peers after a change of groups: noted here, and done by one task.

use std::{collections::BTreeSet, sync::Arc};

use libp2p::PeerId;
use parking_lot::Mutex;
use pelago_groups::{GroupId, Slot, UserKey};
use tokio::sync::Notify;

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    /// Send what fills this slot to members.
    Tell {
        group: GroupId,
        slot: Slot,
        /// Whether it may not wait: the slot was empty before, or access depends on it.
        is_urgent: bool,
        /// The peer from which it came, which has it.
        from: Option<PeerId>,
    },
    /// Show a node of a user whether he is in, which has changed.
    Prove(GroupId, UserKey, PeerId),
    /// Compare a group with a peer.
    Sync(GroupId, PeerId),
    /// Pass the request of a user on to owners.
    PassOn(GroupId, UserKey),
}

/// What is to be done. A handle: clones share it. Everything in it occurs once, so it has no more than
/// groups, members and slots are held.
#[derive(Clone, Default)]
pub(super) struct Feed(Arc<(Mutex<BTreeSet<Wish>>, Notify)>);

impl Feed {
    pub(super) fn note(&self, wishes: impl IntoIterator<Item = Wish>) {
        self.0.0.lock().extend(wishes);
        self.0.1.notify_one();
    }

    /// Waits until something is to be done, and takes all of it.
    pub(super) async fn take(&self) -> BTreeSet<Wish> {
        loop {
            let taken = std::mem::take(&mut *self.0.0.lock());
            if !taken.is_empty() {
                return taken;
            }
            self.0.1.notified().await;
        }
    }
}
