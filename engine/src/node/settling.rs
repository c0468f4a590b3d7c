//! Decides when a file in a watched folder is hashed: once it has settled.
//!
//! Pure: takes an observation of a file and the time, and returns a [`Verdict`]. It keeps what
//! earlier scans observed of each file that waits, and the cost of the last hashing of each file
//! that may have to be hashed again. Bounded: beyond the bound, a file waits by its own timestamps
//! alone.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fs::Metadata,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use crate::store::{Fingerprint, Writers};

/// The least time that a file has to be unchanged before it is hashed: most programs write more
/// often.
pub(super) const QUIET: Duration = Duration::from_secs(1);

/// If the system cannot tell whether a program has the file open, the file has to be unchanged for
/// this part of the time that it has been growing: a slow writer pauses for longer.
const GROWTH_PART: u32 = 10;

/// The longest such time: a writer that pauses for longer counts as done.
const MAX_GROWTH_QUIET: Duration = Duration::from_secs(60);

/// How long a file has to be unchanged while a program has it open for writing. Disk images and
/// databases are always open: they are shared in doubt.
pub(super) const HELD_OPEN: Duration = Duration::from_secs(600);

/// The longest wait after changes during or soon after hashing, each of which doubles it.
const MAX_QUIET: Duration = Duration::from_secs(600);

/// How far the timestamp of a file may be ahead of the clock and still count as its last change.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(10);

/// A file that was hashed in vain has to be unchanged for this many times as long as that took. So
/// hashing a file takes at most a twentieth of the time.
const COST_FACTOR: u32 = 20;

/// The most files that are remembered: about 3 MB.
pub(super) const MAX_FILES: usize = 10_000;

/// The decision on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has settled: hash and share it.
    Share,
    /// A program has it open for writing, but has not changed it for long: hash it, and share it in
    /// doubt.
    ShareInDoubt,
    /// It may change: check it again at this time.
    CheckAgain(Instant),
}

/// What a scan observed of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observation {
    fingerprint: Fingerprint,
    /// How long it has been unchanged, by its own timestamps.
    unchanged: Duration,
    writers: Writers,
}

impl Observation {
    pub(super) fn new(metadata: &Metadata, writers: Writers) -> Self {
        Self {
            fingerprint: Fingerprint::new(metadata),
            unchanged: unchanged(metadata),
            writers,
        }
    }
}

/// How long a file has been unchanged.
fn unchanged(metadata: &Metadata) -> Duration {
    let now = SystemTime::now();
    let since = |time: SystemTime| since(time, now);
    let modified = metadata.modified().map(since).unwrap_or_default();
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // Programs that copy set the time of modification. This time shows when they did so.
        let changed = Duration::new(
            metadata.ctime().try_into().unwrap_or(0),
            metadata.ctime_nsec().try_into().unwrap_or(0),
        );
        modified.min(since(SystemTime::UNIX_EPOCH + changed))
    }
    #[cfg(not(unix))]
    modified
}

/// How long `time` is before `now`. A time in the near future counts as now, because clocks differ.
/// A time further ahead comes from a wrong clock and counts as long ago: otherwise the file would
/// wait until then.
fn since(time: SystemTime, now: SystemTime) -> Duration {
    match now.duration_since(time) {
        Ok(since) => since,
        Err(ahead) if ahead.duration() <= CLOCK_TOLERANCE => Duration::ZERO,
        Err(_) => MAX_QUIET,
    }
}

/// The files that wait, and those that were hashed recently.
#[derive(Debug, Default)]
pub(super) struct Settling {
    files: HashMap<PathBuf, SettlingFile>,
    /// When files that are no longer needed were last removed.
    cleared: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct SettlingFile {
    seen: Fingerprint,
    observed: Instant,
    first_change: Instant,
    last_change: Instant,
    /// How long it has to be unchanged, given how often it was hashed in vain.
    quiet: Duration,
    /// How long it has to be unchanged, given how long hashing took.
    cost: Duration,
    /// When it was hashed. `None` if it has changed since: then it waits.
    hashed: Option<Instant>,
}

/// Decides on a file that changed first and last at these times, and that has to be unchanged for
/// `quiet`.
fn decide(
    now: Instant,
    first_change: Instant,
    last_change: Instant,
    writers: Writers,
    quiet: Duration,
) -> Verdict {
    let growth = |until: Instant| {
        let part = until.saturating_duration_since(first_change) / GROWTH_PART;
        part.clamp(QUIET, MAX_GROWTH_QUIET)
    };
    let demanded = match writers {
        Writers::Absent => quiet,
        Writers::Present => quiet.max(HELD_OPEN),
        Writers::Unknown => quiet.max(growth(last_change)),
    };
    let settled = last_change + demanded;
    match writers {
        Writers::Present if settled <= now => Verdict::ShareInDoubt,
        // The system reports when a program closes the file. If it does not, checking again finds
        // out.
        Writers::Present => Verdict::CheckAgain(settled.min(now + growth(now))),
        Writers::Absent | Writers::Unknown if settled <= now => Verdict::Share,
        Writers::Absent | Writers::Unknown => Verdict::CheckAgain(settled),
    }
}

impl Settling {
    /// Judges a file whose present content is not shared.
    pub(super) fn judge(&mut self, path: &Path, seen: Observation, now: Instant) -> Verdict {
        let changed = now.checked_sub(seen.unchanged).unwrap_or(now);
        if let Some(file) = self.files.get_mut(path) {
            file.observe(seen.fingerprint, changed, now);
            return file.judge(now, seen.writers);
        }
        let file = SettlingFile::new(seen.fingerprint, changed, now);
        let verdict = file.judge(now, seen.writers);
        if matches!(verdict, Verdict::CheckAgain(_)) {
            self.insert(path, file, now);
        }
        verdict
    }

    /// Notes that the file was hashed as observed, which took `took`.
    pub(super) fn hashed(&mut self, path: &Path, seen: Observation, took: Duration, now: Instant) {
        let cost = took * COST_FACTOR;
        let known = self.files.get(path).copied();
        // Most files never change again: a first scan of a large folder remembers none of them.
        if known.is_none() && seen.unchanged >= MAX_QUIET && cost <= QUIET {
            return;
        }
        let changed = now.checked_sub(seen.unchanged).unwrap_or(now);
        let file = known.unwrap_or_else(|| SettlingFile::new(seen.fingerprint, changed, now));
        let file = SettlingFile {
            seen: seen.fingerprint,
            observed: now,
            cost,
            hashed: Some(now),
            ..file
        };
        self.insert(path, file, now);
    }

    /// Notes that the file changed while it was hashed, which took `took`. Returns when to check it
    /// again.
    pub(super) fn overtaken(
        &mut self,
        path: &Path,
        seen: Observation,
        took: Duration,
        now: Instant,
    ) -> Instant {
        let known = self.files.get(path).copied();
        let mut file = known.unwrap_or_else(|| SettlingFile::new(seen.fingerprint, now, now));
        file.overtaken();
        (file.cost, file.last_change, file.observed) = (took * COST_FACTOR, now, now);
        let again = now + file.demanded();
        self.insert(path, file, now);
        again
    }

    /// Forgets a file that waits: it is gone, excluded, or shared as it is.
    pub(super) fn forget(&mut self, path: &Path) {
        if self.files.get(path).is_some_and(SettlingFile::waits) {
            self.files.remove(path);
        }
    }

    /// Forgets the waiting files that no scan has observed since then: they are gone.
    pub(super) fn forget_unseen(&mut self, since: Instant) {
        self.files
            .retain(|_, file| !file.waits() || file.observed >= since);
    }

    /// The files that wait, with their sizes.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&Path, u64)> {
        let waiting = self.files.iter().filter(|(_, file)| file.waits());
        waiting.map(|(path, file)| (&**path, file.seen.size()))
    }

    fn insert(&mut self, path: &Path, file: SettlingFile, now: Instant) {
        if self.files.len() >= MAX_FILES && !self.files.contains_key(path) {
            // Not every time: if none can be removed, trying costs more than it gains.
            let is_due = |cleared: Instant| cleared + QUIET <= now;
            if !self.cleared.is_none_or(is_due) {
                return;
            }
            self.cleared = Some(now);
            self.files.retain(|_, file| !file.is_settled(now));
            if self.files.len() >= MAX_FILES {
                return;
            }
        }
        self.files.insert(path.to_owned(), file);
    }
}

impl SettlingFile {
    const fn new(seen: Fingerprint, changed: Instant, now: Instant) -> Self {
        Self {
            seen,
            observed: now,
            first_change: changed,
            last_change: changed,
            quiet: QUIET,
            cost: Duration::ZERO,
            hashed: None,
        }
    }

    const fn waits(&self) -> bool {
        self.hashed.is_none()
    }

    fn demanded(&self) -> Duration {
        self.quiet.max(self.cost)
    }

    /// Whether it has been unchanged for so long since it was hashed that the next change counts as
    /// its first.
    fn is_settled(&self, now: Instant) -> bool {
        self.hashed
            .is_some_and(|hashed| hashed + self.demanded() <= now)
    }

    /// Compares the file with the last observation.
    fn observe(&mut self, seen: Fingerprint, changed: Instant, now: Instant) {
        // It was unchanged when it was last observed or hashed. Its timestamp may come from a wrong
        // clock.
        let changed = changed.max(self.hashed.unwrap_or(self.last_change));
        if seen == self.seen {
            self.observed = now;
            return;
        }
        if self.is_settled(changed) {
            *self = Self::new(seen, changed, now);
            return;
        }
        if !self.waits() {
            self.overtaken();
        }
        (self.seen, self.last_change, self.observed) = (seen, changed, now);
    }

    fn overtaken(&mut self) {
        self.hashed = None;
        self.quiet = (self.quiet * 2).min(MAX_QUIET);
    }

    fn judge(&self, now: Instant, writers: Writers) -> Verdict {
        // The cost of hashing matters only after a hashing was in vain.
        let quiet = if self.quiet > QUIET {
            self.demanded()
        } else {
            QUIET
        };
        decide(now, self.first_change, self.last_change, writers, quiet)
    }
}
