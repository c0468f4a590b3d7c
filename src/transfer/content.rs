//! What is being fetched right now, and how far that is: a file, the manifests of a folder, or its files.

use std::{ops::Range, sync::Arc};

use pelago_behaviour::availability::Has;
use pelago_content::{BlockRanges, Part, Sequence};

use super::{manifests::Round, reads::Window, scheduler::Scheduler, sink::Sink, source::Wanted};

/// Something to fetch, block by block.
pub(super) struct Content {
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

impl Content {
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
        let content = Self::new(sink, window, None);
        let scheduler = content.scheduler.for_readers();
        Self {
            scheduler,
            ..content
        }
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
        let content = self.number;
        Wanted { content, part }
    }

    /// The part that was wanted; none if it is one of what was fetched before.
    pub(super) fn part(&self, wanted: Wanted) -> Option<Part> {
        (wanted.content == self.number).then_some(wanted.part)
    }

    /// What a source that says `has` has of this. Whoever knows what is in a folder has its manifests.
    pub(super) fn held(&self, has: &Holding) -> Holding {
        match self.sink {
            Sink::Manifests(_) => Holding {
                blocks: (0..self.sequence.blocks()).into(),
                suggested: BlockRanges::new(),
            },
            _ => has.clone(),
        }
    }

    /// Bytes of some of its blocks.
    pub(super) fn bytes_of(&self, blocks: &BlockRanges) -> u64 {
        bytes_of(blocks, &self.sequence)
    }
}

/// Runs that what one source has may be in, at most: more than a download of a million files leaves, and
/// some 8 MB of memory.
const MAX_RUNS: usize = 1 << 18;

/// What a source has of the content as a whole, by all that it said so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Holding {
    pub(super) blocks: BlockRanges,
    pub(super) suggested: BlockRanges,
}

impl Holding {
    /// Takes what it says now.
    ///
    /// # Errors
    /// It says it in too many runs.
    pub(super) fn extend(&mut self, has: &Has) -> Result<(), TooManyRuns> {
        self.blocks.extend(has.blocks.iter());
        // Hints: one too many is passed over.
        if self.suggested.runs() < MAX_RUNS {
            self.suggested.extend(has.suggested.iter());
        }
        if self.blocks.runs() > MAX_RUNS {
            return Err(TooManyRuns);
        }
        Ok(())
    }
}

/// A source says what it has in more runs than are remembered.
#[derive(Debug, thiserror::Error)]
#[error("it says what it has in more than {MAX_RUNS} pieces")]
pub(super) struct TooManyRuns;

/// How many bytes the blocks of a sequence have.
fn bytes_of(blocks: &BlockRanges, sequence: &Sequence) -> u64 {
    blocks.iter().map(|run| sequence.bytes_in(run)).sum()
}

#[cfg(test)]
mod tests {
    use pelago_content::{Descriptor, Kind};

    use super::*;

    #[test]
    fn what_a_source_has_is_remembered_in_so_many_runs() {
        let mut holding = Holding::default();
        let mut says = |from: u64| {
            holding.extend(&Has {
                blocks: (from..from + 2048)
                    .map(|run| 2 * run..2 * run + 1)
                    .collect(),
                ..Has::nothing_of(Descriptor::new(Kind::File, 0, [0; 32]).unwrap())
            })
        };
        for update in 0..128 {
            says(2048 * update).unwrap();
        }
        says(0).unwrap();
        assert!(says(2048 * 128).is_err());
    }
}
