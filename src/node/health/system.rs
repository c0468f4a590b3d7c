//! What the system allows this process, and how much of it the process uses.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What the system allows this process. A limit that the system does not report, or that does not
/// exist, is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemLimits {
    /// Files and connections that are open.
    pub open_files: Option<u64>,
    /// Files and connections that may be open.
    pub max_open_files: Option<u64>,
    /// Directories that the node has a watch of the system for.
    pub watches: u64,
    /// Watches that this user may have, in all programs.
    pub max_watches: Option<u64>,
    /// Bytes of memory that the process holds.
    pub memory: Option<u64>,
    /// The control group whose limit on memory is the smallest.
    pub cgroup: Option<String>,
    /// Bytes of memory in that group, the cache of files included.
    pub cgroup_memory: Option<u64>,
    /// Bytes of memory that the group may hold.
    pub max_cgroup_memory: Option<u64>,
    /// Bytes of memory for connections, as they follow from settings and limits.
    pub connections_budget: u64,
    /// Bytes that are fetched ahead of all readers together.
    pub read_ahead_budget: u64,
}

impl SystemLimits {
    /// Reads all of them. Blocks for a moment.
    pub(super) fn read(watches: u64) -> Self {
        let group = smallest_group(Path::new("/sys/fs/cgroup"), &read("/proc/self/cgroup"));
        Self {
            open_files: open_files(),
            max_open_files: max_open_files(),
            watches,
            max_watches: max_watches(),
            memory: resident(&read("/proc/self/status")),
            cgroup: group.as_ref().map(|group| group.name.clone()),
            cgroup_memory: group.as_ref().and_then(|group| group.used),
            max_cgroup_memory: group.map(|group| group.limit),
            ..Self::default()
        }
    }
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn number(path: impl AsRef<Path>) -> Option<u64> {
    read(path).trim().parse().ok()
}

fn open_files() -> Option<u64> {
    // The directory that is read is open itself.
    let open = fs::read_dir("/proc/self/fd").ok()?;
    Some((open.count() as u64).saturating_sub(1))
}

fn max_open_files() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    None
}

/// The machine has one limit, and each namespace of users may have a smaller one.
fn max_watches() -> Option<u64> {
    let limits = [
        "/proc/sys/fs/inotify/max_user_watches",
        "/proc/sys/user/max_inotify_watches",
    ];
    limits.iter().filter_map(number).min()
}

fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// A control group with a limit on memory.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    name: String,
    limit: u64,
    used: Option<u64>,
}

/// The smallest limit of the groups that this process is in; `groups` is its /proc/self/cgroup. A group
/// without a limit says "max", or a number near the largest one.
fn smallest_group(root: &Path, groups: &str) -> Option<Group> {
    const NO_LIMIT: u64 = 1 << 60;
    let mut found: Vec<Group> = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, name) = (fields.next()?, fields.next()?);
        let (root, limit, used) = match controllers {
            "" => (root.to_owned(), "memory.max", "memory.current"),
            _ if controllers.split(',').any(|one| one == "memory") => {
                let root = root.join("memory");
                (root, "memory.limit_in_bytes", "memory.usage_in_bytes")
            }
            _ => continue,
        };
        // A container sees its own group as the root, whatever it is called outside.
        let names = Path::new(name).ancestors().chain([Path::new("/")]);
        for name in names {
            let folder = root.join(name.strip_prefix("/").unwrap_or(name));
            let limited = number(folder.join(limit)).filter(|limit| *limit < NO_LIMIT);
            found.extend(limited.map(|limit| Group {
                name: name.display().to_string(),
                limit,
                used: number(folder.join(used)),
            }));
        }
    }
    found.into_iter().min_by_key(|group| group.limit)
}

/// A disk that the node writes to or reads from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskRoom {
    /// A folder on it.
    pub path: PathBuf,
    /// Bytes in all.
    pub size: u64,
    /// Bytes that are free for this user.
    pub free: u64,
    /// Bytes that downloads leave free.
    pub reserve: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_above_the_process_counts() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(smallest_group(root.path(), "0::/a/b\n"), None);
        put("a/b/memory.max", "max\n");
        put("a/memory.max", "1000\n");
        put("a/memory.current", "900\n");
        put("memory.max", "2000\n");
        let group = smallest_group(root.path(), "1:name=systemd:/x\n0::/a/b\n").unwrap();
        let (name, limit, used) = ("/a".to_owned(), 1000, Some(900));
        assert_eq!(group, Group { name, limit, used });
        // Version 1 has a hierarchy for each kind of limit, and a number for none.
        put("memory/c/memory.limit_in_bytes", "9223372036854771712\n");
        put("memory/memory.limit_in_bytes", "500\n");
        let group = smallest_group(root.path(), "4:cpu,memory:/c\n").unwrap();
        assert_eq!((&*group.name, group.limit, group.used), ("/", 500, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_limits() {
        let limits = SystemLimits::read(3);
        assert!(limits.open_files.unwrap() > 0 && limits.memory.unwrap() > 1 << 20);
        assert_eq!(limits.watches, 3);
        assert!(limits.max_watches.unwrap() > 0);
    }
}
