//! What people do with downloads: start them, follow them, and change those in the list.

mod error;
mod manage;
mod seed;
mod start;
mod target;

pub use error::DownloadError;
pub use manage::{DownloadDetail, DownloadSource, ManageError, NewPath, NewPosition};
pub use start::DownloadRequest;
pub use target::{InvalidTarget, Target};
