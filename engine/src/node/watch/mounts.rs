//! Follows which file systems are mounted.
//!
//! Reads the table of the system repeatedly: a few kilobytes that it has in memory.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use crate::{duties::Outcome, store::MountTable};

/// How often the mounts are read.
const READ_INTERVAL: Duration = Duration::from_secs(2);

/// Keeps `mounts` up to date.
pub(super) async fn follow(mounts: watch::Sender<Arc<MountTable>>) -> Outcome {
    let mut tick = interval(READ_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // The system may delay the list while it mounts something.
        let now = spawn_blocking(MountTable::read).await??;
        mounts.send_if_modified(|mounts| {
            let is_new = **mounts != now;
            if is_new {
                *mounts = Arc::new(now);
            }
            is_new
        });
    }
}
