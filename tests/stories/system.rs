//! What only root can make: small mounts and network namespaces, gone when dropped.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};

/// Whether we may do what root may; else says what is skipped.
pub(crate) fn is_root(what: &str) -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0);
    if !is_root {
        eprintln!("skipped: {what} takes root");
    }
    is_root
}

fn run(line: &str) -> Result<(), String> {
    let mut words = line.split(' ');
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

/// A disk of its own.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// A disk at `path` that holds so much; `None` where that cannot be had, which it says.
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

/// Two network namespaces, joined by one cable.
pub(crate) struct Cable {
    pub(crate) left: String,
    pub(crate) right: String,
}

impl Cable {
    /// `None` where there can be none, which it says.
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !is_root("a network namespace") {
            return None;
        }
        let id = format!(
            "pelago-story-{}-{}",
            process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let cable = Self {
            left: format!("{id}-left"),
            right: format!("{id}-right"),
        };
        match cable.lay() {
            Ok(()) => Some(cable),
            Err(why) => {
                eprintln!("skipped: {why}");
                None
            }
        }
    }

    fn lay(&self) -> Result<(), String> {
        let Self { left, right } = self;
        for namespace in [left, right] {
            run(&format!("ip netns add {namespace}"))?;
            run(&format!("ip -n {namespace} link set lo up"))?;
        }
        run(&format!(
            "ip link add lan netns {left} type veth peer name lan netns {right}"
        ))?;
        for (namespace, address) in [(left, "10.77.0.1/24"), (right, "10.77.0.2/24")] {
            run(&format!("ip -n {namespace} address add {address} dev lan"))?;
            run(&format!("ip -n {namespace} link set lan up"))?;
        }
        Ok(())
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in [&self.left, &self.right] {
            // It may not have been made.
            let _ = run(&format!("ip netns delete {namespace}"));
        }
    }
}

/// A disk of its own with exFAT on it, as cameras and sticks have: no links, no permissions, no two names that
/// differ in letter case.
pub(crate) struct Exfat {
    device: String,
    image: PathBuf,
    at: PathBuf,
}

impl Exfat {
    /// A disk at `path`; `None` where that cannot be had, which it says.
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

    /// Mounts it again: all files have other numbers then.
    pub(crate) fn mount_again(&self) {
        let at = self.at.display();
        super::world::eventually("the disk to be free", || run(&format!("umount {at}")).ok());
        self.try_mount().unwrap();
    }
}

impl Drop for Exfat {
    fn drop(&mut self) {
        // It may not have been mounted.
        let _ = run(&format!("umount -l {}", self.at.display()));
        if let Err(why) = run(&format!("losetup -d {}", self.device)) {
            eprintln!("{why}");
        }
        let _ = fs::remove_file(&self.image);
    }
}

/// A disk of its own that is an ext4 file system in a file, and whose power can be cut.
pub(crate) struct Disk {
    image: PathBuf,
    at: PathBuf,
}

/// Bytes of a disk.
const DISK_LEN: u64 = 96 << 20;

/// `FS_IOC_SHUTDOWN`, and the flag with which nothing more is written, the journal included.
const SHUTDOWN: &str = r#"open(F, "<", $ARGV[0]) or die $!; my $flag = pack("L", 2); ioctl(F, 0x8004587d, $flag) or die $!"#;

impl Disk {
    /// A disk at `path`, made with more options for `mkfs.ext4`; `None` where that cannot be had, which it
    /// says.
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

    /// The power goes: nothing more reaches the disk. Whoever has files there is to be killed, then the
    /// power comes back with [`Disk::mount`].
    pub(crate) fn cut(&self) {
        let done = Command::new("perl")
            .arg("-e")
            .arg(SHUTDOWN)
            .arg(&self.at)
            .status();
        assert!(done.unwrap().success());
    }

    /// The power is back.
    pub(crate) fn mount(&self) {
        let at = self.at.display();
        super::world::eventually("the disk to be free", || run(&format!("umount {at}")).ok());
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
