//! The limits of the system for this process, and how much of them the process uses.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::memory::{Cgroup, anonymous_bytes};

/// The limits of the system for this process. A limit that the system does not report, or that does
/// not exist, is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemLimits {
    /// How many files and connections are open.
    pub open_files: Option<u64>,
    /// How many files and connections may be open.
    pub max_open_files: Option<u64>,
    /// How many directories the node watches through the system.
    pub watches: u64,
    /// How many watches this user may have, in all programs.
    pub max_watches: Option<u64>,
    /// Bytes of memory that the process holds, without those of its program file.
    pub memory: Option<u64>,
    /// The control group whose limit on memory is the smallest.
    pub cgroup: Option<String>,
    /// Bytes of memory in that group, the cache of files included.
    pub cgroup_memory: Option<u64>,
    /// Bytes of memory that the group may hold.
    pub max_cgroup_memory: Option<u64>,
    /// Bytes of memory for connections, by settings and limits.
    pub connections_budget: u64,
    /// Bytes that the node fetches ahead of all readers together.
    pub read_ahead_budget: u64,
}

impl SystemLimits {
    /// Reads all of them. Blocks for a moment.
    pub(super) fn read(watches: u64) -> Self {
        let group = Cgroup::of_this_process();
        Self {
            open_files: open_files(),
            max_open_files: max_open_files(),
            watches,
            max_watches: max_watches(),
            memory: anonymous_bytes(),
            cgroup: group.as_ref().map(|group| group.name.clone()),
            cgroup_memory: group.as_ref().and_then(|group| group.used),
            max_cgroup_memory: group.map(|group| group.limit),
            ..Self::default()
        }
    }
}

fn number(path: impl AsRef<Path>) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn open_files() -> Option<u64> {
    // The directory itself is open while it is read.
    let open = fs::read_dir("/proc/self/fd").ok()?;
    Some((open.count() as u64).saturating_sub(1))
}

fn max_open_files() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    None
}

/// The machine has one limit, and each user namespace may have a smaller one.
fn max_watches() -> Option<u64> {
    let limits = [
        "/proc/sys/fs/inotify/max_user_watches",
        "/proc/sys/user/max_inotify_watches",
    ];
    limits.iter().filter_map(number).min()
}

/// A disk that the node writes to or reads from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// A folder on it.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that are free for this user.
    pub free: u64,
    /// Bytes that downloads leave free.
    pub reserve: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_limits() {
        let limits = SystemLimits::read(3);
        assert!(limits.open_files.unwrap() > 0 && limits.memory.unwrap() > 1 << 20);
        assert_eq!(limits.watches, 3);
        assert!(limits.max_watches.unwrap() > 0);
    }
}
