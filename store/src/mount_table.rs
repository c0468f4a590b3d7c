//! The mounted file systems: which are at, below or above a folder, which of them raise no event
//! for changes that another machine or mount makes, and on which a call may never return.
//!
//! Reads `/proc/self/mountinfo`: a few kilobytes that the system has in memory.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Where the system lists the mounts of this process.
#[cfg(target_os = "linux")]
const MOUNT_INFO: &str = "/proc/self/mountinfo";

/// The file system types whose content changes without an event, by the start of their names. The
/// name of a program follows `fuse.`, and any such program may show files that are stored
/// elsewhere. `fuseblk` has a disk of its own, to which no other machine writes.
const SILENT: [&str; 17] = [
    "nfs",
    "cifs",
    "smb",
    "fuse.",
    "9p",
    "virtiofs",
    "afs",
    "ceph",
    "coda",
    "gfs",
    "ocfs2",
    "glusterfs",
    "lustre",
    "ncpfs",
    "vboxsf",
    "prl_fs",
    "drvfs",
];

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPoint {
    /// A number that each mount changes.
    pub(super) id: u64,
    /// Where it is visible.
    pub path: PathBuf,
    /// Its type, such as `ext4`.
    pub kind: String,
}

impl MountPoint {
    /// Whether changes may come without an event.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.kind == "fuse" || SILENT.iter().any(|kind| self.kind.starts_with(kind))
    }

    /// Whether another machine or a program answers, so that a call may never return.
    pub(super) fn may_hang(&self) -> bool {
        self.is_silent() || self.kind.starts_with("fuse")
    }
}

/// All mounted file systems, those mounted last at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountTable(Vec<MountPoint>);

impl MountTable {
    /// The file systems that are mounted now.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub fn read() -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        return Ok(Self::parse(&std::fs::read(MOUNT_INFO)?));
        #[cfg(not(target_os = "linux"))]
        Ok(Self::default())
    }

    /// All of them.
    pub(super) fn mounts(&self) -> &[MountPoint] {
        &self.0
    }

    #[cfg(target_os = "linux")]
    fn parse(text: &[u8]) -> Self {
        let lines = text.split(|byte| *byte == b'\n');
        Self(lines.filter_map(parse_line).collect())
    }

    /// The file system that contains `path`.
    #[must_use]
    pub fn holding(&self, path: &Path) -> Option<&MountPoint> {
        let holding = self.0.iter().filter(|mount| path.starts_with(&mount.path));
        // The last of several mounts at one path is visible.
        holding.max_by_key(|mount| mount.path.as_os_str().len())
    }

    /// The visible file systems below `folder`, and the one that contains it.
    #[must_use]
    pub fn around(&self, folder: &Path) -> Vec<&MountPoint> {
        let below = self.0.iter().filter(|mount| mount.path.starts_with(folder));
        let mut paths: Vec<_> = below.map(|mount| &*mount.path).chain([folder]).collect();
        paths.sort_unstable();
        paths.dedup();
        let mut around: Vec<_> = paths.iter().filter_map(|path| self.holding(path)).collect();
        around.dedup();
        around
    }

    /// The places in `folder` where other file systems are visible than `before`: the folder itself
    /// if the change is there or above.
    #[must_use]
    pub fn changed(&self, before: &Self, folder: &Path) -> Vec<PathBuf> {
        if self.holding(folder) != before.holding(folder) {
            return vec![folder.to_owned()];
        }
        let all = self.0.iter().chain(&before.0);
        let below = all.filter(|mount| mount.path.starts_with(folder));
        let mut changed: Vec<_> = below
            .map(|mount| &mount.path)
            .filter(|path| self.holding(path) != before.holding(path))
            .cloned()
            .collect();
        changed.sort_unstable();
        changed.dedup();
        changed
    }
}

/// Parses one line; see proc_pid_mountinfo(5). `None` if it is malformed.
#[cfg(target_os = "linux")]
fn parse_line(line: &[u8]) -> Option<MountPoint> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let path = fields.nth(3)?;
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some(MountPoint {
        id,
        path: unescape(path),
        kind: String::from_utf8_lossy(kind).into_owned(),
    })
}

/// Decodes a path in which spaces, tabs, line breaks and backslashes are octal numbers.
#[cfg(target_os = "linux")]
fn unescape(path: &[u8]) -> PathBuf {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};

    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, others)) = rest.split_first() {
        let digits = others.first_chunk::<3>();
        let number = digits.filter(|_| *first == b'\\').and_then(|digits| {
            let text = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(text, 8).ok()
        });
        bytes.push(number.unwrap_or(*first));
        rest = &others[if number.is_some() { 3 } else { 0 }..];
    }
    OsString::from_vec(bytes).into()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:25 / /mnt/music\\040and\\134more rw shared:9 master:2 - nfs4 server:/x rw
31 22 0:26 / /mnt/disk rw - tmpfs tmpfs rw
32 31 0:27 / /mnt/disk/deep rw - fuse.bindfs /elsewhere rw
33 31 0:28 / /mnt/disk/deep rw - fuseblk /dev/sdb1 rw
line noise";

    fn paths(mounts: &[&MountPoint]) -> Vec<(String, bool)> {
        let shown = |mount: &&MountPoint| (mount.path.display().to_string(), mount.is_silent());
        mounts.iter().map(shown).collect()
    }

    #[test]
    fn mounts_are_read_and_the_visible_ones_found() {
        let mounts = MountTable::parse(TEXT);
        assert_eq!(mounts.0.len(), 5);
        let at = |path: &str| mounts.holding(Path::new(path)).unwrap().kind.clone();
        assert_eq!(at("/mnt/music and\\more/x"), "nfs4");
        assert_eq!(
            at("/mnt/disk/deep/x"),
            "fuseblk",
            "the last one covers the others"
        );
        assert_eq!(at("/mnt/diskette"), "ext4");
        let around = mounts.around(Path::new("/mnt/disk"));
        let expected = [("/mnt/disk", false), ("/mnt/disk/deep", false)];
        assert_eq!(
            paths(&around),
            expected.map(|(path, is)| (path.to_owned(), is))
        );
        let around = mounts.around(Path::new("/mnt/music and\\more/deep"));
        assert_eq!(paths(&around), [("/mnt/music and\\more".to_owned(), true)]);
    }

    #[test]
    fn file_systems_that_others_change_are_silent() {
        let is_silent = |kind: &str| {
            let (id, path) = (1, PathBuf::new());
            let kind = kind.to_owned();
            MountPoint { id, path, kind }.is_silent()
        };
        for kind in [
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "fuse",
            "fuse.sshfs",
            "fuse.bindfs",
            "9p",
        ] {
            assert!(is_silent(kind), "{kind}");
        }
        for kind in [
            "ext4", "btrfs", "xfs", "tmpfs", "vfat", "exfat", "fuseblk", "overlay", "zfs",
        ] {
            assert!(!is_silent(kind), "{kind}");
        }
    }

    #[test]
    fn a_change_names_the_folders_that_show_something_else() {
        let all = MountTable::parse(TEXT);
        let without = |id: u64| MountTable(all.0.iter().filter(|m| m.id != id).cloned().collect());
        let changed = |now: &MountTable, folder: &str| -> Vec<_> {
            let changed = now.changed(&all, Path::new(folder));
            changed
                .iter()
                .map(|path| path.display().to_string())
                .collect()
        };
        assert!(changed(&all, "/mnt").is_empty());
        assert_eq!(changed(&without(33), "/mnt"), ["/mnt/disk/deep"]);
        assert!(changed(&without(32), "/mnt").is_empty(), "it was hidden");
        assert_eq!(
            changed(&without(33), "/mnt/disk/deep/er"),
            ["/mnt/disk/deep/er"]
        );
        assert!(changed(&without(33), "/home").is_empty());
        // Mounted again, with another number.
        let mut again = all.clone();
        again.0[2].id = 99;
        assert_eq!(changed(&again, "/mnt"), ["/mnt/disk"]);
    }

    #[test]
    fn this_machine_has_mounts() {
        let mounts = MountTable::read().unwrap();
        assert!(mounts.holding(Path::new("/proc")).is_some(), "{mounts:?}");
    }
}
