//! The uploads of a node: asks each peer that takes content what it has, and keeps the list and the
//! totals over restarts.
//!
//! `serve` knows what was sent. Whether a peer has all of the content, its own availability says. So
//! this node subscribes to the peers that are subscribed to it, in the same group, until they have
//! all. A peer of which it downloads the same content at that time states that to the download.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use pelago_content::BlockRanges;
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{interval, sleep},
};

use super::{Node, blocking::blocking, core::NodeCore};
use crate::{
    access::Circle,
    duties::Outcome,
    network::{Closed, MovedBytes},
    serve::{FollowedUpload, UploadContent, UploadStatus, Uploads},
    store::{SavedUploads, Store},
    transfer::listen,
};

/// How often to look for uploads that may be followed, beyond those that have just begun.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The pause before a peer is asked again that states nothing: it has just been sent the first
/// chunk, and may not have opened its file yet. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// How often it is asked so, before it is asked once per [`LOOK_INTERVAL`].
const QUICK_QUESTIONS: u32 = 6;

/// Runs of blocks that are remembered of one peer, at most: 128 KiB. A peer with more scattered
/// blocks is asked anew later, when they have grown together.
const MAX_RUNS: usize = 8192;

/// The pause before such a peer is asked anew.
const SCATTERED_PAUSE: Duration = Duration::from_secs(5);

/// How often the uploads are saved, if they have changed. Costs two syncs.
const SAVE_INTERVAL: Duration = Duration::from_secs(60);

impl Node {
    /// What this node sends to which peer, and what it has sent, the oldest first.
    #[must_use]
    pub fn uploads(&self) -> Vec<UploadStatus> {
        self.core.uploads.list()
    }

    /// How many bytes of content this node has moved, over all of its runs.
    #[must_use]
    pub fn moved(&self) -> MovedBytes {
        self.core.moved()
    }

    /// Waits until the peers that sent a download know that it is complete: half a second at most.
    /// For a process that ends right after its download.
    pub async fn sources_know(&self) {
        self.core.completed.sources_know().await;
    }
}

/// Adds the uploads of earlier runs. Returns how much these moved.
pub(super) fn restore_uploads(store: &Store, uploads: &Uploads) -> MovedBytes {
    let saved = store.saved_uploads();
    uploads.restore(saved.uploads);
    MovedBytes {
        sent: saved.sent_bytes,
        received: saved.received_bytes,
    }
}

/// Saves the uploads from time to time.
pub(super) async fn save_uploads(core: Arc<NodeCore>) -> Outcome {
    let mut tick = interval(SAVE_INTERVAL);
    tick.tick().await;
    loop {
        tick.tick().await;
        core.save_uploads().await?;
    }
}

/// Asks the peers that take content what they have.
pub(super) async fn follow_uploads(core: Arc<NodeCore>) -> Outcome {
    core.uploads.unfollow_all();
    let mut followed = JoinSet::new();
    let mut tick = interval(LOOK_INTERVAL);
    loop {
        for upload in core.uploads.begin_following() {
            if core.transfers.is_running(&upload.hash) {
                core.uploads.unfollow(&upload, true, LOOK_INTERVAL);
            } else {
                followed.spawn(Arc::clone(&core).follow(upload));
            }
        }
        tokio::select! {
            () = core.uploads.news() => {}
            _ = tick.tick() => core.note_gone_peers().await?,
            Some(_) = followed.join_next() => {}
        }
    }
}

/// How following a peer ended.
enum End {
    /// It has all.
    Complete,
    /// It may have more later.
    Later(Duration),
}

impl NodeCore {
    fn moved(&self) -> MovedBytes {
        let now = self.network.traffic().total();
        MovedBytes {
            sent: self.moved_before.sent.saturating_add(now.sent),
            received: self.moved_before.received.saturating_add(now.received),
        }
    }

    /// Saves the uploads, if they have changed.
    pub(super) async fn save_uploads(&self) -> Outcome {
        let moved = self.moved();
        let saved = SavedUploads {
            sent_bytes: moved.sent,
            received_bytes: moved.received,
            uploads: self.uploads.saved(),
        };
        let store = self.store.clone();
        spawn_blocking(move || store.save_uploads(saved)).await??;
        Ok(())
    }

    /// Notes which peers that stopped listening are not connected any more.
    async fn note_gone_peers(&self) -> Result<(), Closed> {
        for peer in self.uploads.silent_peers() {
            if self.network.peer(peer).await?.is_none() {
                self.uploads.gone(&peer);
            }
        }
        Ok(())
    }

    async fn follow(self: Arc<Self>, upload: FollowedUpload) {
        let end = self.followed(&upload).await;
        let pause = match end {
            Ok(End::Complete) | Err(Closed) => LOOK_INTERVAL,
            Ok(End::Later(pause)) => pause,
        };
        let peer = self.network.peer(upload.peer).await;
        let is_connected = peer.is_ok_and(|peer| peer.is_some());
        self.uploads.unfollow(&upload, is_connected, pause);
    }

    async fn followed(&self, upload: &FollowedUpload) -> Result<End, Closed> {
        let (store, hash) = (self.store.clone(), upload.hash);
        let described = blocking(move || store.described(&hash)).await?;
        let Some((name, totals)) = described.ok().flatten() else {
            return Ok(End::Later(LOOK_INTERVAL));
        };
        let content = UploadContent {
            name,
            size: totals.bytes,
            blocks: totals.blocks,
        };
        let peer_name = self.network.peer(upload.peer).await?;
        let peer_name = peer_name.and_then(|peer| peer.name);
        let circle = Circle::of(upload.group, &self.memberships);
        let stall = self.settings.transfer().stall;
        let mut pause = FIRST_PAUSE;
        for _ in 0..QUICK_QUESTIONS {
            let mut held = BlockRanges::new();
            let take = |blocks: &BlockRanges| {
                held.extend(blocks.iter());
                let record = &self.uploads;
                let is_complete =
                    record.record_held(upload, held.len(), &content, peer_name.as_deref());
                match is_complete || held.runs() > MAX_RUNS {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            };
            let stated = listen(&self.network, upload.peer, hash, &circle, stall, take).await;
            match stated {
                Ok(true) if held.runs() > MAX_RUNS => return Ok(End::Later(SCATTERED_PAUSE)),
                Ok(true) => return Ok(End::Complete),
                Ok(false) => return Ok(End::Later(LOOK_INTERVAL)),
                Err(_) => sleep(pause).await,
            }
            pause *= 2;
        }
        Ok(End::Later(LOOK_INTERVAL))
    }
}
