//! Mounts, disks and cgroups, which require root. Dropping them removes them.

use std::{
    fmt::Display,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};

use super::world::eventually;

/// Whether this process runs as root. If not, prints that `what` is skipped.
pub(crate) fn is_root(what: &str) -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0);
    if !is_root {
        eprintln!("skipped: {what} takes root");
    }
    is_root
}

/// Unmounts a disk, once no process uses it.
#[track_caller]
fn unmount(at: &impl Display) {
    eventually("the disk to be free", || run(&format!("umount {at}")).ok());
}

/// Unmounts an image, and waits for its loop device: the system frees it a moment later, and a mount
/// that found it again would lose it.
fn detach(at: &Path, image: &Path) {
    unmount(&at.display());
    eventually("the loop device to be free", || {
        let devices = Command::new("losetup").arg("-j").arg(image).output();
        devices.unwrap().stdout.is_empty().then_some(())
    });
}

/// Runs a command, whose words are separated by spaces.
pub(crate) fn run(line: &str) -> Result<(), String> {
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let output = Command::new(words.next().unwrap()).args(words).output();
    let output = output.map_err(|error| format!("{line}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

/// A mounted tmpfs.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts it at `path`. Prints why and returns `None` if that fails.
    pub(crate) fn new(path: PathBuf, options: &str) -> Option<Self> {
        if !is_root("a mount") {
            return None;
        }
        fs::create_dir_all(&path).unwrap();
        match run(&format!(
            "mount -t tmpfs -o {options} pelago {}",
            path.display()
        )) {
            Ok(()) => Some(Self(path)),
            Err(why) => {
                eprintln!("skipped: {why}");
                None
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Unmounts it, once no process uses it.
    #[track_caller]
    pub(crate) fn unmount(&self) {
        unmount(&self.0.display());
    }

    pub(crate) fn remount(&self, options: &str) {
        run(&format!("mount -o remount,{options} {}", self.0.display())).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(why) = run(&format!("umount -l {}", self.0.display())) {
            eprintln!("{why}");
        }
    }
}

/// A disk with exFAT, as cameras and USB sticks have it: without links and permissions, and names
/// that differ only in letter case are the same.
pub(crate) struct Exfat {
    device: String,
    image: PathBuf,
    at: PathBuf,
}

impl Exfat {
    /// Mounts a new disk at `path`. Prints why and returns `None` if that fails.
    pub(crate) fn new(path: &Path) -> Option<Self> {
        if !is_root("a disk") {
            return None;
        }
        let image = path.with_extension("image");
        fs::create_dir_all(path).unwrap();
        let file = fs::File::create(&image).unwrap();
        file.set_len(DISK_LEN).unwrap();
        let made = run(&format!("mkfs.exfat {}", image.display())).and_then(|()| {
            let output = Command::new("losetup")
                .args(["-f", "--show"])
                .arg(&image)
                .output();
            let output = output.map_err(|error| format!("losetup: {error}"))?;
            let device = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let disk = Self {
                device,
                image: image.clone(),
                at: path.to_owned(),
            };
            disk.try_mount().map(|()| disk)
        });
        made.inspect_err(|why| eprintln!("skipped: {why}")).ok()
    }

    fn try_mount(&self) -> Result<(), String> {
        run(&format!(
            "mount.exfat-fuse {} {}",
            self.device,
            self.at.display()
        ))
    }

    /// Unmounts it and mounts it again, which gives all files other inode numbers.
    pub(crate) fn mount_again(&self) {
        unmount(&self.at.display());
        self.try_mount().unwrap();
    }
}

impl Drop for Exfat {
    fn drop(&mut self) {
        // It may not be mounted: mounting it may have failed.
        let _ = run(&format!("umount -l {}", self.at.display()));
        if let Err(why) = run(&format!("losetup -d {}", self.device)) {
            eprintln!("{why}");
        }
        let _ = fs::remove_file(&self.image);
    }
}

/// An ext4 file system in a file, whose power can be cut.
pub(crate) struct Disk {
    image: PathBuf,
    at: PathBuf,
}

/// Bytes of a disk image.
const DISK_LEN: u64 = 96 << 20;

/// Calls `FS_IOC_SHUTDOWN` with the flag after which nothing is written any more, not even the
/// journal.
const SHUTDOWN: &str = r#"open(F, "<", $ARGV[0]) or die $!; my $flag = pack("L", 2); ioctl(F, 0x8004587d, $flag) or die $!"#;

impl Disk {
    /// Mounts a new disk at `path`; `options` are further ones for `mkfs.ext4`. Prints why and
    /// returns `None` if that fails.
    pub(crate) fn new(path: PathBuf, options: &str) -> Option<Self> {
        if !is_root("a disk") {
            return None;
        }
        let disk = Self {
            image: path.with_extension("image"),
            at: path,
        };
        fs::create_dir_all(&disk.at).unwrap();
        let file = fs::File::create(&disk.image).unwrap();
        file.set_len(DISK_LEN).unwrap();
        let image = disk.image.display();
        let made = run(format!("mkfs.ext4 -q -F {options} {image}").trim())
            .and_then(|()| disk.try_mount());
        match made {
            Ok(()) => Some(disk),
            Err(why) => {
                eprintln!("skipped: {why}");
                None
            }
        }
    }

    fn try_mount(&self) -> Result<(), String> {
        let (image, at) = (self.image.display(), self.at.display());
        run(&format!("mount -o loop {image} {at}"))
    }

    /// Cuts the power: nothing more reaches the disk. The story then kills the programs that have
    /// files there, and turns the power on with [`Disk::mount`].
    pub(crate) fn cut(&self) {
        let done = Command::new("perl")
            .arg("-e")
            .arg(SHUTDOWN)
            .arg(&self.at)
            .status();
        assert!(done.unwrap().success());
    }

    /// Sets the times of files, given by their paths on the disk, to `seconds` since 1970.
    pub(crate) fn set_times(&self, files: &[String], seconds: u64) {
        let fields = ["mtime", "ctime"];
        let commands = files.iter().flat_map(|file| {
            fields.map(|field| format!("set_inode_field {file} {field} @{seconds}\n"))
        });
        let script = self.image.with_extension("debugfs");
        fs::write(&script, commands.collect::<String>()).unwrap();
        detach(&self.at, &self.image);
        let (script, image) = (script.display(), self.image.display());
        run(&format!("debugfs -w -f {script} {image}")).unwrap();
        self.try_mount().unwrap();
    }

    /// Turns the power on again.
    pub(crate) fn mount(&self) {
        detach(&self.at, &self.image);
        self.try_mount().unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(why) = run(&format!("umount -l {}", self.at.display())) {
            eprintln!("{why}");
        }
    }
}

/// A cgroup with a memory limit.
pub(crate) struct MemoryGroup {
    folder: PathBuf,
    is_v2: bool,
}

impl MemoryGroup {
    /// A group whose processes may use `bytes` together. Prints why and returns `None` if that
    /// fails.
    pub(crate) fn new(bytes: u64) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !is_root("a cgroup") {
            return None;
        }
        let name = format!(
            "pelago-story-{}-{}",
            process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let is_v2 = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")
            .is_ok_and(|controllers| controllers.split_whitespace().any(|name| name == "memory"));
        let root = match is_v2 {
            true => "/sys/fs/cgroup",
            false => "/sys/fs/cgroup/memory",
        };
        let group = Self {
            folder: Path::new(root).join(name),
            is_v2,
        };
        match group.limit(bytes) {
            Ok(()) => Some(group),
            Err(error) => {
                eprintln!("skipped: a cgroup at {root}: {error}");
                None
            }
        }
    }

    fn limit(&self, bytes: u64) -> std::io::Result<()> {
        if self.is_v2 {
            // It may be enabled already.
            let _ = fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
        }
        fs::create_dir(&self.folder)?;
        let file = match self.is_v2 {
            true => "memory.max",
            false => "memory.limit_in_bytes",
        };
        fs::write(self.folder.join(file), bytes.to_string())
    }

    /// A shell command that enters the group and becomes `program`.
    pub(crate) fn line(&self, program: &str) -> String {
        let processes = self.folder.join("cgroup.procs");
        format!("echo $$ > {} && exec {program}", processes.display())
    }

    /// How many processes of the group the system has killed for lack of memory.
    pub(crate) fn killed(&self) -> u64 {
        let file = match self.is_v2 {
            true => "memory.events",
            false => "memory.oom_control",
        };
        let events = fs::read_to_string(self.folder.join(file)).unwrap();
        let killed = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        killed.map_or(0, |killed| killed.parse().unwrap())
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Its processes were killed, and leave the group a moment later.
        let removed = (0..100).any(|_| {
            let removed = fs::remove_dir(&self.folder).is_ok();
            if !removed {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            removed
        });
        if !removed {
            eprintln!("{} is still there", self.folder.display());
        }
    }
}
