//! A whole download from the scheduler's view, for `benches/scheduler.rs`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use pelago_content::{BlockRanges, Sequence};

use super::{Action, Scheduler};

/// Schedules `size` bytes from `sources`. Each source has every n-th piece and those of one
/// neighbour, or everything if it is the only one; every chunk arrives a millisecond after its
/// request. Returns the number of chunks.
#[must_use]
pub fn schedule(size: u64, sources: u64) -> usize {
    let sequence = Arc::new(Sequence::new([size]));
    let all: BlockRanges = (0..sequence.blocks()).into();
    let mut scheduler = Scheduler::new(Arc::clone(&sequence), all.clone(), 64 << 20, 1);
    for source in 0..sources {
        let part = |n: u64| n % sources == source || n % sources == (source + 1) % sources;
        let pieces = (0..sequence.blocks().div_ceil(64)).filter(|n| part(*n));
        let mut has = BlockRanges::new();
        pieces.for_each(|n| has.insert(64 * n..(64 * n + 64).min(sequence.blocks())));
        scheduler.has(PeerId::random(), &has, &BlockRanges::new());
    }
    let (mut now, mut chunks) = (Instant::now(), 0);
    while !scheduler.is_done() {
        let actions = scheduler.poll(now);
        now += Duration::from_millis(1);
        for action in actions {
            if let Action::Request(peer, part) = action {
                chunks += 1;
                scheduler.arrived(peer, part, now);
            }
        }
    }
    chunks
}
