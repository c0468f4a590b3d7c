//! The changed paths of a folder, and when to scan each. Pure: the time is an argument.

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::changes::MAX_CHANGED;
use crate::node::{scan::DuePath, settling::QUIET};

/// How long a file may change without a pause until it is scanned anyway, to show that it is being
/// written.
const EARLY: Duration = Duration::from_secs(2);

/// The longest time between two scans of parts without events.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// The changed paths that wait for a scan. Bounded.
#[derive(Debug, Default)]
pub(super) struct Pending(HashMap<PathBuf, Change>);

/// When to scan a changed path: at the earlier of these times.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// When it will have been unchanged for a moment.
    settled: Instant,
    /// The latest time, even if it changes until then.
    latest: Instant,
}

impl Change {
    fn due(&self) -> Instant {
        self.settled.min(self.latest)
    }
}

impl Pending {
    /// Notes a change of a path. Returns false if too many paths wait already.
    pub(super) fn note(&mut self, path: PathBuf, now: Instant) -> bool {
        let settled = now + QUIET;
        if let Some(change) = self.0.get_mut(&path) {
            change.settled = settled;
            return true;
        }
        let has_space = self.0.len() < MAX_CHANGED;
        if has_space {
            let latest = now + EARLY;
            self.0.insert(path, Change { settled, latest });
        }
        has_space
    }

    /// Notes when to check a file again that waits. Returns false if too many paths wait already.
    pub(super) fn wait(&mut self, path: PathBuf, again: Instant) -> bool {
        let has_space = self.0.len() < MAX_CHANGED || self.0.contains_key(&path);
        if has_space {
            let (settled, latest) = (again, again);
            self.0.insert(path, Change { settled, latest });
        }
        has_space
    }

    /// When the next path is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.values().map(Change::due).min()
    }

    /// Takes the paths that are due. A path that has not settled yet stays.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<DuePath> {
        let mut due = Vec::new();
        for (path, change) in &mut self.0 {
            if change.due() <= now {
                let is_early = change.settled > now;
                let path = path.clone();
                due.push(DuePath { path, is_early });
                // It is scanned again when it has settled.
                change.latest = now + POLL_INTERVAL;
            }
        }
        self.0.retain(|_, change| change.settled > now);
        due
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(pending: &mut Pending, now: Instant) -> Vec<(String, bool)> {
        let due = pending.take_due(now).into_iter();
        let mut due: Vec<_> = due
            .map(|due| (due.path.display().to_string(), due.is_early))
            .collect();
        due.sort();
        due
    }

    #[test]
    fn a_path_is_due_once_it_has_settled_and_earlier_if_it_keeps_changing() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pending = Pending::default();
        assert_eq!(pending.next_due(), None);
        assert!(pending.note("quiet".into(), start));
        for millis in (0..2000).step_by(500) {
            assert!(pending.note("busy".into(), at(millis)));
        }
        assert_eq!(pending.next_due(), Some(start + QUIET));
        assert_eq!(due(&mut pending, at(999)), []);
        assert_eq!(due(&mut pending, at(1000)), [("quiet".to_owned(), false)]);
        assert_eq!(due(&mut pending, at(2000)), [("busy".to_owned(), true)]);
        // It settles a second after its last change.
        assert_eq!(pending.next_due(), Some(at(2500)));
        assert_eq!(due(&mut pending, at(2500)), [("busy".to_owned(), false)]);
        assert_eq!(pending.next_due(), None);
    }

    #[test]
    fn the_number_of_paths_is_bounded() {
        let (start, mut pending) = (Instant::now(), Pending::default());
        for number in 0..MAX_CHANGED {
            assert!(pending.note(number.to_string().into(), start));
        }
        assert!(!pending.note("further".into(), start));
        assert!(!pending.wait("further".into(), start));
        assert!(pending.note("0".into(), start) && pending.wait("1".into(), start));
        pending.clear();
        assert!(pending.wait("further".into(), start));
    }
}
