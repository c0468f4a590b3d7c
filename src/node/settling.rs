//! When a file in a watched folder is hashed: once it has settled.
//!
//! Pure: what was seen and the time in, a [`Verdict`] out. Owns what earlier looks saw of each file that
//! waits, and what the last hashing of each file cost that may have to be hashed again. Bounded: what
//! finds no room here waits only by its own times.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fs::Metadata,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use crate::store::{Fingerprint, Writers};

/// How long a file has to be unchanged before it is hashed, at least: most programs write more often.
pub(super) const QUIET: Duration = Duration::from_secs(1);

/// Where the system cannot tell who writes, a file has to be unchanged for this part of the time that it
/// has been growing: a slow writer pauses for longer.
const GROWTH_PART: u32 = 10;

/// And no longer than this: a writer that pauses for longer is taken to be done.
const MAX_GROWTH_QUIET: Duration = Duration::from_secs(60);

/// How long a file has to be unchanged that a program has open for writing. Disk images and databases
/// are always open: they are shared, in doubt.
pub(super) const HELD_OPEN: Duration = Duration::from_secs(600);

/// The longest time that changes during or soon after hashing make a file wait, by doubling.
const MAX_QUIET: Duration = Duration::from_secs(600);

/// How far ahead of our clock the time of a file may be and still be that of its last change.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(10);

/// A file that was hashed in vain has to be unchanged for this many times what that took: so a file
/// costs a twentieth of the time at most.
const COST_FACTOR: u32 = 20;

/// Files that are known here, at most: about 3 MB.
pub(super) const MAX_FILES: usize = 10_000;

/// A decision on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has settled: hash and share it.
    Share,
    /// A program has it open for writing, but has not changed it for long: hash and share it, in doubt.
    ShareInDoubt,
    /// It may change: look again then.
    CheckAgain(Instant),
}

/// A file as a look at it found it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observation {
    fingerprint: Fingerprint,
    /// For how long it has been unchanged, by its own times.
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

/// For how long nothing of a file has changed.
fn unchanged(metadata: &Metadata) -> Duration {
    let now = SystemTime::now();
    let since = |time: SystemTime| since(time, now);
    let modified = metadata.modified().map(since).unwrap_or_default();
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // Programs that copy set the time of modification; this one shows when they did.
        let changed = Duration::new(
            metadata.ctime().try_into().unwrap_or(0),
            metadata.ctime_nsec().try_into().unwrap_or(0),
        );
        modified.min(since(SystemTime::UNIX_EPOCH + changed))
    }
    #[cfg(not(unix))]
    modified
}

/// How long before `now` that time is. A time in the near future counts as now: clocks differ. One further ahead
/// was written by a clock that was wrong, and counts as long ago: else the file would wait until that time.
fn since(time: SystemTime, now: SystemTime) -> Duration {
    match now.duration_since(time) {
        Ok(since) => since,
        Err(ahead) if ahead.duration() <= CLOCK_TOLERANCE => Duration::ZERO,
        Err(_) => MAX_QUIET,
    }
}

/// The files that wait, and those that were hashed a short time ago.
#[derive(Debug, Default)]
pub(super) struct Settling {
    files: HashMap<PathBuf, SettlingFile>,
    /// When it was last cleared of what is no longer needed.
    cleared: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct SettlingFile {
    seen: Fingerprint,
    looked: Instant,
    first_change: Instant,
    last_change: Instant,
    /// How long it has to be unchanged, by how often it was hashed in vain.
    quiet: Duration,
    /// The same by what hashing it cost.
    cost: Duration,
    /// When it was hashed, unless it has changed since: then it waits.
    hashed: Option<Instant>,
}

/// Decides on a file that first changed, and last changed, at these times, and that has to be unchanged
/// for `quiet`.
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
        // The system tells when a program closes the file. A closing that it does not tell of is found
        // by looking again.
        Writers::Present => Verdict::CheckAgain(settled.min(now + growth(now))),
        Writers::Absent | Writers::Unknown if settled <= now => Verdict::Share,
        Writers::Absent | Writers::Unknown => Verdict::CheckAgain(settled),
    }
}

impl Settling {
    /// Judges a file that is not shared as it is now.
    pub(super) fn judge(&mut self, path: &Path, seen: Observation, now: Instant) -> Verdict {
        let changed = now.checked_sub(seen.unchanged).unwrap_or(now);
        if let Some(file) = self.files.get_mut(path) {
            file.see(seen.fingerprint, changed, now);
            return file.judge(now, seen.writers);
        }
        let file = SettlingFile::new(seen.fingerprint, changed, now);
        let verdict = file.judge(now, seen.writers);
        if matches!(verdict, Verdict::CheckAgain(_)) {
            self.insert(path, file, now);
        }
        verdict
    }

    /// Takes note that the file was hashed as it was seen, which took so long.
    pub(super) fn hashed(&mut self, path: &Path, seen: Observation, took: Duration, now: Instant) {
        let cost = took * COST_FACTOR;
        let known = self.files.get(path).copied();
        // Most files are left alone for good: a first look at a large folder keeps none of them.
        if known.is_none() && seen.unchanged >= MAX_QUIET && cost <= QUIET {
            return;
        }
        let changed = now.checked_sub(seen.unchanged).unwrap_or(now);
        let file = known.unwrap_or_else(|| SettlingFile::new(seen.fingerprint, changed, now));
        let file = SettlingFile {
            seen: seen.fingerprint,
            looked: now,
            cost,
            hashed: Some(now),
            ..file
        };
        self.insert(path, file, now);
    }

    /// Takes note that the file changed while it was hashed, which took so long. Returns when to look
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
        (file.cost, file.last_change, file.looked) = (took * COST_FACTOR, now, now);
        let again = now + file.demanded();
        self.insert(path, file, now);
        again
    }

    /// Forgets that the file waits: it is gone, left out, or shared as it is.
    pub(super) fn forget(&mut self, path: &Path) {
        if self.files.get(path).is_some_and(SettlingFile::waits) {
            self.files.remove(path);
        }
    }

    /// Forgets the files that wait and were not looked at since then: they are gone.
    pub(super) fn forget_unseen(&mut self, since: Instant) {
        self.files
            .retain(|_, file| !file.waits() || file.looked >= since);
    }

    /// The files that wait, with their sizes.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&Path, u64)> {
        let waiting = self.files.iter().filter(|(_, file)| file.waits());
        waiting.map(|(path, file)| (&**path, file.seen.size()))
    }

    fn insert(&mut self, path: &Path, file: SettlingFile, now: Instant) {
        if self.files.len() >= MAX_FILES && !self.files.contains_key(path) {
            // Not each time: where nothing can go, that costs more than it gives.
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
            looked: now,
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

    /// Whether it was hashed and has been unchanged for so long since that the next change is a first
    /// one.
    fn is_settled(&self, now: Instant) -> bool {
        self.hashed
            .is_some_and(|hashed| hashed + self.demanded() <= now)
    }

    /// Compares the file with what was seen before.
    fn see(&mut self, seen: Fingerprint, changed: Instant, now: Instant) {
        // It was unchanged when it was last looked at, or hashed; a clock may be wrong.
        let changed = changed.max(self.hashed.unwrap_or(self.last_change));
        if seen == self.seen {
            self.looked = now;
            return;
        }
        if self.is_settled(changed) {
            *self = Self::new(seen, changed, now);
            return;
        }
        if !self.waits() {
            self.overtaken();
        }
        (self.seen, self.last_change, self.looked) = (seen, changed, now);
    }

    fn overtaken(&mut self) {
        self.hashed = None;
        self.quiet = (self.quiet * 2).min(MAX_QUIET);
    }

    fn judge(&self, now: Instant, writers: Writers) -> Verdict {
        // The cost of hashing matters once a hashing was in vain.
        let quiet = if self.quiet > QUIET {
            self.demanded()
        } else {
            QUIET
        };
        decide(now, self.first_change, self.last_change, writers, quiet)
    }
}
