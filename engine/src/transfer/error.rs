//! Why a download ended without its content.

use std::{io, path::PathBuf, time::Duration};

use pelago_content::{Hash, ListingError};
use pelago_groups::GroupId;
use thiserror::Error;
use tokio::task::JoinError;

use super::manifests::UnfoldError;
use crate::store::{ByteSize, FinishError, HashError, PartialError, WriteError, why_not_written};

/// Why a download ended without its content. Verified data is kept in every case.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransferError {
    /// No reachable peer has it, or has the rest of it.
    #[error(
        "no source for {hash} within {} s: {tried}{}",
        timeout.as_secs_f64(),
        match kept {
            0 => String::new(),
            kept => format!("; {} of it are verified and kept", ByteSize(*kept)),
        }
    )]
    NoSource {
        /// The hash of the content.
        hash: Hash,
        /// How long nothing arrived.
        timeout: Duration,
        /// Which peers were asked, with the outcomes.
        tried: String,
        /// The number of bytes that are verified.
        kept: u64,
        /// Whether it may be content of a group of this node, whose members were not asked in it.
        may_be_in_group: bool,
    },
    /// Other content is at the target.
    #[error("{} exists already and has other content", crate::store::shown(path))]
    TargetExists {
        /// The target.
        path: PathBuf,
    },
    /// Something is at the target that is never replaced: a folder or link for a file, or anything
    /// but a folder for a folder.
    #[error(
        "{} exists already, and --overwrite replaces only a file, by a file",
        crate::store::shown(path)
    )]
    TargetInTheWay {
        /// The target.
        path: PathBuf,
    },
    /// The target or its parent folder cannot be used.
    #[error(
        "cannot write {}: {}",
        crate::store::shown(path),
        why_not_written(source)
    )]
    Target {
        /// The path that failed.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The content at the target cannot be compared with the requested content.
    #[error("cannot compare the content at the target: {0}")]
    Compare(#[from] HashError),
    /// The folder is invalid, or its manifests cannot be stored.
    #[error(transparent)]
    Folder(#[from] UnfoldError),
    /// The download cannot begin or resume.
    #[error(transparent)]
    Partial(#[from] PartialError),
    /// The disk failed, or is full.
    #[error(transparent)]
    Write(WriteError),
    /// The content cannot be put in its place.
    #[error(transparent)]
    Finish(#[from] FinishError),
    /// The content is being downloaded already, with other options.
    #[error("{hash} is being downloaded already, but {differs}")]
    Differs {
        /// The hash of the content.
        hash: Hash,
        /// The difference.
        differs: String,
    },
    /// The content is being removed after a download.
    #[error("{hash} is being removed with its data")]
    Removing {
        /// The hash of the content.
        hash: Hash,
    },
    /// There is no place to cache content that is only read.
    #[error("cannot open the cache for content that is read: {0}")]
    Cache(io::Error),
    /// Too many other contents are being read.
    #[error("too many other contents are being read: try again later")]
    TooManyRead,
    /// It was to come from a group, and this node is not in that group.
    #[error(
        "cannot download {hash} in the group {group:.8}: this node does not belong to it any more"
    )]
    NotAMember {
        /// The hash of the content.
        hash: Hash,
        /// The group.
        group: GroupId,
    },
    /// It was paused.
    #[error("paused")]
    Paused,
    /// An invariant of Pelago itself was violated.
    #[error("internal error in Pelago: {0}; verified data is kept")]
    Internal(&'static str),
    /// The node shut down.
    #[error("the node is shutting down: verified data is kept")]
    ShuttingDown,
}

impl From<JoinError> for TransferError {
    fn from(error: JoinError) -> Self {
        // A task that did not panic was ended with the runtime.
        match error.is_panic() {
            true => Self::Internal("one of its tasks panicked: see the log"),
            false => Self::ShuttingDown,
        }
    }
}

impl TransferError {
    /// A code for programs. It stays the same between versions.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSource { .. } => "no-source",
            Self::TargetExists { .. } | Self::TargetInTheWay { .. } => "target-exists",
            Self::Target { .. } => "target-not-writable",
            Self::Compare(_) => "target-not-readable",
            Self::Folder(UnfoldError::Listing(ListingError::Expands { .. })) => "folder-expands",
            Self::Folder(_) => "folder-refused",
            Self::Partial(_) => "download-not-started",
            Self::Write(_) => "write-failed",
            Self::Finish(_) => "finish-failed",
            Self::Differs { .. } => "already-downloading",
            Self::Removing { .. } => "being-removed",
            Self::Cache(_) => "cache",
            Self::TooManyRead => "too-many-read",
            Self::NotAMember { .. } => "not-a-member",
            Self::Paused => "paused",
            Self::Internal(_) => "internal",
            Self::ShuttingDown => "shutting-down",
        }
    }

    /// Whether the download was paused.
    pub(super) const fn is_pause(&self) -> bool {
        matches!(self, Self::Paused)
    }

    /// Whether the disk was full.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Write(error) => error.is_full(),
            Self::Cache(source) | Self::Folder(UnfoldError::Cache(source)) => {
                source.kind() == io::ErrorKind::StorageFull
            }
            _ => false,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoSource { kept: 1.., .. } => {
                "use `pelago resume` or repeat the command: it resumes where it stopped. Name a \
                 node that has the rest with --peer HOST:PORT, or join the network with \
                 --bootstrap HOST:PORT"
            }
            Self::NoSource {
                may_be_in_group: true,
                ..
            } => {
                "if it is content of a group, name the group with --group. Otherwise: is a node that \
                 shares it running? name one with --peer HOST:PORT, or join the network with \
                 --bootstrap HOST:PORT"
            }
            Self::NoSource { .. } => {
                "is a node that shares it running? name one with --peer HOST:PORT, join the \
                 network with --bootstrap HOST:PORT, or wait longer with --timeout SECONDS"
            }
            Self::TargetExists { .. } => {
                "keep both with `pelago resume NAME -o PATH`, or give another path with -o, or replace \
                 it with --overwrite"
            }
            Self::TargetInTheWay { .. } => "move it away, or give another path with -o",
            Self::Target { .. } => "give another path with -o",
            Self::Write(error) => return error.remedy().map(again_after),
            Self::Finish(error) => return error.remedy().map(again_after),
            Self::Removing { .. } => {
                "download it again once `pelago downloads` does not list it any more"
            }
            Self::Differs { .. } => {
                "wait until it is done, pause it with `pelago pause`, or use the same options as \
                 before"
            }
            Self::NotAMember { .. } => {
                "ask an owner of the group for a link, use `pelago group join`, and then `pelago \
                 resume`: what was verified is kept. To ask all peers for it, which shows them its \
                 hash, download it again with --public"
            }
            Self::Internal(_) => {
                "please report it with the log; `pelago resume` retries from the verified data"
            }
            Self::Folder(UnfoldError::Listing(ListingError::Expands { .. })) => {
                "each entry takes an inode of the disk: if you trust its author, download it with \
                 --allow-expansion"
            }
            Self::Paused => {
                "use `pelago resume` or repeat the command: it resumes where it stopped"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn again_after(remedy: &str) -> String {
    format!("{remedy}, then use `pelago resume` or repeat the command: it resumes where it stopped")
}
