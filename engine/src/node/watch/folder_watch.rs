//! Watches one folder: scans what changed in it once it has settled.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::watch,
    task::{JoinError, JoinSet, spawn_blocking},
    time::{MissedTickBehavior, interval, sleep, sleep_until},
};

use super::{
    changes::{Changes, Report},
    coverage::{Coverage, LeftOut},
    pending::{POLL_INTERVAL, Pending},
    scan_task::{ScanResult, ScanState, ScanTask, run_scan},
};
use crate::{
    duties::{Backoff, Outcome},
    node::{
        core::NodeCore,
        scan::{DuePath, ScanError, Scanned},
        settling::QUIET,
    },
    store::MountTable,
};

/// How often the node checks whether a missing folder is back, and what else is due.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// The longest pause between attempts to read or record a file. A change of the file ends the
/// pause.
const MAX_FILE_PAUSE: Duration = Duration::from_secs(600);

/// The most files that could not be read or recorded and are remembered by path. When there are
/// more, the whole folder is scanned again.
const MAX_UNREAD: usize = 1000;

/// The watch of one folder.
pub(super) struct FolderWatch {
    pub(super) core: Arc<NodeCore>,
    pub(super) folder: PathBuf,
    changes: Changes,
    pub(super) scan_state: ScanState,
    pending: Pending,
    /// When to scan the whole folder, after a failure, or because too many files wait.
    again: Option<Instant>,
    /// When the parts without events were last scanned.
    polled: Instant,
    followed: watch::Receiver<Arc<MountTable>>,
    pub(super) mounts: Arc<MountTable>,
    slow: JoinSet<Result<ScanResult, JoinError>>,
    /// When the next slow scan begins.
    slow_due: Instant,
    failures: Backoff,
    file_failures: Backoff,
    pub(super) unread: BTreeMap<PathBuf, String>,
    /// Files and directories whose names are not valid UTF-8.
    pub(super) misnamed: BTreeSet<PathBuf>,
    /// Those of them that the log has named.
    misnamed_logged: BTreeSet<PathBuf>,
    pub(super) is_gone: bool,
}

impl FolderWatch {
    pub(super) fn new(
        core: Arc<NodeCore>,
        folder: PathBuf,
        mut followed: watch::Receiver<Arc<MountTable>>,
    ) -> Self {
        let (now, mounts) = (Instant::now(), Arc::clone(&followed.borrow_and_update()));
        let slow_due = now + core.settings.rescan_interval;
        Self {
            core,
            folder,
            changes: Changes::none(),
            scan_state: ScanState::default(),
            pending: Pending::default(),
            again: None,
            polled: now,
            followed,
            mounts,
            slow: JoinSet::new(),
            slow_due,
            failures: Backoff::default(),
            file_failures: Backoff::up_to(MAX_FILE_PAUSE),
            unread: BTreeMap::new(),
            misnamed: BTreeSet::new(),
            misnamed_logged: BTreeSet::new(),
            is_gone: false,
        }
    }

    pub(super) async fn run(mut self) -> Outcome {
        self.scan_all().await?;
        let mut check = interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.pending.next_due();
            let due_at = due.unwrap_or_else(|| Instant::now() + CHECK_INTERVAL);
            tokio::select! {
                report = self.changes.next() => match report {
                    Report::Changed(path) => self.note(path),
                    Report::Missed => {}
                    Report::Ended => self.scan_all().await?,
                },
                Ok(()) = self.followed.changed() => self.follow_mounts().await?,
                () = sleep_until(due_at.into()), if due.is_some() => self.scan_due().await?,
                Some(scanned) = self.slow.join_next() => self.end_slow_scan(scanned??),
                _ = check.tick() => self.check().await?,
            }
            if self.changes.missed.take() {
                self.scan_all().await?;
            }
        }
    }

    /// Does what is due by the clock.
    async fn check(&mut self) -> Result<(), JoinError> {
        let now = Instant::now();
        let is_back = self.is_gone && self.is_there().await?;
        if is_back || self.again.is_some_and(|again| again <= now) {
            return self.scan_all().await;
        }
        if now.saturating_duration_since(self.polled) >= self.poll_interval() {
            self.polled = now;
            let silent = self.scan_state.coverage.as_ref().map(Coverage::silent);
            let silent = silent.map(|silent| silent.keys().cloned().collect());
            let due: Vec<_> = silent.unwrap_or_default();
            if due.contains(&self.folder) {
                self.scan_all().await?;
            } else if !due.is_empty() {
                self.scan_paths(due.into_iter().map(due_path).collect())
                    .await?;
            }
        }
        if self.slow_due <= now {
            self.begin_slow_scan();
        }
        Ok(())
    }

    /// How often the node scans parts without events.
    pub(super) fn poll_interval(&self) -> Duration {
        POLL_INTERVAL.min(self.core.settings.rescan_interval)
    }

    /// Scans the places where the mounted file systems have changed.
    async fn follow_mounts(&mut self) -> Result<(), JoinError> {
        let now = Arc::clone(&self.followed.borrow_and_update());
        let before = std::mem::replace(&mut self.mounts, now);
        let changed = self.mounts.changed(&before, &self.folder);
        if changed.is_empty() {
            self.publish();
            return Ok(());
        }
        for path in &changed {
            tracing::info!(path = %path.display(), "a disk was mounted or unmounted here");
        }
        if changed.contains(&self.folder) {
            return self.scan_all().await;
        }
        if let Some(coverage) = &mut self.scan_state.coverage {
            changed.iter().for_each(|path| coverage.drop_below(path));
        }
        let due = changed.into_iter().map(due_path).collect();
        self.scan_paths(due).await.map(drop)
    }

    /// Notes a change that the system reports.
    fn note(&mut self, path: PathBuf) {
        if !self.pending.note(path, Instant::now()) {
            self.changes.missed.set();
        }
    }

    /// Notes when to check a file again that waits.
    fn wait(&mut self, path: PathBuf, again: Instant) {
        if !self.pending.wait(path, again) {
            self.scan_all_by(Instant::now() + POLL_INTERVAL);
        }
    }

    async fn is_there(&self) -> Result<bool, JoinError> {
        let (store, folder) = (self.core.store.clone(), self.folder.clone());
        spawn_blocking(move || store.presence(&folder).is_there()).await
    }

    fn scan_all_by(&mut self, at: Instant) {
        self.again = Some(self.again.map_or(at, |again| again.min(at)));
    }

    /// Scans paths that have settled, and files that have not for a while.
    async fn scan_due(&mut self) -> Result<(), JoinError> {
        let due = self.pending.take_due(Instant::now());
        let is_whole = |due: &DuePath| due.path == self.folder && !due.is_early;
        if due.iter().any(is_whole) {
            // The folder itself may have been replaced.
            self.scan_all().await
        } else {
            self.scan_paths(due).await.map(drop)
        }
    }

    /// Watches the whole folder again, and scans it.
    async fn scan_all(&mut self) -> Result<(), JoinError> {
        let begun = Instant::now();
        self.pending.clear();
        (self.again, self.polled) = (None, begun);
        self.is_gone = !self.is_there().await?;
        self.core.watches.change(&self.folder, |folder| {
            folder.looks_since = Some(SystemTime::now());
        });
        self.watch_again().await?;
        let all = vec![due_path(self.folder.clone())];
        let Some(mut scanned) = self.scan_watched(all).await? else {
            return Ok(());
        };
        self.scan_state.settling.forget_unseen(begun);
        let waiting = self.scan_state.settling.waiting();
        self.core.being_written.set(&self.folder, waiting);
        // Most files that were written a moment ago are complete a moment later.
        if !scanned.changing.is_empty() {
            sleep(QUIET).await;
            let due = self.pending.take_due(Instant::now());
            let again = self.scan_paths(due).await?.unwrap_or_default();
            scanned.shared += again.shared;
            scanned.left_out += again.left_out;
            scanned.gone += again.gone;
        }
        self.report(&scanned);
        Ok(())
    }

    /// Creates the watches of the folder before it is scanned, so that no change is missed in
    /// between.
    async fn watch_again(&mut self) -> Result<(), JoinError> {
        // The old watches are removed first: the system limits their number.
        let (folder, store, old) = (
            self.folder.clone(),
            self.core.store.clone(),
            self.scan_state.coverage.take(),
        );
        let watching = spawn_blocking(move || {
            drop(old);
            Coverage::whole(&mut LeftOut::new(&folder, &store))
        });
        let (coverage, changes) = watching.await?;
        for (path, why) in coverage.silent().iter().take(1) {
            let (path, why, count) = (path.display(), self.why(why), coverage.silent().len());
            tracing::warn!(
                %path, why, count, "the directory raises no events: it is scanned once a minute"
            );
        }
        (self.scan_state.coverage, self.changes) = (Some(coverage), changes);
        Ok(())
    }

    /// Watches the paths that are `due`, and updates the shares to what is there. `None` if that
    /// failed: then the whole folder is scanned later.
    async fn scan_paths(&mut self, due: Vec<DuePath>) -> Result<Option<Scanned>, JoinError> {
        self.scan(due, false).await
    }

    /// Does the same for paths that are watched already.
    async fn scan_watched(&mut self, due: Vec<DuePath>) -> Result<Option<Scanned>, JoinError> {
        self.scan(due, true).await
    }

    async fn scan(
        &mut self,
        due: Vec<DuePath>,
        is_watched: bool,
    ) -> Result<Option<Scanned>, JoinError> {
        self.forget_unread(&due);
        let task = ScanTask {
            folder: self.folder.clone(),
            due,
            noted_at: self.folder.clone(),
            is_watched,
            is_slow: false,
        };
        let (scanned, scan_state) =
            run_scan(&self.core, task, std::mem::take(&mut self.scan_state)).await?;
        self.scan_state = scan_state;
        Ok(self.take_scanned(scanned))
    }

    fn take_scanned(&mut self, scanned: Result<Scanned, ScanError>) -> Option<Scanned> {
        let (now, is_pending) = (Instant::now(), self.again.is_some());
        let scanned = match scanned {
            Ok(scanned) => scanned,
            Err(error) => {
                let pause = self.failures.failed(now);
                self.scan_all_by(now + pause);
                let folder = self.folder.display();
                tracing::error!(
                    %folder, %error, "cannot scan the folder: trying again in {pause:?}"
                );
                let failure = Some(error.to_string());
                self.core.watches.change(&self.folder, |folder| {
                    folder.failure = failure;
                    folder.looks_since = None;
                });
                self.publish();
                return None;
            }
        };
        for (path, again) in scanned.changing.iter().cloned() {
            self.wait(path, again);
        }
        self.note_misnamed(&scanned.misnamed);
        if !scanned.failed.is_empty() {
            let again = now + self.file_failures.failed(now);
            for (path, why) in &scanned.failed {
                if self.unread.len() < MAX_UNREAD {
                    self.wait(path.clone(), again);
                    self.unread.insert(path.clone(), why.clone());
                } else {
                    self.scan_all_by(again);
                }
            }
        } else if self.unread.is_empty() {
            self.file_failures.succeeded();
        }
        if !is_pending {
            self.failures.succeeded();
            self.core
                .watches
                .change(&self.folder, |folder| folder.failure = None);
        }
        self.publish();
        Some(scanned)
    }

    /// Forgets failures at paths that are scanned now.
    fn forget_unread(&mut self, due: &[DuePath]) {
        let is_due = |path: &Path| due.iter().any(|due| path.starts_with(&due.path));
        self.unread.retain(|path, _| !is_due(path));
        self.misnamed.retain(|path| !is_due(path));
    }

    /// Remembers the first of these paths, and logs those that are new.
    fn note_misnamed(&mut self, misnamed: &[PathBuf]) {
        let free = MAX_UNREAD.saturating_sub(self.misnamed.len());
        self.misnamed.extend(misnamed.iter().take(free).cloned());
        let mut new = self.misnamed.difference(&self.misnamed_logged);
        if let Some(first) = new.next() {
            let (folder, others) = (self.folder.display(), new.count());
            let first = crate::store::shown(first);
            tracing::warn!(
                %folder, %first, others, "not shared: the name is not valid UTF-8. Rename it"
            );
            // Each is logged once, unless they become others all the time.
            self.misnamed_logged.clone_from(&self.misnamed);
        }
    }

    /// Begins a scan at low priority of the places where changes may raise no event.
    fn begin_slow_scan(&mut self) {
        self.slow_due = Instant::now() + self.core.settings.rescan_interval;
        let due = self
            .silent_places()
            .into_iter()
            .map(|(path, _)| due_path(path));
        let due: Vec<_> = due.collect();
        let Some(first) = due.first().filter(|_| self.slow.is_empty()) else {
            return;
        };
        let (core, scan_state) = (Arc::clone(&self.core), ScanState::default());
        let task = ScanTask {
            folder: self.folder.clone(),
            // Kept apart from the files for which other scans wait.
            noted_at: first.path.join("."),
            due,
            is_watched: true,
            is_slow: true,
        };
        self.slow
            .spawn(async move { run_scan(&core, task, scan_state).await });
    }

    fn end_slow_scan(&mut self, (scanned, _): ScanResult) {
        self.slow_due = Instant::now() + self.core.settings.rescan_interval;
        self.take_scanned(scanned);
    }
}

/// A path that has been unchanged for a moment.
const fn due_path(path: PathBuf) -> DuePath {
    DuePath {
        path,
        is_early: false,
    }
}
