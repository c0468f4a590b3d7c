//! Why a download was not changed as requested.

use std::{io, path::PathBuf, sync::Arc};

use pelago_content::Hash;
use thiserror::Error;

use super::{DownloadState, DownloadStatus, NotKept};
use crate::store::{PartialError, RemoveError};

/// Why a download was not changed as asked.
#[derive(Clone, Debug, Error)]
pub enum ChangeError {
    /// It is not in the list, or not any more.
    #[error("{hash} is not among the downloads")]
    NotListed {
        /// Its hash.
        hash: Hash,
    },
    /// There is nothing to pause, resume or cancel.
    #[error("{name:?} is {} already", state.as_str())]
    Ended {
        /// What it is called.
        name: String,
        /// How it ended.
        state: DownloadState,
    },
    /// Only what has ended is removed.
    #[error("{name:?} has not ended: it is {}", state.as_str())]
    Running {
        /// What it is called.
        name: String,
        /// What it is doing.
        state: DownloadState,
    },
    /// What is in its place was there before, or no record tells what the download put there.
    #[error(
        "{name:?} was there before it was to be downloaded, or Pelago has no record of what it put there: \
         it is not removed"
    )]
    NotDownloaded {
        /// What it is called.
        name: String,
        /// Where it is.
        path: Option<PathBuf>,
    },
    /// The record of what it put in its place cannot be read.
    #[error("the record of what was downloaded cannot be read, so nothing is removed: {0}")]
    Receipt(#[from] Arc<io::Error>),
    /// What is in its place cannot be removed.
    #[error(transparent)]
    Delivered(Arc<RemoveError>),
    /// What is here of it cannot be removed.
    #[error(transparent)]
    Data(Arc<PartialError>),
    /// It was changed as asked, but the next start of the node does not know of it.
    #[error("{name:?} is {is}, but the next start of the node does not know of it: {why}")]
    NotKept {
        /// What it is called.
        name: String,
        /// What became of it.
        is: &'static str,
        /// Why the change is not kept.
        why: NotKept,
    },
    /// Nothing was to be changed, and an earlier change is not kept.
    #[error(transparent)]
    NoneKept(NotKept),
    /// The node shut down.
    #[error("the node is shutting down")]
    ShuttingDown,
}

impl ChangeError {
    /// The download has ended already, with this status.
    pub(super) fn ended(status: &DownloadStatus) -> Self {
        Self::Ended {
            name: status.name.clone(),
            state: status.state,
        }
    }

    /// A word for programs: it stays the same between versions.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotListed { .. } => "not-downloading",
            Self::Ended { .. } => "download-ended",
            Self::Running { .. } => "download-running",
            Self::NotDownloaded { .. } => "not-downloaded",
            Self::Receipt(_) | Self::Delivered(_) | Self::Data(_) => "not-removed",
            Self::NotKept { why, .. } | Self::NoneKept(why) => why.code(),
            Self::ShuttingDown => "shutting-down",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotListed { .. } => "`pelago downloads` shows what is",
            Self::Ended {
                state: DownloadState::Failed,
                ..
            } => "`pelago resume` tries it again, `pelago cancel` gives it up",
            Self::Ended { .. } => "`pelago remove` takes it off the list",
            Self::Running { .. } => "`pelago cancel` stops it and removes what is here of it",
            Self::NotDownloaded {
                path: Some(path), ..
            } => {
                let path = path.display();
                return Some(format!(
                    "without --with-data it is only taken off the list; remove {path} yourself"
                ));
            }
            Self::NotDownloaded { .. } | Self::Receipt(_) | Self::Delivered(_) => {
                "without --with-data it is only taken off the list"
            }
            Self::NotKept { why, .. } | Self::NoneKept(why) => return Some(why.hint()),
            Self::Data(_) | Self::ShuttingDown => return None,
        };
        Some(hint.to_owned())
    }
}

impl From<PartialError> for ChangeError {
    fn from(error: PartialError) -> Self {
        Self::Data(Arc::new(error))
    }
}

impl From<RemoveError> for ChangeError {
    fn from(error: RemoveError) -> Self {
        Self::Delivered(Arc::new(error))
    }
}
