//! Watches the shared folders: looks at what changed in one once it has settled.
//!
//! One loop for each folder knows what each part of it relies on: events, where the system reports them;
//! a look every 60 s, where it does not; and a slow look from time to time where changes made elsewhere
//! raise no event. After each gap (events that were lost, a disk that was mounted or unmounted, a failed
//! look) it watches and looks again. How many changes it remembers is bounded: with too many of them it
//! looks at all of the folder. When a file has settled, `settling` decides.
//!
//! | file | owns |
//! |---|---|
//! | `folder_watch` | the loop of one folder |
//! | `changes` | what the system reports, bounded |
//! | `coverage` | which directories raise events, and why others do not |
//! | `mounts` | mounted file systems, and which of them are silent |
//! | `scan_task` | one scan, on a thread that may block |
//! | `pace` | how a slow scan leaves the disk to others |
//! | `status` | what people see of all this |

mod changes;
mod coverage;
mod folder_watch;
mod mounts;
mod pace;
mod scan_task;
mod status;

use std::sync::Arc;

use tokio::sync::watch;

pub(super) use self::status::Watches;
pub use self::status::{RelyOn, WatchedFolder, WatchedPart};
use self::{folder_watch::FolderWatch, mounts::Mounts};
use super::core::NodeCore;

/// Watches all folders that this node shares, as long as it runs, once `ready` is true.
pub(super) fn begin(core: &Arc<NodeCore>, ready: &watch::Receiver<bool>) {
    if core.settings.share_folders.is_empty() {
        return;
    }
    // Read before the first look, so that no change falls in between.
    let mounted = Mounts::read().unwrap_or_default();
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
                // The sender is gone only when the node ends.
                let _ = ready.wait_for(|ready| *ready).await;
                watched.run().await
            }
        });
    }
}
