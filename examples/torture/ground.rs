//! The disk of the victim: a folder, a disk that loses power, one that fails, or one that is full.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use crate::{Failure, tools::run};

/// Bytes of the disk that loses power; large enough for an episode.
const IMAGE_BYTES: u64 = 128 << 20;

/// Bytes that the image of the disk that fails may take, and a little for its file system.
const BACKING: &str = "size=140m";

/// Bytes of the disk that becomes full.
const SMALL: &str = "size=120m";

const FILLER: &str = "filler";

/// Attempts to unmount a disk whose processes were killed a moment ago.
const ATTEMPTS: u32 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// A folder of the disk that the tests are on.
    Folder,
    /// An ext4 file system in a file, whose power can be cut.
    Power,
    /// The same on a disk without space for blocks that it has not written before: data is lost with an I/O
    /// error, whichever calls the victim makes.
    Failing,
    /// A tmpfs.
    Small,
}

/// Whether this process has the rights of root.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0)
}

/// A disk; dropping this removes it.
pub(crate) struct Ground {
    sort: Sort,
    folder: PathBuf,
    mounts: Vec<PathBuf>,
    /// Further mount options.
    options: String,
    /// The number of mounts so far, from which the options follow.
    count: usize,
}

impl Ground {
    pub(crate) fn new(sort: Sort, folder: PathBuf, options: &str) -> Result<Self, Failure> {
        let mut ground = Self {
            sort,
            folder,
            mounts: Vec::new(),
            options: options.to_owned(),
            count: 0,
        };
        let root = ground.root();
        fs::create_dir_all(&root)?;
        match sort {
            Sort::Folder => {}
            Sort::Small => ground.tmpfs(&root, SMALL)?,
            Sort::Power => ground.make_image()?,
            Sort::Failing => {
                let backing = ground.backing();
                fs::create_dir_all(&backing)?;
                ground.tmpfs(&backing, BACKING)?;
                ground.make_image()?;
            }
        }
        Ok(ground)
    }

    /// The folder of the victim.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("disk")
    }

    fn backing(&self) -> PathBuf {
        self.folder.join("backing")
    }

    fn image(&self) -> PathBuf {
        match self.sort {
            Sort::Failing => self.backing().join("image"),
            _ => self.folder.join("image"),
        }
    }

    fn tmpfs(&mut self, at: &Path, options: &str) -> Result<(), Failure> {
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "pelago"])
            .arg(at))?;
        self.mounts.push(at.to_owned());
        Ok(())
    }

    fn make_image(&mut self) -> Result<(), Failure> {
        File::create(self.image())?.set_len(IMAGE_BYTES)?;
        // The journal has its space from the beginning, so that only data fails.
        let options = [
            "-q",
            "-F",
            "-m",
            "0",
            "-E",
            "lazy_itable_init=0,lazy_journal_init=0",
        ];
        run(Command::new("mkfs.ext4").args(options).arg(self.image()))?;
        self.mount()
    }

    fn mount(&mut self) -> Result<(), Failure> {
        // With a commit each second, metadata is more often newer than data.
        let mut options = ["loop,commit=1", "loop"][self.count % 2].to_owned();
        if !self.options.is_empty() {
            options = format!("{options},{}", self.options);
        }
        self.count += 1;
        let root = self.root();
        run(Command::new("mount")
            .args(["-o", &options])
            .arg(self.image())
            .arg(&root))?;
        self.mounts.push(root);
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), Failure> {
        let root = self.root();
        let mut last = Ok(String::new());
        for _ in 0..ATTEMPTS {
            last = run(Command::new("umount").arg(&root));
            if last.is_ok() {
                self.mounts.retain(|mount| *mount != root);
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        last.map(drop)
    }

    pub(crate) fn sort(&self) -> Sort {
        self.sort
    }

    /// Whether its content can be read from the disk again.
    pub(crate) fn is_image(&self) -> bool {
        matches!(self.sort, Sort::Power | Sort::Failing)
    }

    /// Turns the power on again: the disk has only what was written to it.
    pub(crate) fn mount_again(&mut self) -> Result<(), Failure> {
        self.unmount()?;
        self.mount()
    }

    /// Fills the disk, or the disk below the one that fails, except `left` bytes.
    pub(crate) fn fill(&self, left: u64) -> Result<(), Failure> {
        let folder = match self.sort {
            Sort::Failing => {
                // Free blocks lose their space.
                run(Command::new("fstrim").arg(self.root()))?;
                self.backing()
            }
            _ => self.root(),
        };
        let path = folder.join(FILLER);
        let mut file = File::create(&path)?;
        // Most of it in one call.
        let free = rustix::fs::fstatvfs(&file)?;
        let most = (free.f_bavail * free.f_frsize).saturating_sub(4 << 20);
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, most.max(1))?;
        file.seek(SeekFrom::End(0))?;
        let block = vec![1; 64 << 10];
        while file.write_all(&block).is_ok() {}
        let block = vec![1; 4 << 10];
        while file.write_all(&block).is_ok() {}
        let size = file.metadata()?.len();
        file.set_len(size.saturating_sub(left))?;
        Ok(())
    }

    /// Bytes that are free on it.
    pub(crate) fn free(&self) -> Result<u64, Failure> {
        let disk = rustix::fs::statvfs(self.root())?;
        Ok(disk.f_bavail * disk.f_frsize)
    }

    /// Frees the space again.
    pub(crate) fn empty(&self) -> Result<(), Failure> {
        let folder = match self.sort {
            Sort::Failing => self.backing(),
            _ => self.root(),
        };
        match fs::remove_file(folder.join(FILLER)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Makes everything durable that is written so far.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        let folder = File::open(self.root())?;
        if self.sort == Sort::Failing {
            // Reports errors that were injected before.
            let _ = rustix::fs::syncfs(&folder);
        }
        Ok(rustix::fs::syncfs(folder)?)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for mount in self.mounts.iter().rev() {
            if let Err(why) = run(Command::new("umount").arg("-l").arg(mount)) {
                eprintln!("{why}");
            }
        }
    }
}

/// Which calls fail, and how; see `shim.c`.
pub(crate) struct Faults(File);

impl Faults {
    const ERRORS: [u32; 2] = [5, 28];

    pub(crate) fn new(path: &Path, seed: u64) -> Result<Self, Failure> {
        let mut options = File::options();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        file.write_all_at(&[0; 32], 0)?;
        file.write_all_at(&seed.to_ne_bytes(), 16)?;
        Ok(Self(file))
    }

    /// From now on, `per_mille` of a thousand calls of these kinds (bits: writes, syncs, renames) fail with
    /// EIO or ENOSPC.
    pub(crate) fn begin(&self, per_mille: u32, kinds: u32, is_full: bool) -> Result<(), Failure> {
        let error = Self::ERRORS[usize::from(is_full)];
        for (at, number) in [(4, per_mille), (8, error), (12, kinds), (0, 1)] {
            self.0.write_all_at(&number.to_ne_bytes(), at)?;
        }
        Ok(())
    }

    pub(crate) fn end(&self) -> Result<(), Failure> {
        Ok(self.0.write_all_at(&0_u32.to_ne_bytes(), 0)?)
    }

    /// Calls that failed so far.
    pub(crate) fn count(&self) -> Result<u64, Failure> {
        let mut number = [0; 8];
        self.0.read_exact_at(&mut number, 24)?;
        Ok(u64::from_ne_bytes(number))
    }
}
