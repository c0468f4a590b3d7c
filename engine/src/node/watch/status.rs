//! The state of the watched folders, for people: how the node learns of changes, and what is wrong.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;

/// The most parts of one folder that are named.
pub(super) const MAX_PARTS: usize = 20;

/// A folder of `storage.share_folders`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedFolder {
    /// Its path.
    pub path: PathBuf,
    /// Whether it exists.
    pub is_there: bool,
    /// How the node learns of changes.
    pub relies_on: RelyOn,
    /// Why events alone are not enough.
    pub why: Option<String>,
    /// How many directories the system watches.
    pub watches: u64,
    /// The first 20 parts where the node learns of changes in another way.
    pub parts: Vec<WatchedPart>,
    /// How many such parts there are.
    pub parts_count: u64,
    /// Why the last scan failed. It is tried again.
    pub failure: Option<String>,
    /// The first 20 files that could not be read or recorded, or whose names are not valid UTF-8,
    /// and why. They are tried again.
    pub unread: Vec<(PathBuf, String)>,
    /// How many such files there are.
    pub unread_count: u64,
    /// When the last scan of the whole folder ended.
    pub looked_at: Option<SystemTime>,
    /// When the running scan of the whole folder began.
    pub looks_since: Option<SystemTime>,
}

/// A part of a watched folder: a mounted file system or a subfolder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedPart {
    /// Its path.
    pub path: PathBuf,
    /// How the node learns of changes.
    pub relies_on: RelyOn,
    /// Why events alone are not enough.
    pub why: String,
}

/// How the node learns of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelyOn {
    /// By events of the system.
    Events,
    /// By events, and by slow scans at this interval.
    EventsAndPolling(Duration),
    /// By scans at this interval.
    Polling(Duration),
}

impl RelyOn {
    /// The word for programs. It stays the same between versions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::EventsAndPolling(_) => "events-and-polling",
            Self::Polling(_) => "polling",
        }
    }

    /// The interval between scans without an event.
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
                write!(f, "events and a scan every {} s", interval.as_secs())
            }
            Self::Polling(interval) => write!(f, "a scan every {} s", interval.as_secs()),
        }
    }
}

impl WatchedFolder {
    /// A folder that has not been scanned yet.
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

/// All watched folders, by path. A handle: clones share the same folders.
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
