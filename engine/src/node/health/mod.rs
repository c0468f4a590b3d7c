//! The health of a node: facts that only the node knows. `pelago status` and `pelago doctor` show
//! it.

mod clock;
mod collect;
mod notice;
mod notices;
mod report;
mod system;
mod watched_folder;

pub use clock::clock_lag;
pub use notice::{Notice, NoticeKind};
pub use report::{Health, WaitingDownload};
pub use system::{DiskSpace, SystemLimits};
