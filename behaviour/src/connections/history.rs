//! How useful earlier connections were, by origin. Pure.

use std::{collections::HashMap, time::Instant};

use crate::Origin;

/// Origins to remember, at most; beyond that, the one not seen for the longest time is forgotten.
const MAX_ORIGINS: usize = 1024;

/// How useful an origin was, the best last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Usefulness {
    /// It is unknown, or was of no use.
    #[default]
    Unknown,
    /// Enough bytes moved on a connection.
    MovedBytes,
    /// This node took content from it.
    GaveContent,
}

/// The usefulness of many origins.
#[derive(Debug, Default)]
pub(super) struct OriginHistory(HashMap<Origin, (Usefulness, Instant)>);

impl OriginHistory {
    pub(super) fn of(&self, origin: Origin) -> Usefulness {
        self.0
            .get(&origin)
            .map(|(usefulness, _)| *usefulness)
            .unwrap_or_default()
    }

    pub(super) fn note(&mut self, origin: Origin, usefulness: Usefulness, now: Instant) {
        if usefulness == Usefulness::Unknown {
            return;
        }
        let is_new = !self.0.contains_key(&origin);
        if is_new && self.0.len() >= MAX_ORIGINS {
            let oldest = self.0.iter().min_by_key(|(_, (_, seen))| *seen);
            if let Some(oldest) = oldest.map(|(origin, _)| *origin) {
                self.0.remove(&oldest);
            }
        }
        let known = self.0.entry(origin).or_insert((usefulness, now));
        *known = (known.0.max(usefulness), now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use libp2p::PeerId;

    use super::*;

    #[test]
    fn the_best_is_remembered_of_a_bounded_number_of_origins() {
        let start = Instant::now();
        let mut history = OriginHistory::default();
        let origins: Vec<_> = (0..=MAX_ORIGINS)
            .map(|_| Origin::new(PeerId::random(), &"/memory/1".parse().unwrap()))
            .collect();
        for (second, origin) in origins.iter().enumerate() {
            let now = start + Duration::from_secs(second as u64);
            history.note(*origin, Usefulness::GaveContent, now);
            history.note(*origin, Usefulness::MovedBytes, now);
        }
        assert_eq!(history.of(origins[0]), Usefulness::Unknown);
        assert_eq!(history.of(origins[1]), Usefulness::GaveContent);
        assert_eq!(history.0.len(), MAX_ORIGINS);
    }
}
