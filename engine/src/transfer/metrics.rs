//! Counters of downloads, for the operator of the node.

use std::sync::Arc;

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::{Finished, TransferError};

/// The counters of this module. A handle: clones share them.
#[derive(Clone)]
pub(super) struct Metrics {
    ended: Family<[(&'static str, &'static str); 1], Counter>,
    /// The number of times the list of downloads was written.
    pub(super) list_writes: Counter,
    pub(super) registry: Arc<Registry>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let ended = Family::default();
        let mut registry = Registry::with_prefix("pelago_transfer");
        registry.register(
            "downloads_ended",
            "Runs of downloads that ended, by outcome: `done` or the code of the error",
            Family::clone(&ended),
        );
        let list_writes = Counter::default();
        registry.register(
            "list_writes",
            "Times the list of downloads was written",
            list_writes.clone(),
        );
        Self {
            ended,
            list_writes,
            registry: Arc::new(registry),
        }
    }

    /// A run of a download ended.
    pub(super) fn ended(&self, result: &Result<Finished, TransferError>) {
        let end = result.as_ref().map_or_else(TransferError::code, |_| "done");
        self.ended.get_or_create(&[("end", end)]).inc();
    }
}
