//! What people see of the watched folders: what each relies on, and what is wrong.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;

use crate::node::{Node, Notice, NoticeKind};

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
    pub(super) fn new(path: &Path) -> Self {
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

    /// What a person has to know of it.
    pub(in crate::node) fn notices(&self) -> Vec<Notice> {
        let notice = |is_problem, what: String, why: &str, remedy: Option<&str>| Notice {
            kind: NoticeKind::Watch,
            is_problem,
            what,
            why: why.to_owned(),
            remedy: remedy.map(str::to_owned),
        };
        let (folder, mut notices) = (self.path.display(), Vec::new());
        if !self.is_there {
            notices.push(notice(
                true,
                format!("the watched folder {folder} is not there"),
                "its path leads to no folder, or its disk is not mounted",
                Some("mount its disk, or make the folder again: the node sees it within 2 s"),
            ));
        }
        if let Some(why) = &self.failure {
            let what = format!("the watched folder {folder} could not be looked at");
            notices.push(notice(
                true,
                what,
                why,
                Some("the node tries again within 60 s"),
            ));
        }
        if let Some((path, why)) = self.unread.first() {
            let what = format!(
                "{} of the watched folder {folder} not shared, such as {}",
                match self.unread_count {
                    1 => "1 file is".to_owned(),
                    count => format!("{count} files are"),
                },
                crate::store::shown(path)
            );
            let remedy = "mend what is in the way: the node tries again within 10 min";
            notices.push(notice(true, what, why, Some(remedy)));
        }
        let own = self.why.iter().map(|why| (&self.path, self.relies_on, why));
        let parts = self
            .parts
            .iter()
            .map(|part| (&part.path, part.relies_on, &part.why));
        for (path, relies_on, why) in own.chain(parts) {
            // Slow looks beside events are the normal way of such a file system.
            if let RelyOn::Polling(_) = relies_on {
                let what = format!(
                    "{} raises no events: {relies_on}",
                    crate::store::shown(path)
                );
                notices.push(notice(false, what, why, None));
            }
        }
        notices
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

    fn all(&self) -> Vec<WatchedFolder> {
        let folders = self.0.lock();
        folders.values().cloned().collect()
    }
}

impl Node {
    /// The watched folders, and what each relies on.
    #[must_use]
    pub fn watched_folders(&self) -> Vec<WatchedFolder> {
        self.core.watches.all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_says_what_is_wrong_and_nothing_while_it_is_well() {
        let mut folder = WatchedFolder::new(Path::new("/music"));
        assert_eq!(folder.notices(), []);
        folder.relies_on = RelyOn::EventsAndPolling(Duration::from_secs(600));
        folder.why = Some("nfs4 raises no events".to_owned());
        assert_eq!(folder.notices(), [], "this is its normal way");
        folder.parts.push(WatchedPart {
            path: "/music/deep".into(),
            relies_on: RelyOn::Polling(Duration::from_secs(60)),
            why: "Permission denied".to_owned(),
        });
        folder.failure = Some("the disk is full".to_owned());
        folder.is_there = false;
        let told: Vec<_> = folder
            .notices()
            .into_iter()
            .map(|n| (n.is_problem, n.what))
            .collect();
        let expected = [
            (true, "the watched folder /music is not there"),
            (true, "the watched folder /music could not be looked at"),
            (false, "/music/deep raises no events: a look every 60 s"),
        ];
        assert_eq!(told, expected.map(|(is, what)| (is, what.to_owned())));
    }
}
