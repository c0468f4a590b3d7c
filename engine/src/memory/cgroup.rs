//! The control group that limits the memory of this process.

use std::path::{Path, PathBuf};

use super::proc::read;

/// A control group with a limit on memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Its path, from the root of the mounted hierarchy.
    pub name: String,
    /// Bytes of memory that the group may hold.
    pub limit: u64,
    /// Bytes of memory that it holds, the cache of files included.
    pub used: Option<u64>,
}

impl Cgroup {
    /// The group with the smallest limit among those that contain this process.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        smallest_group(read)
    }
}

fn smallest_group(read: impl Fn(&Path) -> Option<String>) -> Option<Cgroup> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let mounts = read(Path::new("/proc/self/mountinfo"))?;
    let mounts: Vec<Mount<'_>> = mounts.lines().filter_map(Mount::parse).collect();
    let number = |path: PathBuf| read(&path)?.trim().parse::<u64>().ok();
    let mut found: Vec<Cgroup> = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (is_v2, limits, used): (bool, &[&str], &str) = match controllers {
            "" => (true, &["memory.max", "memory.high"], "memory.current"),
            _ if has_word(controllers, "memory") => {
                (false, &["memory.limit_in_bytes"], "memory.usage_in_bytes")
            }
            _ => continue,
        };
        let Some(mount) = mounts.iter().find(|mount| mount.is_v2 == is_v2) else {
            continue;
        };
        for folder in mount.folders_of(path) {
            // "max" means unlimited. Version 1 writes a number that exceeds any machine instead.
            let limits = limits.iter().filter_map(|file| number(folder.join(file)));
            let limit = limits.filter(|limit| *limit < 1 << 60).min();
            let inner = folder.strip_prefix(mount.at).unwrap_or(&folder);
            found.extend(limit.map(|limit| Cgroup {
                name: Path::new("/").join(inner).display().to_string(),
                limit,
                used: number(folder.join(used)),
            }));
        }
    }
    found.into_iter().min_by_key(|group| group.limit)
}

fn has_word(list: &str, word: &str) -> bool {
    list.split(',').any(|entry| entry == word)
}

/// Where a hierarchy of cgroups that limits memory is mounted.
#[derive(Debug)]
struct Mount<'a> {
    is_v2: bool,
    /// The group that is the root of this mount.
    root: &'a str,
    at: &'a str,
}

impl<'a> Mount<'a> {
    /// Parses a line of `/proc/self/mountinfo`. `None` for other file systems.
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let (file_system, options) = (kind.next()?, kind.nth(1)?);
        let is_v2 = match file_system {
            "cgroup2" => true,
            "cgroup" if has_word(options, "memory") => false,
            _ => return None,
        };
        let mut mount = mount.split(' ').skip(3);
        Some(Self {
            is_v2,
            root: mount.next()?,
            at: mount.next()?,
        })
    }

    /// The folders of the group `path` and of all groups above it that are mounted.
    fn folders_of(&self, path: &str) -> Vec<PathBuf> {
        let at = Path::new(self.at);
        let below = Path::new(path).strip_prefix(self.root).ok();
        // In a container the group may be outside the mounted hierarchy: then the root counts.
        let below = below.filter(|below| below.components().all(is_name));
        let folder = at.join(below.unwrap_or(Path::new("")));
        let above = folder
            .ancestors()
            .take_while(|folder| folder.starts_with(at));
        above.map(Path::to_path_buf).collect()
    }
}

fn is_name(component: std::path::Component<'_>) -> bool {
    matches!(component, std::path::Component::Normal(_))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn group(files: &[(&str, &str)]) -> Option<Cgroup> {
        let files: HashMap<_, _> = files.iter().copied().collect();
        smallest_group(|path| files.get(path.to_str()?).map(|text| (*text).to_owned()))
    }

    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        group(files).map(|group| group.limit)
    }

    const V2: &str = "31 24 0:27 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let files = [
            ("/proc/self/cgroup", "0::/user.slice/node.scope\n"),
            ("/proc/self/mountinfo", V2),
            ("/sys/fs/cgroup/user.slice/node.scope/memory.max", "max\n"),
            ("/sys/fs/cgroup/user.slice/node.scope/memory.high", "max\n"),
            ("/sys/fs/cgroup/user.slice/memory.max", "100663296\n"),
        ];
        assert_eq!(limit(&files), Some(96 * MIB));
        let throttled = (
            "/sys/fs/cgroup/user.slice/node.scope/memory.high",
            "67108864\n",
        );
        assert_eq!(
            limit(&[&files[..3], &[throttled], &files[4..]].concat()),
            Some(64 * MIB)
        );
        assert_eq!(limit(&files[..4]), None);
        assert_eq!(limit(&files[1..]), None);
    }

    #[test]
    fn the_group_of_the_limit_is_named_with_what_it_holds() {
        let mut files = vec![
            ("/proc/self/cgroup", "1:name=systemd:/x\n0::/a/b\n"),
            ("/proc/self/mountinfo", V2),
        ];
        assert_eq!(group(&files), None);
        files.extend([
            ("/sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("/sys/fs/cgroup/a/memory.max", "1000\n"),
            ("/sys/fs/cgroup/a/memory.current", "900\n"),
            ("/sys/fs/cgroup/memory.max", "2000\n"),
        ]);
        let (name, limit, used) = ("/a".to_owned(), 1000, Some(900));
        assert_eq!(group(&files), Some(Cgroup { name, limit, used }));
        // Version 1 has a hierarchy for each kind of limit, and a number for none.
        let files = [
            ("/proc/self/cgroup", "4:cpu,memory:/c\n"),
            (
                "/proc/self/mountinfo",
                "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            ),
            (
                "/sys/fs/cgroup/memory/c/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "500\n"),
        ];
        let (name, limit, used) = ("/".to_owned(), 500, None);
        assert_eq!(group(&files), Some(Cgroup { name, limit, used }));
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_root() {
        let own = "31 24 0:27 /../.. /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        for (path, mounts) in [("0::/\n", V2), ("0::/../..\n", V2), ("0::/x\n", own)] {
            let files = [
                ("/proc/self/cgroup", path),
                ("/proc/self/mountinfo", mounts),
                ("/sys/fs/cgroup/memory.max", "104857600"),
            ];
            assert_eq!(limit(&files), Some(100 * MIB), "{path}");
        }
    }

    #[test]
    fn version_1_is_read_too() {
        let mounts = "35 31 0:32 /docker/7f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let files = [
            (
                "/proc/self/cgroup",
                "4:memory,hugetlb:/docker/7f/a\n3:cpu:/x\n0::/\n",
            ),
            ("/proc/self/mountinfo", mounts),
            (
                "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n"),
        ];
        assert_eq!(limit(&files), Some(64 * MIB));
        assert_eq!(
            limit(&files[..3]),
            None,
            "the largest number means unlimited"
        );
    }

    #[test]
    fn other_text_sets_no_limit() {
        let nonsense = [
            ("/proc/self/cgroup", "nonsense\n4:memory\n0::/\n::\n"),
            (
                "/proc/self/mountinfo",
                "a - b\n\n31 24 0:27 / /x rw - tmpfs tmpfs rw,memory\n",
            ),
        ];
        assert_eq!(limit(&nonsense), None);
    }
}
