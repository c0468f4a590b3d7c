//! Calls to disks that another machine or a program serves (NFS, SMB, FUSE), and that may never
//! return: the server is away, or the program hangs.
//!
//! Such a call runs on a thread of its own. The caller waits for it for a limited time. While a
//! call that was given up has not returned, its disk counts as unresponsive, and further calls to it
//! fail immediately: so the number of threads that hang is bounded by the number of callers at the
//! beginning. When the disk responds again, they end, and calls are made again. Other disks are
//! called directly.

use std::{
    fmt, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::mount_table::{MountPoint, MountTable};

/// How long a caller waits for a disk: longer than a server on the other side of the world takes.
/// Peers wait 10 s for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a reading of the table of mounts is used.
const TABLE_AGE: Duration = Duration::from_secs(2);

/// How many disks are remembered; more are not mounted on one machine, and others are called
/// directly.
const MAX_DISKS: usize = 256;

/// The disks whose calls may never return, by the mounts that show them.
#[derive(Default)]
pub(super) struct RemoteDisks(Mutex<KnownDisks>);

#[derive(Default)]
struct KnownDisks {
    table: MountTable,
    read: Option<Instant>,
    disks: Vec<(MountPoint, Arc<RemoteDisk>)>,
}

/// A disk whose calls may never return.
#[derive(Debug, Default)]
pub(super) struct RemoteDisk {
    /// How many calls were given up and have not returned.
    hanging: AtomicI64,
}

/// One call. Dropping this ends it.
struct Call {
    disk: Arc<RemoteDisk>,
    /// Whether it has ended, or its caller has given it up.
    is_over: Arc<AtomicBool>,
}

impl RemoteDisks {
    /// The disk that shows `path`; `None` if it is a disk of this machine, which is called directly.
    /// Makes no call to the disk.
    pub(super) fn of(&self, path: &Path) -> Option<Arc<RemoteDisk>> {
        let mut known = self.0.lock();
        if known.read.is_none_or(|read| read.elapsed() >= TABLE_AGE) {
            known.renew();
        }
        // Most machines have few such disks: others cost no look at the whole table.
        let mut above = known.disks.iter();
        above.find(|(mount, _)| path.starts_with(&mount.path))?;
        let mount = known.table.holding(path)?.id;
        let disk = known.disks.iter().find(|(at, _)| at.id == mount);
        disk.map(|(_, disk)| Arc::clone(disk))
    }

    /// Makes a `call` to the disk that shows `path`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut): the disk does not respond.
    pub(super) fn call<T: Send + 'static>(
        &self,
        path: &Path,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        match self.of(path) {
            Some(disk) => disk.call(call),
            None => Ok(call()),
        }
    }
}

impl KnownDisks {
    fn renew(&mut self) {
        // Without the table, the mounts that were read last stay known.
        if let Ok(table) = MountTable::read() {
            let remote = table.mounts().iter().filter(|mount| mount.may_hang());
            let disk = |mount: &MountPoint| {
                let known = self.disks.iter().find(|(known, _)| known.id == mount.id);
                known.map_or_else(Arc::default, |(_, disk)| Arc::clone(disk))
            };
            let disks = remote.map(|mount| (mount.clone(), disk(mount)));
            self.disks = disks.take(MAX_DISKS).collect();
            self.table = table;
        }
        self.read = Some(Instant::now());
    }
}

impl RemoteDisk {
    /// Whether a call to it was given up and has not returned.
    pub(super) fn is_unresponsive(&self) -> bool {
        self.hanging.load(Ordering::SeqCst) > 0
    }

    /// Makes a call, for which the caller waits a limited time.
    ///
    /// # Errors
    ///
    /// See [`RemoteDisks::call`].
    pub(super) fn call<T: Send + 'static>(
        self: &Arc<Self>,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        self.call_within(PATIENCE, call)
    }

    fn call_within<T: Send + 'static>(
        self: &Arc<Self>,
        patience: Duration,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        if self.is_unresponsive() {
            return Err(unresponsive());
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let running = Call {
            disk: Arc::clone(self),
            is_over: Arc::clone(&is_over),
        };
        let (sender, receiver) = sync_channel(1);
        let run = move || {
            let done = call();
            drop(running);
            // The caller may have given it up.
            let _ = sender.send(done);
        };
        begin(run)?;
        match receiver.recv_timeout(patience) {
            Err(RecvTimeoutError::Timeout) if !is_over.swap(true, Ordering::SeqCst) => {
                self.hanging.fetch_add(1, Ordering::SeqCst);
                Err(unresponsive())
            }
            // It has ended at this moment.
            Err(RecvTimeoutError::Timeout) => receiver.recv().map_err(io::Error::other),
            done => done.map_err(io::Error::other),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.is_over.swap(true, Ordering::SeqCst) {
            self.disk.hanging.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl fmt::Debug for RemoteDisks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteDisks")
    }
}

/// Closes an open file of such a disk. Does not wait: that may hang as well.
pub(super) fn close<F: Send + 'static>(file: F) {
    // If no thread can be had, it is closed here.
    let _ = begin(move || drop(file));
}

fn begin(run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name("disk-call".to_owned());
    thread.spawn(run).map(drop)
}

fn unresponsive() -> io::Error {
    let text = "the disk does not respond: its server or program is away";
    io::Error::new(io::ErrorKind::TimedOut, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_hangs_costs_its_first_callers_some_seconds_and_others_nothing() {
        let disk = Arc::new(RemoteDisk::default());
        assert_eq!(disk.call(|| 1).unwrap(), 1);
        let (release, released) = sync_channel::<()>(1);
        let hang = move || released.recv().is_err();
        let soon = Duration::from_millis(50);
        let error = disk.call_within(soon, hang).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let (called, calls) = sync_channel(1);
        let refused = disk.call(move || called.send(()));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(calls.recv().is_err(), "no call was made");
        drop(release);
        while disk.is_unresponsive() {
            thread::yield_now();
        }
        assert_eq!(disk.call(|| 2).unwrap(), 2);
    }

    #[test]
    fn a_panic_of_a_call_is_an_error() {
        let disk = Arc::new(RemoteDisk::default());
        let panics = || panic!("a panic of a test");
        assert!(disk.call::<()>(panics).is_err());
        assert!(!disk.is_unresponsive());
    }

    #[test]
    fn disks_of_this_machine_are_called_directly() {
        let disks = RemoteDisks::default();
        let folder = tempfile::tempdir().unwrap();
        let this = thread::current().id();
        let id = disks.call(folder.path(), || thread::current().id());
        assert_eq!(id.unwrap(), this);
    }
}
