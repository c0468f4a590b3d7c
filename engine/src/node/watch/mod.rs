//! Watches folders: scans what changed in one once it has settled.
//!
//! Each folder has a loop. It knows how to learn of changes in each part of the folder: by events,
//! where the system reports them; by a scan every 60 s, where it does not; and by slow scans in
//! addition to events, where changes made elsewhere raise none. After each gap (lost events, a disk
//! that was mounted or unmounted, a failed scan) it watches and scans the folder again. The number
//! of remembered changes is bounded: when there are more, it scans the whole folder. `settling`
//! decides when a file has settled.
//!
//! | file | owns |
//! |---|---|
//! | `folder_watch` | the loop of one folder |
//! | `changes` | the changes that the system reports, bounded |
//! | `coverage` | which directories raise events, and why others do not |
//! | `mounts` | follows which file systems are mounted |
//! | `scan_task` | one scan, on a thread that may block |
//! | `pending` | the changed paths, and when to scan each |
//! | `publish_status` | what a loop shows of itself |
//! | `pace` | the pauses of a slow scan, which leave the disk to others |
//! | `status` | the state of the watches, for people |

mod changes;
mod coverage;
mod folder_watch;
mod mounts;
mod pace;
mod pending;
mod publish_status;
mod scan_task;
mod status;

use std::sync::Arc;

use tokio::sync::watch;

use self::folder_watch::FolderWatch;
pub(super) use self::status::Watches;
pub use self::status::{RelyOn, WatchedFolder, WatchedPart};
use super::core::NodeCore;
use crate::store::MountTable;

/// Watches all watched folders for as long as the node runs, once `ready` is true.
pub(super) fn begin(core: &Arc<NodeCore>, ready: &watch::Receiver<bool>) {
    if core.settings.share_folders.is_empty() {
        return;
    }
    // Read before the first scan, so that no change is missed in between.
    let mounted = MountTable::read().unwrap_or_default();
    let (mounts, followed) = watch::channel(Arc::new(mounted));
    core.duties
        .run("follow-mounts", move || mounts::follow(mounts.clone()));
    for folder in core.settings.share_folders.clone() {
        let (node, ready, followed) = (Arc::clone(core), ready.clone(), followed.clone());
        let name = format!("watch-folder {}", crate::store::shown(&folder));
        core.duties.run(&name, move || {
            let watched = FolderWatch::new(Arc::clone(&node), folder.clone(), followed.clone());
            let mut ready = ready.clone();
            async move {
                // The sender is dropped only when the node ends.
                let _ = ready.wait_for(|ready| *ready).await;
                watched.run().await
            }
        });
    }
}
