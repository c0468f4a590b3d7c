//! Why sharing, unsharing or selecting a share fails.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::Shared;
use crate::{
    network::Closed,
    node::{CodedError, NotAMember, own_groups::PlaceError},
    store::{self, DatabaseError, FolderError, HashError, Printable, quoted, shown},
};

/// Why a file or directory could not be shared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShareError {
    /// The directory cannot be shared as a folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// It is a symbolic link.
    #[error("{} is a symbolic link, which cannot be shared", shown(path))]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// It is private to this node, such as its key or its database.
    #[error(
        "{} is in the data folder of this node, which cannot be shared",
        shown(path)
    )]
    Private {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// A program still writes to the file.
    #[error(
        "{} is still being written: it is hashed when no program writes to it",
        shown(path)
    )]
    StillWritten {
        /// The file.
        path: PathBuf,
    },
    /// It is still excluded from its watched folder.
    #[error("{} is still excluded from its watched folder: {source}", shown(path))]
    NotIncluded {
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// This node is not in a group with which to share it.
    #[error(transparent)]
    NotAMember(#[from] NotAMember),
    /// It cannot be recorded.
    #[error(transparent)]
    Store(#[from] store::ShareError),
    /// The node shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl ShareError {
    /// Whether a later attempt may succeed, for example after a full disk or a failed read.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Store(store::ShareError::Path { .. }) => false,
            Self::Store(_) | Self::StillWritten { .. } => true,
            Self::Hash(error) => matches!(
                error,
                HashError::Unreadable { .. } | HashError::Changed { .. } | HashError::Tree(_)
            ),
            Self::Folder(error) => matches!(
                error,
                FolderError::Unreadable { .. }
                    | FolderError::Hash(_)
                    | FolderError::Manifests(_)
                    | FolderError::Share(_)
            ),
            _ => false,
        }
    }
}

impl CodedError for ShareError {
    fn code(&self) -> &'static str {
        match self {
            Self::Symlink { .. } => "symlink",
            Self::Private { .. } => "private",
            Self::Folder(error) => error.code(),
            Self::Hash(_) | Self::StillWritten { .. } => "file-not-hashed",
            Self::NotAMember(error) => error.code(),
            Self::Store(_) | Self::NotIncluded { .. } => "not-recorded",
            Self::Closed(_) => "shutting-down",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Folder(error) => error.hint(),
            Self::NotAMember(error) => error.hint(),
            Self::Symlink { .. } => Some("share its target instead".to_owned()),
            _ => None,
        }
    }
}

impl CodedError for FolderError {
    fn code(&self) -> &'static str {
        match self {
            Self::Hash(_) => "file-not-hashed",
            Self::Manifests(_) | Self::Share(_) => "not-recorded",
            Self::Unsupported { .. } => "unsupported-entries",
            _ => "folder-not-hashed",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unsupported { .. } => {
                "make these readable, rename them, or share the folder without them: \
                 --skip-unsupported"
            }
            Self::HoldsData { .. } => "it contains the key of this node: share other folders",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// Why no single share was found to unshare, to read, or to make a link for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnshareError {
    /// No share has that hash or name.
    #[error("no share matches {what:?}")]
    NotShared {
        /// The hash, its first digits, or the name.
        what: String,
    },
    /// It is part of a shared folder.
    #[error(
        "{what:?} is not shared by itself: it is part of the shared folder {}",
        shown(folder)
    )]
    InFolder {
        /// The path.
        what: String,
        /// The path of the folder.
        folder: PathBuf,
    },
    /// The exclusions from watched folders cannot be recorded.
    #[error("nothing was unshared, because the change cannot be recorded: {0}")]
    NotKept(io::Error),
    /// Shares with different contents match.
    #[error("{what:?} matches several shares:\n{}", shares_by(choices))]
    Ambiguous {
        /// The first digits or the name.
        what: String,
        /// The shares that match.
        choices: Vec<Shared>,
    },
    /// The content to read is not here, and known from a group that this node is not in.
    #[error(transparent)]
    NotAMember(NotAMember),
    /// The database cannot be read or written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The node shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl From<PlaceError> for UnshareError {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::NotAMember(error) => Self::NotAMember(error),
            PlaceError::Database(error) => error.into(),
            PlaceError::Closed(error) => error.into(),
        }
    }
}

impl CodedError for UnshareError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotShared { .. } | Self::InFolder { .. } => "not-shared",
            Self::NotKept(_) => "not-kept",
            Self::Ambiguous { .. } => "ambiguous-name",
            Self::NotAMember(error) => error.code(),
            Self::Database(_) => "database",
            Self::Closed(_) => "shutting-down",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotShared { .. } => Some("see the shares with `pelago list`".to_owned()),
            Self::InFolder { folder, .. } => Some(format!(
                "unshare the folder: pelago unshare {}; or name the file in the folder's .pelagoignore, \
                 and share the folder again",
                quoted(&folder.to_string_lossy())
            )),
            Self::NotKept(_) => {
                Some("free space on the disk of the data folder, and try again".to_owned())
            }
            Self::Ambiguous { .. } => Some("give the hash, or more of its digits".to_owned()),
            Self::NotAMember(error) => error.hint(),
            _ => None,
        }
    }
}

fn shares_by(choices: &[Shared]) -> String {
    let line = |choice: &Shared| {
        let (hash, name) = (choice.hash, Printable(&choice.name));
        let path = shown(&choice.path);
        format!("  {hash}  {name}, {path}")
    };
    choices.iter().map(line).collect::<Vec<_>>().join("\n")
}
