//! Why a download was not changed as requested.

use std::{io, path::PathBuf, sync::Arc};

use pelago_content::Hash;
use thiserror::Error;

use super::{DownloadState, DownloadStatus, NotKept};
use crate::store::{DatabaseError, PartialError, RemoveError};

/// Why a download was not changed as requested.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// It is not in the list, or no longer.
    #[error("{hash} is not in the list of downloads")]
    NotListed {
        /// The hash.
        hash: Hash,
    },
    /// It has ended or is being removed, so it cannot be paused, resumed or cancelled.
    #[error("{name:?} is {} already", word(*state))]
    Ended {
        /// The name of the download.
        name: String,
        /// How it ended.
        state: DownloadState,
    },
    /// It has not ended, so it cannot be removed.
    #[error("{name:?} has not ended: it is {}", word(*state))]
    Running {
        /// The name of the download.
        name: String,
        /// Its state.
        state: DownloadState,
    },
    /// The content was there before the download, or the record of the download is gone.
    #[error(
        "{name:?} was not removed: it was there before the download, or Pelago has no record of \
         downloading it"
    )]
    NotDownloaded {
        /// The name of the download.
        name: String,
        /// The path of the content.
        path: Option<PathBuf>,
    },
    /// The record of what the download put on the disk cannot be read.
    #[error("the record of what was downloaded cannot be read, so nothing is removed: {0}")]
    Receipt(#[from] Arc<io::Error>),
    /// The content cannot be removed from its place.
    #[error(transparent)]
    Delivered(Arc<RemoveError>),
    /// The data of the unfinished download cannot be removed.
    #[error(transparent)]
    Data(Arc<PartialError>),
    /// The content was removed, but is still recorded as shared.
    #[error("the content is removed, but is still recorded as shared: {0}")]
    Shared(Arc<DatabaseError>),
    /// The change took effect, but could not be saved.
    #[error("{name:?} is {is}, but the next start of the node does not know of it: {why}")]
    NotKept {
        /// The name of the download.
        name: String,
        /// What became of it.
        is: &'static str,
        /// Why the change is not saved.
        why: NotKept,
    },
    /// There was nothing to change, and an earlier change is not saved.
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

    /// A code for programs. It stays the same between versions.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotListed { .. } => "not-downloading",
            Self::Ended { .. } => "download-ended",
            Self::Running { .. } => "download-running",
            Self::NotDownloaded { .. } => "not-downloaded",
            Self::Receipt(_) | Self::Delivered(_) | Self::Data(_) => "not-removed",
            Self::Shared(_) => "database",
            Self::NotKept { why, .. } | Self::NoneKept(why) => why.code(),
            Self::ShuttingDown => "shutting-down",
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotListed { .. } => "`pelago downloads` shows the list",
            Self::Ended {
                state: DownloadState::Failed,
                ..
            } => "`pelago resume` tries it again, `pelago cancel` gives it up",
            Self::Ended {
                state: DownloadState::Removing,
                ..
            }
            | Self::Running {
                state: DownloadState::Removing,
                ..
            } => "it ends by itself; `pelago downloads --watch` shows how far it is",
            Self::Ended { .. } => "`pelago remove` takes it off the list",
            Self::Running { .. } => "`pelago cancel` stops it and removes its data",
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
            Self::Data(_) | Self::Shared(_) | Self::ShuttingDown => return None,
        };
        Some(hint.to_owned())
    }
}

/// The state as part of a sentence.
const fn word(state: DownloadState) -> &'static str {
    match state {
        DownloadState::Removing => "being removed",
        state => state.as_str(),
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
