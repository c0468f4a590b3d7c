//! Proves the data in a part file against the nodes in its record.
//!
//! Owns the walk down the recorded tree. It visits only recorded nodes, even if the descriptor
//! claims a huge size. A recorded node is only a claim: together with the data it verifies against
//! the descriptor, by the function that verifies chunks of peers, or it proves nothing. So nothing
//! here can fail.

use std::fs::File;

use pelago_content::{Chunk, Geometry, Node, STORED_LEVEL, siblings, verify_leaves};

use super::{PartialSpec, record::Record, records::Records};
use crate::files;

/// How many recorded blocks are tried to find out whether a file belongs to a record.
const MAX_TRIED: usize = 64;

/// Whether the record of `spec` proves any block of this file.
pub(super) fn proves_something(records: &Records, spec: &PartialSpec, file: &File) -> bool {
    let Some(record) = records.open_existing(spec) else {
        return false;
    };
    let geometry = spec.descriptor.geometry();
    let groups = RecordedGroups::new(&record, geometry);
    let blocks = groups.flat_map(|group| group.blocks(geometry));
    let recorded = blocks.filter(|block| matches!(record.node(0, *block), Ok(Some(_))));
    recorded.take(MAX_TRIED).any(|block| {
        let chunk = geometry.chunk(0, block).ok();
        // Any file may hold zeros.
        let found = chunk.and_then(|chunk| proven(spec, &record, file, chunk));
        found.is_some_and(|found| found.data.iter().any(|byte| *byte != 0))
    })
}

/// The groups (chunks of the stored level) below which a leaf may be recorded.
pub(super) struct RecordedGroups<'r> {
    record: &'r Record,
    geometry: Geometry,
    /// Nodes whose children are visited next: at most two for each level.
    pending: Vec<(u8, u64)>,
}

impl<'r> RecordedGroups<'r> {
    pub(super) fn new(record: &'r Record, geometry: Geometry) -> Self {
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

/// A chunk that its record proves.
pub(super) struct Proven {
    pub(super) data: Vec<u8>,
    pub(super) leaves: Vec<Node>,
    pub(super) proof: Vec<Node>,
}

/// Reads a chunk and proves it. None if it cannot be read, or does not verify.
pub(super) fn proven(
    spec: &PartialSpec,
    record: &Record,
    file: &File,
    chunk: Chunk,
) -> Option<Proven> {
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
