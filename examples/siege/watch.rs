//! Memory and open files of the nodes, as the system reports them.

use std::{fmt, fs, sync::Arc, thread, time::Duration};

use parking_lot::Mutex;

const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Processes of the nodes; `None` for nodes that are down.
pub(crate) type Pids = Arc<Mutex<Vec<Option<u32>>>>;

/// The most that one node holds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Held {
    pub(crate) mib: u64,
    pub(crate) files: u64,
}

/// Looks at the nodes in short intervals, and remembers the most.
pub(crate) struct Watch {
    pids: Pids,
    most: Arc<Mutex<Held>>,
}

impl Watch {
    pub(crate) fn start(pids: Pids) -> Self {
        let most = Arc::<Mutex<Held>>::default();
        let (watched, kept) = (Arc::clone(&pids), Arc::downgrade(&most));
        thread::spawn(move || {
            while let Some(most) = kept.upgrade() {
                let now = look(&watched);
                let mut most = most.lock();
                most.mib = most.mib.max(now.mib);
                most.files = most.files.max(now.files);
                drop(most);
                thread::sleep(LOOK_INTERVAL);
            }
        });
        Self { pids, most }
    }

    pub(crate) fn now(&self) -> Held {
        look(&self.pids)
    }

    pub(crate) fn most(&self) -> Held {
        *self.most.lock()
    }
}

fn look(pids: &Pids) -> Held {
    let pids = pids.lock().clone();
    let mut held = Held::default();
    for pid in pids.into_iter().flatten() {
        // It may have been killed a moment ago.
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let files = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        held.mib = held.mib.max(kibibytes.unwrap_or(0) / 1024);
        held.files = held.files.max(files as u64);
    }
    held
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} MiB and {} open files in the largest node",
            self.mib, self.files
        )
    }
}
