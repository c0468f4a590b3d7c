//! One stage of a download, and how far it is: fetching a file, the manifests of a folder, or its
//! files.

use std::{ops::Range, sync::Arc};

use libp2p::PeerId;
use pelago_content::{BlockRanges, Part, Sequence};

use super::{
    batch::{ChunkRequest, StagePart},
    manifests::Round,
    reading::Window,
    scheduler::Scheduler,
    sink::Sink,
};

/// Content that is fetched block by block.
pub(super) struct Stage {
    /// The number of stages before this one.
    number: u64,
    pub(super) sink: Sink,
    pub(super) sequence: Arc<Sequence>,
    pub(super) scheduler: Scheduler,
    /// The number of bytes that are wanted.
    pub(super) wanted_bytes: u64,
    /// The wanted bytes that were there from the start.
    pub(super) resumed_bytes: u64,
    /// The wanted bytes that had to be fetched. Blocks that the content has several times count
    /// once.
    pub(super) fetched_bytes: u64,
}

impl Stage {
    /// Fetches what `sink` lacks, after the stage `before`, with at most `window` bytes in flight
    /// at one source.
    pub(super) fn new(sink: Sink, window: u64, before: Option<&Self>) -> Self {
        let (sequence, wanted, missing) = (sink.sequence(), sink.wanted(), sink.missing());
        let verified = sink.verified();
        let resumed_bytes = bytes_of(&wanted.intersection(&verified), &sequence);
        let fetched_bytes = bytes_of(&missing, &sequence);
        Self {
            number: before.map_or(0, |before| before.number + 1),
            scheduler: Scheduler::new(Arc::clone(&sequence), missing, window, rand::random()),
            wanted_bytes: bytes_of(&wanted, &sequence),
            resumed_bytes,
            fetched_bytes,
            sink,
            sequence,
        }
    }

    /// As [`Stage::new`], but fetches only the blocks that readers want.
    pub(super) fn for_readers(sink: Sink, window: u64) -> Self {
        let stage = Self::new(sink, window, None);
        let scheduler = stage.scheduler.for_readers();
        Self { scheduler, ..stage }
    }

    /// Readers want the blocks in these windows.
    pub(super) fn read(&mut self, windows: &[Window]) {
        self.scheduler.read(self.blocks_in(windows));
    }

    /// The blocks in the windows of readers. A manifest is read as a whole.
    fn blocks_in(&self, windows: &[Window]) -> Vec<Range<u64>> {
        if self.manifests().is_some() {
            let whole = 0..self.sequence.blocks();
            return windows.first().map(|_| whole).into_iter().collect();
        }
        let blocks_of = |window: &Window| {
            let file = self.sink.blocks_of(&window.file)?;
            let at = |block: u64| file.start.saturating_add(block).min(file.end);
            Some(at(window.blocks.start)..at(window.blocks.end))
        };
        windows.iter().filter_map(blocks_of).collect()
    }

    /// The manifests that are fetched, if this stage fetches manifests.
    pub(super) fn manifests(&self) -> Option<&Arc<Round>> {
        match &self.sink {
            Sink::Manifests(round) => Some(round),
            _ => None,
        }
    }

    /// The request for a part.
    pub(super) fn request(&self, part: Part) -> ChunkRequest {
        ChunkRequest {
            part: StagePart {
                stage: self.number,
                part,
            },
            item: self.sink.item(part),
            bytes: self.sequence.bytes_of(part),
            sink: self.sink.clone(),
        }
    }

    /// The part, if it is one of this stage and not of an earlier one.
    pub(super) fn current(&self, part: StagePart) -> Option<Part> {
        (part.stage == self.number).then_some(part.part)
    }

    /// A source has all the manifests of this stage: each peer that knows the entries of a folder
    /// has its manifests.
    pub(super) fn has_manifests(&mut self, peer: PeerId) {
        let all = (0..self.sequence.blocks()).into();
        self.scheduler.has(peer, &all, &BlockRanges::new());
    }

    /// The number of bytes in some of its blocks.
    pub(super) fn bytes_of(&self, blocks: &BlockRanges) -> u64 {
        bytes_of(blocks, &self.sequence)
    }
}

/// The number of bytes in some blocks of a sequence.
fn bytes_of(blocks: &BlockRanges, sequence: &Sequence) -> u64 {
    blocks.iter().map(|run| sequence.bytes_in(run)).sum()
}
