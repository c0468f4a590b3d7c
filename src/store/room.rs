//! Room on disks: how much of each stays free, and who may still write.
//!
//! Downloads, dropped files and the gateway's cache keep one reserve, so that the node can go on and the
//! rest of the system, too. The cache keeps twice as much free, and gives up what it holds when another
//! writer needs room. Never writes. A disk that tells nothing is not limited. Refusals leave as an
//! [`io::Error`] of the kind [`StorageFull`](io::ErrorKind::StorageFull).

use std::{
    collections::HashMap,
    fmt, io,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use super::{byte_size::ByteSize, dir::Dir, mutex::lock};

/// Bytes that stay free on a disk, at most: a database commit, a log and a system update fit in.
const MAX_RESERVE: u64 = 64 << 20;

/// The part of a disk that stays free, at most: small disks are to be of use, too.
const RESERVE_PART: u64 = 20;

/// Bytes that are written between two looks at a disk, at most.
const LOOK_BYTES: u64 = 64 << 20;

/// How long a look at a disk counts: other programs write, too.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// What the system says of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Bytes in all.
    pub size: u64,
    /// Bytes that are free for this user.
    pub free: u64,
}

/// What writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// A download, or a file that a person dropped on the page.
    Keeper,
    /// The gateway's cache, which gives way to keepers.
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
    pub fn room_for(self, writer: Writer) -> u64 {
        let kept = match writer {
            Writer::Keeper => self.reserve(),
            Writer::Cache => 2 * self.reserve(),
        };
        self.free.saturating_sub(kept)
    }

    /// Bytes that the cache is to give up while it is read, so that what is on its way to it finds room.
    fn excess_of_cache(self) -> u64 {
        (3 * self.reserve()).saturating_sub(self.free)
    }
}

/// The last look at a disk, and what was written since.
struct Look {
    at: Instant,
    disk: Disk,
    written: u64,
}

impl Look {
    const fn new(disk: Disk, at: Instant) -> Self {
        let written = 0;
        Self { at, disk, written }
    }

    /// Whether `len` more bytes can be allowed without another look.
    fn covers(&self, writer: Writer, len: u64, now: Instant) -> bool {
        let is_fresh = now.duration_since(self.at) < LOOK_INTERVAL;
        is_fresh && self.written + len <= LOOK_BYTES && len <= self.left().room_for(writer)
    }

    fn left(&self) -> Disk {
        let free = self.disk.free.saturating_sub(self.written);
        Disk { free, ..self.disk }
    }
}

/// Something on a disk: an open file or folder, or a path that exists.
pub trait OnDisk {
    /// The number of the disk; none where the system does not tell.
    fn device(&self) -> Option<u64>;

    /// The disk as it is now; none where the system does not tell.
    fn disk(&self) -> Option<Disk>;
}

#[cfg(unix)]
mod system {
    use std::{fs::File, path::Path};

    use rustix::fs::{StatVfs, fstat, fstatvfs, stat, statvfs};

    use super::{Disk, OnDisk};

    /// Disks without a bound, and some that are far away, say that they have no size.
    fn told(disk: &StatVfs) -> Option<Disk> {
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        let told = Disk {
            size: bytes(disk.f_blocks),
            free: bytes(disk.f_bavail),
        };
        (told.size > 0).then_some(told)
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
            told(&fstatvfs(self).ok()?)
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
            told(&statvfs(self).ok()?)
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

/// The disks that a node writes to. A handle: clones are the same.
#[derive(Clone, Default)]
pub struct Room(Arc<Inner>);

#[derive(Default)]
struct Inner {
    looks: Mutex<HashMap<u64, Look>>,
    yielding: OnceLock<Yielding>,
    /// Held while the cache gives way: those who wait for it look again afterwards.
    relieving: Mutex<()>,
}

/// A cache that gives up as many bytes as it is asked for, if it holds them.
struct Yielding {
    device: u64,
    held: Box<dyn Fn() -> u64 + Send + Sync>,
    give_up: Box<dyn Fn(u64) + Send + Sync>,
}

impl Room {
    /// Allows `writer` to write `len` more bytes to where `at` is. Costs a look at the disk every 64 MiB
    /// or 250 ms, and else one `fstat`. Blocks: a cache may have to give way first.
    ///
    /// # Errors
    ///
    /// [`StorageFull`](io::ErrorKind::StorageFull): then less than the reserve would be left.
    pub fn check<D: OnDisk + ?Sized>(&self, writer: Writer, at: &D, len: u64) -> io::Result<()> {
        self.ask(at, || self.refusal(writer, at, len), writer, len)
    }

    /// The same before the first byte is written: whether `len` bytes have room now. They are not counted
    /// as written.
    ///
    /// # Errors
    ///
    /// See [`Room::check`].
    pub fn check_all<D: OnDisk + ?Sized>(
        &self,
        writer: Writer,
        at: &D,
        len: u64,
    ) -> io::Result<()> {
        let refusal = || {
            let disk = at.disk()?;
            (len > disk.room_for(writer)).then_some(NoRoom { disk })
        };
        self.ask(at, refusal, writer, len)
    }

    /// Bytes that are missing for `len` more to be kept where `at` is, as things are now; nothing if they
    /// have room. What a cache holds there counts as room.
    pub fn shortage<D: OnDisk + ?Sized>(&self, at: &D, len: u64) -> Option<Shortage> {
        let disk = at.disk()?;
        let is_here = |cache: &&Yielding| Some(cache.device) == at.device();
        let held = self.0.yielding.get().filter(is_here);
        let held = held.map_or(0, |cache| (cache.held)());
        let room = disk.room_for(Writer::Keeper).saturating_add(held);
        let (needed, reserve) = (len, disk.reserve());
        (needed > room).then_some(Shortage {
            needed,
            room,
            reserve,
        })
    }

    /// Asks again once the cache has given way, if `refusal` says that there is no room.
    fn ask<D: OnDisk + ?Sized>(
        &self,
        at: &D,
        refusal: impl Fn() -> Option<NoRoom>,
        writer: Writer,
        len: u64,
    ) -> io::Result<()> {
        let Some(full) = refusal() else {
            return Ok(());
        };
        let is_here = |cache: &&Yielding| Some(cache.device) == at.device();
        let yielding = self.0.yielding.get().filter(is_here);
        let Some(cache) = yielding.filter(|_| writer == Writer::Keeper) else {
            return Err(full.into());
        };
        let _relieving = lock(&self.0.relieving);
        let Some(full) = refusal() else {
            return Ok(());
        };
        // More than is missing: the next writer comes at once.
        let missing = len.saturating_sub(full.disk.room_for(writer));
        (cache.give_up)(missing.saturating_add(full.disk.reserve()));
        refusal().map_or(Ok(()), |full| Err(full.into()))
    }

    /// Bytes of a cache at `at` that are to be given up, as the disk has little room.
    pub(super) fn excess_of_cache<D: OnDisk + ?Sized>(&self, at: &D) -> u64 {
        at.disk().map_or(0, Disk::excess_of_cache)
    }

    /// From now on the cache at `at`, in which so many bytes are `held`, is asked to `give_up` bytes when
    /// others need room on its disk. There is one cache: another later is not asked.
    pub(super) fn yield_from<D: OnDisk + ?Sized>(
        &self,
        at: &D,
        held: impl Fn() -> u64 + Send + Sync + 'static,
        give_up: impl Fn(u64) + Send + Sync + 'static,
    ) {
        if let Some(device) = at.device() {
            let _ = self.0.yielding.set(Yielding {
                device,
                held: Box::new(held),
                give_up: Box::new(give_up),
            });
        }
    }

    /// Takes `len` bytes of what the disk has for `writer`, or says why not.
    fn refusal<D: OnDisk + ?Sized>(&self, writer: Writer, at: &D, len: u64) -> Option<NoRoom> {
        let device = at.device()?;
        let now = Instant::now();
        let mut looks = lock(&self.0.looks);
        if let Some(look) = looks.get_mut(&device)
            && look.covers(writer, len, now)
        {
            look.written += len;
            return None;
        }
        let disk = at.disk()?;
        let mut look = Look::new(disk, now);
        let has_room = len <= disk.room_for(writer);
        if has_room {
            look.written = len;
        }
        looks.insert(device, look);
        (!has_room).then_some(NoRoom { disk })
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}

/// A disk that has no room for all that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Bytes to be written.
    pub needed: u64,
    /// Bytes that have room.
    pub room: u64,
    /// Bytes that stay free beside them.
    pub reserve: u64,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [needed, room, reserve] = [self.needed, self.room, self.reserve].map(ByteSize);
        write!(
            f,
            "{needed} are still to be written, and the disk has room for {room} ({reserve} stay free): make \
             room, or it stops when the disk is full"
        )
    }
}

/// A disk without room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} of the disk's {} are free, and Pelago leaves {} free",
    ByteSize(disk.free), ByteSize(disk.size), ByteSize(disk.reserve())
)]
struct NoRoom {
    disk: Disk,
}

impl From<NoRoom> for io::Error {
    fn from(error: NoRoom) -> Self {
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

    /// A disk whose room is what it is said to be.
    struct Told {
        disk: Cell<Disk>,
        looks: Cell<u32>,
    }

    impl Told {
        fn new(size: u64, free: u64) -> Self {
            Self {
                disk: Cell::new(Disk { size, free }),
                looks: Cell::new(0),
            }
        }

        fn has_free(&self, free: u64) {
            let size = self.disk.get().size;
            self.disk.set(Disk { size, free });
        }
    }

    impl OnDisk for Told {
        fn device(&self) -> Option<u64> {
            Some(1)
        }

        fn disk(&self) -> Option<Disk> {
            self.looks.set(self.looks.get() + 1);
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
        assert_eq!(disk.room_for(Writer::Keeper), 36 * MIB);
        assert_eq!(disk.room_for(Writer::Cache), 0);
        assert_eq!(disk.excess_of_cache(), 92 * MIB);
    }

    #[test]
    fn the_last_bytes_before_the_reserve_are_given_and_no_more() {
        let (room, disk) = (Room::default(), Told::new(1 << 40, 66 * MIB));
        room.check(Writer::Keeper, &disk, MIB).unwrap();
        room.check(Writer::Keeper, &disk, MIB).unwrap();
        // The disk still says 66 MiB, as if nothing was written yet.
        disk.has_free(64 * MIB);
        assert_full(room.check(Writer::Keeper, &disk, 1));
        room.check(Writer::Keeper, &disk, 0).unwrap();
        disk.has_free(65 * MIB);
        room.check(Writer::Keeper, &disk, MIB).unwrap();
    }

    #[test]
    fn a_disk_is_looked_at_once_for_many_writes() {
        let (room, disk) = (Room::default(), Told::new(1 << 40, 1 << 39));
        let started = Instant::now();
        for _ in 0..1024 {
            room.check(Writer::Keeper, &disk, MIB / 16).unwrap();
        }
        let intervals = started.elapsed().as_millis() as u32 / LOOK_INTERVAL.as_millis() as u32;
        assert!(disk.looks.get() <= 1 + intervals, "{}", disk.looks.get());
        room.check(Writer::Keeper, &disk, 1).unwrap();
        assert!(disk.looks.get() >= 2, "64 MiB are written");
    }

    #[test]
    fn a_look_does_not_count_for_long() {
        let now = Instant::now();
        let look = Look::new(
            Disk {
                size: 1 << 40,
                free: 1 << 39,
            },
            now,
        );
        assert!(look.covers(Writer::Keeper, 1, now));
        assert!(!look.covers(Writer::Keeper, 1, now + LOOK_INTERVAL));
        assert!(!look.covers(Writer::Keeper, LOOK_BYTES + 1, now));
    }

    #[test]
    fn a_cache_gives_way_to_all_others() {
        let (room, disk) = (Room::default(), Told::new(1 << 40, 64 * MIB));
        let asked = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&asked);
        let give_up = move |bytes| {
            told.fetch_add(bytes, Ordering::Relaxed);
        };
        room.yield_from(&disk, || 30 * MIB, give_up);
        // What it holds counts as room.
        assert_eq!(room.shortage(&disk, 30 * MIB), None);
        let short = room.shortage(&disk, 31 * MIB).unwrap().to_string();
        assert!(
            short.contains("31.0 MiB") && short.contains("30.0 MiB"),
            "{short}"
        );
        // It holds nothing, or cannot give it up.
        assert_full(room.check(Writer::Keeper, &disk, 100 * MIB));
        assert_eq!(asked.load(Ordering::Relaxed), 164 * MIB);
        // It does not give way to itself.
        assert_full(room.check(Writer::Cache, &disk, 1));
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
        assert_full(Room::default().check(Writer::Keeper, &file, disk.free));
    }
}
