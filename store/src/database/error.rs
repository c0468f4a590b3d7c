//! The errors of the database.

use std::io;

use super::layout::LAYOUT_VERSION;
use crate::durable::Fails;

/// Why a database operation failed. It changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// Written by another version of Pelago.
    #[error(
        "the database {path} has layout {found}, this version of pelago reads {LAYOUT_VERSION}: \
         use the version that wrote it, or another data folder"
    )]
    Layout {
        /// The database file.
        path: String,
        /// The layout it has.
        found: u64,
    },
    /// The file is damaged, or the disk is full or reports errors.
    #[error("{action} the database {path}: {source}")]
    Failed {
        /// The operation, such as "reading".
        action: &'static str,
        /// The database file.
        path: String,
        /// The error of redb.
        source: Box<redb::Error>,
    },
}

impl DatabaseError {
    /// Whether the content of the file is damaged although the disk works.
    pub(super) fn is_damage(&self) -> bool {
        let Self::Failed { source, .. } = self else {
            return false;
        };
        match &**source {
            redb::Error::Corrupted(_) => true,
            redb::Error::Io(error) => {
                matches!(
                    error.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                )
            }
            _ => false,
        }
    }
}

impl Fails for DatabaseError {
    fn is_full(&self) -> bool {
        match self {
            Self::Failed { source, .. } => match &**source {
                redb::Error::Io(error) => error.is_full(),
                _ => false,
            },
            Self::Layout { .. } => false,
        }
    }
}
