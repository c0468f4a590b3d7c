//! What people do with downloads: begin them, follow them, and change those that the node knows.

mod error;
mod manage;
mod seed;
mod start;
mod target;

pub use error::DownloadError;
pub use manage::{DownloadDetail, DownloadSource, ManageError, NewPosition};
pub use start::DownloadRequest;
pub use target::{InvalidTarget, Target};
