//! Proves again what an earlier run recorded, when a download resumes.

use std::{
    num::NonZero,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use parking_lot::Mutex;
use pelago_content::Chunk;

use super::{
    Partial,
    open_parts::OpenPart,
    proof::{Proven, RecordedGroups, proven},
};
use crate::file_system;

/// What happens to blocks that are proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proving {
    /// Nothing.
    Only,
    /// They are written once more: a sync failed, and the disk may not hold the bytes that it
    /// shows.
    WriteAgain,
}

impl Partial {
    /// Proves everything that is recorded, on all cores, until it is interrupted. `progress`
    /// receives the bytes examined so far.
    pub(super) fn prove_recorded(
        &self,
        opened: &OpenPart,
        proving: Proving,
        progress: &(dyn Fn(u64) + Sync),
    ) {
        let groups = Mutex::new(RecordedGroups::new(&opened.record, self.geometry()));
        let examined = AtomicU64::new(0);
        let work = || {
            while !self.files.reservation.is_interrupted() {
                let Some(group) = groups.lock().next() else {
                    return;
                };
                self.prove_group(opened, proving, group);
                let bytes = group.bytes(self.geometry());
                let bytes = bytes.end - bytes.start;
                progress(examined.fetch_add(bytes, Ordering::Relaxed) + bytes);
            }
        };
        // A new download has no recorded nodes, and needs no threads.
        let first = groups.lock().next();
        let Some(first) = first else { return };
        self.prove_group(opened, proving, first);
        thread::scope(|scope| {
            let threads = thread::available_parallelism().map_or(1, NonZero::get);
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
    }

    /// Proves the recorded blocks of a group: together if its data is whole, else one by one.
    fn prove_group(&self, opened: &OpenPart, proving: Proving, group: Chunk) {
        let geometry = self.geometry();
        let blocks = group.blocks(geometry);
        let recorded: Vec<u64> = blocks
            .filter(|block| matches!(opened.record.node(0, *block), Ok(Some(_))))
            .collect();
        if recorded.is_empty() || self.prove(opened, proving, group).is_some() {
            return;
        }
        for block in recorded {
            if let Ok(chunk) = geometry.chunk(0, block) {
                self.prove(opened, proving, chunk);
            }
        }
    }

    /// Proves one chunk, if data and recorded nodes allow it.
    fn prove(&self, opened: &OpenPart, proving: Proving, chunk: Chunk) -> Option<()> {
        let Proven {
            data,
            leaves,
            proof,
        } = proven(self.spec(), &opened.record, &opened.part, chunk)?;
        if proving == Proving::WriteAgain {
            let start = chunk.bytes(self.geometry()).start;
            file_system::write_again(&opened.part, &data, start).ok()?;
        }
        self.record_proven(&opened.record, chunk, &leaves, &proof)
            .ok()
    }
}
