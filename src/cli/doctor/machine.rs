//! The machine: the data folder and its disk, the limit on open files, and the clock.

use std::{path::Path, time::SystemTime};

use super::finding::Finding;
use crate::{cli::text::time, node::clock_lag};

/// Checks the data folder, its disk and the clock.
pub(super) fn examine(data_folder: &Path) -> Vec<Finding> {
    let clock = clock(data_folder, SystemTime::now());
    #[cfg(unix)]
    return [
        unix::data_folder(data_folder),
        unix::disk(data_folder),
        clock,
    ]
    .into();
    #[cfg(not(unix))]
    vec![clock]
}

/// Checks the limits of a node that is started here.
pub(super) fn limits() -> Vec<Finding> {
    #[cfg(unix)]
    return vec![unix::descriptors()];
    #[cfg(not(unix))]
    Vec::new()
}

/// Whether the clock was set back: then changed files seem unchanged, and announcements are
/// repeated too late.
fn clock(data_folder: &Path, now: SystemTime) -> Finding {
    match clock_lag(data_folder, now) {
        None => Finding::ok("clock", "no file of the node is newer than the clock"),
        Some(lag) => Finding::problem(
            "clock",
            format!("it is {} behind files that the node has written", time(lag)),
            "set the clock, and keep it synchronised: timedatectl set-ntp true",
        ),
    }
}

#[cfg(unix)]
mod unix {
    use std::{
        fs, io,
        os::unix::fs::{MetadataExt, PermissionsExt},
        path::{Path, PathBuf},
    };

    use rustix::{
        fs::{Access, access, statvfs},
        process::{Resource, geteuid, getrlimit},
    };

    use super::Finding;
    use crate::cli::text::{bytes, command};

    /// Free bytes below which downloads may fail soon.
    const LITTLE_SPACE: u64 = 1 << 30;

    /// Free bytes below which the node cannot record what it shares.
    const NO_SPACE: u64 = 64 << 20;

    /// Open files that are enough for a node with the default memory budget: a connection, a shared
    /// file that is being read, and a download take one or two each.
    const ENOUGH_FILES: u64 = 1024;

    /// Open files below which a node barely works.
    const FEW_FILES: u64 = 256;

    const FOLDER: &str = "data folder";

    /// A running node reports the space of each of its disks as `disk`.
    const SPACE: &str = "free space";

    pub(super) fn data_folder(folder: &Path) -> Finding {
        let shown = folder.display();
        let metadata = match folder.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let message = format!(
                    "{shown} does not exist yet; the first command that needs it creates it"
                );
                return Finding::ok(FOLDER, message);
            }
            Err(error) => {
                let message = format!("{shown} cannot be read: {error}");
                return Finding::problem(FOLDER, message, "use another folder with --data-dir");
            }
        };
        if !metadata.is_dir() {
            let message = format!("{shown} is not a folder");
            return Finding::problem(FOLDER, message, "use another folder with --data-dir");
        }
        if metadata.uid() != geteuid().as_raw() {
            let message = format!("{shown} belongs to another user");
            return Finding::problem(
                FOLDER,
                message,
                "run pelago as that user, or use another folder with --data-dir",
            );
        }
        if access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
            let message = format!("{shown} cannot be written");
            let mend = mend("700", folder);
            return Finding::problem(
                FOLDER,
                message,
                format!("{mend}, or mount its disk writable"),
            );
        }
        private(folder, metadata.mode())
    }

    /// Whether other users can read nothing in `folder`.
    fn private(folder: &Path, mode: u32) -> Finding {
        let shown = folder.display();
        if is_exposed(mode) {
            let message = format!("other users can enter {shown}, which holds the key of the node");
            return Finding::problem(FOLDER, message, mend("700", folder));
        }
        match exposed_key(folder) {
            Some(key) => {
                let message = format!("other users can read the key {}", key.display());
                Finding::problem(FOLDER, message, mend("600", &key))
            }
            None => Finding::ok(FOLDER, format!("only this user can enter {shown}")),
        }
    }

    fn exposed_key(folder: &Path) -> Option<PathBuf> {
        crate::store::key_files(folder).into_iter().find(|key| {
            fs::metadata(key).is_ok_and(|metadata| is_exposed(metadata.permissions().mode()))
        })
    }

    const fn is_exposed(mode: u32) -> bool {
        mode & 0o077 != 0
    }

    fn mend(mode: &str, path: &Path) -> String {
        let path = path.to_string_lossy().into_owned();
        command(["chmod".to_owned(), mode.to_owned(), path].into_iter())
    }

    pub(super) fn disk(data_folder: &Path) -> Finding {
        // The folder may not exist yet: then it will be on the disk of the nearest folder above.
        let there = data_folder.ancestors().find(|folder| folder.exists());
        let free = there.map(statvfs);
        match free {
            Some(Ok(disk)) => space(disk.f_bavail.saturating_mul(disk.f_frsize)),
            _ => Finding::warning(
                SPACE,
                format!(
                    "the free space for {} cannot be read",
                    data_folder.display()
                ),
                "check it with df",
            ),
        }
    }

    fn space(free: u64) -> Finding {
        let message = format!("{} are free for the data folder", bytes(free));
        let hint = "remove files, or use a folder on another disk with --data-dir";
        match free {
            0..NO_SPACE => Finding::problem(SPACE, message, hint),
            NO_SPACE..LITTLE_SPACE => Finding::warning(SPACE, message, hint),
            _ => Finding::ok(SPACE, message),
        }
    }

    pub(super) fn descriptors() -> Finding {
        // None stands for no limit.
        files(getrlimit(Resource::Nofile).current)
    }

    fn files(limit: Option<u64>) -> Finding {
        let message = match limit {
            Some(limit) => format!("a node that is started here can open {limit} files"),
            None => "a node that is started here can open any number of files".to_owned(),
        };
        let hint = format!(
            "run `ulimit -n {ENOUGH_FILES}` before `pelago start`, or set LimitNOFILE= in its unit"
        );
        match limit {
            Some(0..FEW_FILES) => Finding::problem("open files", message, hint),
            Some(FEW_FILES..ENOUGH_FILES) => Finding::warning("open files", message, hint),
            _ => Finding::ok("open files", message),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::cli::doctor::finding::Severity;

        fn set_mode(path: &Path, mode: u32) {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }

        #[test]
        fn a_folder_that_others_may_enter_is_a_problem_with_its_remedy() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path();
            set_mode(path, 0o700);
            assert_eq!(data_folder(path).state, Severity::Ok);
            set_mode(path, 0o750);
            let found = data_folder(path);
            assert_eq!(found.state, Severity::Problem);
            assert_eq!(found.hint, Some(format!("chmod 700 {}", path.display())));

            set_mode(path, 0o700);
            for key in crate::store::key_files(path) {
                fs::write(&key, "").unwrap();
                set_mode(&key, 0o644);
                let found = data_folder(path);
                assert_eq!(found.hint, Some(format!("chmod 600 {}", key.display())));
                fs::remove_file(&key).unwrap();
            }
            let file = path.join("file");
            fs::write(&file, "").unwrap();
            assert_eq!(
                data_folder(&file).state,
                Severity::Problem,
                "it is not a folder"
            );
            let missing = path.join("not/yet");
            assert_eq!(data_folder(&missing).state, Severity::Ok);
            assert_eq!(disk(&missing).check, SPACE);
        }

        #[test]
        fn little_space_and_few_files_are_reported() {
            let states = [0, NO_SPACE, LITTLE_SPACE].map(|free| space(free).state);
            assert_eq!(states, [Severity::Problem, Severity::Warning, Severity::Ok]);
            let states = [Some(64), Some(512), Some(4096), None].map(|limit| files(limit).state);
            assert_eq!(
                states,
                [
                    Severity::Problem,
                    Severity::Warning,
                    Severity::Ok,
                    Severity::Ok
                ]
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;
    use crate::cli::doctor::finding::Severity;

    #[test]
    fn a_clock_that_was_set_back_is_noticed_by_newer_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x"), "").unwrap();
        let now = SystemTime::now();
        assert_eq!(clock(folder.path(), now).state, Severity::Ok);
        let found = clock(folder.path(), now - Duration::from_secs(3 * 3600 + 30));
        assert_eq!(found.state, Severity::Problem);
        assert!(
            found.message.starts_with("it is 3 h 0 min "),
            "{}",
            found.message
        );
    }
}
