//! The tree of one download, as far as it is proven.
//!
//! Owns the nodes behind the page of a record, in a file or in memory. A node that was never
//! written, or was lost, is unknown.

use std::{collections::HashMap, fs::File, io, sync::Arc};

use parking_lot::Mutex;
use pelago_content::{Layout, Node};

use super::{PartialSpec, spec::PAGE_LEN};
use crate::files;

/// An unknown node, as it is read. Only padding is all zeros, and padding is never recorded.
const UNKNOWN: Node = [0; 32];

/// The recorded nodes of one download.
pub(super) struct Record {
    layout: Layout,
    nodes: Nodes,
}

/// Where nodes are kept.
pub(super) enum Nodes {
    File(File),
    Memory(Arc<Mutex<HashMap<u64, Node>>>),
}

impl Record {
    pub(super) const fn new(spec: &PartialSpec, nodes: Nodes) -> Self {
        let layout = Layout::new(spec.descriptor.size(), 0);
        Self { layout, nodes }
    }

    /// The node at this storage, if it is known. Nothing that an earlier process wrote is true
    /// until it verifies.
    pub(super) fn node(&self, level: u8, index: u64) -> io::Result<Option<Node>> {
        let Some(offset) = self.layout.offset(level, index) else {
            return Ok(None);
        };
        let mut node = UNKNOWN;
        match &self.nodes {
            Nodes::File(file) => {
                match files::read_exact_at(file, &mut node, PAGE_LEN as u64 + offset) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                    result => result?,
                }
            }
            Nodes::Memory(nodes) => {
                node = nodes.lock().get(&offset).copied().unwrap_or(UNKNOWN);
            }
        }
        Ok((node != UNKNOWN).then_some(node))
    }

    /// Makes the recorded nodes durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &self.nodes {
            Nodes::File(file) => file.sync_data(),
            Nodes::Memory(_) => Ok(()),
        }
    }

    /// Writes verified nodes, given with their levels and indices. Adjacent nodes are written
    /// together.
    pub(super) fn write(&self, mut nodes: Vec<(u8, u64, Node)>) -> io::Result<()> {
        nodes.sort_unstable_by_key(|(level, index, _)| (*level, *index));
        let adjoin = |left: &(u8, u64, Node), right: &(u8, u64, Node)| {
            left.0 == right.0 && left.1 + 1 == right.1
        };
        for run in nodes.chunk_by(adjoin) {
            let Some(offset) = self.layout.offset(run[0].0, run[0].1) else {
                continue;
            };
            match &self.nodes {
                Nodes::File(file) => {
                    let bytes: Vec<u8> = run.iter().flat_map(|(_, _, node)| *node).collect();
                    files::write_all_at(file, &bytes, PAGE_LEN as u64 + offset)?;
                }
                Nodes::Memory(known) => {
                    let offsets = (offset..).step_by(UNKNOWN.len());
                    known
                        .lock()
                        .extend(offsets.zip(run.iter().map(|(_, _, node)| *node)));
                }
            }
        }
        Ok(())
    }
}
