//! What is being fetched right now, and how far that is: a file, the manifests of a folder, or its files.

use std::{ops::Range, sync::Arc};

use libp2p::PeerId;
use pelago_content::{BlockRanges, Part, Sequence};

use super::{manifests::Round, reading::Window, scheduler::Scheduler, sink::Sink, source::Wanted};

/// Something to fetch, block by block.
pub(super) struct Stage {
    /// How many its download fetched before.
    number: u64,
    pub(super) sink: Sink,
    pub(super) sequence: Arc<Sequence>,
    pub(super) scheduler: Scheduler,
    /// Bytes that are wanted of it.
    pub(super) wanted_bytes: u64,
    /// Those of them that were there from the start.
    pub(super) resumed_bytes: u64,
    /// Those of them that had to be fetched: of what is in it several times, once.
    pub(super) fetched_bytes: u64,
}

impl Stage {
    /// What `sink` still lacks is to be fetched after `before`, with at most `window` bytes in flight at
    /// one source.
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

    /// The same, but only what is read of it is to be fetched.
    pub(super) fn for_readers(sink: Sink, window: u64) -> Self {
        let stage = Self::new(sink, window, None);
        let scheduler = stage.scheduler.for_readers();
        Self { scheduler, ..stage }
    }

    /// The blocks that the windows of readers are. A manifest is read as a whole.
    pub(super) fn windows(&self, windows: &[Window]) -> Vec<Range<u64>> {
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

    /// The manifests being fetched, if it is manifests.
    pub(super) fn manifests(&self) -> Option<&Arc<Round>> {
        match &self.sink {
            Sink::Manifests(round) => Some(round),
            _ => None,
        }
    }

    /// A part of this, as it is ordered.
    pub(super) fn wanted(&self, part: Part) -> Wanted {
        Wanted {
            stage: self.number,
            part,
        }
    }

    /// The part that was wanted; none if it is one of what was fetched before.
    pub(super) fn part(&self, wanted: Wanted) -> Option<Part> {
        (wanted.stage == self.number).then_some(wanted.part)
    }

    /// A source has all of the manifests, which this is: those who know what is in a folder have them.
    pub(super) fn has_manifests(&mut self, peer: PeerId) {
        let all = (0..self.sequence.blocks()).into();
        self.scheduler.has(peer, &all, &BlockRanges::new());
    }

    /// Bytes of some of its blocks.
    pub(super) fn bytes_of(&self, blocks: &BlockRanges) -> u64 {
        bytes_of(blocks, &self.sequence)
    }
}

/// How many bytes the blocks of a sequence have.
fn bytes_of(blocks: &BlockRanges, sequence: &Sequence) -> u64 {
    blocks.iter().map(|run| sequence.bytes_in(run)).sum()
}
