//! What a download shows of itself.

use std::{collections::HashMap, time::Instant};

use libp2p::PeerId;
use pelago_content::BlockRanges;
use tokio::sync::watch;

use crate::transfer::{
    DownloadState, DownloadStatus, SourceState, WaitReason, block_sources::BlockSources,
    status::Meter,
};

/// The status of a download, and where its blocks came from.
pub(super) struct Report {
    pub(super) status: watch::Sender<DownloadStatus>,
    pub(super) block_sources: BlockSources,
    /// What the download does while it does not wait.
    pub(super) state: DownloadState,
    meter: Meter,
}

/// What of the content is verified.
pub(super) struct Verified {
    pub(super) blocks: BlockRanges,
    pub(super) bytes: u64,
    /// Whether the blocks are shown: those of manifests are not.
    pub(super) is_shown: bool,
}

/// How a download stands at one moment.
pub(super) struct Moment {
    pub(super) verified: Option<Verified>,
    pub(super) sources: u64,
    pub(super) waits: Option<WaitReason>,
    pub(super) is_waiting: bool,
    /// Whether it has a source, and waits for its turn to begin.
    pub(super) is_queued: bool,
}

impl Report {
    pub(super) fn new(status: watch::Sender<DownloadStatus>, block_sources: BlockSources) -> Self {
        Self {
            status,
            block_sources,
            state: DownloadState::FindingSources,
            meter: Meter::default(),
        }
    }

    /// The search for sources begins.
    pub(super) fn begin(&self) {
        self.status.send_modify(|status| {
            status.state = DownloadState::FindingSources;
            status.waits = None;
        });
    }

    /// Something is worth knowing.
    pub(super) fn notice(&self, notice: String) {
        self.status
            .send_modify(|status| status.notice = Some(notice));
    }

    /// Shows how the download stands at `now`.
    pub(super) fn update(
        &mut self,
        now: Instant,
        moment: Moment,
        sources: &HashMap<PeerId, SourceState>,
    ) {
        let verified = moment.verified.as_ref();
        let shown = verified.filter(|verified| verified.is_shown);
        self.block_sources
            .tick(now, shown.map(|verified| &verified.blocks), sources);
        let bytes = verified.map(|verified| verified.bytes);
        let rate = bytes.map(|bytes| self.meter.read(now, bytes));
        let state = match moment {
            Moment {
                is_waiting: true, ..
            } => DownloadState::Waiting,
            Moment {
                is_queued: true, ..
            } => DownloadState::Queued,
            _ => self.state,
        };
        self.status.send_modify(|status| {
            status.state = state;
            status.verified_bytes = bytes.or(status.verified_bytes);
            status.bytes_per_second = rate.unwrap_or(0);
            status.sources = moment.sources;
            status.waits = moment.waits;
        });
    }
}
