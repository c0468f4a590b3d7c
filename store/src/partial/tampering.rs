//! Whether another program writes to a part file.
//!
//! Owns one inotify instance for each store. A program that wrote to the file is noticed when it
//! closes the file, as our own handle stays open. A program that cut the file short is noticed by
//! the length, which is that of the whole content from the start. Where the system reports neither,
//! as on network file systems, every file is suspect: its content is proven again before it is put
//! in place.

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::file_system;

/// Watches one file.
#[derive(Debug)]
pub(super) struct Guard {
    watch: Option<Watch>,
    /// Bytes of the file from the start. None where a file cannot be longer than what was written.
    len: Option<u64>,
    was_cut: AtomicBool,
}

impl Guard {
    /// Gives a file, which is open for writing, its final length `len`, and watches it.
    pub(super) fn new(watches: &Arc<Watches>, file: &File, len: u64) -> io::Result<Self> {
        // A file system refuses a length only if the content cannot fit: the claimed size is wrong,
        // then.
        let has_holes = file_system::has_holes(file);
        let has_len = has_holes && (file.metadata()?.len() == len || file.set_len(len).is_ok());
        Ok(Self {
            watch: watches.add(file).filter(|_| file_system::is_local(file)),
            len: has_len.then_some(len),
            was_cut: AtomicBool::new(false),
        })
    }

    /// Notes whether the file was cut short. Has to be called before each write, which could hide
    /// it.
    pub(super) fn before_write(&self, file: &File) -> io::Result<()> {
        if let Some(len) = self.len
            && file.metadata()?.len() < len
        {
            self.was_cut.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Whether another program may have written to the file, or cut it short.
    pub(super) fn is_suspect(&self, file: &File) -> bool {
        let is_watched = self.watch.as_ref().is_some_and(|watch| !watch.has_news());
        let is_unknown = !is_watched || self.len.is_none() || self.before_write(file).is_err();
        is_unknown || self.was_cut.load(Ordering::Acquire)
    }

    /// Forgets what was noticed so far: the caller is about to prove everything again.
    pub(super) fn clear(&self) {
        self.was_cut.store(false, Ordering::Release);
        if let Some(watch) = &self.watch {
            watch.clear();
        }
    }
}

/// The files that are watched.
#[derive(Debug, Default)]
pub(super) struct Watches {
    #[cfg(target_os = "linux")]
    inotify: linux::Inotify,
}

impl Watches {
    #[cfg(target_os = "linux")]
    fn add(self: &Arc<Self>, file: &File) -> Option<Watch> {
        let (number, has_news) = self.inotify.add(file)?;
        Some(Watch {
            watches: Arc::clone(self),
            number,
            has_news,
        })
    }

    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unused_self, reason = "as where there is something to ask")]
    const fn add(self: &Arc<Self>, _: &File) -> Option<Watch> {
        None
    }
}

/// One watch. It ends when it is dropped.
#[derive(Debug)]
struct Watch {
    #[cfg(target_os = "linux")]
    watches: Arc<Watches>,
    #[cfg(target_os = "linux")]
    number: i32,
    has_news: Arc<AtomicBool>,
}

impl Watch {
    fn has_news(&self) -> bool {
        #[cfg(target_os = "linux")]
        self.watches.inotify.read();
        self.has_news.load(Ordering::Acquire)
    }

    fn clear(&self) {
        #[cfg(target_os = "linux")]
        self.watches.inotify.read();
        self.has_news.store(false, Ordering::Release);
    }
}

#[cfg(target_os = "linux")]
impl Drop for Watch {
    fn drop(&mut self) {
        self.watches.inotify.remove(self.number);
    }
}

#[cfg(target_os = "linux")]
mod linux {
    //! inotify, read on demand.

    use std::{
        collections::HashMap,
        fs::File,
        mem::MaybeUninit,
        os::fd::{AsFd, AsRawFd, OwnedFd},
        sync::{
            Arc, OnceLock,
            atomic::{AtomicBool, Ordering},
        },
    };

    use parking_lot::Mutex;
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

    /// Bytes of events read at a time.
    const BUFFER_LEN: usize = 4096;

    /// A writer closed the file, or the file was moved or removed.
    const WATCHED: WatchFlags = WatchFlags::CLOSE_WRITE
        .union(WatchFlags::MOVE_SELF)
        .union(WatchFlags::DELETE_SELF);

    #[derive(Debug, Default)]
    pub(super) struct Inotify {
        /// Created with the first watch. None if that fails.
        handle: OnceLock<Option<OwnedFd>>,
        watched: Mutex<HashMap<i32, Arc<AtomicBool>>>,
    }

    impl Inotify {
        pub(super) fn add(&self, file: &File) -> Option<(i32, Arc<AtomicBool>)> {
            let handle = self.handle()?;
            let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
            // Locked before the watch exists, so that no event is read before its watch is known.
            let mut watched = self.watched.lock();
            let number = inotify::add_watch(handle, path, WATCHED).ok()?;
            let has_news = Arc::new(AtomicBool::new(false));
            watched.insert(number, Arc::clone(&has_news));
            Some((number, has_news))
        }

        pub(super) fn remove(&self, number: i32) {
            self.watched.lock().remove(&number);
            if let Some(handle) = self.handle() {
                // The system has removed the watch of a removed file already.
                let _ = inotify::remove_watch(handle, number);
            }
        }

        /// Reads all events so far.
        pub(super) fn read(&self) {
            let Some(handle) = self.handle() else { return };
            let watched = self.watched.lock();
            let mut buffer = [MaybeUninit::uninit(); BUFFER_LEN];
            let mut events = Reader::new(handle, &mut buffer);
            // It fails after the last event.
            while let Ok(event) = events.next() {
                if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                    let all = watched.values();
                    all.for_each(|has_news| has_news.store(true, Ordering::Release));
                } else if let Some(has_news) = watched.get(&event.wd()) {
                    has_news.store(true, Ordering::Release);
                }
            }
        }

        fn handle(&self) -> Option<&OwnedFd> {
            let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
            let handle = self.handle.get_or_init(|| inotify::init(flags).ok());
            handle.as_ref()
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{fs, io::Write, os::unix::fs::FileExt};

    use super::*;

    /// Changes the file like another program.
    type Act = fn(&std::path::Path);

    #[test]
    fn another_writer_is_noticed_and_our_own_writes_are_not() {
        let acts: [(&str, Act, bool); 6] = [
            ("nothing", |_| {}, false),
            ("read", |path| drop(fs::read(path).unwrap()), false),
            (
                "written in place",
                |path| {
                    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
                    file.write_all_at(b"x", 3).unwrap();
                },
                true,
            ),
            (
                "appended to",
                |path| {
                    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
                    file.write_all(b"x").unwrap();
                },
                true,
            ),
            (
                "cut short",
                |path| {
                    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
                    file.set_len(10).unwrap();
                },
                true,
            ),
            (
                "moved away",
                |path| fs::rename(path, path.with_extension("moved")).unwrap(),
                true,
            ),
        ];
        for (what, act, is_noticed) in acts {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            let file = File::create_new(&path).unwrap();
            let guard = Guard::new(&Arc::default(), &file, 1000).unwrap();
            guard.before_write(&file).unwrap();
            file.write_all_at(&[7; 500], 0).unwrap();
            act(&path);
            guard.before_write(&file).unwrap();
            file.write_all_at(&[7; 500], 500).unwrap();
            assert_eq!(guard.is_suspect(&file), is_noticed, "{what}");
            guard.clear();
            assert!(!guard.is_suspect(&file), "{what}, cleared");
        }
    }

    #[test]
    fn a_file_that_is_truncated_by_its_path_is_noticed_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = File::create_new(&path).unwrap();
        let guard = Guard::new(&Arc::default(), &file, 1000).unwrap();
        file.write_all_at(&[7; 500], 0).unwrap();
        // As `truncate(2)` does, which does not open the file.
        file.set_len(10).unwrap();
        guard.before_write(&file).unwrap();
        file.write_all_at(&[7; 500], 500).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 1000);
        assert!(guard.is_suspect(&file));
    }

    #[test]
    fn each_file_has_its_own_watch() {
        let folder = tempfile::tempdir().unwrap();
        let watches = Arc::default();
        let make = |name: &str| {
            let path = folder.path().join(name);
            let file = File::create_new(&path).unwrap();
            let guard = Guard::new(&watches, &file, 10).unwrap();
            (path, file, guard)
        };
        let (first, second) = (make("first"), make("second"));
        drop(fs::OpenOptions::new().append(true).open(&first.0).unwrap());
        assert!(first.2.is_suspect(&first.1));
        assert!(!second.2.is_suspect(&second.1));
        drop(first);
        assert!(!second.2.is_suspect(&second.1));
    }
}
