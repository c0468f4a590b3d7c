//! What is taken of the statements that a peer sends: those that are valid and have a place. The others
//! cost little, and are counted.

use std::time::Instant;

use libp2p::PeerId;
use pelago_groups::{Body, GroupId, Merged, Slot, Statement};

use super::{Groups, author};
use crate::{
    groups::{expected::Expected, group::Group, metrics::Fate},
    store::DatabaseError,
};

impl Groups {
    /// Takes statements from a peer. Blocks on the processor and the database.
    ///
    /// # Errors
    /// The database failed.
    pub(in crate::groups) fn take(
        &self,
        id: GroupId,
        from: PeerId,
        sent: &[Vec<u8>],
    ) -> Result<(), DatabaseError> {
        let now = Instant::now();
        let (Some(group), Some(own)) = (self.get(&id), self.user()) else {
            return Ok(());
        };
        if self.0.throttles.lock().useless.is_spent(&from, now) {
            return Ok(());
        }
        let (verified, useless) = self.verified(&group, Expected::of(&group, own), sent);
        let useless = useless + verified.len();
        let statements = self.without_flapping(&group, verified, now);
        let count = statements.len();
        let mut merged = Merged::default();
        if count > 0 {
            merged = self.change(id, Some(from), |group| {
                Ok::<_, DatabaseError>(group.merge(statements))
            })?;
        }
        let metrics = &self.0.metrics;
        metrics.count(Fate::New, merged.new.len());
        metrics.count(Fate::Ignored, count.saturating_sub(merged.new.len()));
        let useless = useless.saturating_sub(merged.new.len());
        self.0.throttles.lock().useless.add(from, useless, now);
        for slot in merged.contradictions {
            metrics.contradiction();
            let (author, name) = (author(&slot), group.roster().name());
            if !self
                .0
                .throttles
                .lock()
                .contradictions
                .allows((id, author), now)
            {
                continue;
            }
            tracing::warn!(
                group = %id, ?name, ?author,
                "a user has signed two statements in place of each other: all nodes take the same \
                 one of them, and the device of that user may be restored from a backup, or \
                 compromised"
            );
        }
        Ok(())
    }

    /// The statements of a peer that are new to `group`, valid, and have a place in it; and how many
    /// others there are, known ones aside.
    fn verified(
        &self,
        group: &Group,
        mut expected: Expected,
        sent: &[Vec<u8>],
    ) -> (Vec<Statement>, usize) {
        let mut useless = 0;
        let mut count = |fate| {
            self.0.metrics.count(fate, 1);
            useless += usize::from(!matches!(fate, Fate::Known));
        };
        let mut claims = Vec::new();
        for bytes in sent {
            // What is known already, or has no place, costs no verification.
            match Statement::from_stored(bytes) {
                Ok(claimed) if claimed.group().is_none_or(|of| of == group.id()) => {
                    if let Body::Founding(founding) = claimed.body() {
                        expected.found(Some(founding.root));
                    }
                    claims.push((claimed, bytes));
                }
                _ => count(Fate::Refused),
            }
        }
        claims.sort_by_key(|(claimed, _)| expected.step(claimed));
        let mut verified = Vec::new();
        for (claimed, bytes) in claims {
            if is_known(group, &claimed) {
                count(Fate::Known);
            } else if !expected.has_place(&claimed) {
                count(Fate::Ignored);
            } else if let Ok(statement) = Statement::from_bytes(bytes) {
                expected.learn(&statement);
                verified.push(statement);
            } else {
                count(Fate::Refused);
            }
        }
        (verified, useless)
    }

    /// Leaves out what replaces one statement again and again without a change of who has access.
    fn without_flapping(
        &self,
        group: &Group,
        statements: Vec<Statement>,
        now: Instant,
    ) -> Vec<Statement> {
        let is_rare = |statement: &Statement| {
            let slot = statement.slot();
            // An invite is replaced once, when it is revoked.
            group.held().get(&slot).is_none()
                || matches!(slot, Slot::Invite(..))
                || self
                    .0
                    .throttles
                    .lock()
                    .replaced
                    .allows((group.id(), slot), now)
        };
        let (mut rare, mut often): (Vec<_>, Vec<_>) = statements.into_iter().partition(is_rare);
        let count = often.len();
        often.retain(|statement| !matches!(statement.slot(), Slot::User(_) | Slot::Founding));
        if !often.is_empty() {
            let mut without = group.clone();
            without.merge(rare.iter().cloned());
            let mut with = without.clone();
            with.merge(often.iter().cloned());
            if with.roster().grants_as(without.roster()) {
                often.clear();
            }
        }
        self.0.metrics.count(Fate::Ignored, count - often.len());
        rare.extend(often);
        rare
    }
}

/// Whether a group holds a statement, or a later one in its place.
fn is_known(group: &Group, claimed: &Statement) -> bool {
    group.held().get(&claimed.slot()).is_some_and(|held| {
        held == claimed || !claimed.supersedes(held) && !claimed.contradicts(held)
    })
}
