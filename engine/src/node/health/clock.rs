//! Detects a clock that is behind. No message of the protocols carries the time, so the clock is
//! compared with files that were written here earlier.

use std::{
    env, fs,
    path::Path,
    time::{Duration, SystemTime},
};

/// How far a file may be ahead of the clock: file systems and clocks are not exact.
const TOLERANCE: Duration = Duration::from_secs(60);

/// How far a clock that shows `now` is behind the newest file of the data folder, or behind the
/// program file. `None` if it is not. Blocks.
#[must_use]
pub fn clock_lag(data_folder: &Path, now: SystemTime) -> Option<Duration> {
    let kept = fs::read_dir(data_folder).into_iter().flatten().flatten();
    let kept = kept.filter_map(|entry| entry.metadata().ok()?.modified().ok());
    let program = env::current_exe().and_then(|path| path.metadata()?.modified());
    let newest = kept.chain(program.ok()).max()?;
    let lag = newest.duration_since(now).ok()?;
    (lag > TOLERANCE).then_some(lag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_went_back_is_behind_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x"), "").unwrap();
        let now = SystemTime::now();
        assert_eq!(clock_lag(folder.path(), now), None);
        let three_hours = Duration::from_secs(3 * 3600 + 30);
        let lag = clock_lag(folder.path(), now - three_hours).unwrap();
        assert_eq!(lag.as_secs() / 3600, 3);
        assert_eq!(clock_lag(Path::new("/no/such/folder"), now), None);
    }
}
