//! The node room: wires the rooms below together, and offers what people do with a node as calls.
//!
//! [`Node`] is a handle; every call on it ends, with a value or an error that says what was tried and
//! what to do next. What works without a network ([`shares`]) takes a store only.

mod background;
mod catalogues;
mod downloads;
mod error;
mod folders;
mod handle;
mod health;
mod ignores;
mod limits;
mod look;
mod manage;
mod settings;
pub mod shares;
#[cfg(all(test, feature = "api"))]
pub(crate) mod testing;
mod watch;

pub use catalogues::Listed;
pub use downloads::{DownloadRequest, InvalidTarget, Target};
pub use error::{
    DownloadError, ListError, ManageError, ShareError, StartError, UnshareError, folder_code,
    folder_hint,
};
pub use handle::{Node, Peer, Status};
pub use health::Health;
pub use look::{Content, Holder, LookError, LookRequest};
pub use manage::NewPlace;
pub use settings::{Mode, Settings};
pub use shares::{ShareRequest, Shared};

pub use crate::{
    limits::{InvalidRate, Rate, Rates},
    network::{InvalidAddress, PeerAddress},
    transfer::{
        Download, DownloadState, DownloadStatus, Failure, Finished, Followed, Interest, Output,
        Waiting,
    },
};

use crate::transfer::Place;
