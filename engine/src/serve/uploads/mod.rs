//! The uploads: what this node sends to which peer, and how much of it that peer has.
//!
//! An upload is some content, a file or a whole folder, and a peer that was sent a part of it. What
//! is sent is known here; what the peer has is its own statement, for which the node asks it. Owns
//! the list of uploads, live and past, and decides which of them to follow ([`table`]). Asks no peer
//! itself.

mod rate;
mod table;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use parking_lot::Mutex;
use pelago_content::Hash;
use pelago_groups::GroupId;
use tokio::sync::Notify;

pub(super) use self::table::Root;
pub use self::table::{FollowedUpload, UploadContent, UploadState, UploadStatus};
use self::table::{Key, Now, Table};
use super::requester::Requester;
use crate::store::{SavedUpload, unix_now_ms};

/// The uploads of a node. A handle: clones share them.
#[derive(Clone, Debug, Default)]
pub struct Uploads(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    /// Notified when there may be an upload to follow.
    news: Notify,
}

/// A peer that listens to what this node has of some content, until the value is dropped.
pub(super) struct Subscribed {
    uploads: Uploads,
    key: Key,
}

impl Uploads {
    /// `requester` listens to what this node has of `hash`, within `group` or outside groups.
    pub(super) fn subscribe(
        &self,
        requester: Requester,
        hash: Hash,
        group: Option<GroupId>,
    ) -> Subscribed {
        let key = (hash, requester.peer);
        self.0
            .table
            .lock()
            .subscribe(key, requester.origin, group, now());
        Subscribed {
            uploads: self.clone(),
            key,
        }
    }

    /// To which content of those that `peer` listens to the bytes of the file `hash` count.
    pub(super) fn root_of(&self, hash: Hash, peer: &PeerId) -> Root {
        self.0.table.lock().root_of(hash, peer)
    }

    /// Records that bytes of the content `root` were sent.
    pub(super) fn record_sent(&self, requester: Requester, root: Hash, bytes: u64) {
        let key = (root, requester.peer);
        if self
            .0
            .table
            .lock()
            .record_sent(key, requester.origin, bytes, now())
        {
            self.0.news.notify_one();
        }
    }

    /// The uploads, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<UploadStatus> {
        self.0.table.lock().list(now())
    }

    /// The uploads to follow from now on: those whose peers are to be asked what they have. Each is
    /// followed until [`Uploads::unfollow`].
    #[must_use]
    pub fn begin_following(&self) -> Vec<FollowedUpload> {
        self.0.table.lock().begin_following(now())
    }

    /// The peers that stopped listening before they were done, and may be gone.
    #[must_use]
    pub fn silent_peers(&self) -> Vec<PeerId> {
        self.0.table.lock().silent_peers()
    }

    /// The connection to `peer` has ended.
    pub fn gone(&self, peer: &PeerId) {
        self.0.table.lock().gone(peer);
    }

    /// No upload is followed any more.
    pub fn unfollow_all(&self) {
        self.0.table.lock().unfollow_all(now());
    }

    /// Waits until there may be an upload to follow.
    pub async fn news(&self) {
        self.0.news.notified().await;
    }

    /// The peer has `blocks` blocks by its own statement, of the content that is described. Returns
    /// whether it has all of them.
    pub fn record_held(
        &self,
        upload: &FollowedUpload,
        blocks: u64,
        content: &UploadContent,
        peer_name: Option<&str>,
    ) -> bool {
        let mut table = self.0.table.lock();
        table.record_held(upload.key(), blocks, content, peer_name, now())
    }

    /// The node no longer follows the upload. If the peer is still connected, it may be asked again
    /// after `pause`.
    pub fn unfollow(&self, upload: &FollowedUpload, is_connected: bool, pause: Duration) {
        let mut table = self.0.table.lock();
        table.unfollow(upload.key(), is_connected, pause, now());
    }

    /// The uploads to keep over a restart. A live one is kept as one that its peer has left.
    #[must_use]
    pub fn saved(&self) -> Vec<SavedUpload> {
        self.0.table.lock().saved(now())
    }

    /// Adds the uploads of earlier runs.
    pub fn restore(&self, saved: Vec<SavedUpload>) {
        self.0.table.lock().restore(saved, now());
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.uploads.0.table.lock().unsubscribe(self.key, now());
    }
}

fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix_ms: unix_now_ms(),
    }
}
