//! Which source sent which blocks of a download, for display.
//!
//! The picture is coarse: its cost grows neither with the content nor with the number of peers.

use std::{collections::HashMap, sync::Arc, time::Instant};

use libp2p::PeerId;
use parking_lot::Mutex;
use pelago_content::{BlockRanges, Part, Sequence};

use super::status::Meter;

/// The maximum number of cells that show the blocks of a download: more than a screen can show.
const MAX_CELLS: u64 = 1024;

/// The maximum number of sources that are remembered by id. Bytes from further sources are
/// attributed to none.
const MAX_SOURCES: usize = 256;

/// The state of a source of a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// We asked it which blocks it has.
    Asked,
    /// It has some of the content and is not sending now.
    Idle,
    /// It is sending.
    Sending,
    /// It is not used any more.
    Gone,
    /// It sent wrong data or broke the protocol, and is not asked again.
    Refused,
}

impl SourceState {
    /// The state as one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Idle => "idle",
            Self::Sending => "sending",
            Self::Gone => "gone",
            Self::Refused => "refused",
        }
    }
}

/// One of equally long runs of blocks of a download.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// The verified share of the wanted blocks: 0 is none, 255 is all.
    pub verified: u8,
    /// The index of the source that sent the newest of these blocks, if it is known.
    pub source: Option<u16>,
}

/// A source of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// The id of the peer.
    pub peer: PeerId,
    /// Bytes that it sent and that were verified.
    pub received_bytes: u64,
    /// Bytes per second, over the last few seconds.
    pub bytes_per_second: u64,
    /// Its state.
    pub state: SourceState,
}

/// Which source sent which blocks of a download.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// The number of blocks of the content; 0 until it is known.
    pub block_count: u64,
    /// The blocks, as at most 1024 equally long runs. The last run may be shorter.
    pub cells: Vec<Cell>,
    /// The sources that were asked.
    pub sources: Vec<SourceStatus>,
}

/// The record that the task of a download keeps for display. A handle: clones share it.
#[derive(Clone, Default)]
pub(super) struct BlockSources(Arc<Mutex<Tally>>);

#[derive(Default)]
struct Tally {
    block_count: u64,
    wanted: BlockRanges,
    cells: Vec<Cell>,
    sources: Vec<MeteredSource>,
}

struct MeteredSource {
    status: SourceStatus,
    meter: Meter,
}

impl BlockSources {
    /// Content of `block_count` blocks is fetched from now on, and `wanted` are the blocks that are
    /// wanted of it.
    pub(super) fn begin(&self, block_count: u64, wanted: BlockRanges) {
        let mut tally = self.0.lock();
        if tally.block_count != block_count {
            let cells = block_count.div_ceil(run_len(block_count));
            tally.block_count = block_count;
            // There are at most MAX_CELLS.
            tally.cells = vec![Cell::default(); cells as usize];
        }
        tally.wanted = wanted;
    }

    /// `peer` sent a part that was verified.
    pub(super) fn arrived(&self, peer: PeerId, part: Part, sequence: &Sequence) {
        let mut tally = self.0.lock();
        let source = tally.source(peer);
        if let Some(source) = source {
            tally.sources[source].status.received_bytes += sequence.bytes_of(part);
        }
        let blocks = sequence.blocks_of(part);
        let len = run_len(tally.block_count);
        let source = source.and_then(|source| u16::try_from(source).ok());
        let (first, last) = (blocks.start / len, blocks.end.saturating_sub(1) / len);
        let len = tally.cells.len() as u64;
        for cell in first..=last.min(len.saturating_sub(1)) {
            if let Some(cell) = tally.cells.get_mut(cell as usize) {
                cell.source = source;
            }
        }
    }

    /// Records which blocks are verified now, and the states of the sources.
    pub(super) fn tick(
        &self,
        now: Instant,
        verified: Option<&BlockRanges>,
        states: &HashMap<PeerId, SourceState>,
    ) {
        let mut tally = self.0.lock();
        if let Some(verified) = verified {
            tally.verified(verified);
        }
        for peer in states.keys() {
            tally.source(*peer);
        }
        for source in &mut tally.sources {
            let status = &mut source.status;
            status.bytes_per_second = source.meter.read(now, status.received_bytes);
            let state = states.get(&status.peer).copied();
            status.state = match state.unwrap_or(SourceState::Gone) {
                SourceState::Idle if status.bytes_per_second > 0 => SourceState::Sending,
                state => state,
            };
        }
    }

    /// The download has ended and all sources are gone. If it is done, all blocks are verified.
    pub(super) fn end(&self, is_done: bool) {
        let mut tally = self.0.lock();
        for source in &mut tally.sources {
            source.status.bytes_per_second = 0;
            if source.status.state != SourceState::Refused {
                source.status.state = SourceState::Gone;
            }
        }
        if is_done {
            tally.cells.iter_mut().for_each(|cell| cell.verified = 255);
        }
        tally.wanted = BlockRanges::new();
    }

    pub(super) fn detail(&self) -> Detail {
        let tally = self.0.lock();
        Detail {
            block_count: tally.block_count,
            cells: tally.cells.clone(),
            sources: tally.sources.iter().map(|s| s.status.clone()).collect(),
        }
    }
}

/// The number of blocks in one cell.
fn run_len(block_count: u64) -> u64 {
    block_count.div_ceil(MAX_CELLS).max(1)
}

impl Tally {
    fn source(&mut self, peer: PeerId) -> Option<usize> {
        let known = |source: &MeteredSource| source.status.peer == peer;
        if let Some(at) = self.sources.iter().position(known) {
            return Some(at);
        }
        if self.sources.len() >= MAX_SOURCES {
            return None;
        }
        self.sources.push(MeteredSource {
            status: SourceStatus {
                peer,
                received_bytes: 0,
                bytes_per_second: 0,
                state: SourceState::Asked,
            },
            meter: Meter::default(),
        });
        Some(self.sources.len() - 1)
    }

    fn verified(&mut self, verified: &BlockRanges) {
        let len = run_len(self.block_count);
        for (cell, first) in self.cells.iter_mut().zip((0..).step_by(len as usize)) {
            let run = first..(first + len).min(self.block_count);
            let count = |blocks: &BlockRanges| {
                let within = blocks.within(run.clone());
                within.map(|run| run.end - run.start).sum::<u64>()
            };
            let wanted = count(&self.wanted);
            cell.verified = match count(verified) {
                0 if wanted > 0 => 0,
                all if all >= wanted => 255,
                // A cell that is partly verified shows neither nothing nor all.
                some => (some * 255 / wanted).clamp(1, 254) as u8,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn large_content_is_shown_in_a_thousand_cells_with_their_sources() {
        let block = 16_384;
        let sequence = Sequence::new([5000 * block]);
        let block_sources = BlockSources::default();
        block_sources.begin(5000, (0..5000).into());
        let [a, b] = [PeerId::random(), PeerId::random()];
        // A cell is 5 blocks.
        let part = |level, block| sequence.part(level, block).unwrap();
        block_sources.arrived(a, part(0, 0), &sequence);
        block_sources.arrived(b, part(4, 16), &sequence);
        let mut verified = BlockRanges::from(0..1);
        verified.insert(16..32);
        let states = [(b, SourceState::Idle)].into();
        let start = Instant::now();
        block_sources.tick(start, Some(&verified), &states);
        block_sources.arrived(b, part(0, 4999), &sequence);
        block_sources.tick(start + Duration::from_secs(1), None, &states);
        let detail = block_sources.detail();
        assert_eq!((detail.block_count, detail.cells.len()), (5000, 1000));
        let cell = |verified, source| Cell { verified, source };
        let expected = [
            cell(51, Some(0)),
            cell(0, None),
            cell(0, None),
            cell(204, Some(1)),
            cell(255, Some(1)),
            cell(255, Some(1)),
            cell(102, Some(1)),
            cell(0, None),
        ];
        assert_eq!(detail.cells[..8], expected);
        assert_eq!(detail.cells[999], cell(0, Some(1)));
        assert_eq!(detail.sources[0].state, SourceState::Gone);
        assert_eq!(detail.sources[0].received_bytes, block);
        assert_eq!(detail.sources[1].state, SourceState::Sending);
        assert_eq!(detail.sources[1].bytes_per_second, block);

        block_sources.end(true);
        let detail = block_sources.detail();
        assert!(detail.cells.iter().all(|cell| cell.verified == 255));
        assert_eq!(detail.sources[1].state, SourceState::Gone);
    }

    #[test]
    fn only_a_limited_number_of_sources_is_remembered() {
        let block_sources = BlockSources::default();
        let sequence = Sequence::new([1]);
        block_sources.begin(1, (0..1).into());
        let part = sequence.part(0, 0).unwrap();
        for _ in 0..MAX_SOURCES + 1 {
            block_sources.arrived(PeerId::random(), part, &sequence);
        }
        let detail = block_sources.detail();
        assert_eq!((detail.sources.len(), detail.cells.len()), (MAX_SOURCES, 1));
        assert_eq!(
            detail.cells[0].source, None,
            "of one that is not remembered"
        );
    }
}
