//! Proving again what an earlier run recorded.
//!
//! Owns the walk down the recorded tree, which visits only what is known, whatever the size
//! claims. Never trusts a recorded node: together with the data in `.part` it verifies against the
//! descriptor, by the function that verifies a peer's chunk, or the block is missing. So nothing
//! here can fail.

use std::{
    fs::File,
    num::NonZero,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use parking_lot::Mutex;
use pelago_content::{Chunk, Geometry, Node, STORED_LEVEL, siblings, verify_leaves};

use super::{
    Partial, PartialSpec,
    open_parts::OpenPart,
    record::{Partials, Record},
};
use crate::store::{disk, files};

/// Blocks that are tried to find out whether a file is what a record tells of, at most.
const MAX_TRIED: usize = 64;

/// What is done with what is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proving {
    Only,
    /// It is written once more: the disk refused it, and what is read may be what the disk does not have.
    WriteAgain,
}

/// Whether the record of `spec` proves any block of this file.
pub(super) fn proves_something(partials: &Partials, spec: &PartialSpec, file: &File) -> bool {
    let Some(record) = partials.nodes(spec) else {
        return false;
    };
    let geometry = spec.descriptor.geometry();
    let groups = RecordedGroups::new(&record, geometry);
    let blocks = groups.flat_map(|group| group.blocks(geometry));
    let recorded = blocks.filter(|block| matches!(record.node(0, *block), Ok(Some(_))));
    recorded.take(MAX_TRIED).any(|block| {
        let chunk = geometry.chunk(0, block).ok();
        // Zeros are in anybody's file.
        let found = chunk.and_then(|chunk| proven(spec, &record, file, chunk));
        found.is_some_and(|found| found.data.iter().any(|byte| *byte != 0))
    })
}

/// Proves all that is recorded, on all cores, or what it can until it is interrupted. `progress` is given the bytes looked at so far.
pub(super) fn prove_recorded(
    partial: &Partial,
    opened: &OpenPart,
    proving: Proving,
    progress: &(dyn Fn(u64) + Sync),
) {
    let groups = Mutex::new(RecordedGroups::new(&opened.record, partial.geometry()));
    let looked_at = AtomicU64::new(0);
    let work = || {
        while !partial.reservation.is_interrupted() {
            let Some(group) = groups.lock().next() else {
                return;
            };
            prove_group(partial, opened, proving, group);
            let bytes = group.bytes(partial.geometry());
            let bytes = bytes.end - bytes.start;
            progress(looked_at.fetch_add(bytes, Ordering::Relaxed) + bytes);
        }
    };
    // A new download has nothing recorded, and is spared the threads.
    let first = groups.lock().next();
    let Some(first) = first else { return };
    prove_group(partial, opened, proving, first);
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
}

/// The groups (chunks of the stored level) below which a leaf may be recorded.
struct RecordedGroups<'r> {
    record: &'r Record,
    geometry: Geometry,
    /// Nodes to look below; at most two for each level.
    pending: Vec<(u8, u64)>,
}

impl<'r> RecordedGroups<'r> {
    fn new(record: &'r Record, geometry: Geometry) -> Self {
        let root = (geometry.height(), 0);
        let pending = match record.node(root.0, root.1) {
            Ok(Some(_)) => vec![root],
            _ => Vec::new(),
        };
        Self {
            record,
            geometry,
            pending,
        }
    }
}

impl Iterator for RecordedGroups<'_> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        loop {
            let (level, index) = self.pending.pop()?;
            if level <= STORED_LEVEL {
                return self.geometry.chunk(level, index).ok();
            }
            for child in [index * 2 + 1, index * 2] {
                if matches!(self.record.node(level - 1, child), Ok(Some(_))) {
                    self.pending.push((level - 1, child));
                }
            }
        }
    }
}

/// Proves what is recorded of a group: all at once if its data is whole, else block by block.
fn prove_group(partial: &Partial, opened: &OpenPart, proving: Proving, group: Chunk) {
    let geometry = partial.geometry();
    let blocks = group.blocks(geometry);
    let recorded: Vec<u64> = blocks
        .filter(|block| matches!(opened.record.node(0, *block), Ok(Some(_))))
        .collect();
    if recorded.is_empty() || prove(partial, opened, proving, group).is_some() {
        return;
    }
    for block in recorded {
        if let Ok(chunk) = geometry.chunk(0, block) {
            prove(partial, opened, proving, chunk);
        }
    }
}

/// Proves one chunk, if data and proof allow it.
fn prove(partial: &Partial, opened: &OpenPart, proving: Proving, chunk: Chunk) -> Option<()> {
    let Proven {
        data,
        leaves,
        proof,
    } = proven(partial.spec(), &opened.record, &opened.part, chunk)?;
    if proving == Proving::WriteAgain {
        let start = chunk.bytes(partial.geometry()).start;
        disk::write_again(&opened.part, &data, start).ok()?;
    }
    partial
        .record_proven(&opened.record, chunk, &leaves, &proof)
        .ok()
}

/// A chunk that is what the record says.
struct Proven {
    data: Vec<u8>,
    leaves: Vec<Node>,
    proof: Vec<Node>,
}

fn proven(spec: &PartialSpec, record: &Record, file: &File, chunk: Chunk) -> Option<Proven> {
    let geometry = spec.descriptor.geometry();
    let bytes = chunk.bytes(geometry);
    let len = (bytes.end - bytes.start) as usize;
    let data = files::read_vec_at(file, bytes.start, len).ok()?;
    let proof: Option<Vec<Node>> = siblings(geometry, chunk)
        .map(|(level, index)| record.node(level, index).ok().flatten())
        .collect();
    let (proof, mut leaves) = (proof?, Vec::new());
    verify_leaves(&spec.descriptor, chunk, &data, &proof, &mut leaves).ok()?;
    Some(Proven {
        data,
        leaves,
        proof,
    })
}
