//! Scans paths of a folder on a thread that may block.

use std::{ops::ControlFlow, path::PathBuf, sync::Arc, thread, time::Instant};

use parking_lot::Mutex;
use tokio::task::{JoinError, spawn_blocking};

use super::{
    coverage::{Coverage, LeftOut},
    pace::Pace,
};
use crate::node::{
    being_written::WriteTracker,
    blocking::Caller,
    core::NodeCore,
    scan::{DuePath, ScanError, ScanObserver, Scanned, scan},
    settling::Settling,
};

/// The state that a scan uses and changes.
#[derive(Default)]
pub(super) struct ScanState {
    pub(super) settling: Settling,
    /// `None` if the scan changes no watches.
    pub(super) coverage: Option<Coverage>,
}

/// The result of a scan, and its state.
pub(super) type ScanResult = (Result<Scanned, ScanError>, ScanState);

/// What to scan, and how.
pub(super) struct ScanTask {
    pub(super) folder: PathBuf,
    pub(super) due: Vec<DuePath>,
    /// The path under which the files that wait are noted.
    pub(super) noted_at: PathBuf,
    /// Whether all paths are watched already.
    pub(super) is_watched: bool,
    /// Whether the scan runs at low priority.
    pub(super) is_slow: bool,
}

/// Watches the paths that are due, and updates the shares to what is there.
///
/// # Errors
/// The scan panicked.
pub(super) async fn run_scan(
    core: &Arc<NodeCore>,
    task: ScanTask,
    mut scan_state: ScanState,
) -> Result<ScanResult, JoinError> {
    let store = core.store.clone();
    let scope = core.share_scope();
    let (caller, _waiting) = Caller::new();
    let observer = Observer {
        caller,
        being_written: core.being_written.clone(),
        noted_at: task.noted_at,
        pace: task.is_slow.then(|| Mutex::new(Pace::new(Instant::now()))),
    };
    let work = spawn_blocking(move || {
        let due = outermost(task.due);
        if let Some(coverage) = scan_state.coverage.as_mut().filter(|_| !task.is_watched) {
            let mut left_out = LeftOut::new(&task.folder, &store);
            for due in due.iter().filter(|due| !due.is_early) {
                coverage.add(due.scan_root(), &mut left_out);
            }
        }
        let settling = &mut scan_state.settling;
        let scanned = scan(&store, &task.folder, scope, &due, settling, &observer);
        (scanned, scan_state)
    });
    work.await
}

/// Removes paths below others: a scan of a directory includes everything below it.
fn outermost(mut due: Vec<DuePath>) -> Vec<DuePath> {
    due.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    let mut above: Option<PathBuf> = None;
    due.retain(|due| {
        if above
            .as_ref()
            .is_some_and(|above| due.path.starts_with(above))
        {
            return false;
        }
        if !due.is_early
            && due
                .path
                .symlink_metadata()
                .is_ok_and(|found| found.is_dir())
        {
            above = Some(due.path.clone());
        }
        true
    });
    due
}

struct Observer {
    caller: Caller,
    being_written: WriteTracker,
    noted_at: PathBuf,
    pace: Option<Mutex<Pace>>,
}

impl ScanObserver for Observer {
    fn waiting(&self, files: &Settling) {
        self.being_written.set(&self.noted_at, files.waiting());
    }

    fn pause(&self) -> ControlFlow<()> {
        let pace = self.pace.as_ref();
        let mut pace = pace.map(|pace| pace.lock());
        if let Some(pause) = pace.as_mut().and_then(|pace| pace.step(Instant::now())) {
            thread::sleep(pause);
        }
        self.caller.check()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn paths_below_a_scanned_directory_are_scanned_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::write(at("f"), "").unwrap();
        let due = |path: &str, is_early| DuePath {
            path: at(path),
            is_early,
        };
        let all = vec![
            due("f", false),
            due("a/b/c", false),
            due("gone", false),
            due("a", false),
            due("a/b", true),
            due("ab", false),
            due("gone/x", false),
        ];
        let left: Vec<_> = outermost(all).into_iter().map(|due| due.path).collect();
        assert_eq!(left, ["a", "ab", "f", "gone", "gone/x"].map(at));
    }
}
