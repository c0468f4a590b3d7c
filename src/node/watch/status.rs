//! What people see of the watched folders: what each relies on, and what is wrong.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;

/// Parts of one folder that are named, at most.
pub(super) const MAX_PARTS: usize = 20;

/// A folder of `storage.share_folders`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedFolder {
    /// The folder.
    pub path: PathBuf,
    /// Whether it is there.
    pub is_there: bool,
    /// By what the node learns of changes.
    pub relies_on: RelyOn,
    /// Why not by events alone.
    pub why: Option<String>,
    /// Directories with a watch of the system.
    pub watches: u64,
    /// The first 20 parts that rely on something else.
    pub parts: Vec<WatchedPart>,
    /// How many such parts there are.
    pub parts_count: u64,
    /// What went wrong when it was last looked at, and that is tried again.
    pub failure: Option<String>,
    /// The first 20 files that could not be read or recorded, and why; they are tried again.
    pub unread: Vec<(PathBuf, String)>,
    /// How many such files there are.
    pub unread_count: u64,
    /// When the node finished the last look at all of it.
    pub looked_at: Option<SystemTime>,
    /// Since when it looks at it.
    pub looks_since: Option<SystemTime>,
}

/// A part of a watched folder: a mounted file system or a subfolder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedPart {
    /// Where.
    pub path: PathBuf,
    /// By what the node learns of changes.
    pub relies_on: RelyOn,
    /// Why not by events alone.
    pub why: String,
}

/// By what the node learns of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelyOn {
    /// Events of the system.
    Events,
    /// Events, and a slow look at everything from time to time.
    EventsAndPolling(Duration),
    /// A look at everything from time to time.
    Polling(Duration),
}

impl RelyOn {
    /// The same as programs read it: it stays the same between versions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::EventsAndPolling(_) => "events-and-polling",
            Self::Polling(_) => "polling",
        }
    }

    /// How often it is looked at without an event.
    #[must_use]
    pub const fn interval(self) -> Option<Duration> {
        match self {
            Self::Events => None,
            Self::EventsAndPolling(interval) | Self::Polling(interval) => Some(interval),
        }
    }
}

impl fmt::Display for RelyOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events => write!(f, "events"),
            Self::EventsAndPolling(interval) => {
                write!(f, "events and a look every {} s", interval.as_secs())
            }
            Self::Polling(interval) => write!(f, "a look every {} s", interval.as_secs()),
        }
    }
}

impl WatchedFolder {
    /// A folder that was not looked at yet.
    pub(in crate::node) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            is_there: true,
            relies_on: RelyOn::Events,
            why: None,
            watches: 0,
            parts: Vec::new(),
            parts_count: 0,
            failure: None,
            unread: Vec::new(),
            unread_count: 0,
            looked_at: None,
            looks_since: None,
        }
    }
}

/// All watched folders, by path; clones are the same.
#[derive(Clone, Default)]
pub(in crate::node) struct Watches(Arc<Mutex<BTreeMap<PathBuf, WatchedFolder>>>);

impl Watches {
    pub(super) fn change(&self, path: &Path, change: impl FnOnce(&mut WatchedFolder)) {
        let mut folders = self.0.lock();
        let folder = folders.entry(path.to_owned());
        change(folder.or_insert_with(|| WatchedFolder::new(path)));
    }

    pub(in crate::node) fn all(&self) -> Vec<WatchedFolder> {
        let folders = self.0.lock();
        folders.values().cloned().collect()
    }
}
