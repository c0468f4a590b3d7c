//! The reserve on each disk: how many bytes stay free, and which writers may still write.
//!
//! Downloads, dropped files and the gateway's cache share one reserve, so that the node's database
//! and the rest of the system keep working. The cache keeps twice the reserve free, and frees space
//! when another writer needs it. This module never writes. If the system does not report the size
//! of a disk, everything is allowed. A refusal is an [`io::Error`] of the kind
//! [`StorageFull`](io::ErrorKind::StorageFull).

use std::{
    collections::HashMap,
    fmt, io,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{byte_size::ByteSize, dir::Dir};

/// The reserve on a large disk, in bytes: enough for the database, logs and small updates of the
/// system.
const MAX_RESERVE: u64 = 64 << 20;

/// The reserve is at most one part in 20 of the disk, so that a small disk stays useful.
const RESERVE_PART: u64 = 20;

/// Writers may write this many bytes before the disk is measured again.
const MEASURED_BYTES: u64 = 64 << 20;

/// How long a measurement is valid: other programs write as well.
const MEASURED_INTERVAL: Duration = Duration::from_millis(250);

/// The size of a disk and its free space, as the system reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The size of the disk, in bytes.
    pub size: u64,
    /// Bytes that are free for this user.
    pub free: u64,
}

/// The kind of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// A download, or a file that a person dropped on the page. Its content is permanent.
    Permanent,
    /// The gateway's cache, which frees space for the other writers.
    Cache,
}

impl Disk {
    /// Bytes that stay free.
    #[must_use]
    pub fn reserve(self) -> u64 {
        MAX_RESERVE.min(self.size / RESERVE_PART)
    }

    /// Bytes that `writer` may still write.
    #[must_use]
    pub fn space_for(self, writer: Writer) -> u64 {
        let kept = match writer {
            Writer::Permanent => self.reserve(),
            Writer::Cache => 2 * self.reserve(),
        };
        self.free.saturating_sub(kept)
    }

    /// Bytes that the cache has to free while clients read, so that the chunks in flight fit.
    fn excess_of_cache(self) -> u64 {
        (3 * self.reserve()).saturating_sub(self.free)
    }
}

/// The last measurement of a disk, and the bytes written since.
struct Measurement {
    at: Instant,
    disk: Disk,
    written: u64,
}

impl Measurement {
    const fn new(disk: Disk, at: Instant) -> Self {
        let written = 0;
        Self { at, disk, written }
    }

    /// Whether `len` more bytes can be allowed without measuring the disk again.
    fn covers(&self, writer: Writer, len: u64, now: Instant) -> bool {
        let is_fresh = now.duration_since(self.at) < MEASURED_INTERVAL;
        is_fresh && self.written + len <= MEASURED_BYTES && len <= self.left().space_for(writer)
    }

    fn left(&self) -> Disk {
        let free = self.disk.free.saturating_sub(self.written);
        Disk { free, ..self.disk }
    }
}

/// Something on a disk: an open file or folder, or a path that exists.
pub trait OnDisk {
    /// The device number of the disk; `None` where the system does not report it.
    fn device(&self) -> Option<u64>;

    /// The current state of the disk; `None` where the system does not report it.
    fn disk(&self) -> Option<Disk>;
}

#[cfg(unix)]
mod system {
    use std::{fs::File, path::Path};

    use rustix::fs::{StatVfs, fstat, fstatvfs, stat, statvfs};

    use super::{Disk, OnDisk};

    /// Disks without a limit, and some network file systems, report a size of zero.
    fn measured(disk: &StatVfs) -> Option<Disk> {
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        let measured = Disk {
            size: bytes(disk.f_blocks),
            free: bytes(disk.f_bavail),
        };
        (measured.size > 0).then_some(measured)
    }

    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_cast,
        reason = "its type differs between systems"
    )]
    impl OnDisk for File {
        fn device(&self) -> Option<u64> {
            Some(fstat(self).ok()?.st_dev as u64)
        }

        fn disk(&self) -> Option<Disk> {
            measured(&fstatvfs(self).ok()?)
        }
    }

    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_cast,
        reason = "its type differs between systems"
    )]
    impl OnDisk for Path {
        fn device(&self) -> Option<u64> {
            Some(stat(self).ok()?.st_dev as u64)
        }

        fn disk(&self) -> Option<Disk> {
            measured(&statvfs(self).ok()?)
        }
    }
}

impl OnDisk for Dir {
    fn device(&self) -> Option<u64> {
        self.as_file()?.device()
    }

    fn disk(&self) -> Option<Disk> {
        self.as_file()?.disk()
    }
}

#[cfg(not(unix))]
mod system {
    use std::{fs::File, path::Path};

    use super::{Disk, OnDisk};

    impl OnDisk for File {
        fn device(&self) -> Option<u64> {
            None
        }

        fn disk(&self) -> Option<Disk> {
            None
        }
    }

    impl OnDisk for Path {
        fn device(&self) -> Option<u64> {
            None
        }

        fn disk(&self) -> Option<Disk> {
            None
        }
    }
}

/// The disks that a node writes to. A handle: clones share their state.
#[derive(Clone, Default)]
pub struct DiskSpace(Arc<DiskSpaceInner>);

#[derive(Default)]
struct DiskSpaceInner {
    measurements: Mutex<HashMap<u64, Measurement>>,
    yielding: OnceLock<YieldingCache>,
    /// Locked while the cache frees space. Writers that wait for it measure the disk again
    /// afterwards.
    relieving: Mutex<()>,
}

/// A cache that frees space when other writers need it.
struct YieldingCache {
    device: u64,
    held: Box<dyn Fn() -> u64 + Send + Sync>,
    give_up: Box<dyn Fn(u64) + Send + Sync>,
}

impl DiskSpace {
    /// Checks that `writer` may write `len` more bytes to the disk of `at`, and counts them. Costs
    /// one `fstat`, and one `statvfs` every 64 MiB or 250 ms. Blocks, because the cache may have to
    /// free space first.
    ///
    /// # Errors
    ///
    /// [`StorageFull`](io::ErrorKind::StorageFull) if less than the reserve would stay free.
    pub fn check<D: OnDisk + ?Sized>(&self, writer: Writer, at: &D, len: u64) -> io::Result<()> {
        self.ask(at, || self.refusal(writer, at, len), writer, len)
    }

    /// Checks, before the first byte is written, that the disk has space for `len` bytes now. Does
    /// not count them as written.
    ///
    /// # Errors
    ///
    /// See [`DiskSpace::check`].
    pub fn check_all<D: OnDisk + ?Sized>(
        &self,
        writer: Writer,
        at: &D,
        len: u64,
    ) -> io::Result<()> {
        let refusal = || {
            let disk = at.disk()?;
            (len > disk.space_for(writer)).then_some(OutOfSpace { disk })
        };
        self.ask(at, refusal, writer, len)
    }

    /// Why `len` more bytes do not fit on the disk of `at`; `None` if they fit. The bytes that the
    /// cache holds there count as free.
    pub fn shortage<D: OnDisk + ?Sized>(&self, at: &D, len: u64) -> Option<Shortage> {
        let disk = at.disk()?;
        let is_here = |cache: &&YieldingCache| Some(cache.device) == at.device();
        let held = self.0.yielding.get().filter(is_here);
        let held = held.map_or(0, |cache| (cache.held)());
        let available = disk.space_for(Writer::Permanent).saturating_add(held);
        let (needed, reserve) = (len, disk.reserve());
        (needed > available).then_some(Shortage {
            needed,
            available,
            reserve,
        })
    }

    /// Checks for a refusal, and checks again after the cache has freed space.
    fn ask<D: OnDisk + ?Sized>(
        &self,
        at: &D,
        refusal: impl Fn() -> Option<OutOfSpace>,
        writer: Writer,
        len: u64,
    ) -> io::Result<()> {
        let Some(full) = refusal() else {
            return Ok(());
        };
        let is_here = |cache: &&YieldingCache| Some(cache.device) == at.device();
        let yielding = self.0.yielding.get().filter(is_here);
        let Some(cache) = yielding.filter(|_| writer == Writer::Permanent) else {
            return Err(full.into());
        };
        let _relieving = self.0.relieving.lock();
        let Some(full) = refusal() else {
            return Ok(());
        };
        // Frees more than is missing, because the next chunk follows soon.
        let missing = len.saturating_sub(full.disk.space_for(writer));
        (cache.give_up)(missing.saturating_add(full.disk.reserve()));
        refusal().map_or(Ok(()), |full| Err(full.into()))
    }

    /// Bytes that a cache at `at` has to free because its disk is almost full.
    pub(super) fn excess_of_cache<D: OnDisk + ?Sized>(&self, at: &D) -> u64 {
        at.disk().map_or(0, Disk::excess_of_cache)
    }

    /// Registers the cache at `at`. `held` returns how many bytes it holds, and `give_up` frees the
    /// number of bytes that another writer needs. A node has one cache; a second one is ignored.
    pub(super) fn yield_from<D: OnDisk + ?Sized>(
        &self,
        at: &D,
        held: impl Fn() -> u64 + Send + Sync + 'static,
        give_up: impl Fn(u64) + Send + Sync + 'static,
    ) {
        if let Some(device) = at.device() {
            let _ = self.0.yielding.set(YieldingCache {
                device,
                held: Box::new(held),
                give_up: Box::new(give_up),
            });
        }
    }

    /// Counts `len` bytes as written by `writer`, or returns why the disk has no space for them.
    fn refusal<D: OnDisk + ?Sized>(&self, writer: Writer, at: &D, len: u64) -> Option<OutOfSpace> {
        let device = at.device()?;
        let now = Instant::now();
        if let Some(measurement) = self.0.measurements.lock().get_mut(&device)
            && measurement.covers(writer, len, now)
        {
            measurement.written += len;
            return None;
        }
        // The lock is free meanwhile: a disk that hangs delays no writer to another.
        let disk = at.disk()?;
        let mut measurement = Measurement::new(disk, now);
        let fits = len <= disk.space_for(writer);
        if fits {
            measurement.written = len;
        }
        self.0.measurements.lock().insert(device, measurement);
        (!fits).then_some(OutOfSpace { disk })
    }
}

impl fmt::Debug for DiskSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskSpace").finish_non_exhaustive()
    }
}

/// A disk without space for everything that has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Bytes to be written.
    pub needed: u64,
    /// Bytes that the disk has space for.
    pub available: u64,
    /// Bytes of the reserve, which stay free.
    pub reserve: u64,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [needed, available, reserve] =
            [self.needed, self.available, self.reserve].map(ByteSize);
        write!(
            f,
            "{needed} still have to be written, and the disk has room for {available} \
             ({reserve} stay free): make room, or the download stops when the disk is full"
        )
    }
}

/// The disk has too little free space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} of the disk's {} are free, and Pelago leaves {} free",
    ByteSize(disk.free), ByteSize(disk.size), ByteSize(disk.reserve())
)]
struct OutOfSpace {
    disk: Disk,
}

impl From<OutOfSpace> for io::Error {
    fn from(error: OutOfSpace) -> Self {
        Self::new(io::ErrorKind::StorageFull, error)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        sync::atomic::{AtomicU64, Ordering},
    };

    use super::*;

    const MIB: u64 = 1 << 20;

    /// A disk with a given size and free space.
    struct FakeDisk {
        disk: Cell<Disk>,
        measurements: Cell<u32>,
    }

    impl FakeDisk {
        fn new(size: u64, free: u64) -> Self {
            Self {
                disk: Cell::new(Disk { size, free }),
                measurements: Cell::new(0),
            }
        }

        fn has_free(&self, free: u64) {
            let size = self.disk.get().size;
            self.disk.set(Disk { size, free });
        }
    }

    impl OnDisk for FakeDisk {
        fn device(&self) -> Option<u64> {
            Some(1)
        }

        fn disk(&self) -> Option<Disk> {
            self.measurements.set(self.measurements.get() + 1);
            Some(self.disk.get())
        }
    }

    #[track_caller]
    fn assert_full(result: io::Result<()>) {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    }

    #[test]
    fn the_reserve_is_64_mib_and_less_on_small_disks() {
        let reserve = |size| Disk { size, free: 0 }.reserve();
        assert_eq!(reserve(1 << 40), 64 * MIB);
        assert_eq!(reserve(100 * MIB), 5 * MIB);
        let disk = Disk {
            size: 1 << 40,
            free: 100 * MIB,
        };
        assert_eq!(disk.space_for(Writer::Permanent), 36 * MIB);
        assert_eq!(disk.space_for(Writer::Cache), 0);
        assert_eq!(disk.excess_of_cache(), 92 * MIB);
    }

    #[test]
    fn writes_stop_at_the_reserve() {
        let (space, disk) = (DiskSpace::default(), FakeDisk::new(1 << 40, 66 * MIB));
        space.check(Writer::Permanent, &disk, MIB).unwrap();
        space.check(Writer::Permanent, &disk, MIB).unwrap();
        // The disk still reports 66 MiB free, as if nothing was written yet.
        disk.has_free(64 * MIB);
        assert_full(space.check(Writer::Permanent, &disk, 1));
        space.check(Writer::Permanent, &disk, 0).unwrap();
        disk.has_free(65 * MIB);
        space.check(Writer::Permanent, &disk, MIB).unwrap();
    }

    #[test]
    fn a_disk_is_read_once_for_many_writes() {
        let (space, disk) = (DiskSpace::default(), FakeDisk::new(1 << 40, 1 << 39));
        let started = Instant::now();
        for _ in 0..1024 {
            space.check(Writer::Permanent, &disk, MIB / 16).unwrap();
        }
        let intervals = started.elapsed().as_millis() as u32 / MEASURED_INTERVAL.as_millis() as u32;
        assert!(
            disk.measurements.get() <= 1 + intervals,
            "{}",
            disk.measurements.get()
        );
        space.check(Writer::Permanent, &disk, 1).unwrap();
        assert!(disk.measurements.get() >= 2, "64 MiB are written");
    }

    #[test]
    fn a_reading_is_soon_out_of_date() {
        let now = Instant::now();
        let measurement = Measurement::new(
            Disk {
                size: 1 << 40,
                free: 1 << 39,
            },
            now,
        );
        assert!(measurement.covers(Writer::Permanent, 1, now));
        assert!(!measurement.covers(Writer::Permanent, 1, now + MEASURED_INTERVAL));
        assert!(!measurement.covers(Writer::Permanent, MEASURED_BYTES + 1, now));
    }

    #[test]
    fn a_cache_gives_way_to_all_others() {
        let (space, disk) = (DiskSpace::default(), FakeDisk::new(1 << 40, 64 * MIB));
        let asked = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&asked);
        let give_up = move |bytes| {
            counted.fetch_add(bytes, Ordering::Relaxed);
        };
        space.yield_from(&disk, || 30 * MIB, give_up);
        // The bytes of the cache count as free.
        assert_eq!(space.shortage(&disk, 30 * MIB), None);
        let short = space.shortage(&disk, 31 * MIB).unwrap().to_string();
        assert!(
            short.contains("32.5 MB") && short.contains("31.5 MB"),
            "{short}"
        );
        // The cache is empty, or cannot free anything.
        assert_full(space.check(Writer::Permanent, &disk, 100 * MIB));
        assert_eq!(asked.load(Ordering::Relaxed), 164 * MIB);
        // The cache does not give way to its own writes.
        assert_full(space.check(Writer::Cache, &disk, 1));
        assert_eq!(asked.load(Ordering::Relaxed), 164 * MIB);
    }

    #[cfg(unix)]
    #[test]
    fn files_and_folders_are_on_the_same_disk() {
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(folder.path().join("a")).unwrap();
        assert_eq!(file.device(), folder.path().device());
        let disk = file.disk().unwrap();
        assert!(disk.free <= disk.size && disk.size > 0);
        assert_full(DiskSpace::default().check(Writer::Permanent, &file, disk.free));
    }
}
