//! Publishes the state of the watch of a folder, and logs its scans.

use std::{path::PathBuf, time::SystemTime};

use super::{
    coverage::{Coverage, Silence},
    folder_watch::FolderWatch,
    status::{MAX_PARTS, RelyOn, WatchedPart},
};
use crate::{node::scan::Scanned, store::MountPoint};

/// Why a file with such a name is not shared.
const MISNAMED: &str = "its name is not valid UTF-8";

impl FolderWatch {
    /// The places where changes may raise no event, and why.
    pub(super) fn silent_places(&self) -> Vec<(PathBuf, String)> {
        let silent = self
            .mounts
            .around(&self.folder)
            .into_iter()
            .filter(|mount| mount.is_silent());
        let place = |mount: &MountPoint| {
            let is_below = mount.path.starts_with(&self.folder);
            let path = if is_below { &mount.path } else { &self.folder };
            let kind = &mount.kind;
            let why = format!(
                "changes that other machines or mounts make on a {kind} file system raise no event"
            );
            (path.clone(), why)
        };
        silent.map(place).collect()
    }

    pub(super) fn why(&self, silence: &Silence) -> String {
        match silence {
            Silence::Limit => {
                "the system allows no more inotify watches (fs.inotify.max_user_watches)".to_owned()
            }
            Silence::Failed(why) => why.clone(),
        }
    }

    /// Publishes the state of the watch.
    pub(super) fn publish(&self) {
        let coverage = self.scan_state.coverage.as_ref();
        let silent = coverage.map(Coverage::silent).into_iter().flatten();
        let silent = silent.map(|(path, why)| WatchedPart {
            path: path.clone(),
            relies_on: RelyOn::Polling(self.poll_interval()),
            why: self.why(why),
        });
        let slow = self
            .silent_places()
            .into_iter()
            .map(|(path, why)| WatchedPart {
                path,
                relies_on: RelyOn::EventsAndPolling(self.core.settings.rescan_interval),
                why,
            });
        let mut parts: Vec<_> = silent.chain(slow).collect();
        let own = parts.iter().position(|part| part.path == self.folder);
        let own = own.map(|at| parts.remove(at));
        let (is_there, watches) = (!self.is_gone, coverage.map_or(0, Coverage::watches));
        let unread = self.unread.iter().map(|(path, why)| (path, &**why));
        let misnamed = self.misnamed.iter().map(|path| (path, MISNAMED));
        let unread = unread.chain(misnamed).take(MAX_PARTS);
        let unread = unread
            .map(|(path, why)| (path.clone(), why.to_owned()))
            .collect();
        let unread_count = self.unread.len() + self.misnamed.len();
        self.core.watches.change(&self.folder, |folder| {
            folder.is_there = is_there;
            folder.watches = watches as u64;
            folder.relies_on = own.as_ref().map_or(RelyOn::Events, |own| own.relies_on);
            folder.why = own.map(|own| own.why);
            folder.parts_count = parts.len() as u64;
            parts.truncate(MAX_PARTS);
            folder.parts = parts;
            folder.unread_count = unread_count as u64;
            folder.unread = unread;
        });
    }

    pub(super) fn report(&self, scanned: &Scanned) {
        self.core.watches.change(&self.folder, |folder| {
            folder.looked_at = Some(SystemTime::now());
            folder.looks_since = None;
        });
        let (folder, gone) = (self.folder.display(), scanned.gone);
        if self.is_gone {
            tracing::warn!(
                %folder, gone, "the folder is missing or cannot be read: it is shared again when it is back"
            );
        } else {
            let (shared, left_out) = (scanned.shared, scanned.left_out);
            tracing::info!(%folder, files = shared, left_out, gone, "scanned a watched folder");
        }
    }
}
