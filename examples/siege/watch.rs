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
    /// The part of it that is not a file: the program's own pages count where they are read, so a node
    /// that has done more holds more of them.
    pub(crate) own_mib: u64,
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
                *most = most.max(now);
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
        let mib = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
            kibibytes
                .and_then(|number| number.parse::<u64>().ok())
                .unwrap_or(0)
                / 1024
        };
        held = held.max(Held {
            mib: mib("VmRSS:"),
            own_mib: mib("RssAnon:"),
            files: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count) as u64,
        });
    }
    held
}

impl Held {
    /// The greater of each.
    fn max(self, other: Self) -> Self {
        Self {
            mib: self.mib.max(other.mib),
            own_mib: self.own_mib.max(other.own_mib),
            files: self.files.max(other.files),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} MiB, {} of them not files, and {} open files in the largest node",
            self.mib, self.own_mib, self.files
        )
    }
}
