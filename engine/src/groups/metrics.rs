//! What happened to statements of peers, for the operator of the node.

use std::sync::Arc;

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The counters of this module. A handle: clones share them.
#[derive(Clone)]
pub(super) struct Metrics {
    statements: Family<[(&'static str, &'static str); 1], Counter>,
    contradictions: Counter,
    pub(super) registry: Arc<Registry>,
}

/// What became of a statement of a peer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// It is held from now on.
    New,
    /// It, or a later one in its place, is held already.
    Known,
    /// It is malformed or forged, or of another group.
    Refused,
    /// Its author has no say in the group, or not yet.
    Ignored,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let (statements, contradictions) = (Family::default(), Counter::default());
        let mut registry = Registry::with_prefix("pelago_groups");
        registry.register(
            "statements",
            "Statements that peers sent, by what became of them",
            Family::clone(&statements),
        );
        registry.register(
            "contradictions",
            "Statements that one author signed in place of each other",
            contradictions.clone(),
        );
        Self {
            statements,
            contradictions,
            registry: Arc::new(registry),
        }
    }

    pub(super) fn count(&self, fate: Fate, statements: usize) {
        let label = match fate {
            Fate::New => "new",
            Fate::Known => "known",
            Fate::Refused => "refused",
            Fate::Ignored => "ignored",
        };
        let counter = self.statements.get_or_create(&[("result", label)]);
        counter.inc_by(statements as u64);
    }

    pub(super) fn contradiction(&self) {
        self.contradictions.inc();
    }
}
